"""The journal of state events."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from sqlalchemy import bindparam, func, insert, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import events, generations
from ferrotype.domain.event import Event

# Statements are built once: building one costs as much as running it.
_OF_GENERATION: Final = generations.c.id == bindparam("of_generation")
#: Whose it is stands in the generation's row: the database looks there by itself.
_INSERT: Final = (
    insert(events)
    .values(
        account_id=select(generations.c.account_id).where(_OF_GENERATION).scalar_subquery(),
        batch_id=select(generations.c.batch_id).where(_OF_GENERATION).scalar_subquery(),
        generation_id=bindparam("of_generation"),
        type=bindparam("type"),
        data=bindparam("data"),
        created_at=bindparam("created_at"),
    )
    .returning(events.c.seq, events.c.account_id, events.c.batch_id)
)
_INSERT_OF_BATCH: Final = insert(events).returning(events.c.seq)
_BOUNDED: Final = select(events).order_by(events.c.seq).limit(bindparam("most"))
#: The column that names each kind of topic.
_TOPICS: Final = {
    "generation": events.c.generation_id,
    "batch": events.c.batch_id,
    "account": events.c.account_id,
}
_AFTER: Final = {
    kind: _BOUNDED.where(column == bindparam("topic"), events.c.seq > bindparam("after"))
    for kind, column in _TOPICS.items()
}
_COUNT: Final = {
    kind: select(func.count()).select_from(
        select(events.c.seq)
        .where(column == bindparam("topic"), events.c.seq > bindparam("after"))
        .limit(bindparam("most"))
        .subquery()
    )
    for kind, column in _TOPICS.items()
}
_LAST: Final = {
    kind: select(events.c.seq).where(column == bindparam("topic")).order_by(events.c.seq.desc()).limit(1)
    for kind, column in _TOPICS.items()
}

Topic = Literal["generation", "batch", "account"]


def append(tx: Transaction, event: Event) -> Event:
    """Write a state event of a generation; the event with its number, account and batch."""
    row = tx.execute(
        _INSERT,
        {
            "of_generation": event.generation_id,
            "type": event.type,
            "data": event.data,
            "created_at": event.at,
        },
    ).one()
    return replace(event, seq=row.seq, account_id=row.account_id, batch_id=row.batch_id)


def append_of_batch(tx: Transaction, event: Event) -> Event:
    """Write a state event of a batch as a whole; the event with its number."""
    values = {
        "account_id": event.account_id,
        "batch_id": event.batch_id,
        "type": event.type,
        "data": event.data,
        "created_at": event.at,
    }
    return replace(event, seq=tx.execute(_INSERT_OF_BATCH, values).scalar_one())


def after(
    tx: Transaction, id: str, seq: int, limit: int = 1_000, *, topic: Topic = "generation"
) -> list[Event]:
    """The state events of a generation, a batch or an account with a number above `seq`, in order."""
    rows = tx.execute(_AFTER[topic], {"topic": id, "after": seq, "most": limit}).all()
    return [
        Event(row.type, row.generation_id, row.created_at, row.data, row.seq, row.account_id, row.batch_id)
        for row in rows
    ]


def count_after(tx: Transaction, id: str, seq: int, limit: int, *, topic: Topic = "generation") -> int:
    """How many state events have a number above `seq`; no more than `limit` are counted."""
    found: int = tx.execute(_COUNT[topic], {"topic": id, "after": seq, "most": limit}).scalar_one()
    return found


def last_seq(tx: Transaction, id: str, *, topic: Topic = "generation") -> int:
    """The number of the newest state event of a generation, a batch or an account; 0 when it has none."""
    return tx.execute(_LAST[topic], {"topic": id}).scalar_one_or_none() or 0
