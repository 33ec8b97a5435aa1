"""The story of a batch: every item is checked, then all of them are written with their money held at once.

The first items get their generations in the same transaction. The rest wait as rows, with one hold for all,
and a job gives them theirs in turns (`fan_out`), so that no batch makes another order wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ferrotype.db import batches, generations, ledger
from ferrotype.db.database import Transaction
from ferrotype.domain.batch import Batch, BatchItem, ItemState
from ferrotype.domain.batch_order import BatchOrder
from ferrotype.domain.ids import new_id
from ferrotype.domain.ledger import EntryKind
from ferrotype.domain.problems import Problem
from ferrotype.domain.states import BatchState
from ferrotype.engine.base import Engine, Lease, NewJob, Priority
from ferrotype.services import credits
from ferrotype.services.admit import EXPECTED_BYTES, Admit, Prepared, hash_of
from ferrotype.services.batch_life import BatchLife
from ferrotype.services.batch_rows import Refused, Row, given, put_together, read_rows, refuse
from ferrotype.services.journal import Journal

#: The kind and class of the job that gives items their generations.
KIND: Final = "batch"
#: Generations that one transaction makes: about 2 ms each, in which no other order is written.
CHUNK: Final = 25
#: Inputs that are fetched at the same time.
FETCHES: Final = 8
#: Pictures that the spool must have room for: more are not under way at once.
AT_ONCE: Final = 64
#: A job that gave items their generations goes on after any number of crashes.
STARTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Origin:
    """The batch that this one was made from: its items once more, or those that failed."""

    cloned_from: str | None = None
    retry_of: str | None = None


NEW: Final = Origin()


@dataclass(frozen=True, slots=True)
class AdmittedBatch:
    """The batch that answers; `replayed` says that an earlier order with the same key made it."""

    batch_id: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class AdmitBatch:
    """Accepts batches."""

    admit: Admit
    engine: Engine
    journal: Journal
    life: BatchLife

    async def __call__(
        self,
        order: BatchOrder,
        *,
        account_id: str,
        batch_id: str,
        limit: int,
        idempotency_key: str | None = None,
        origin: Origin = NEW,
    ) -> AdmittedBatch:
        """Make `batch_id` of at most `limit` items, or find the batch that the same key made before.

        Raises RequestProblem or ServerProblem subclasses, naming `items[3].prompt`; then nothing was written
        and no money was moved. With `order.partial` only when no item at all can be ordered.
        """
        body_hash = hash_of(order.model_dump() | {"origin": [origin.cloned_from, origin.retry_of]})
        database = self.admit.database
        if idempotency_key is not None:
            known = await database.read(
                lambda tx: self.admit.known(tx, account_id, idempotency_key, body_hash)
            )
            if known is not None:
                return AdmittedBatch(known, replayed=True)
        found = await read_rows(put_together(order, limit), self.admit.check)
        refuse(found, order.partial)
        price = sum(row.credits for row in found if isinstance(row, Row))
        await database.read(lambda tx: ledger.balance(tx, account_id).after(EntryKind.HOLD, price))
        images = sum(row.order.num_images for row in found if isinstance(row, Row))
        self.admit.spool.check_room(min(images, AT_ONCE) * EXPECTED_BYTES)
        found = await self._with_inputs(found, account_id)
        refuse(found, order.partial)
        rows = [row for row in found if isinstance(row, Row)]
        batch = self._batch(order, batch_id, account_id, rows, len(found), origin)
        first = await asyncio.gather(*(self.prepared(row, batch) for row in rows[:CHUNK]))

        def story(tx: Transaction, leases: list[Lease]) -> AdmittedBatch:
            if idempotency_key is not None:
                known = self.admit.known(tx, account_id, idempotency_key, body_hash)
                if known is not None:
                    return AdmittedBatch(known, replayed=True)
            batches.add(tx, batch, [_item(batch_id, each) for each in found])
            if idempotency_key is not None:
                at = batch.created_at
                generations.add_key(tx, account_id, idempotency_key, body_hash, at, batch_id=batch_id)
            self.journal.record_of_batch(tx, "queued", batch, items=batch.num_items)
            self._place(tx, batch, first, rows[CHUNK:], leases)
            return AdmittedBatch(batch_id)

        return await self.admit.write(story)

    def _place(
        self,
        tx: Transaction,
        batch: Batch,
        first: Sequence[Prepared],
        later: Sequence[Row],
        leases: list[Lease],
    ) -> None:
        """The first items' generations, and one hold and a job for the others."""
        for prepared in first:
            self.admit.place(tx, prepared, leases)
            index = prepared.generation.batch_index
            assert index is not None
            batches.ordered(tx, batch.id, index, prepared.generation.id)
        if later:
            credits.hold_batch(tx, batch, sum(row.credits for row in later), batch.created_at)
            self.engine.enqueue(tx, fan_out_job(batch))
        self.life.check(tx, batch.id)

    async def _with_inputs(self, found: list[Row | Refused], account_id: str) -> list[Row | Refused]:
        """The rows with their inputs as assets, each input kept once however many rows name it."""
        waiting: dict[tuple[Any, ...], asyncio.Task[dict[str, Any]]] = {}
        turn = asyncio.Semaphore(FETCHES)

        async def collect(row: Row) -> dict[str, Any]:
            async with turn:
                limits = row.model.capabilities.inputs
                return await self.admit.inputs.collect(row.order, account_id, limits)

        async def kept(row: Row | Refused) -> Row | Refused:
            if isinstance(row, Refused) or not (row.order.references or row.order.mask):
                return row
            key = (*row.order.references, None, row.order.mask, row.order.visibility, row.model.name)
            if key not in waiting:
                waiting[key] = asyncio.create_task(collect(row))
            try:
                inputs = await waiting[key]
            except Problem as problem:
                return Refused(row.index, row.custom_id, given(row.order), problem)
            order = row.order.model_copy(
                update={"image": None, "images": inputs["images"], "mask": inputs["mask"]}
            )
            return replace(row, order=order, inputs=inputs)

        return list(await asyncio.gather(*(kept(row) for row in found)))

    async def prepared(self, row: Row, batch: Batch) -> Prepared:
        """An item's order, ready to be placed. Raises what `Admit.prepare` does."""
        return await self.admit.prepare(
            row.order,
            row.model,
            row.resolved,
            batch.account_id,
            new_id(),
            inputs=row.inputs,
            batch=(batch.id, row.index),
            priority=batch.priority,
        )

    def _batch(
        self,
        order: BatchOrder,
        batch_id: str,
        account_id: str,
        rows: Sequence[Row],
        num_items: int,
        origin: Origin,
    ) -> Batch:
        few = num_items <= self.admit.settings.max_batch_items
        return Batch(
            id=batch_id,
            account_id=account_id,
            status=BatchState.QUEUED,
            num_items=num_items,
            num_images=sum(row.order.num_images for row in rows),
            credits=sum(row.credits for row in rows),
            usd=round(sum(row.model.price.usd * row.order.num_images for row in rows), 6),
            priority=Priority.INTERACTIVE if few else Priority.BATCH,
            created_at=self.admit.clock.now(),
            name=order.name,
            cloned_from=origin.cloned_from,
            retry_of=origin.retry_of,
            metadata=order.metadata,
        )


def fan_out_job(batch: Batch) -> NewJob:
    """The job that brings a batch to where it should be: every item ordered, or canceled."""
    return NewJob(KIND, KIND, batch.account_id, payload={"batch_id": batch.id}, max_starts=STARTS)


def _item(batch_id: str, row: Row | Refused) -> BatchItem:
    if isinstance(row, Refused):
        error = row.problem.to_json()
        return BatchItem(batch_id, row.index, ItemState.REFUSED, row.given, 0, 0, row.custom_id, error=error)
    return BatchItem(
        batch_id,
        row.index,
        ItemState.WAITING,
        given(row.order),
        row.order.num_images,
        row.credits,
        row.custom_id,
    )
