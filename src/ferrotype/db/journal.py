"""The journal of state events."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import insert, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import events
from ferrotype.domain.event import Event


def append(tx: Transaction, event: Event) -> Event:
    """Write a state event; the event with its number."""
    seq = tx.execute(
        insert(events).returning(events.c.seq),
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
    rows = tx.execute(
        select(events)
        .where(events.c.generation_id == generation_id, events.c.seq > seq)
        .order_by(events.c.seq)
        .limit(limit)
    ).all()
    return [Event(row.type, row.generation_id, row.created_at, row.data, row.seq) for row in rows]


def last_seq(tx: Transaction, generation_id: str) -> int:
    """The number of the generation's newest state event, 0 when it has none."""
    statement = select(events.c.seq).where(events.c.generation_id == generation_id)
    return tx.execute(statement.order_by(events.c.seq.desc()).limit(1)).scalar_one_or_none() or 0
