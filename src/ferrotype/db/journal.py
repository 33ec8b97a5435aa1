"""The journal of state events."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import bindparam, insert, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import events
from ferrotype.domain.event import Event

# Statements are built once: building one costs as much as running it.
_INSERT: Final = insert(events).returning(events.c.seq)
_MINE: Final = events.c.generation_id == bindparam("of_generation")
_AFTER: Final = (
    select(events)
    .where(_MINE, events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("most"))
)
_LAST: Final = select(events.c.seq).where(_MINE).order_by(events.c.seq.desc()).limit(1)


def append(tx: Transaction, event: Event) -> Event:
    """Write a state event; the event with its number."""
    seq = tx.execute(
        _INSERT,
        {
            "generation_id": event.generation_id,
            "type": event.type,
            "data": event.data,
            "created_at": event.at,
        },
    ).scalar_one()
    return replace(event, seq=seq)


def after(tx: Transaction, generation_id: str, seq: int, limit: int = 1_000) -> list[Event]:
    """The generation's state events with a number above `seq`, in order."""
    bounds = {"of_generation": generation_id, "after": seq, "most": limit}
    rows = tx.execute(_AFTER, bounds).all()
    return [Event(row.type, row.generation_id, row.created_at, row.data, row.seq) for row in rows]


def last_seq(tx: Transaction, generation_id: str) -> int:
    """The number of the generation's newest state event, 0 when it has none."""
    return tx.execute(_LAST, {"of_generation": generation_id}).scalar_one_or_none() or 0
