"""Statements about jobs that were given up, and about those that are still under way for an asset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, literal_column, or_, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import jobs
from ferrotype.domain.states import JobState

#: Jobs that one look reads.
PAGE: Final = 200

_FAILED: Final = jobs.c.state == JobState.FAILED.value
_PAGE: Final = (
    select(jobs)
    .where(_FAILED, jobs.c.id > bindparam("after"), jobs.c.kind.in_(bindparam("kinds", expanding=True)))
    .order_by(jobs.c.id)
    .limit(PAGE)
)
_REMOVE: Final = delete(jobs).where(jobs.c.id == bindparam("job"), _FAILED)
_ASSET: Final = jobs.c.payload["asset_id"].as_string()
#: Spelled as the partial indexes spell it, each of which leads to its half.
_UNDER_WAY: Final = select(_ASSET, jobs.c.kind).where(
    or_(jobs.c.state == literal_column("'queued'"), jobs.c.state == literal_column("'running'")),
    _ASSET.in_(bindparam("ids", expanding=True)),
)
_DROPS: Final = (
    select(func.count())
    .select_from(jobs)
    .where(
        or_(jobs.c.state == literal_column("'queued'"), jobs.c.state == literal_column("'running'")),
        jobs.c.kind == bindparam("kind"),
        jobs.c.payload["store"].as_string() == bindparam("of_store"),
    )
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was started too often, or that cannot be done. `error` is a problem as JSON."""

    job_id: str
    kind: str
    class_: str
    account_id: str
    generation_id: str | None
    payload: Mapping[str, Any]
    error: Mapping[str, Any]
    starts: int
    max_starts: int
    failed_at: datetime | None

    @property
    def asset_id(self) -> str:
        """Whose job it was; empty for one that had no asset."""
        return str(self.payload.get("asset_id", ""))


def page(tx: Transaction, kinds: Sequence[str], after: str) -> list[DeadLetter]:
    """The next of these kinds that have failed, by job id."""
    rows = tx.execute(_PAGE, {"after": after, "kinds": list(kinds)})
    return [
        DeadLetter(
            row.id,
            row.kind,
            row.class_,
            row.account_id,
            row.generation_id,
            row.payload,
            row.error or {},
            row.starts,
            row.max_starts,
            row.completed_at,
        )
        for row in rows
    ]


def remove(tx: Transaction, job_id: str) -> bool:
    """Take the failed job off the books; False when it is no longer there."""
    return bool(tx.execute(_REMOVE, {"job": job_id}).rowcount == 1)


def under_way(tx: Transaction, ids: Sequence[str]) -> dict[str, set[str]]:
    """The kinds of the jobs that have not ended, by asset id."""
    found: dict[str, set[str]] = {}
    for row in tx.execute(_UNDER_WAY, {"ids": list(ids)}):
        found.setdefault(row[0], set()).add(row[1])
    return found


def count_under_way(tx: Transaction, kind: str, store: str) -> int:
    """How many jobs of a kind have not ended that name the store."""
    return int(tx.execute(_DROPS, {"kind": kind, "of_store": store}).scalar_one())
