"""Jobs that begin with their enqueueing; on every engine."""

from __future__ import annotations

import pytest

from ferrotype.db.database import Transaction
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease, NewJob, Priority

from .rig import CLASSES, Rig, again, cancel, end, job, put, row, state


async def begin(rig: Rig, engine: Engine, *new: NewJob) -> list[Lease | None]:
    """Begin the jobs in one transaction."""
    return [lease for _, lease in await rig.database.write(lambda tx: [engine.begin(tx, one) for one in new])]


def ready(rig: Rig) -> tuple[Engine, list[Lease]]:
    """An engine with somebody who takes what begins."""
    engine, taken = rig.engine(), []
    engine.on_begun = taken.append
    return engine, taken


class Beginning:
    async def test_a_job_begins_where_nothing_keeps_it_waiting(self, rig: Rig) -> None:
        engine, taken = ready(rig)
        [lease] = await begin(rig, engine, job(payload={"n": 1}))
        assert lease is not None
        assert taken == [lease]
        assert (lease.payload, lease.fence, lease.starts) == ({"n": 1}, 1, 1)
        stored = await row(rig, lease.job_id)
        assert (stored.state, stored.started_at, stored.fence) == ("running", rig.clock.now(), 1)
        assert await engine.claim(5) == []
        await engine.renew()
        assert not lease.lost.is_set()
        await end(rig, engine, lease)
        assert await state(rig, lease.job_id) is JobState.SUCCEEDED
        assert lease.ended.is_set()

    async def test_nobody_there_to_take_it_means_that_it_waits(self, rig: Rig) -> None:
        engine = rig.engine()
        assert await begin(rig, engine, job()) == [None]
        assert len(await engine.claim(5)) == 1

    async def test_no_more_than_the_class_has_seats(self, rig: Rig) -> None:
        engine, taken = ready(rig)
        leases = await begin(rig, engine, *(job() for _ in range(CLASSES["light"] + 2)))
        assert [lease is not None for lease in leases] == [True] * CLASSES["light"] + [False] * 2
        assert len(taken) == CLASSES["light"]
        assert await engine.claim(5) == []
        await end(rig, engine, taken[0])
        assert len(await engine.claim(5)) == 1
        assert await begin(rig, engine, job(class_="heavy")) != [None]  # each class for itself

    async def test_it_overtakes_nobody(self, rig: Rig) -> None:
        engine, taken = ready(rig)
        [waiting] = await put(rig, engine, job(account_id="bob"))
        rig.clock.advance(0.001)
        assert await begin(rig, engine, job()) == [None]
        [first] = await engine.claim(1)
        assert first.job_id == waiting
        assert taken == []

    async def test_one_that_is_due_again_goes_first(self, rig: Rig) -> None:
        engine, _ = ready(rig)
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        await again(rig, engine, lease, 5)
        assert await begin(rig, engine, job()) != [None]  # the other is not due yet
        rig.clock.advance(6)
        assert await begin(rig, engine, job()) == [None]
        assert job_id in {each.job_id for each in await engine.claim(5)}

    async def test_a_more_urgent_one_may_go_in_front(self, rig: Rig) -> None:
        engine, _ = ready(rig)
        await put(rig, engine, job(priority=Priority.BATCH))
        assert await begin(rig, engine, job(priority=Priority.INTERACTIVE)) != [None]

    async def test_a_roll_back_takes_the_lease_with_it(self, rig: Rig) -> None:
        engine, taken = ready(rig)

        def story(tx: Transaction) -> None:
            assert engine.begin(tx, job())[1] is not None
            raise ValueError("undo")

        with pytest.raises(ValueError, match="undo"):
            await rig.database.write(story)
        assert taken == []
        assert await begin(rig, engine, *(job() for _ in range(CLASSES["light"]))) == taken

    async def test_a_cancel_reaches_it(self, rig: Rig) -> None:
        engine, taken = ready(rig)
        [lease] = await begin(rig, engine, job())
        assert lease is not None
        assert await cancel(rig, engine, lease.job_id) is JobState.RUNNING
        assert taken[0].canceled.is_set()

    async def test_the_clock_of_its_lane_follows(self, rig: Rig) -> None:
        """An account whose jobs begin at once has spent its turns all the same."""
        engine, taken = ready(rig)
        for _ in range(3):
            await begin(rig, engine, job(class_="heavy"))
            await end(rig, engine, taken[-1])
        engine.on_begun = None
        greedy = await put(rig, engine, job(class_="heavy"))
        newcomer = await put(rig, engine, job(class_="heavy", account_id="bob"))
        [first] = await engine.claim(1)
        assert [first.job_id] == newcomer
        assert greedy != newcomer
