"""The embedded engine: one process, one SQLite file, signals inside the process.

Claims and renewals are written without waiting for the disk. What they say can be found out again: a
claim lost in a power cut leaves the job queued, and what guards the money, the attempt, is a durable row
of its own written before any provider is called. They never get lost in a crash of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Executable

from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import InternalError
from ferrotype.domain.states import JOB, IllegalTransition, JobState
from ferrotype.engine import moves
from ferrotype.engine import statements as sql
from ferrotype.engine.base import Ending, Lease, LeaseLost, NewJob, OnBegun, OnFailed
from ferrotype.engine.claims import Claim, Claimed, begin, claim
from ferrotype.engine.wakeup import Wakeup

log = structlog.get_logger(__name__)


class SqliteEngine:
    """An `Engine` for one process. `classes` gives the seats per class; a class not named has one.

    `owner` names this process in the rows, for people; whose a lease is is told by the object. `on_failed`
    may also be set later, before the first claim.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        classes: Mapping[str, int],
        *,
        owner: str,
        lease_seconds: float,
        on_failed: OnFailed | None = None,
    ) -> None:
        self.on_failed = on_failed
        self.on_begun: OnBegun | None = None
        self._database = database
        self._clock = clock
        self._classes = dict(classes)
        self._owner = f"{owner[:60]}/{new_id()}"
        self._lease = timedelta(seconds=lease_seconds)
        self._held: dict[str, Lease] = {}
        self._wakeup = Wakeup(clock)
        self._last_class = ""
        self._purged_upto = ""

    def enqueue(self, tx: Transaction, job: NewJob) -> str:
        job_id = moves.insert(tx, job, self._clock.now())
        tx.on_commit(self.wake)
        return job_id

    def begin(self, tx: Transaction, job: NewJob) -> tuple[str, Lease | None]:
        now, on_begun = self._clock.now(), self.on_begun
        job_id = moves.insert(tx, job, now)
        lease = None
        if on_begun is not None:
            lease = begin(tx, self._asked(1, None, now), job.class_, job_id)
        if lease is None or on_begun is None:
            tx.on_commit(self.wake)
            return job_id, None
        tx.on_commit(partial(self._begun, lease, on_begun))
        return job_id, lease

    def _begun(self, lease: Lease, on_begun: OnBegun) -> None:
        self._held[lease.job_id] = lease
        on_begun(lease)

    async def claim(self, limit: int, kinds: Iterable[str] | None = None) -> list[Lease]:
        if limit < 1:
            return []
        self._wakeup.claiming()
        asked = self._asked(limit, kinds, self._clock.now())

        def story(tx: Transaction) -> Claimed:
            claimed = claim(tx, asked)
            # Before the caller hears of it: whatever commits next may already speak about these leases.
            tx.on_commit(lambda: self._hold(claimed))
            return claimed

        writing = asyncio.ensure_future(self._database.write(story, durable=False))
        try:
            return (await asyncio.shield(writing)).leases
        except asyncio.CancelledError:
            # The story runs all the same, and nobody would run what it leases.
            await asyncio.wait([writing])
            if writing.exception() is None:
                await self._hand_back(writing.result().leases)
            raise
        except Exception:
            self.wake()  # what woke this claim was not looked at
            raise

    def _asked(self, limit: int, kinds: Iterable[str] | None, now: datetime) -> Claim:
        return Claim(
            limit=limit,
            kinds=None if kinds is None else frozenset(kinds),
            seats=self._classes,
            owner=self._owner,
            now=now,
            expires_at=now + self._lease,
            first_class=self._last_class + "\0",
        )

    def _hold(self, claimed: Claimed) -> None:
        for lease in claimed.leases:
            before = self._held.get(lease.job_id)
            if before is not None:
                before.lost.set()
            self._held[lease.job_id] = lease
            self._last_class = lease.class_
        self._wakeup.claimed(claimed.next_due, claimed.more)

    async def _hand_back(self, leases: list[Lease]) -> None:
        def story(tx: Transaction) -> None:
            for lease in leases:
                self.retry(tx, lease, counted=False)

        await self._database.write(story)

    async def wait(self) -> None:
        await self._wakeup.wait()

    def wake(self) -> None:
        self._wakeup.wake()

    async def renew(self) -> None:
        held = {job_id: lease for job_id, lease in self._held.items() if not lease.lost.is_set()}
        if not held:
            return
        expires_at = self._clock.now() + self._lease

        def story(tx: Transaction) -> dict[str, bool]:
            ours = {
                row.id: row.cancel_requested
                for row in tx.execute(sql.LEASED)
                if row.id in held and row.fence == held[row.id].fence
            }
            if ours:
                tx.execute(sql.RENEW, {"held": list(ours), "expires": expires_at})
            tx.on_commit(lambda: learn(ours))
            return ours

        def learn(ours: Mapping[str, bool]) -> None:
            for job_id, lease in held.items():
                if self._held.get(job_id) is not lease:
                    continue  # ended meanwhile, by ourselves
                if job_id not in ours:
                    lease.lost.set()
                    del self._held[job_id]
                    continue
                lease.expires_at = expires_at
                if ours[job_id]:
                    lease.canceled.set()

        await self._database.write(story, durable=False)

    def fence(self, tx: Transaction, lease: Lease) -> None:
        moves.fenced(tx, lease.job_id, lease.fence)

    def finish(
        self, tx: Transaction, lease: Lease, ending: Ending, error: Mapping[str, Any] | None = None
    ) -> None:
        if not JOB.is_terminal(ending):
            raise IllegalTransition(f"job: {ending} is no ending")
        self._leave(tx, moves.fenced(tx, lease.job_id, lease.fence), ending, error=error)

    def fail(self, tx: Transaction, lease: Lease, error: Mapping[str, Any]) -> None:
        self._fail(tx, moves.fenced(tx, lease.job_id, lease.fence), error)

    def retry(
        self,
        tx: Transaction,
        lease: Lease,
        at: datetime | None = None,
        error: Mapping[str, Any] | None = None,
        *,
        counted: bool = True,
    ) -> JobState:
        row = moves.fenced(tx, lease.job_id, lease.fence)
        if counted:
            return self._again(tx, row, at, error)
        return self._leave(tx, row, JobState.QUEUED, error=error, due=at, starts=row.starts - 1)

    def _again(
        self, tx: Transaction, row: Any, at: datetime | None = None, error: Mapping[str, Any] | None = None
    ) -> JobState:
        """Queue the job once more, or fail it when its starts are used up."""
        if row.starts >= row.max_starts:
            used_up = InternalError(f"The job was started {row.starts} times and never came to its end.")
            return self._fail(tx, row, error or used_up.to_json())
        return self._leave(tx, row, JobState.QUEUED, error=error, due=at)

    def _fail(self, tx: Transaction, row: Any, error: Mapping[str, Any]) -> JobState:
        self._leave(tx, row, JobState.FAILED, error=error)
        if self.on_failed is not None:
            self.on_failed(tx, row.id, row.kind, row.generation_id, row.payload, error)
        return JobState.FAILED

    def _leave(
        self,
        tx: Transaction,
        row: Any,
        following: JobState,
        *,
        error: Mapping[str, Any] | None,
        due: datetime | None = None,
        starts: int | None = None,
    ) -> JobState:
        # The cancel made the job due once; queued again uncounted after it, without its delay it would spin.
        due = due if starts is not None or not row.cancel_requested else None
        moves.leave(tx, row, following, self._clock.now(), error=error, due=due, starts=starts)
        tx.on_commit(partial(self._left, row.id, row.fence))
        return following

    def _left(self, job_id: str, fence: int) -> None:
        lease = self._held.get(job_id)
        if lease is not None and lease.fence == fence:
            del self._held[job_id]
            lease.ended.set()
        self.wake()

    def cancel(self, tx: Transaction, job_id: str) -> JobState:
        row = moves.find(tx, job_id)
        if row is None:
            raise LookupError(f"there is no job {job_id}")
        state = moves.ask_to_end(tx, row, self._clock.now())
        if not JOB.is_terminal(state):
            tx.on_commit(partial(self._tell, job_id))
        return state

    def _tell(self, job_id: str) -> None:
        lease = self._held.get(job_id)
        if lease is not None:
            lease.canceled.set()
        self.wake()

    def hurry(self, tx: Transaction, job_id: str) -> bool:
        values = {"job": job_id, "now": self._clock.now()}
        found = bool(tx.execute(sql.HURRY, values).rowcount > 0)
        if found:
            tx.on_commit(self.wake)
        return found

    async def rescue(self, *, abandoned: bool = False) -> list[str]:
        now = self._clock.now()
        held = {job_id: lease.fence for job_id, lease in self._held.items() if not lease.lost.is_set()}

        def ours(row: Any) -> bool:
            if row.lease_owner != self._owner:
                return False
            # A claim of ours may be committed and not told to the loop yet: it has not expired.
            return held.get(row.id) == row.fence or (row.id not in held and row.lease_expires_at > now)

        def expired(tx: Transaction) -> list[Any]:
            rows = [row for row in tx.execute(sql.LEASED).all() if not ours(row)]
            return [row for row in rows if abandoned or row.lease_expires_at <= now]

        rescued: list[str] = []
        for row in await self._database.read(expired):
            # A transaction each: a job whose end cannot be written must not keep the others from theirs.
            try:
                state = await self._database.write(partial(self._rescue, expired=row))
            except LeaseLost:
                continue  # renewed or ended meanwhile
            except Exception:
                log.exception("a job could not be rescued", job_id=row.id, kind=row.kind)
                continue
            rescued.append(row.id)
            log.warning("a job was rescued", job_id=row.id, kind=row.kind, starts=row.starts, state=state)
        return rescued

    def _rescue(self, tx: Transaction, expired: Any) -> JobState:
        row = moves.fenced(tx, expired.id, expired.fence)
        if row.lease_expires_at != expired.lease_expires_at:
            raise LeaseLost(f"job {row.id} was renewed")
        return self._again(tx, row)

    async def depths(self) -> Mapping[str, tuple[int, int]]:
        def story(tx: Transaction) -> dict[str, tuple[int, int]]:
            queued, running = _counts(tx, sql.COUNT_QUEUED), _counts(tx, sql.COUNT_RUNNING)
            names = {**self._classes, **queued, **running}
            return {name: (queued.get(name, 0), running.get(name, 0)) for name in names}

        return await self._database.read(story)

    def position(self, tx: Transaction, job_id: str) -> int | None:
        row = moves.find(tx, job_id)
        if row is None or row.state != JobState.QUEUED:
            return None
        values = {"of_class": row.class_, "priority": row.priority, "tag": row.start_tag, "job": job_id}
        return int(tx.execute(sql.COUNT_BEFORE, values).scalar_one()) + 1

    def ahead(self, tx: Transaction, class_: str, priority: int) -> int:
        running = tx.execute(sql.RUNNING_OF_CLASS, {"of_class": class_}).scalar_one()
        queued = tx.execute(sql.COUNT_AHEAD, {"of_class": class_, "priority": priority}).scalar_one()
        return int(running) + int(queued)

    async def purge(self, older_than: timedelta) -> int:
        cutoff = self._clock.now() - older_than

        def story(tx: Transaction) -> tuple[int, str]:
            after = self._purged_upto
            row: Any = tx.execute(sql.WINDOW_END, {"after": after}).one()
            upto, looked_at = row
            if upto is None:
                return 0, ""
            values = {"after": after, "upto": upto, "cutoff": cutoff}
            gone = tx.execute(sql.PURGE, values).rowcount
            return gone, upto if looked_at == sql.PURGE_WINDOW else ""

        gone, self._purged_upto = await self._database.write(story, durable=False)
        return gone


def _counts(tx: Transaction, statement: Executable) -> dict[str, int]:
    rows: list[Any] = list(tx.execute(statement))
    return dict(rows)
