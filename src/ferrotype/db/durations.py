"""Statements about how long calls to providers took.

SQLite uses a partial index only where the query repeats its condition as a literal, so its state is written
out.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, func, literal_column, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import attempts, generations, jobs
from ferrotype.domain.states import AttemptState, GenerationState, JobState

#: Calls that are looked at, and generations whose calls these are, newest first.
MOST: Final = 50

_made = (
    select(generations.c.id)
    .where(
        generations.c.model == bindparam("of_model"),
        generations.c.status == literal_column(f"'{GenerationState.SUCCEEDED.value}'"),
        generations.c.reused_from.is_(None),
    )
    .order_by(generations.c.id.desc())
    .limit(MOST)
    .subquery()
)
_RECENT: Final = (
    select(attempts.c.created_at, attempts.c.completed_at)
    .join_from(_made, attempts, attempts.c.generation_id == _made.c.id)
    .where(attempts.c.state == AttemptState.SUCCEEDED)
    .order_by(attempts.c.id.desc())
    .limit(MOST)
)
_LAST_QUEUED: Final = select(func.max(jobs.c.id)).where(
    jobs.c.generation_id == bindparam("of_generation"),
    jobs.c.state == JobState.QUEUED,
    jobs.c.kind == "generate",
)


def recent(tx: Transaction, model: str) -> list[float]:
    """Seconds of the model's newest calls that made pictures, at most `MOST`: from the moment before a call
    was sent to the moment after its last picture was told of."""
    return [
        (row.completed_at - row.created_at).total_seconds()
        for row in tx.execute(_RECENT, {"of_model": model})
        if row.completed_at is not None
    ]


def last_queued(tx: Transaction, generation_id: str) -> str | None:
    """The last job of a generation that has not begun its call; None when all have."""
    found: str | None = tx.execute(_LAST_QUEUED, {"of_generation": generation_id}).scalar_one_or_none()
    return found
