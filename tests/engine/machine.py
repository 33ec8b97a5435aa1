"""Any sequence of moves, held against a model in plain dicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from ferrotype.db.schema import jobs
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Ending, Lease, LeaseLost

from .rig import LEASE_SECONDS, Rig, again, cancel, end, job, put

SEATS = {"a": 1, "b": 2}
ENDINGS: list[Ending] = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]
DELAYS = st.sampled_from([0.0, 5.0, 20.0])


@dataclass
class Modelled:
    """A job as it should be."""

    class_: str
    priority: int
    max_starts: int
    due: datetime
    state: JobState = JobState.QUEUED
    starts: int = 0
    ran: bool = False
    cancel: bool = False
    lease: Lease | None = None


def job_machine(fresh: Callable[[], AbstractAsyncContextManager[Rig]]) -> type[RuleBasedStateMachine]:
    """The state machine for one implementation."""

    class Jobs(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.runner = asyncio.Runner()
            self.opened = fresh()
            self.rig = self.run(self.opened.__aenter__())
            self.dead: list[str] = []
            self.engine = self.rig.engine(SEATS, on_failed=lambda tx, job_id, *_: self.dead.append(job_id))
            self.model: dict[str, Modelled] = {}
            self.old: list[Lease] = []

        def run(self, work: Any) -> Any:
            return self.runner.run(work)

        def teardown(self) -> None:
            self.run(self.opened.__aexit__(None, None, None))
            self.runner.close()

        def running(self) -> list[str]:
            return [job_id for job_id, one in self.model.items() if one.state is JobState.RUNNING]

        def left(self, job_id: str, state: JobState) -> Lease:
            one = self.model[job_id]
            lease, one.lease, one.state = one.lease, None, state
            assert lease is not None
            self.old.append(lease)
            return lease

        @rule(
            class_=st.sampled_from(sorted(SEATS)),
            priority=st.sampled_from([0, 10]),
            delay=DELAYS,
            max_starts=st.integers(1, 3),
            account=st.sampled_from(["ada", "bob"]),
        )
        def enqueue(self, class_: str, priority: int, delay: float, max_starts: int, account: str) -> None:
            # A millisecond each, so that ids sort as they were made and a run can be repeated exactly.
            self.rig.clock.advance(0.001)
            due = self.rig.clock.now() + timedelta(seconds=delay)
            new = job(
                class_=class_, priority=priority, not_before=due, max_starts=max_starts, account_id=account
            )
            [job_id] = self.run(put(self.rig, self.engine, new))
            self.model[job_id] = Modelled(class_, priority, max_starts, due)

        @rule(class_=st.sampled_from(sorted(SEATS)), account=st.sampled_from(["ada", "bob"]))
        def begin(self, class_: str, account: str) -> None:
            self.rig.clock.advance(0.001)
            now = self.rig.clock.now()
            due = [one for one in self.model.values() if one.state is JobState.QUEUED and one.due <= now]
            seats = SEATS[class_] - sum(self.model[key].class_ == class_ for key in self.running())
            taken: list[Lease] = []
            self.engine.on_begun = taken.append
            new = job(class_=class_, account_id=account, max_starts=2)
            write = self.rig.database.write
            job_id, lease = self.run(write(lambda tx: self.engine.begin(tx, new)))
            self.engine.on_begun = None
            one = self.model[job_id] = Modelled(class_, 0, 2, now)
            assert ([lease] if lease else []) == taken
            if lease is not None:
                assert seats > 0
                assert not any(each.class_ == class_ and each.priority < 0 for each in due)
                one.state, one.lease, one.ran, one.starts = JobState.RUNNING, lease, True, 1
            elif not due:
                assert seats <= 0

        @rule(limit=st.integers(1, 4))
        def claim(self, limit: int) -> None:
            now = self.rig.clock.now()
            due = {key for key, one in self.model.items() if one.state is JobState.QUEUED and one.due <= now}
            room = {
                class_: min(
                    seats - sum(self.model[key].class_ == class_ for key in self.running()),
                    sum(self.model[key].class_ == class_ for key in due),
                )
                for class_, seats in SEATS.items()
            }
            leases = self.run(self.engine.claim(limit))
            assert len(leases) == min(limit, sum(room.values()))
            taken = {lease.job_id for lease in leases}
            assert taken <= due
            for class_, fill in room.items():
                ours = {key for key in due if self.model[key].class_ == class_}
                assert len(ours & taken) <= fill
                waiting = [self.model[key].priority for key in ours - taken]
                assert all(self.model[key].priority <= min(waiting, default=99) for key in ours & taken)
            for lease in leases:
                one = self.model[lease.job_id]
                one.state, one.lease, one.ran, one.starts = JobState.RUNNING, lease, True, one.starts + 1
                assert lease.starts == one.starts
                assert lease.canceled.is_set() == one.cancel

        @precondition(lambda self: self.running())
        @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
        def finish(self, data: st.DataObject, ending: Ending) -> None:
            job_id = data.draw(st.sampled_from(self.running()))
            lease = self.left(job_id, ending)
            self.run(end(self.rig, self.engine, lease, ending))

        @precondition(lambda self: self.running())
        @rule(data=st.data(), delay=DELAYS, counted=st.booleans())
        def retry(self, data: st.DataObject, delay: float, counted: bool) -> None:
            job_id = data.draw(st.sampled_from(self.running()))
            one = self.model[job_id]
            dies = counted and one.starts >= one.max_starts
            lease = self.left(job_id, JobState.FAILED if dies else JobState.QUEUED)
            one.starts -= not counted
            one.due = self.rig.clock.now() + timedelta(seconds=0 if one.cancel and counted else delay)
            found = self.run(again(self.rig, self.engine, lease, delay, counted=counted))
            assert found is one.state
            assert (job_id in self.dead) == dies

        @precondition(lambda self: self.model)
        @rule(data=st.data())
        def cancel(self, data: st.DataObject) -> None:
            job_id = data.draw(st.sampled_from(list(self.model)))
            one = self.model[job_id]
            if one.state is JobState.QUEUED and not one.ran:
                one.state = JobState.CANCELED
            elif one.state in (JobState.QUEUED, JobState.RUNNING):
                one.cancel = True
                one.due = min(one.due, self.rig.clock.now())
            assert self.run(cancel(self.rig, self.engine, job_id)) is one.state
            assert one.lease is None or one.lease.canceled.is_set()

        @rule(seconds=st.sampled_from([1.0, 5.0, LEASE_SECONDS + 1]))
        def pass_time(self, seconds: float) -> None:
            """With the renewals that a worker makes."""
            self.rig.clock.advance(seconds)
            self.run(self.engine.renew())

        @rule()
        def crash(self) -> None:
            """A new process takes over everything that ran."""
            lost = self.running()
            self.engine = self.rig.engine(SEATS, on_failed=lambda tx, job_id, *_: self.dead.append(job_id))
            assert sorted(self.run(self.engine.rescue(abandoned=True))) == sorted(lost)
            for job_id in lost:
                one = self.model[job_id]
                dies = one.starts >= one.max_starts
                self.left(job_id, JobState.FAILED if dies else JobState.QUEUED)
                one.due = self.rig.clock.now()
                assert (job_id in self.dead) == dies

        @precondition(lambda self: self.old)
        @rule(data=st.data())
        def zombie(self, data: st.DataObject) -> None:
            lease = data.draw(st.sampled_from(self.old))
            try:
                self.run(end(self.rig, self.engine, lease))
            except LeaseLost:
                return
            raise AssertionError("a lease that was lost could still write")

        @invariant()
        def rows_are_as_modelled(self) -> None:
            rows = self.run(self.rig.database.read(lambda tx: tx.execute(select(jobs)).all()))
            found = {row.id: (row.state, row.starts, bool(row.lease_owner)) for row in rows}
            assert found == {
                job_id: (one.state, one.starts, one.state is JobState.RUNNING)
                for job_id, one in self.model.items()
            }
            assert len(self.dead) == len(set(self.dead))

    return Jobs
