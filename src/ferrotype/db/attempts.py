"""Statements about attempts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, insert, select, update

from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, attempts, jobs
from ferrotype.domain.generation import Attempt
from ferrotype.domain.states import ATTEMPT, AttemptState

# Statements are built once: building one costs as much as running it.
_INSERT: Final = insert(attempts)
_OF_JOB: Final = select(attempts).where(attempts.c.job_id == bindparam("of_job")).order_by(attempts.c.id)
_OF_GENERATION: Final = (
    select(attempts).where(attempts.c.generation_id == bindparam("of_generation")).order_by(attempts.c.id)
)
_NOTES: Final = (
    select(attempts.c.notes, jobs.c.payload, assets.c.index)
    .join_from(assets, attempts, attempts.c.generation_id == assets.c.generation_id)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(assets.c.id == bindparam("asset"), attempts.c.notes.is_not(None))
)
_UPDATE: Final = update(attempts).where(attempts.c.id == bindparam("attempt_id"))


def add(tx: Transaction, attempt: Attempt) -> None:
    """Write a new attempt: from here on a crash asks the provider before it submits again."""
    tx.execute(
        _INSERT,
        {
            "id": attempt.id,
            "job_id": attempt.job_id,
            "generation_id": attempt.generation_id,
            "provider": attempt.provider,
            "target": attempt.target,
            "state": attempt.state,
            "created_at": attempt.created_at,
        },
    )


def of_job(tx: Transaction, job_id: str) -> list[Attempt]:
    """A job's attempts, oldest first."""
    return [_attempt(row) for row in tx.execute(_OF_JOB, {"of_job": job_id})]


def of_generation(tx: Transaction, generation_id: str) -> list[Attempt]:
    """A generation's attempts, oldest first."""
    return [_attempt(row) for row in tx.execute(_OF_GENERATION, {"of_generation": generation_id})]


def notes(tx: Transaction, asset_id: str) -> dict[str, Any]:
    """The notes of the attempt that made an asset; empty for uploads, and where there are none."""
    for row in tx.execute(_NOTES, {"asset": asset_id}):
        first, count = row.payload["first"], row.payload["count"]
        if first <= row.index < first + count:
            return dict(row.notes)
    return {}


def move(
    tx: Transaction,
    attempt: Attempt,
    to: AttemptState,
    at: datetime,
    *,
    request_id: str | None = None,
    error: dict[str, Any] | None = None,
    seconds: float | None = None,
    usd: float | None = None,
    notes: dict[str, Any] | None = None,
) -> Attempt:
    """Change the state; the attempt as it is now. Raises IllegalTransition."""
    ATTEMPT.advance(attempt.state, to)
    values: dict[str, Any] = {"state": to}
    if to is AttemptState.SUBMITTED:
        values |= {"submitted_at": at, "request_id": request_id}
    else:
        values |= {"completed_at": at, "error": error, "seconds": seconds}
        values |= {"usd": usd, "notes": notes}
    tx.execute(_UPDATE, {"attempt_id": attempt.id, **values})
    return replace(attempt, **values)


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        id=row.id,
        job_id=row.job_id,
        generation_id=row.generation_id,
        provider=row.provider,
        target=row.target,
        state=AttemptState(row.state),
        request_id=row.request_id,
        created_at=row.created_at,
        submitted_at=row.submitted_at,
        completed_at=row.completed_at,
        error=row.error,
        seconds=row.seconds,
        usd=row.usd,
        notes=row.notes,
    )
