"""The port of the engine: who runs which job, when.

The `jobs` row is the truth. Every effect of a job is written in one transaction with `fence`, so that
a worker that wakes after its lease has passed to another writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Literal, Protocol

from ferrotype.db.database import Transaction
from ferrotype.domain.states import JobState


class Priority(IntEnum):
    """Lower goes first, whatever the start tags say."""

    INTERACTIVE = 0
    BATCH = 10
    SCHEDULED = 20


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. `class_` bounds how many run at once; `weight` is the account's share in it;
    after `max_starts` starts that did not end it the job fails (poison cap)."""

    kind: str
    class_: str
    account_id: str
    generation_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    priority: int = Priority.INTERACTIVE
    not_before: datetime | None = None
    weight: float = 1.0
    max_starts: int = 5


@dataclass(eq=False, slots=True)
class Lease:
    """The right to run one job until `expires_at`, proved by `fence`.

    `starts` counts this start too. `canceled` is set as soon as somebody asks for the job's end: the
    worker stops the provider call, then finishes the job, and keeps the seat until then. `lost` is set
    when a renewal finds the job in other hands; whoever sets it gives the lease up: it is no longer
    renewed. `ended` is set once the commit that finished or retried the job is there.
    """

    job_id: str
    kind: str
    class_: str
    account_id: str
    generation_id: str | None
    payload: Mapping[str, Any]
    fence: int
    starts: int
    expires_at: datetime
    canceled: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class LeaseLost(Exception):
    """The job is in other hands, or ended: whoever held the lease must write nothing."""


Ending = Literal[JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]

#: `(tx, job_id, kind, generation_id, payload, error)`, called inside the transaction of every failure that
#: no handler decided: starts used up, at a retry or at a rescue, and `Engine.fail`. `error` is a problem as
#: JSON. What it writes commits or rolls back with the job's end; when it raises, the job does not fail.
OnFailed = Callable[[Transaction, str, str, str | None, Mapping[str, Any], Mapping[str, Any]], None]


#: Given the lease of a job that began with its enqueueing, on the event loop, by the commit.
OnBegun = Callable[[Lease], None]


class Engine(Protocol):
    """Decides who runs what, when."""

    on_begun: OnBegun | None

    def enqueue(self, tx: Transaction, job: NewJob) -> str:
        """Add a job inside the caller's transaction; its id. Workers are woken by the commit."""
        ...

    def begin(self, tx: Transaction, job: NewJob) -> tuple[str, Lease | None]:
        """`enqueue`, and lease the job with it where nothing keeps it waiting: its class has a free seat, and
        no job is before it. The commit gives the lease to `on_begun`; while that is None nothing is leased.

        Saves an idle server the claim between an order and its provider call.
        """
        ...

    async def claim(self, limit: int, kinds: Iterable[str] | None = None) -> list[Lease]:
        """Take up to `limit` due jobs, each with a free seat of its class, fairest first."""
        ...

    async def wait(self) -> None:
        """Return when a claim may find something: a commit, a freed seat, a delay that has passed.

        Spurious returns are allowed, missed ones are not; with nothing to do it returns once a second.
        "May find" is counted from the last `claim`, so both belong to one loop: a worker per engine object.
        """
        ...

    def wake(self) -> None:
        """Make `wait` return; for whoever changed what it cannot see, such as a test its clock."""
        ...

    async def renew(self) -> None:
        """Extend every lease held here; sets `lost` and `canceled` on those it learns about."""
        ...

    def fence(self, tx: Transaction, lease: Lease) -> None:
        """Raise LeaseLost unless the lease still holds; call it first in every effect's transaction."""
        ...

    def finish(
        self, tx: Transaction, lease: Lease, ending: Ending, error: Mapping[str, Any] | None = None
    ) -> None:
        """End the job and free its seat; fences first."""
        ...

    def fail(self, tx: Transaction, lease: Lease, error: Mapping[str, Any]) -> None:
        """Finish as failed on behalf of a handler that did not: `OnFailed` hears of it."""
        ...

    def retry(
        self,
        tx: Transaction,
        lease: Lease,
        at: datetime | None = None,
        error: Mapping[str, Any] | None = None,
        *,
        counted: bool = True,
    ) -> JobState:
        """Queue the job again, not before `at`; fails it when its starts are used up (`OnFailed` hears).

        `counted=False` gives the start back: a drain hands work over without blaming it. A job whose end
        was asked for does not wait for `at` when the start counts.
        """
        ...

    def cancel(self, tx: Transaction, job_id: str) -> JobState:
        """Ask for a job's end; the state it is in now. LookupError when there is no such job.

        One that never started is canceled here and now. A running one is told. One that waits to run
        again may have a provider call in flight, so it stays queued, becomes due at once, and its next
        lease comes with `canceled` set. An ended one stays as it is.
        """
        ...

    def hurry(self, tx: Transaction, job_id: str) -> bool:
        """Make a job that waits for its `not_before` due now; False when it does not wait."""
        ...

    async def rescue(self, *, abandoned: bool = False) -> list[str]:
        """Queue jobs whose lease has expired again, or fail those started too often; their ids.

        A lease held here does not expire by that: this process lives, and renews it. `abandoned=True`
        takes every lease that this process does not hold: right at start-up, where a lock proves that
        no other process is alive.
        """
        ...

    async def depths(self) -> Mapping[str, tuple[int, int]]:
        """Per class: (queued, running)."""
        ...

    def position(self, tx: Transaction, job_id: str) -> int | None:
        """How many jobs of its class start before it, plus one, at most 1,000; None unless it is queued."""
        ...

    def ahead(self, tx: Transaction, class_: str, priority: int) -> int:
        """How many jobs a new one of that class and priority would find before it: those that hold a seat and
        those that are queued, of which at most 1,000 are counted. Those of other accounts may let it by."""
        ...

    async def purge(self, older_than: timedelta) -> int:
        """Delete jobs that ended longer ago than `older_than`; how many.

        Each call looks at a bounded number of jobs and goes on where the last one stopped, so call it
        at intervals. Jobs with attempts stay: they are the record of calls that were paid for.
        """
        ...
