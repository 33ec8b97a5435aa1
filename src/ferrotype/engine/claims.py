"""The claim, as one story: which due jobs get the free seats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ferrotype.db.database import Transaction
from ferrotype.domain.states import JOB, JobState
from ferrotype.engine import fairness
from ferrotype.engine import statements as sql
from ferrotype.engine.base import Lease
from ferrotype.engine.settings import DEFAULT_SEATS


@dataclass(frozen=True, slots=True)
class Claim:
    """What is asked for. `first_class` is served first where `limit` is too small for all of them."""

    limit: int
    kinds: frozenset[str] | None
    seats: Mapping[str, int]
    owner: str
    now: datetime
    expires_at: datetime
    first_class: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What came of it: `more` when another claim may find something at once."""

    leases: list[Lease]
    next_due: datetime | None
    more: bool


def claim(tx: Transaction, asked: Claim) -> Claimed:
    """Lease the jobs that are due, as far as their classes have seats."""
    promoted = tx.execute(sql.PROMOTE, {"now": asked.now}).rowcount
    rows = _chosen(_candidates(tx, asked), asked)
    leases = _take(tx, asked, rows) if rows else []
    next_due = tx.execute(sql.NEXT_DUE).scalar()
    return Claimed(leases, next_due, more=promoted == sql.MAX_PROMOTED or len(leases) == asked.limit)


def begin(tx: Transaction, asked: Claim, class_: str, job_id: str) -> Lease | None:
    """Lease a job of this transaction, where its class has a seat and nothing is before it."""
    (running,) = tx.execute(sql.RUNNING_OF_CLASS, {"of_class": class_}).one()
    if running >= asked.seats.get(class_, DEFAULT_SEATS):
        return None
    if tx.execute(sql.PROMOTE, {"now": asked.now}).rowcount:
        return None  # others have become due: the claim decides
    first = tx.execute(sql.CANDIDATES, {"of_class": class_, "seats": 1}).first()
    if first is None or first.id != job_id:
        return None
    (lease,) = _take(tx, asked, [first])
    return lease


def _candidates(tx: Transaction, asked: Claim) -> dict[str, list[Any]]:
    """Per class, the jobs that its free seats would take."""
    found: dict[str, list[Any]] = {}
    waiting: list[Any] = list(tx.execute(sql.WAITING))
    for class_, running in waiting:
        free = min(asked.limit, asked.seats.get(class_, DEFAULT_SEATS) - running)
        if free > 0:
            statement = sql.CANDIDATES if asked.kinds is None else sql.candidates_of(asked.kinds)
            found[class_] = list(tx.execute(statement, {"of_class": class_, "seats": free}))
    return found


def _chosen(found: Mapping[str, list[Any]], asked: Claim) -> list[Any]:
    """Up to the limit, one of each class in turn: priorities and tags compare within a class only."""
    turns = sorted(found, key=lambda class_: (class_ < asked.first_class, class_))
    chosen: list[Any] = []
    for turn in range(asked.limit):
        of_this_turn = [found[class_][turn] for class_ in turns if turn < len(found[class_])]
        if not of_this_turn:
            break
        chosen += of_this_turn
    return chosen[: asked.limit]


def _take(tx: Transaction, asked: Claim, rows: list[Any]) -> list[Lease]:
    JOB.advance(JobState.QUEUED, JobState.RUNNING)
    values = {"owner": asked.owner, "expires": asked.expires_at, "now": asked.now}
    lanes: dict[str, float] = {}
    leases: list[Lease] = []
    for row in rows:
        taken = tx.execute(sql.TAKE, {**values, "taken": row.id}).one_or_none()
        if taken is None:
            continue
        key = fairness.lane(row.class_, row.priority)
        lanes[key] = max(row.start_tag, lanes.get(key, 0.0))
        leases.append(_lease(row, taken, asked.expires_at))
    for key, tag in lanes.items():
        fairness.advance(tx, key, tag)
    return leases


def _lease(row: Any, taken: Any, expires_at: datetime) -> Lease:
    lease = Lease(
        job_id=row.id,
        kind=row.kind,
        class_=row.class_,
        account_id=row.account_id,
        generation_id=row.generation_id,
        payload=row.payload,
        fence=taken.fence,
        starts=taken.starts,
        expires_at=expires_at,
    )
    if row.cancel_requested:
        lease.canceled.set()
    return lease
