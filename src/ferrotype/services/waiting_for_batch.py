"""Waiting for the end of a batch, bounded; nothing is lost when the wait ends first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ferrotype.domain.states import BATCH, BatchState
from ferrotype.events.base import Closed, EventBus
from ferrotype.services.batch_envelopes import BatchEnvelopes
from ferrotype.services.envelopes import Envelope
from ferrotype.services.waiting import ended


@dataclass(frozen=True, slots=True)
class WaitingForBatch:
    """Watches a batch for a caller who wants the answer in the reply."""

    batches: BatchEnvelopes
    bus: EventBus

    async def __call__(
        self, batch_id: str, account_id: str, base_url: str, *, seconds: float
    ) -> tuple[Envelope, bool]:
        """The envelope, and whether everything in it ended within `seconds`: its pictures exist, and where an
        item wants it (`mode: "durable"`), are stored. A process that stops ends the wait early."""
        with self.bus.subscribe(batch_id) as subscription:
            envelope = await self.batches.envelope(batch_id, account_id, base_url)
            if _ended(envelope) or seconds == 0:
                return envelope, _ended(envelope)
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        event = await subscription.get()
                        over = event.terminal and event.generation_id is None
                        if over or (
                            event.type == "stored" and BATCH.is_terminal(BatchState(envelope["status"]))
                        ):
                            envelope = await self.batches.envelope(batch_id, account_id, base_url)
                            if _ended(envelope):
                                return envelope, True
            except (TimeoutError, Closed):
                envelope = await self.batches.envelope(batch_id, account_id, base_url)
                return envelope, _ended(envelope)


def _ended(envelope: Envelope) -> bool:
    if not BATCH.is_terminal(BatchState(envelope["status"])):
        return False
    generations = [item["generation"] for item in envelope["items"] if item["generation"] is not None]
    return all(ended(each, each["input"]["mode"]) for each in generations)
