"""Leases: renewed, lost, rescued from the dead; on every engine."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import accounts
from ferrotype.domain.states import IllegalTransition, JobState
from ferrotype.engine.base import LeaseLost

from .rig import LEASE_SECONDS, Rig, again, collecting, end, job, put, row, state


class Leasing:
    async def test_a_renewed_lease_lives_on(self, rig: Rig) -> None:
        here, there = rig.engine(owner="here"), rig.engine(owner="there")
        await put(rig, here, job())
        [lease] = await here.claim(1)
        for _ in range(3):
            rig.clock.advance(LEASE_SECONDS - 1)
            await here.renew()
            assert lease.expires_at == rig.clock.now() + timedelta(seconds=LEASE_SECONDS)
            assert await there.rescue() == []
        await end(rig, here, lease)

    async def test_whoever_lost_its_lease_writes_nothing(self, rig: Rig) -> None:
        zombie, there = rig.engine(owner="zombie"), rig.engine(owner="there")
        [job_id] = await put(rig, zombie, job())
        [old] = await zombie.claim(1)
        rig.clock.advance(LEASE_SECONDS)
        assert await there.rescue() == [job_id]

        def effect(tx: Transaction) -> None:
            tx.execute(insert(accounts).values(id="z", name="zombie", created_at=rig.clock.now()))
            zombie.fence(tx, old)

        async def writes_nothing() -> None:
            with pytest.raises(LeaseLost):
                await rig.database.write(effect)
            for ending in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED):
                with pytest.raises(LeaseLost):
                    await end(rig, zombie, old, ending)
            with pytest.raises(LeaseLost):
                await again(rig, zombie, old)
            with pytest.raises(LeaseLost):
                await rig.database.write(lambda tx: zombie.fail(tx, old, {}))

        await writes_nothing()
        [new] = await there.claim(1)
        assert (new.job_id, new.starts) == (job_id, 2)
        await writes_nothing()
        await zombie.renew()
        assert old.lost.is_set()
        await rig.database.write(lambda tx: there.fence(tx, new))
        await end(rig, there, new)
        await writes_nothing()
        assert await rig.database.read(lambda tx: tx.execute(select(accounts)).all()) == []
        assert await state(rig, job_id) is JobState.SUCCEEDED

    async def test_a_lease_ends_with_its_job(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, job())
        [lease] = await engine.claim(1)

        def twice(tx: Transaction) -> None:
            engine.finish(tx, lease, JobState.SUCCEEDED)
            engine.finish(tx, lease, JobState.FAILED)

        with pytest.raises(LeaseLost):
            await rig.database.write(twice)
        assert not lease.ended.is_set()
        await end(rig, engine, lease)
        await engine.renew()
        assert not lease.lost.is_set()

    async def test_only_endings_end_a_job(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        for wrong in (JobState.QUEUED, JobState.RUNNING):
            with pytest.raises(IllegalTransition):
                await end(rig, engine, lease, wrong)  # type: ignore[arg-type]
        assert await state(rig, job_id) is JobState.RUNNING

    async def test_a_process_does_not_rescue_from_itself(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        rig.clock.advance(10 * LEASE_SECONDS)
        assert await engine.rescue() == []
        assert await engine.rescue(abandoned=True) == []
        lease.lost.set()  # given up
        assert await engine.rescue() == [job_id]

    async def test_a_job_that_kills_its_process_fails_in_the_end(self, rig: Rig) -> None:
        [job_id] = await put(rig, rig.engine(), job(max_starts=2, generation_id="g-1"))
        with collecting() as (heard, on_failed):
            for life in ("first", "second"):
                await rig.engine(owner=life).claim(1)
                assert await rig.engine(on_failed=on_failed).rescue(abandoned=True) == [job_id]
            [(_, _, generation_id, _, error)] = heard
        assert (generation_id, error["code"]) == ("g-1", "internal_error")
        assert (await row(rig, job_id)).error == error
        assert await state(rig, job_id) is JobState.FAILED

    async def test_a_rescue_that_breaks_does_not_stop_the_others(self, rig: Rig) -> None:
        def refuse(tx: Transaction, job_id: str, kind: str, *_: object) -> None:
            raise LookupError(kind)

        new = [job(max_starts=1, kind="bad"), job(max_starts=2, kind="good")]
        _, good = await put(rig, rig.engine(), *new)
        await rig.engine(owner="dead").claim(5)
        assert await rig.engine(on_failed=refuse).rescue(abandoned=True) == [good]

    async def test_a_killed_process_loses_its_jobs_to_the_next(self, rig: Rig) -> None:
        """kill -9, then a start-up that knows it is alone."""
        [job_id] = await put(rig, rig.engine(), job())
        await self._kill(rig, job_id)
        engine = rig.engine()
        assert await engine.claim(1) == []
        assert await engine.rescue() == []
        assert await engine.rescue(abandoned=True) == [job_id]
        [lease] = await engine.claim(1)
        assert (lease.job_id, lease.starts, lease.fence) == (job_id, 2, 2)
        await end(rig, engine, lease)

    async def test_a_killed_process_loses_its_jobs_when_they_expire(self, rig: Rig) -> None:
        [job_id] = await put(rig, rig.engine(), job())
        await self._kill(rig, job_id)
        engine = rig.engine()
        rig.clock.advance(LEASE_SECONDS - 1)
        assert await engine.rescue() == []
        rig.clock.advance(1)
        assert await engine.rescue() == [job_id]
        assert [lease.job_id for lease in await engine.claim(1)] == [job_id]

    async def _kill(self, rig: Rig, job_id: str) -> None:
        """A real process leases the job and is killed in the middle of it."""
        victim = await asyncio.create_subprocess_exec(*rig.victim("light"), stdout=asyncio.subprocess.PIPE)
        assert victim.stdout is not None
        assert await victim.stdout.readline() == f"leased {job_id}\n".encode()
        os.kill(victim.pid, signal.SIGKILL)
        assert await victim.wait() == -signal.SIGKILL
        assert await state(rig, job_id) is JobState.RUNNING
