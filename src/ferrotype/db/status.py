"""Statements behind the status page: the last hour in figures.

Ids of generations, attempts and assets begin with their time, so an hour is a range of the primary key.
What needs every row's duration is read from the newest `most` rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, extract, func, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, attempts, events, generations
from ferrotype.domain.states import AssetState, AttemptState, GenerationState

_FAILED: Final = AttemptState.FAILED, AttemptState.UNKNOWN

_MADE: Final = (
    select(extract("minute", assets.c.created_at).label("minute"), func.count().label("pictures"))
    .where(
        assets.c.id >= bindparam("first"),
        assets.c.generation_id.is_not(None),
        assets.c.created_at >= bindparam("since"),
        assets.c.state != AssetState.FAILED,
    )
    .group_by("minute")
)
_FAILURES: Final = (
    select(
        events.c.created_at,
        events.c.data,
        events.c.generation_id,
        generations.c.model,
        generations.c.num_images,
    )
    .join_from(events, generations, generations.c.id == events.c.generation_id)
    .where(events.c.type == "failed")
    .order_by(events.c.created_at.desc(), events.c.seq.desc())
    .limit(bindparam("most"))
)
_FAILURES_SINCE: Final = _FAILURES.where(events.c.created_at >= bindparam("since"))
_LAST_PROVIDER: Final = (
    select(attempts.c.provider)
    .where(attempts.c.generation_id == bindparam("of_generation"))
    .order_by(attempts.c.id.desc())
    .limit(1)
)
_CALLS: Final = (
    select(attempts.c.provider, attempts.c.state, func.count().label("calls"))
    .where(attempts.c.id >= bindparam("first"))
    .group_by(attempts.c.provider, attempts.c.state)
)
_CALL_TIMES: Final = (
    select(
        attempts.c.provider,
        attempts.c.seconds,
        attempts.c.submitted_at,
        attempts.c.created_at,
        attempts.c.completed_at,
    )
    .where(attempts.c.id >= bindparam("first"), attempts.c.state == AttemptState.SUCCEEDED)
    .order_by(attempts.c.id.desc())
    .limit(bindparam("most"))
)
_CALL_ERRORS: Final = (
    select(attempts.c.provider, attempts.c.target, attempts.c.error, attempts.c.completed_at)
    .where(
        attempts.c.id >= bindparam("first"),
        (attempts.c.state == _FAILED[0]) | (attempts.c.state == _FAILED[1]),
    )
    .order_by(attempts.c.id.desc())
    .limit(bindparam("most"))
)
_OPERATIONS: Final = (
    select(generations.c.operation, generations.c.created_at, generations.c.completed_at)
    .where(
        generations.c.id >= bindparam("first"),
        generations.c.status == GenerationState.SUCCEEDED,
        generations.c.reused_from.is_(None),
    )
    .order_by(generations.c.id.desc())
    .limit(bindparam("most"))
)


def made(tx: Transaction, first: str, since: datetime) -> dict[int, int]:
    """Pictures made since, by the minute of the hour: `since` is at most an hour ago."""
    rows = tx.execute(_MADE, {"first": first, "since": since})
    return {int(row.minute): row.pictures for row in rows}


def failures(tx: Transaction, most: int) -> Sequence[Any]:
    """The newest failures of generations and pictures: created_at, data, generation_id, model, num_images."""
    rows: Sequence[Any] = tx.execute(_FAILURES, {"most": most}).all()
    return rows


def failures_since(tx: Transaction, since: datetime, most: int) -> Sequence[Any]:
    """`failures`, of the time since."""
    rows: Sequence[Any] = tx.execute(_FAILURES_SINCE, {"since": since, "most": most}).all()
    return rows


def last_provider(tx: Transaction, generation_id: str) -> str | None:
    """Who was called last for a generation; None if nobody was."""
    found: str | None = tx.execute(_LAST_PROVIDER, {"of_generation": generation_id}).scalar_one_or_none()
    return found


def calls(tx: Transaction, first: str) -> Sequence[Any]:
    """How many attempts from that id on: provider, state, calls."""
    rows: Sequence[Any] = tx.execute(_CALLS, {"first": first}).all()
    return rows


def call_seconds(tx: Transaction, first: str, most: int) -> list[tuple[str, float]]:
    """(provider, seconds) of the newest attempts that succeeded: what the provider says, or as measured."""
    return [
        (
            row.provider,
            row.seconds
            if row.seconds is not None
            else (row.completed_at - (row.submitted_at or row.created_at)).total_seconds(),
        )
        for row in tx.execute(_CALL_TIMES, {"first": first, "most": most})
        if row.seconds is not None or row.completed_at is not None
    ]


def call_errors(tx: Transaction, first: str, most: int) -> Sequence[Any]:
    """The newest attempts that ended badly: provider, target, error, completed_at."""
    rows: Sequence[Any] = tx.execute(_CALL_ERRORS, {"first": first, "most": most}).all()
    return rows


def operation_seconds(tx: Transaction, first: str, most: int) -> list[tuple[str, float]]:
    """(operation, seconds from order to end) of the newest generations that succeeded on their own."""
    return [
        (row.operation, (row.completed_at - row.created_at).total_seconds())
        for row in tx.execute(_OPERATIONS, {"first": first, "most": most})
    ]
