"""The job of a large batch: gives its items their generations in turns, or ends them once it is canceled.

Every turn is one transaction that moves an item's part of the batch's hold to its generation. A crash between
turns leaves items that wait, and the job goes on with those.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final

from ferrotype.db import batches
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.batch import Batch, BatchItem
from ferrotype.domain.clock import Clock
from ferrotype.domain.order import Order
from ferrotype.domain.problems import Problem
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease
from ferrotype.services import credits
from ferrotype.services.admit import Prepared
from ferrotype.services.admit_batch import AdmitBatch
from ferrotype.services.batch_life import BatchLife
from ferrotype.services.batch_rows import Row
from ferrotype.services.cancel import Cancel

#: Items of one transaction: about 20 ms, which is how long another order may have to wait for it.
TURN: Final = 10
#: An item with what it became.
Turn = list[tuple[BatchItem, Prepared | Problem]]


class FanOut:
    """Handles jobs of the kind `batch`."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        admit_batch: AdmitBatch,
        cancel: Cancel,
        life: BatchLife,
        clock: Clock,
    ) -> None:
        self._database = database
        self._engine = engine
        self._admit_batch = admit_batch
        self._cancel = cancel
        self._life = life
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Order what waits; harmless to do again. Raises Overloaded."""
        batch_id = str(lease.payload["batch_id"])
        while True:
            batch = await self._database.read(lambda tx: batches.get(tx, batch_id))
            assert batch is not None
            if batch.cancel_requested:
                await self._cancel_open(batch)
                break
            items = await self._database.read(lambda tx: batches.waiting(tx, batch_id, TURN))
            if not items:
                break
            began = time.monotonic()
            await self._take_turn(lease, batch, [(item, await self._prepared(item, batch)) for item in items])
            await self._rest(began)
        await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))

    async def _prepared(self, item: BatchItem, batch: Batch) -> Prepared | Problem:
        """The item's order once more, as it may be read today: what it needs may be gone by now."""
        try:
            order = Order.model_validate(item.order)
            model, resolved = self._admit_batch.admit.check(order)
            row = Row(item.index, item.custom_id, order, model, resolved)
            return await self._admit_batch.prepared(row, batch)
        except Problem as problem:
            if problem.retryable:
                raise  # the job comes again
            return problem

    async def _take_turn(self, lease: Lease, batch: Batch, turn: Turn) -> None:
        try:
            await self._place(lease, batch, turn)
        except Problem as problem:  # one of them costs more than it did, and there is no more
            if len(turn) == 1:
                await self._place(lease, batch, [(turn[0][0], problem)])
                return
            for each in turn:
                await self._take_turn(lease, batch, [each])

    async def _place(self, lease: Lease, batch: Batch, turn: Turn) -> None:
        def story(tx: Transaction, leases: list[Lease]) -> None:
            self._engine.fence(tx, lease)
            now = batches.get(tx, batch.id, lock=True)
            if now is None or now.cancel_requested:
                return
            for item, outcome in turn:
                credits.release_item(tx, batch, item, self._clock.now())
                if isinstance(outcome, Problem):
                    batches.refused(tx, batch.id, item.index, outcome.to_json())
                else:
                    self._admit_batch.admit.place(tx, outcome, leases)
                    batches.ordered(tx, batch.id, item.index, outcome.generation.id)
            self._life.check(tx, batch.id)

        await self._admit_batch.admit.write(story)

    async def _cancel_open(self, batch: Batch) -> None:
        """Ask for the end of every generation that has not ended."""
        after = ""
        while True:
            began = time.monotonic()
            last = await self._database.write(partial(self._cancel_some, batch_id=batch.id, after=after))
            if last is None:
                return
            after = last
            await self._rest(began)

    def _cancel_some(self, tx: Transaction, batch_id: str, after: str) -> str | None:
        """The last of the generations behind `after` that were canceled; None when there are no more."""
        found = batches.open_ids(tx, batch_id, TURN, after)
        for generation_id in found:
            self._cancel.within(tx, generation_id)
        return found[-1] if found else None

    async def _rest(self, began: float) -> None:
        """As long as the turn took: half of the database's time stays for everybody else."""
        await asyncio.sleep(time.monotonic() - began)
