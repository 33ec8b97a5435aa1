"""The story of a batch's cancel: what waits is ordered no more, what was ordered is canceled by a job."""

from __future__ import annotations

from dataclasses import dataclass

from ferrotype.db import batches
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.batch import Batch
from ferrotype.domain.clock import Clock
from ferrotype.domain.states import BATCH
from ferrotype.engine.base import Engine
from ferrotype.services import credits
from ferrotype.services.admit_batch import CHUNK, fan_out_job
from ferrotype.services.batch_life import BatchLife, own_batch
from ferrotype.services.cancel import Cancel


@dataclass(frozen=True, slots=True)
class CancelBatch:
    """Ends batches on request."""

    database: Database
    engine: Engine
    cancel: Cancel
    life: BatchLife
    clock: Clock

    async def __call__(self, batch_id: str, account_id: str) -> None:
        """Ask for the batch's end; one that has ended stays as it is. Pictures that exist stay and are
        charged. Raises NotFound."""

        def story(tx: Transaction) -> None:
            batch = own_batch(tx, batch_id, account_id, lock=True)
            if BATCH.is_terminal(batch.status) or batch.cancel_requested:
                return
            self._order_no_more(tx, batch)
            found = batches.open_ids(tx, batch_id, CHUNK + 1)
            for generation_id in found[:CHUNK]:
                self.cancel.within(tx, generation_id)
            if len(found) > CHUNK:
                self.engine.enqueue(tx, fan_out_job(batch))
            self.life.check(tx, batch_id)

        await self.database.write(story)

    def gave_up(self, tx: Transaction, batch_id: str) -> None:
        """The engine failed the job that orders a batch's items: those that wait never will be."""
        batch = batches.get(tx, batch_id, lock=True)
        if batch is None or BATCH.is_terminal(batch.status):
            return
        self._order_no_more(tx, batch)
        self.life.check(tx, batch_id)

    def _order_no_more(self, tx: Transaction, batch: Batch) -> None:
        rest = sum(batches.request_cancel(tx, batch.id))
        credits.release_waiting(tx, batch, rest, self.clock.now())
