"""Signals: what makes `wait` return, on every engine."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ferrotype.db.database import Transaction
from ferrotype.engine.base import Lease

from .rig import Rig, again, end, job, put


class Waking:
    async def test_a_commit_wakes_and_nothing_before_it(self, rig: Rig) -> None:
        rig.no_safety_net()
        engine = rig.engine()
        assert await engine.claim(1) == []
        waiting = asyncio.create_task(engine.wait())
        during: list[bool] = []

        def story(tx: Transaction, fails: bool) -> None:
            engine.enqueue(tx, job())
            during.append(waiting.done())
            if fails:
                raise LookupError

        with pytest.raises(LookupError):
            await rig.database.write(lambda tx: story(tx, True))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        await rig.database.write(lambda tx: story(tx, False))
        await waiting
        assert during == [False, False]
        assert len(await engine.claim(1)) == 1

    async def test_a_freed_seat_wakes(self, rig: Rig) -> None:
        rig.no_safety_net()
        engine = rig.engine({"light": 1})
        await put(rig, engine, job(), job())
        [lease] = await engine.claim(5)
        assert await engine.claim(5) == []
        waiting = asyncio.create_task(engine.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        await end(rig, engine, lease)
        await waiting

    async def test_a_rescue_wakes(self, rig: Rig) -> None:
        rig.no_safety_net()
        engine = rig.engine()
        await put(rig, engine, job())
        await rig.engine(owner="dead").claim(1)
        assert await engine.claim(1) == []
        waiting = asyncio.create_task(engine.wait())
        await engine.rescue(abandoned=True)
        await waiting

    async def test_what_a_small_claim_left_behind_is_not_waited_for(self, rig: Rig) -> None:
        rig.no_safety_net()
        engine = rig.engine()
        await put(rig, engine, job(), job())
        await engine.claim(1)
        await engine.wait()
        assert len(await engine.claim(1)) == 1

    async def test_a_delay_that_passes_wakes(self, rig: Rig) -> None:
        rig.no_safety_net()
        engine = rig.engine()
        await put(rig, engine, job(not_before=rig.clock.now() + timedelta(seconds=0.02)))
        assert await engine.claim(1) == []
        await engine.wait()
        rig.clock.advance(0.02)
        assert len(await engine.claim(1)) == 1

    async def test_a_hurried_job_is_due_at_once(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        await again(rig, engine, lease, 3_600)
        assert await engine.claim(1) == []
        rig.no_safety_net()
        waiting = asyncio.ensure_future(engine.wait())
        assert await rig.database.write(lambda tx: engine.hurry(tx, job_id))
        await waiting
        [lease] = await engine.claim(1)
        assert lease.job_id == job_id
        # One that does not wait is left alone: it runs, or has ended, or is gone.
        assert not await rig.database.write(lambda tx: engine.hurry(tx, job_id))
        await end(rig, engine, lease)
        assert not await rig.database.write(lambda tx: engine.hurry(tx, job_id))
        assert not await rig.database.write(lambda tx: engine.hurry(tx, "nobody"))

    async def test_a_clock_that_was_moved_is_told_by_wake(self, rig: Rig) -> None:
        rig.no_safety_net()
        engine = rig.engine()
        await put(rig, engine, job(not_before=rig.clock.now() + timedelta(days=1)))
        assert await engine.claim(1) == []
        waiting = asyncio.create_task(engine.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        rig.clock.advance(86_400)
        engine.wake()
        await waiting
        assert len(await engine.claim(1)) == 1

    async def test_with_nothing_to_do_it_returns_all_the_same(self, rig: Rig) -> None:
        engine = rig.engine()
        assert await engine.claim(1) == []
        await engine.wait()

    async def test_no_wake_up_is_lost(self, rig: Rig) -> None:
        """Without the safety net, one lost signal would leave the last job of a burst lying."""
        rig.no_safety_net()
        engine = rig.engine({"light": 2})
        total, started = 300, asyncio.Semaphore(0)

        async def finish(lease: Lease) -> None:
            await end(rig, engine, lease)
            started.release()

        async def work() -> None:
            tasks: set[asyncio.Task[None]] = set()
            while True:
                leases = await engine.claim(2)
                tasks = {task for task in tasks if not task.done()}
                tasks |= {asyncio.create_task(finish(lease)) for lease in leases}
                if len(leases) < 2:
                    await engine.wait()

        working = asyncio.create_task(work())
        async with asyncio.timeout(60):  # a guard: a lost signal waits for ever
            for burst in range(total // 3):
                for _ in range(burst % 7):
                    await asyncio.sleep(0)
                await put(rig, engine, job(), job())
                await put(rig, engine, job())
                for _ in range(3):
                    await started.acquire()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
