"""Statements about batches and their items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, bindparam, case, func, insert, select, update

from ferrotype.db.database import Transaction
from ferrotype.db.schema import Moment, assets, attempts, batch_items, batches, entries, generations, jobs
from ferrotype.domain.batch import Batch, BatchItem, ItemState
from ferrotype.domain.ledger import EntryKind
from ferrotype.domain.states import BATCH, AssetState, BatchState, GenerationState, JobState

_OF_BATCH: Final = generations.c.batch_id == bindparam("of_batch")
_ITEMS: Final = batch_items.c.batch_id == bindparam("of_batch")
_BY_ID: Final = select(batches).where(batches.c.id == bindparam("of_batch"))
_LOCKED: Final = _BY_ID.with_for_update()
_INSERT: Final = insert(batches)
_INSERT_ITEMS: Final = insert(batch_items)
_UPDATE: Final = update(batches).where(batches.c.id == bindparam("of_batch"))
_STARTED: Final = _UPDATE.where(batches.c.status == BatchState.QUEUED).values(
    status=BatchState.RUNNING, started_at=bindparam("at")
)
_UPDATE_ITEM: Final = update(batch_items).where(_ITEMS, batch_items.c.index == bindparam("at_index"))
_WAITING: Final = (
    select(batch_items)
    .where(_ITEMS, batch_items.c.state == ItemState.WAITING)
    .order_by(batch_items.c.index)
    .limit(bindparam("most"))
)
_CANCEL_WAITING: Final = (
    update(batch_items)
    .where(_ITEMS, batch_items.c.state == ItemState.WAITING)
    .values(state=ItemState.CANCELED)
    .returning(batch_items.c.credits)
)
_OPEN: Final = (
    select(generations.c.id)
    .where(_OF_BATCH, generations.c.completed_at.is_(None), generations.c.id > bindparam("after"))
    .order_by(generations.c.id)
    .limit(bindparam("most"))
)
_OTHER_OPEN: Final = (
    select(generations.c.id)
    .where(_OF_BATCH, generations.c.completed_at.is_(None), generations.c.id != bindparam("but"))
    .limit(1)
)
_STATUSES: Final = (
    select(generations.c.status, func.count().label("number")).where(_OF_BATCH).group_by(generations.c.status)
)
_STATES: Final = (
    select(batch_items.c.state, func.count().label("number")).where(_ITEMS).group_by(batch_items.c.state)
)
_ITEM_PAGE: Final = (
    select(batch_items)
    .where(_ITEMS, batch_items.c.index >= bindparam("first"))
    .order_by(batch_items.c.index)
    .limit(bindparam("most"))
)
#: A follower shows its leader's pictures; those of one that ended badly are not its own.
_MADE: Final = (
    select(func.count())
    .select_from(generations)
    .join(
        assets,
        and_(
            assets.c.generation_id == func.coalesce(generations.c.reused_from, generations.c.id),
            assets.c.state != AssetState.FAILED,
        ),
    )
    .where(
        _OF_BATCH,
        generations.c.reused_from.is_(None) | (generations.c.status == GenerationState.SUCCEEDED),
    )
)
_PICTURES: Final = (
    select(assets.c.id)
    .select_from(generations)
    .join(assets, assets.c.generation_id == func.coalesce(generations.c.reused_from, generations.c.id))
    .where(
        _OF_BATCH,
        generations.c.status == GenerationState.SUCCEEDED,
        assets.c.state != AssetState.FAILED,
        assets.c.deleted_at.is_(None),
    )
    .order_by(generations.c.batch_index, assets.c.index)
)
_SETTLED: Final = (
    select(
        func.coalesce(
            func.sum(
                case(
                    (entries.c.kind == EntryKind.SETTLE, entries.c.credits),
                    (entries.c.kind == EntryKind.REFUND, -entries.c.credits),
                    else_=0,
                )
            ),
            0,
        )
    )
    .select_from(generations)
    .join(entries, entries.c.generation_id == generations.c.id)
    .where(_OF_BATCH)
)
_USD: Final = (
    select(func.coalesce(func.sum(attempts.c.usd), 0.0))
    .select_from(generations)
    .join(attempts, attempts.c.generation_id == generations.c.id)
    .where(_OF_BATCH)
)
_QUEUED_CALLS: Final = (
    select(
        generations.c.class_,
        generations.c.model,
        func.count().label("calls"),
        func.min(jobs.c.id).label("first_job"),
    )
    .select_from(generations)
    .join(jobs, jobs.c.generation_id == generations.c.id)
    .where(
        _OF_BATCH,
        generations.c.completed_at.is_(None),
        jobs.c.kind == "generate",
        jobs.c.state == JobState.QUEUED,
    )
    .group_by(generations.c.class_, generations.c.model)
)
_RUNNING_SINCE: Final = (
    select(generations.c.model, func.max(generations.c.started_at, type_=Moment()).label("since"))
    .where(_OF_BATCH, generations.c.completed_at.is_(None), generations.c.started_at.is_not(None))
    .group_by(generations.c.model)
)
_ERRORS: Final = (
    select(generations.c.batch_index, generations.c.error)
    .where(_OF_BATCH, generations.c.status == GenerationState.FAILED)
    .order_by(generations.c.batch_index)
    .limit(bindparam("most"))
)
_REFUSALS: Final = (
    select(batch_items.c.index.label("batch_index"), batch_items.c.error)
    .where(_ITEMS, batch_items.c.state == ItemState.REFUSED)
    .order_by(batch_items.c.index)
    .limit(bindparam("most"))
)
#: What is to be tried once more: refused at once, or ended without a picture.
_FAILED: Final = (
    select(batch_items)
    .outerjoin(generations, generations.c.id == batch_items.c.generation_id)
    .where(
        _ITEMS,
        (batch_items.c.state == ItemState.REFUSED) | (generations.c.status == GenerationState.FAILED),
    )
    .order_by(batch_items.c.index)
)
_ALL: Final = select(batch_items).where(_ITEMS).order_by(batch_items.c.index)


@dataclass(frozen=True, slots=True)
class QueuedCalls:
    """Calls of one model that wait for a seat of a class; `first_job` is the oldest of them."""

    class_: str
    model: str
    calls: int
    first_job: str


def add(tx: Transaction, batch: Batch, items: Sequence[BatchItem]) -> None:
    """Write a new batch with its items."""
    tx.execute(
        _INSERT,
        {
            "id": batch.id,
            "account_id": batch.account_id,
            "status": batch.status,
            "name": batch.name,
            "num_items": batch.num_items,
            "num_images": batch.num_images,
            "credits": batch.credits,
            "usd": batch.usd,
            "priority": batch.priority,
            "cloned_from": batch.cloned_from,
            "retry_of": batch.retry_of,
            "metadata_": batch.metadata,
            "created_at": batch.created_at,
        },
    )
    tx.execute(
        _INSERT_ITEMS,
        [
            {
                "batch_id": item.batch_id,
                "index": item.index,
                "custom_id": item.custom_id,
                "state": item.state,
                "order": item.order,
                "num_images": item.num_images,
                "credits": item.credits,
                "error": item.error,
            }
            for item in items
        ],
    )


def get(tx: Transaction, batch_id: str, *, lock: bool = False) -> Batch | None:
    """One batch; `lock` keeps others from changing it until the transaction ends."""
    row = tx.execute(_LOCKED if lock else _BY_ID, {"of_batch": batch_id}).one_or_none()
    return _batch(row) if row else None


def page(
    tx: Transaction, account_id: str, *, limit: int, before: str | None = None, status: str | None = None
) -> list[Batch]:
    """The account's newest first; `before` is the id that the page starts after."""
    statement = select(batches).where(batches.c.account_id == account_id)
    if before is not None:
        statement = statement.where(batches.c.id < before)
    if status is not None:
        statement = statement.where(batches.c.status == status)
    return [_batch(row) for row in tx.execute(statement.order_by(batches.c.id.desc()).limit(limit)).all()]


def unfinished(tx: Transaction, account_id: str, limit: int) -> list[Batch]:
    """The account's newest batches that have not ended."""
    statement = (
        select(batches)
        .where(batches.c.account_id == account_id, batches.c.completed_at.is_(None))
        .order_by(batches.c.id.desc())
        .limit(limit)
    )
    return [_batch(row) for row in tx.execute(statement).all()]


def start(tx: Transaction, batch_id: str, at: datetime) -> bool:
    """The first of its generations runs; False when one did already."""
    return bool(tx.execute(_STARTED, {"of_batch": batch_id, "at": at}).rowcount == 1)


def end(tx: Transaction, batch: Batch, to: BatchState, at: datetime, error: dict[str, Any] | None) -> None:
    """Everything in it has ended. Raises IllegalTransition."""
    BATCH.advance(batch.status, to)
    tx.execute(_UPDATE, {"of_batch": batch.id, "status": to, "completed_at": at, "error": error})


def request_cancel(tx: Transaction, batch_id: str) -> list[int]:
    """Order nothing more of it; the credits of each item that waited."""
    tx.execute(_UPDATE, {"of_batch": batch_id, "cancel_requested": True})
    return list(tx.execute(_CANCEL_WAITING, {"of_batch": batch_id}).scalars())


def waiting(tx: Transaction, batch_id: str, limit: int) -> list[BatchItem]:
    """The first items that have no generation yet."""
    return [_item(row) for row in tx.execute(_WAITING, {"of_batch": batch_id, "most": limit})]


def ordered(tx: Transaction, batch_id: str, index: int, generation_id: str) -> None:
    """An item has its generation."""
    values = {"state": ItemState.ORDERED, "generation_id": generation_id}
    tx.execute(_UPDATE_ITEM, {"of_batch": batch_id, "at_index": index, **values})


def refused(tx: Transaction, batch_id: str, index: int, error: dict[str, Any]) -> None:
    """An item cannot be ordered."""
    values = {"state": ItemState.REFUSED, "error": error}
    tx.execute(_UPDATE_ITEM, {"of_batch": batch_id, "at_index": index, **values})


def open_ids(tx: Transaction, batch_id: str, limit: int, after: str = "") -> list[str]:
    """Ids above `after` of generations that have not ended, in order."""
    return list(tx.execute(_OPEN, {"of_batch": batch_id, "after": after, "most": limit}).scalars())


def is_open(tx: Transaction, batch_id: str, but: str) -> bool:
    """Whether anything but the generation `but` has still to come or to end."""
    if tx.execute(_OTHER_OPEN, {"of_batch": batch_id, "but": but}).first() is not None:
        return True
    return bool(waiting(tx, batch_id, 1))


def statuses(tx: Transaction, batch_id: str) -> dict[str, int]:
    """How many of its generations have each status."""
    return {row.status: row.number for row in tx.execute(_STATUSES, {"of_batch": batch_id})}


def states(tx: Transaction, batch_id: str) -> dict[str, int]:
    """How many of its items have each state."""
    return {row.state: row.number for row in tx.execute(_STATES, {"of_batch": batch_id})}


def items(tx: Transaction, batch_id: str, first: int, limit: int) -> list[BatchItem]:
    """Items from index `first` on."""
    bounds = {"of_batch": batch_id, "first": first, "most": limit}
    return [_item(row) for row in tx.execute(_ITEM_PAGE, bounds)]


def failed_items(tx: Transaction, batch_id: str) -> list[BatchItem]:
    """Items that were refused, or whose generation failed."""
    return [_item(row) for row in tx.execute(_FAILED, {"of_batch": batch_id})]


def all_items(tx: Transaction, batch_id: str) -> list[BatchItem]:
    """Every item."""
    return [_item(row) for row in tx.execute(_ALL, {"of_batch": batch_id})]


def picture_ids(tx: Transaction, batch_id: str) -> list[str]:
    """The pictures that stand, in the order of the items."""
    return list(tx.execute(_PICTURES, {"of_batch": batch_id}).scalars())


def totals(tx: Transaction, batch_id: str) -> tuple[int, int, float]:
    """(pictures that exist, credits settled, dollars of its calls) so far."""
    of = {"of_batch": batch_id}
    made, settled, usd = (tx.execute(each, of).scalar_one() for each in (_MADE, _SETTLED, _USD))
    return int(made), int(settled), float(usd)


def queued_calls(tx: Transaction, batch_id: str) -> list[QueuedCalls]:
    """Its calls that have no seat yet, by class and model."""
    rows = tx.execute(_QUEUED_CALLS, {"of_batch": batch_id}).all()
    return [QueuedCalls(row[0], row.model, row.calls, row.first_job) for row in rows]


def running_since(tx: Transaction, batch_id: str) -> list[tuple[str, datetime]]:
    """(model, when the newest of its running generations began)."""
    return [(row.model, row.since) for row in tx.execute(_RUNNING_SINCE, {"of_batch": batch_id}).all()]


def errors(tx: Transaction, batch_id: str, limit: int) -> list[tuple[int, dict[str, Any]]]:
    """(index, problem) of the first items that failed or were refused."""
    of = {"of_batch": batch_id, "most": limit}
    rows = [*tx.execute(_ERRORS, of), *tx.execute(_REFUSALS, of)]
    found = [(int(row.batch_index), dict(row.error)) for row in rows if row.error]
    return sorted(found, key=lambda each: each[0])[:limit]


def _batch(row: Row[Any]) -> Batch:
    return Batch(
        id=row.id,
        account_id=row.account_id,
        status=BatchState(row.status),
        num_items=row.num_items,
        num_images=row.num_images,
        credits=row.credits,
        usd=row.usd,
        priority=row.priority,
        created_at=row.created_at,
        name=row.name,
        error=row.error,
        cloned_from=row.cloned_from,
        retry_of=row.retry_of,
        metadata=row.metadata_,
        cancel_requested=bool(row.cancel_requested),
        started_at=row.started_at,
        completed_at=row.completed_at,
    )


def _item(row: Row[Any]) -> BatchItem:
    return BatchItem(
        batch_id=row.batch_id,
        index=row._mapping["index"],
        state=ItemState(row.state),
        order=row.order,
        num_images=row.num_images,
        credits=row.credits,
        custom_id=row.custom_id,
        generation_id=row.generation_id,
        error=row.error,
    )
