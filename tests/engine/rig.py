"""What an implementation of the engine brings along to be tested, and shorthands over the port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import select

from ferrotype.db.database import Database
from ferrotype.db.schema import jobs
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Ending, Engine, Lease, NewJob, OnFailed

CLASSES = {"light": 3, "heavy": 1}
LEASE_SECONDS = 30.0


class Rig(Protocol):
    """An empty database and the engines on it; each engine stands for a process."""

    database: Database
    clock: ManualClock

    def engine(
        self,
        classes: Mapping[str, int] = CLASSES,
        *,
        owner: str = "here",
        on_failed: OnFailed | None = None,
    ) -> Engine:
        """A new engine object on the database."""
        ...

    def no_safety_net(self) -> None:
        """From now on `wait` returns for a signal only."""
        ...

    def victim(self, class_: str) -> list[str]:
        """The command of a process that leases a job of the class, says `leased <id>`, and hangs."""
        ...


def job(kind: str = "work", class_: str = "light", account_id: str = "ada", **rest: Any) -> NewJob:
    return NewJob(kind=kind, class_=class_, account_id=account_id, **rest)


async def put(rig: Rig, engine: Engine, *new: NewJob) -> list[str]:
    """Enqueue the jobs in one transaction; their ids."""
    return await rig.database.write(lambda tx: [engine.enqueue(tx, one) for one in new])


async def end(rig: Rig, engine: Engine, lease: Lease, ending: Ending = JobState.SUCCEEDED) -> None:
    await rig.database.write(lambda tx: engine.finish(tx, lease, ending))


async def again(
    rig: Rig, engine: Engine, lease: Lease, seconds: float = 0, *, counted: bool = True
) -> JobState:
    at = rig.clock.now() + timedelta(seconds=seconds)
    return await rig.database.write(lambda tx: engine.retry(tx, lease, at, counted=counted))


async def cancel(rig: Rig, engine: Engine, job_id: str) -> JobState:
    return await rig.database.write(lambda tx: engine.cancel(tx, job_id))


async def row(rig: Rig, job_id: str) -> Any:
    """The job as it is written down."""
    return await rig.database.read(lambda tx: tx.execute(select(jobs).where(jobs.c.id == job_id)).one())


async def state(rig: Rig, job_id: str) -> JobState:
    return JobState((await row(rig, job_id)).state)


async def start_order(rig: Rig, engine: Engine, count: int) -> list[Lease]:
    """The next `count` jobs in the order in which they start, one at a time."""
    started: list[Lease] = []
    for _ in range(count):
        [lease] = await engine.claim(1)
        started.append(lease)
        await end(rig, engine, lease)
    return started


@contextmanager
def collecting() -> Iterator[tuple[list[tuple[Any, ...]], OnFailed]]:
    """An `OnFailed` that notes what it hears, without the transaction."""
    heard: list[tuple[Any, ...]] = []
    yield heard, lambda tx, *rest: heard.append(rest)
