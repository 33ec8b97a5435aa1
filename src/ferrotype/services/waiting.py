"""Waiting for a generation, bounded; nothing is lost when the wait ends first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ferrotype.domain.event import TERMINAL_EVENTS
from ferrotype.domain.order import Mode
from ferrotype.domain.states import GENERATION, AssetState, GenerationState
from ferrotype.events.base import Closed, Subscription
from ferrotype.services.envelopes import Envelope, Envelopes


@dataclass(frozen=True, slots=True)
class Waiting:
    """Watches a generation for a caller who wants the answer in the reply."""

    envelopes: Envelopes

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
                        return envelope, True
                while True:
                    event = await subscription.get()
                    if event.type in TERMINAL_EVENTS or (mode == "durable" and event.type == "stored"):
                        envelope = await self.envelopes.generation(generation_id, account_id, base_url)
                        if ended(envelope, mode):
                            return envelope, True
        except (TimeoutError, Closed):
            envelope = await self.envelopes.generation(generation_id, account_id, base_url)
            return envelope, ended(envelope, mode)


def ended(envelope: Envelope, mode: Mode) -> bool:
    """Whether the answer is complete: pictures exist, or (durable) the primary store has them."""
    if not GENERATION.is_terminal(GenerationState(envelope["status"])):
        return False
    if mode == "immediate":
        return True
    return all(asset["stored"] or asset["state"] == AssetState.FAILED for asset in envelope["output"])
