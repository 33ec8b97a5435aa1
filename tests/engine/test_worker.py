"""The worker loop on the embedded engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import structlog

from ferrotype.db.database import Transaction
from ferrotype.domain.problems import InvalidField, ProviderBusy, ProviderUnavailable
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease
from ferrotype.workers.loop import Handler, Worker

from .rig import LEASE_SECONDS, cancel, collecting, end, job, put, row, state
from .test_sqlite import SqliteRig, open_rig


@pytest.fixture
async def rig() -> AsyncIterator[SqliteRig]:
    async with open_rig() as made:
        made.no_safety_net()
        yield made


@asynccontextmanager
async def working(
    rig: SqliteRig, engine: Engine, handler: Handler, *, concurrency: int = 10
) -> AsyncIterator[Worker]:
    """A worker that runs meanwhile, and is drained afterwards."""
    worker = Worker(
        engine,
        rig.database,
        {"work": handler},
        rig.clock,
        concurrency=concurrency,
        lease_seconds=3600,
        retry_base=timedelta(seconds=8),
        rng=random.Random(7),
    )
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0)  # its first step: from here on it takes jobs that begin with their order
    try:
        yield worker
    finally:
        await worker.drain(0)
        await running


def once(action: Callable[[Lease], Awaitable[None]]) -> tuple[Handler, asyncio.Event]:
    """The handler, and an event for when its job's task has nothing more to write."""
    called = asyncio.Event()

    async def handler(lease: Lease) -> None:
        called.set()
        await action(lease)

    return handler, called


async def raise_(error: BaseException) -> None:
    raise error


async def test_jobs_are_run_to_their_end(rig: SqliteRig) -> None:
    engine = rig.engine({"light": 3})
    done = asyncio.Semaphore(0)
    peak = now = 0

    async def handler(lease: Lease) -> None:
        nonlocal peak, now
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0)
        now -= 1
        await end(rig, engine, lease)
        done.release()

    async with working(rig, engine, handler):
        ids = await put(rig, engine, *(job() for _ in range(40)))
        for _ in ids:
            await done.acquire()
    assert {await state(rig, job_id) for job_id in ids} == {JobState.SUCCEEDED}
    assert 2 <= peak <= 3


async def test_no_more_than_its_concurrency_runs(rig: SqliteRig) -> None:
    engine = rig.engine({"light": 8})
    started, may_end = asyncio.Semaphore(0), asyncio.Event()

    async def handler(lease: Lease) -> None:
        started.release()
        await may_end.wait()
        await end(rig, engine, lease)

    await put(rig, engine, *(job() for _ in range(5)))
    async with working(rig, engine, handler, concurrency=2) as worker:
        await started.acquire()
        await started.acquire()
        assert worker.running == 2
        assert (await engine.depths())["light"] == (3, 2)
        may_end.set()
        for _ in range(3):
            await started.acquire()


async def test_each_job_s_log_lines_name_it_and_no_other(rig: SqliteRig) -> None:
    engine = rig.engine()
    bound: dict[str, dict[str, Any]] = {}
    all_in, ended = asyncio.Barrier(2), asyncio.Semaphore(0)

    async def handler(lease: Lease) -> None:
        structlog.contextvars.bind_contextvars(mine=lease.job_id)
        await all_in.wait()
        bound[lease.job_id] = structlog.contextvars.get_contextvars()
        await end(rig, engine, lease)
        ended.release()

    async with working(rig, engine, handler):
        ids = await put(rig, engine, job(generation_id="g-1"), job(generation_id="g-2"))
        await ended.acquire()
        await ended.acquire()
    for job_id, generation_id in zip(ids, ("g-1", "g-2"), strict=True):
        assert bound[job_id] == {
            "job_id": job_id,
            "kind": "work",
            "generation_id": generation_id,
            "mine": job_id,
        }
    assert "job_id" not in structlog.contextvars.get_contextvars()


async def settled(rig: SqliteRig, job_id: str, worker: Worker) -> Any:
    """The job's row once its task is over."""
    await worker.idle()
    return await row(rig, job_id)


async def test_a_retryable_problem_is_retried_with_backoff(rig: SqliteRig) -> None:
    engine = rig.engine()
    handler, called = once(lambda lease: raise_(ProviderUnavailable("it is away")))
    [job_id] = await put(rig, engine, job())
    async with working(rig, engine, handler) as worker:
        await called.wait()
        found = await settled(rig, job_id, worker)
        assert (found.state, found.starts, found.error["code"]) == ("queued", 1, "provider_unavailable")
        assert timedelta(0) < found.not_before - rig.clock.now() <= timedelta(seconds=8)
        called.clear()
        rig.clock.advance(8)
        engine.wake()
        await called.wait()
        assert (await settled(rig, job_id, worker)).starts == 2


async def test_a_retry_waits_as_long_as_the_problem_says(rig: SqliteRig) -> None:
    engine = rig.engine()
    handler, called = once(lambda lease: raise_(ProviderBusy("later", retry_after=500)))
    [job_id] = await put(rig, engine, job())
    async with working(rig, engine, handler) as worker:
        await called.wait()
        found = await settled(rig, job_id, worker)
        assert found.not_before == rig.clock.now() + timedelta(seconds=500)


async def test_a_final_problem_fails_the_job_and_is_told(rig: SqliteRig) -> None:
    handler, called = once(lambda lease: raise_(InvalidField("no such size", field="width")))
    with collecting() as (heard, on_failed):
        engine = rig.engine(on_failed=on_failed)
        [job_id] = await put(rig, engine, job(generation_id="g-1"))
        async with working(rig, engine, handler) as worker:
            await called.wait()
            found = await settled(rig, job_id, worker)
        assert (found.state, found.error["field"]) == ("failed", "width")
        assert heard == [(job_id, "work", "g-1", {}, found.error)]


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), asyncio.CancelledError()])
async def test_anything_unexpected_is_retried_until_the_starts_are_used_up(
    rig: SqliteRig, error: BaseException
) -> None:
    starts: list[int] = []
    handler, called = once(lambda lease: (starts.append(lease.starts), raise_(error))[1])
    with collecting() as (heard, on_failed):
        engine = rig.engine(on_failed=on_failed)
        [job_id] = await put(rig, engine, job(max_starts=3))
        async with working(rig, engine, handler) as worker:
            for _ in range(3):
                await called.wait()
                called.clear()
                found = await settled(rig, job_id, worker)
                rig.clock.advance(600)
                engine.wake()
        assert starts == [1, 2, 3]
        assert (found.state, found.error["code"]) == ("failed", "internal_error")
        assert "secret" not in str(found.error)
        assert len(heard) == 1


async def test_a_handler_that_does_not_end_its_job_fails_it(rig: SqliteRig) -> None:
    handler, called = once(lambda lease: asyncio.sleep(0))
    with collecting() as (heard, on_failed):
        engine = rig.engine(on_failed=on_failed)
        [job_id] = await put(rig, engine, job())
        async with working(rig, engine, handler) as worker:
            await called.wait()
            found = await settled(rig, job_id, worker)
        assert (found.state, found.error["code"]) == ("failed", "internal_error")
        assert [told[0] for told in heard] == [job_id]


async def test_a_handler_that_breaks_after_the_end_changes_nothing(rig: SqliteRig) -> None:
    engine = rig.engine()

    async def action(lease: Lease) -> None:
        await end(rig, engine, lease)
        raise ZeroDivisionError

    handler, called = once(action)
    [job_id] = await put(rig, engine, job())
    async with working(rig, engine, handler) as worker:
        await called.wait()
        found = await settled(rig, job_id, worker)
    assert (found.state, found.error) == ("succeeded", None)


async def test_a_job_in_other_hands_is_left_to_them(rig: SqliteRig) -> None:
    engine, other = rig.engine(), rig.engine(owner="other")
    taken: list[Lease] = []

    async def action(lease: Lease) -> None:
        rig.clock.advance(LEASE_SECONDS)
        await other.rescue()
        taken.extend(await other.claim(1))
        await end(rig, engine, lease)  # raises LeaseLost

    handler, called = once(action)
    [job_id] = await put(rig, engine, job())
    async with working(rig, engine, handler) as worker:
        await called.wait()
        found = await settled(rig, job_id, worker)
        assert (found.state, found.fence, found.error) == ("running", taken[0].fence, None)
        await end(rig, other, taken[0])


async def test_a_handler_hears_that_its_job_is_canceled(rig: SqliteRig) -> None:
    engine = rig.engine({"light": 1})
    started, ended = asyncio.Event(), asyncio.Event()

    async def handler(lease: Lease) -> None:
        started.set()
        await lease.canceled.wait()
        await end(rig, engine, lease, JobState.CANCELED)
        ended.set()

    async with working(rig, engine, handler):
        [job_id] = await put(rig, engine, job())
        await started.wait()
        assert await cancel(rig, engine, job_id) is JobState.RUNNING
        await ended.wait()
    assert await state(rig, job_id) is JobState.CANCELED


async def test_a_drain_lets_running_jobs_end_and_starts_no_more(rig: SqliteRig) -> None:
    engine = rig.engine({"light": 1})
    started, may_end = asyncio.Event(), asyncio.Event()

    async def handler(lease: Lease) -> None:
        started.set()
        await may_end.wait()
        await end(rig, engine, lease)

    async with working(rig, engine, handler) as worker:
        first, second = await put(rig, engine, job(), job())
        await started.wait()
        draining = asyncio.create_task(worker.drain(3600))
        await asyncio.sleep(0)
        may_end.set()
        await draining
        assert worker.running == 0
    assert await state(rig, first) is JobState.SUCCEEDED
    assert (await row(rig, second)).fence == 0


async def test_a_drain_hands_back_what_does_not_end(rig: SqliteRig) -> None:
    engine = rig.engine()
    started = asyncio.Semaphore(0)

    async def handler(lease: Lease) -> None:
        started.release()
        await asyncio.Event().wait()

    ids = await put(rig, engine, *(job(max_starts=1) for _ in range(3)))
    async with working(rig, engine, handler):
        for _ in ids:
            await started.acquire()
    for job_id in ids:
        found = await row(rig, job_id)
        assert (found.state, found.starts, found.lease_owner) == ("queued", 0, None)
    assert len(await rig.engine(owner="next").claim(5)) == 3


async def test_a_worker_that_is_canceled_hands_its_jobs_back(rig: SqliteRig) -> None:
    engine = rig.engine()
    started = asyncio.Event()

    async def handler(lease: Lease) -> None:
        started.set()
        await asyncio.Event().wait()

    [job_id] = await put(rig, engine, job())
    worker = Worker(engine, rig.database, {"work": handler}, rig.clock, concurrency=2)
    running = asyncio.create_task(worker.run())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    found = await row(rig, job_id)
    assert (found.state, found.starts) == ("queued", 0)


async def test_a_job_whose_end_cannot_be_written_is_rescued_later(rig: SqliteRig) -> None:
    broken = True

    def on_failed(tx: Transaction, *_: object) -> None:
        if broken:
            raise OSError("the disk is full")

    handler, called = once(lambda lease: raise_(InvalidField("no")))
    engine = rig.engine(on_failed=on_failed)
    [job_id] = await put(rig, engine, job())
    async with working(rig, engine, handler) as worker:
        await called.wait()
        assert (await settled(rig, job_id, worker)).state == "running"
        broken = False
        called.clear()
        await worker.tend()
        assert not called.is_set()
        rig.clock.advance(LEASE_SECONDS)
        await worker.tend()
        await called.wait()
        assert (await settled(rig, job_id, worker)).state == "failed"


async def test_tending_keeps_the_leases_of_running_jobs(rig: SqliteRig) -> None:
    engine = rig.engine()
    started, may_end = asyncio.Event(), asyncio.Event()

    async def handler(lease: Lease) -> None:
        started.set()
        await may_end.wait()
        await end(rig, engine, lease)

    async with working(rig, engine, handler) as worker:
        [job_id] = await put(rig, engine, job())
        await started.wait()
        rig.clock.advance(LEASE_SECONDS + 5)
        await worker.tend()
        assert await rig.engine(owner="other").rescue() == []
        may_end.set()
        await settled(rig, job_id, worker)
    assert await state(rig, job_id) is JobState.SUCCEEDED


async def test_trouble_in_the_database_does_not_end_the_worker(
    rig: SqliteRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.workers.loop.TROUBLE_SECONDS", 0.0)
    engine = rig.engine()
    handler, called = once(lambda lease: end(rig, engine, lease))
    claim, failures = engine.claim, [OSError("the disk is full"), OSError("still")]

    async def claim_in_trouble(*given: Any) -> list[Lease]:
        if failures:
            raise failures.pop()
        return await claim(*given)

    monkeypatch.setattr(engine, "claim", claim_in_trouble)
    [job_id] = await put(rig, engine, job())
    async with working(rig, engine, handler) as worker:
        await called.wait()
        assert (await settled(rig, job_id, worker)).state == "succeeded"


async def test_a_job_that_begins_with_its_order_runs_at_once(rig: SqliteRig) -> None:
    engine = rig.engine()
    handler, called = once(lambda lease: end(rig, engine, lease))
    async with working(rig, engine, handler) as worker:
        job_id, lease = await rig.database.write(lambda tx: engine.begin(tx, job()))
        assert lease is not None
        await called.wait()
        await worker.idle()
        assert await state(rig, job_id) is JobState.SUCCEEDED


async def test_a_drain_gives_what_began_to_its_handler(rig: SqliteRig) -> None:
    """Its first steps are written: only the handler knows how far they came."""
    engine = rig.engine()
    handler, called = once(lambda lease: end(rig, engine, lease))
    async with working(rig, engine, handler) as worker:
        await asyncio.sleep(0)  # it runs
        beginning = asyncio.create_task(rig.database.write(lambda tx: engine.begin(tx, job())))
        await asyncio.sleep(0)
        await worker.drain(3600)
        job_id, lease = await beginning
        assert (lease is not None) is called.is_set()
        assert await state(rig, job_id) is (JobState.SUCCEEDED if lease else JobState.QUEUED)
        later_id, later = await rig.database.write(lambda tx: engine.begin(tx, job()))
        assert later is None
        assert await state(rig, later_id) is JobState.QUEUED
