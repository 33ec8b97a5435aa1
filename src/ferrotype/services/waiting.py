"""Waiting for a generation, bounded; nothing is lost when the wait ends first."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ferrotype.domain.event import TERMINAL_EVENTS
from ferrotype.domain.order import Mode
from ferrotype.domain.states import GENERATION, AssetState, GenerationState
from ferrotype.events.base import Closed, Subscription
from ferrotype.services.elsewhere import Elsewhere
from ferrotype.services.envelopes import Envelope, Envelopes

#: Seconds after which another look is taken at where pictures are.
LOOK_AGAIN: Final = 0.25


@dataclass(frozen=True, slots=True)
class Waiting:
    """Watches a generation for a caller who wants the answer in the reply.

    Where other nodes serve pictures too, `elsewhere` tells whether they could: an answer waits for that,
    since nobody knows which node its URLs lead to. It is None where this process alone serves its database.
    """

    envelopes: Envelopes
    elsewhere: Elsewhere | None = None

    async def __call__(
        self,
        subscription: Subscription,
        generation_id: str,
        account_id: str,
        base_url: str,
        *,
        mode: Mode,
        seconds: float,
        fresh: bool,
    ) -> tuple[Envelope, bool]:
        """The envelope, and whether it ended within `seconds`.

        `subscription` was opened before the generation was made, so that no event is missed; `fresh`
        says that it was made just now and cannot have ended before its events. A process that stops ends
        the wait early.
        """
        try:
            async with asyncio.timeout(seconds):
                if not fresh:
                    envelope = await self.envelopes.generation(generation_id, account_id, base_url)
                    if ended(envelope, mode):
                        return await self._reachable(subscription, envelope), True
                while True:
                    event = await subscription.get()
                    if event.type in TERMINAL_EVENTS or (mode == "durable" and event.type == "stored"):
                        envelope = await self.envelopes.generation(generation_id, account_id, base_url)
                        if ended(envelope, mode):
                            return await self._reachable(subscription, envelope), True
        except (TimeoutError, Closed):
            envelope = await self.envelopes.generation(generation_id, account_id, base_url)
            return envelope, ended(envelope, mode) and await self._is_elsewhere(envelope)

    async def _is_elsewhere(self, envelope: Envelope) -> bool:
        return self.elsewhere is None or await self.elsewhere.has(asset["id"] for asset in envelope["output"])

    async def _reachable(self, subscription: Subscription, envelope: Envelope) -> Envelope:
        """The envelope once every node could serve what it names, which the events of its store tell as a
        rule; of the shared cache there are none."""
        while not await self._is_elsewhere(envelope):
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await subscription.get()
        return envelope


def ended(envelope: Envelope, mode: Mode) -> bool:
    """Whether the answer is complete: pictures exist, or (durable) the primary store has them."""
    if not GENERATION.is_terminal(GenerationState(envelope["status"])):
        return False
    if mode == "immediate":
        return True
    return all(asset["stored"] or asset["state"] == AssetState.FAILED for asset in envelope["output"])
