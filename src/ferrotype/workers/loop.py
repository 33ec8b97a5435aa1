"""The worker: takes jobs from the engine and gives each to the handler of its kind.

A handler ends its job itself, in the transaction that writes its effect (`engine.finish` or `retry`).
What it leaves open is ended here: a retryable problem and anything unexpected are retried with backoff,
any other problem fails the job, and so does coming back without an ending.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from ferrotype.db.database import Database, Story, Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import InternalError, Problem
from ferrotype.engine.backoff import backoff
from ferrotype.engine.base import Engine, Lease, LeaseLost

Handler = Callable[[Lease], Awaitable[None]]

#: Between claims that raise: the database is in trouble, and asking faster does not help it.
TROUBLE_SECONDS: Final = 1.0
#: For handlers to end once they are canceled at the end of a drain.
GRACE_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


class Worker:
    """Runs up to `concurrency` jobs at once, of the kinds that have a handler. Seats are the engine's matter.

    Leases are renewed three times within `lease_seconds`. A job that is retried waits between nothing and
    `retry_base`, doubled with each start up to `retry_cap`, or as long as its problem says.
    """

    def __init__(
        self,
        engine: Engine,
        database: Database,
        handlers: Mapping[str, Handler],
        clock: Clock,
        *,
        concurrency: int,
        lease_seconds: float = 30.0,
        retry_base: timedelta = timedelta(seconds=1),
        retry_cap: timedelta = timedelta(minutes=5),
        rng: random.Random | None = None,
    ) -> None:
        self._engine = engine
        self._database = database
        self._handlers = dict(handlers)
        self._clock = clock
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._delay = partial(backoff, base=retry_base, cap=retry_cap, rng=rng or random.Random())
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._room = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()

    @property
    def running(self) -> int:
        """How many handlers run."""
        return len(self._tasks)

    async def run(self) -> None:
        """Claim and run jobs until `drain`; canceling it drains without patience."""
        self._stopped.clear()
        if not self._draining.is_set():
            self._engine.on_begun = self._take
        tending = asyncio.create_task(self._tend_forever(), name="worker: leases")
        try:
            try:
                while not self._draining.is_set():
                    await self._turn()
            finally:
                self._stopped.set()
            await self.idle()  # leases are renewed until the last job has ended
        except asyncio.CancelledError:
            await self.drain(0)
            raise
        finally:
            tending.cancel()
            await asyncio.wait([tending])

    async def idle(self) -> None:
        """Return when no handler runs; more may start unless the worker drains."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def drain(self, timeout: float) -> None:
        """Claim no more, give running handlers `timeout` seconds, then cancel them and hand their jobs back.

        A job handed back does not count as started: it was not its fault.
        """
        self._draining.set()
        self._engine.on_begun = None
        self._room.set()
        self._engine.wake()
        await self._stopped.wait()
        await self._database.write(lambda _: None, durable=False)  # jobs that began before that are here now
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                _, stuck = await asyncio.wait(late, timeout=GRACE_SECONDS)
                for task in stuck:
                    log.error(
                        "a handler ignores its cancellation; its lease will expire", handler=task.get_name()
                    )

    async def tend(self) -> None:
        """Renew the leases held here, then take over those that others let expire."""
        await self._engine.renew()
        await self._engine.rescue()

    async def _tend_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            try:
                await self.tend()
            except Exception:
                log.exception("leases could not be tended")

    async def _turn(self) -> None:
        """Fill the room there is, then wait for more of it or for more jobs."""
        room = self._concurrency - len(self._tasks)
        if room <= 0:
            self._room.clear()
            await self._room.wait()
            return
        try:
            leases = await self._engine.claim(room, self._handlers)
        except Exception:
            log.exception("jobs could not be claimed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), TROUBLE_SECONDS)
            return
        for lease in leases:
            self._start(lease)
        if len(leases) < room and not self._draining.is_set():
            await self._engine.wait()

    def _take(self, lease: Lease) -> None:
        """A job that began with its enqueueing. Its first steps were written with it, so it is not handed
        back before its handler has seen it."""
        self._start(lease, begun=True)

    def _start(self, lease: Lease, *, begun: bool = False) -> None:
        # The task has a copy of this context, so what a handler binds to its log lines stays its own.
        task = asyncio.create_task(self._perform(lease, begun=begun), name=f"{lease.kind} {lease.job_id}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("a job's task broke", handler=task.get_name(), exc_info=task.exception())

    async def _perform(self, lease: Lease, *, begun: bool) -> None:
        structlog.contextvars.bind_contextvars(
            job_id=lease.job_id, kind=lease.kind, generation_id=lease.generation_id
        )
        if self._draining.is_set() and not begun:  # it was claimed while the drain began
            await self._write(lease, self._back(lease))
            return
        try:
            await self._handlers[lease.kind](lease)
        except LeaseLost:
            log.warning("the lease was lost: nothing was written", starts=lease.starts)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                log.info("the job is handed back", starts=lease.starts)
                await self._write(lease, self._back(lease))
                raise
            # Nobody canceled us: something that the handler awaited was canceled.
            await self._unexpected(lease, asyncio.CancelledError())
        except Problem as problem:
            log.info("the job met a problem", code=problem.code, detail=problem.detail, starts=lease.starts)
            await self._write(
                lease, self._again(lease, problem) if problem.retryable else self._over(lease, problem)
            )
        except Exception as error:
            await self._unexpected(lease, error)
        else:
            await self._check(lease)

    async def _unexpected(self, lease: Lease, error: BaseException) -> None:
        log.error("the handler broke", starts=lease.starts, exc_info=error)
        problem = InternalError(f"The job was stopped by an unexpected {type(error).__name__}.")
        await self._write(lease, self._again(lease, problem))

    async def _check(self, lease: Lease) -> None:
        if lease.ended.is_set():
            return
        if lease.lost.is_set():
            log.warning("the lease was lost: nothing was written", starts=lease.starts)
            return
        log.error("the handler returned without ending its job")
        await self._write(lease, self._over(lease, InternalError("The job's handler did not end it.")))

    def _again(self, lease: Lease, problem: Problem) -> Story[None]:
        delay = max(self._delay(lease.starts), timedelta(seconds=problem.retry_after or 0))

        def story(tx: Transaction) -> None:
            self._engine.retry(tx, lease, self._clock.now() + delay, problem.to_json())

        return story

    def _over(self, lease: Lease, problem: Problem) -> Story[None]:
        return lambda tx: self._engine.fail(tx, lease, problem.to_json())

    def _back(self, lease: Lease) -> Story[None]:
        def story(tx: Transaction) -> None:
            self._engine.retry(tx, lease, counted=False)

        return story

    async def _write(self, lease: Lease, story: Story[None]) -> None:
        """End the lease by `story`, unless the handler did before it broke."""
        if lease.ended.is_set():
            return
        try:
            await self._database.write(story)
        except LeaseLost:
            log.warning("the lease was lost: nothing was written", starts=lease.starts)
        except Exception:
            # Given up, so that it expires and the job is rescued instead of being renewed for ever.
            lease.lost.set()
            log.exception("the end of the job could not be written")
