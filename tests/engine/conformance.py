"""What every engine does, tested through the port. A new implementation subclasses `Conformance` and gives
it the fixtures `rig` and `fresh`; `machine.job_machine` is the other half."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import accounts
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Priority

from .beginning import Beginning
from .fairness import Fairness
from .leasing import Leasing
from .rig import LEASE_SECONDS, Rig, again, cancel, collecting, end, job, put, row, state
from .waking import Waking


class Claiming:
    async def test_a_claim_gives_the_job_as_it_was_enqueued(self, rig: Rig) -> None:
        engine = rig.engine()
        new = job(kind="generate", generation_id="g-1", payload={"prompt": "a fox", "seeds": [1, 2]})
        [job_id] = await put(rig, engine, new)
        [lease] = await engine.claim(5)
        assert (lease.job_id, lease.kind, lease.class_, lease.account_id) == (
            job_id,
            "generate",
            "light",
            "ada",
        )
        assert (lease.generation_id, lease.payload) == ("g-1", {"prompt": "a fox", "seeds": [1, 2]})
        assert (lease.fence, lease.starts) == (1, 1)
        assert lease.expires_at == rig.clock.now() + timedelta(seconds=LEASE_SECONDS)
        assert not lease.canceled.is_set()
        assert await engine.claim(5) == []
        stored = await row(rig, job_id)
        assert (stored.state, stored.started_at) == ("running", rig.clock.now())

    async def test_a_job_runs_once_and_ends(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        rig.clock.advance(3)
        await end(rig, engine, lease)
        assert lease.ended.is_set()
        stored = await row(rig, job_id)
        assert (stored.state, stored.completed_at, stored.lease_owner) == ("succeeded", rig.clock.now(), None)
        assert await engine.claim(5) == []

    async def test_the_error_of_a_failed_job_is_kept(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        await rig.database.write(lambda tx: engine.finish(tx, lease, JobState.FAILED, {"code": "broken"}))
        stored = await row(rig, job_id)
        assert (stored.state, stored.error) == ("failed", {"code": "broken"})

    async def test_an_enqueue_goes_with_its_transaction(self, rig: Rig) -> None:
        engine = rig.engine()

        def story(tx: Transaction) -> None:
            engine.enqueue(tx, job())
            tx.execute(insert(accounts).values(id="a", name="ada", created_at=rig.clock.now()))
            raise LookupError("the order is refused")

        with pytest.raises(LookupError):
            await rig.database.write(story)
        assert await engine.claim(5) == []
        assert (await engine.depths())["light"] == (0, 0)
        assert await rig.database.read(lambda tx: tx.execute(select(accounts)).all()) == []

    async def test_seats_bound_each_class_by_itself(self, rig: Rig) -> None:
        engine = rig.engine({"light": 2, "heavy": 1})
        await put(rig, engine, *(job(class_=class_) for class_ in ("light", "heavy") for _ in range(4)))
        first = await engine.claim(10)
        assert sorted(lease.class_ for lease in first) == ["heavy", "light", "light"]
        assert await engine.claim(10) == []
        [heavy] = [lease for lease in first if lease.class_ == "heavy"]
        await end(rig, engine, heavy)
        assert [lease.class_ for lease in await engine.claim(10)] == ["heavy"]

    async def test_a_class_that_nobody_configured_runs_one_at_a_time(self, rig: Rig) -> None:
        engine = rig.engine({})
        await put(rig, engine, job(class_="new"), job(class_="new"))
        [lease] = await engine.claim(10)
        assert await engine.claim(10) == []
        await end(rig, engine, lease)
        assert len(await engine.claim(10)) == 1

    @given(
        seats=st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1),
        waiting=st.lists(st.sampled_from("abc"), max_size=20),
        limits=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    )
    @settings(max_examples=25, deadline=None)
    async def test_seats_are_exact_with_many_claimers(
        self, fresh: object, seats: dict[str, int], waiting: list[str], limits: list[int]
    ) -> None:
        async with fresh() as rig:  # type: ignore[operator]
            engines = [rig.engine(seats, owner=name) for name in ("one", "two")]
            await put(rig, engines[0], *(job(class_=class_) for class_ in waiting))
            claims = (engines[number % 2].claim(limit) for number, limit in enumerate(limits * 3))
            leases = [lease for found in await asyncio.gather(*claims) for lease in found]
            assert len({lease.job_id for lease in leases}) == len(leases)
            free = {class_: min(waiting.count(class_), seats.get(class_, 1)) for class_ in set(waiting)}
            for class_, fill in free.items():
                running = sum(lease.class_ == class_ for lease in leases)
                assert running <= fill
                assert (await engines[0].depths())[class_] == (waiting.count(class_) - running, running)
            assert len(leases) == min(sum(free.values()), sum(limits) * 3)

    async def test_seats_hold_while_jobs_come_and_go(self, rig: Rig) -> None:
        engines = [rig.engine({"light": 3}, owner=name) for name in ("one", "two", "three")]
        await put(rig, engines[0], *(job() for _ in range(90)))
        done: list[str] = []
        running = peak = 0

        async def work(engine: Engine) -> None:
            nonlocal running, peak
            while len(done) < 90:
                leases = await engine.claim(2)
                running += len(leases)
                peak = max(peak, running)
                for lease in leases:
                    running -= 1  # before the commit: another may have the seat before we hear of it
                    await end(rig, engine, lease)
                    done.append(lease.job_id)

        await asyncio.gather(*(work(engine) for engine in engines for _ in range(3)))
        assert len(set(done)) == 90
        assert peak <= 3

    async def test_small_claims_leave_no_class_out(self, rig: Rig) -> None:
        engine = rig.engine({"a": 5, "b": 5, "c": 5})
        await put(rig, engine, *(job(class_=class_) for class_ in "abc" for _ in range(4)))
        classes = [(await engine.claim(1))[0].class_ for _ in range(6)]
        assert sorted(classes) == ["a", "a", "b", "b", "c", "c"]

    async def test_a_claim_takes_the_kinds_asked_for(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, job(kind="other"), job(kind="mine"))
        assert [lease.kind for lease in await engine.claim(5, ["mine"])] == ["mine"]
        assert await engine.claim(5, []) == []
        assert [lease.kind for lease in await engine.claim(5)] == ["other"]

    async def test_a_job_that_could_never_run_is_refused(self, rig: Rig) -> None:
        engine = rig.engine()
        for wrong in (job(weight=0.0), job(max_starts=0), job(class_="")):
            with pytest.raises(ValueError, match="no such job"):
                await put(rig, engine, wrong)

    async def test_a_canceled_claim_leases_nothing(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        claiming = asyncio.create_task(engine.claim(1))
        await asyncio.sleep(0)
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        stored = await row(rig, job_id)
        assert (stored.state, stored.starts) == ("queued", 0)


class Delaying:
    async def test_a_delayed_job_waits_for_its_time(self, rig: Rig) -> None:
        engine = rig.engine()
        due = rig.clock.now() + timedelta(seconds=60)
        late, now = await put(rig, engine, job(not_before=due), job(priority=Priority.SCHEDULED))
        assert [lease.job_id for lease in await engine.claim(5)] == [now]
        rig.clock.advance(59.9)
        assert await engine.claim(5) == []
        rig.clock.advance(0.1)
        assert [lease.job_id for lease in await engine.claim(5)] == [late]

    async def test_a_job_that_comes_due_has_its_own_priority(self, rig: Rig) -> None:
        engine = rig.engine({"light": 1})
        due = rig.clock.now() + timedelta(seconds=60)
        urgent = job(not_before=due, kind="urgent")
        await put(rig, engine, job(priority=Priority.BATCH, kind="batch"), urgent)
        rig.clock.advance(60)
        assert [lease.kind for lease in await engine.claim(5)] == ["urgent"]

    async def test_a_retry_waits_and_counts(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, job())
        [lease] = await engine.claim(1)
        assert await again(rig, engine, lease, 10) is JobState.QUEUED
        assert lease.ended.is_set()
        assert await engine.claim(1) == []
        rig.clock.advance(10)
        [second] = await engine.claim(1)
        assert (second.job_id, second.starts, second.fence) == (lease.job_id, 2, 2)

    async def test_a_retry_keeps_its_turn(self, rig: Rig) -> None:
        engine = rig.engine({"light": 1})
        first, _ = await put(rig, engine, job(), job())
        [lease] = await engine.claim(1)
        await again(rig, engine, lease)
        assert [lease.job_id for lease in await engine.claim(1)] == [first]

    async def test_a_job_started_too_often_fails(self, rig: Rig) -> None:
        with collecting() as (heard, on_failed):
            engine = rig.engine(on_failed=on_failed)
            [job_id] = await put(rig, engine, job(max_starts=2, generation_id="g-1", payload={"n": 1}))
            [lease] = await engine.claim(1)
            assert await again(rig, engine, lease) is JobState.QUEUED
            [lease] = await engine.claim(1)
            assert heard == []
            error = {"code": "provider_unavailable"}
            result = await rig.database.write(lambda tx: engine.retry(tx, lease, error=error))
            assert result is JobState.FAILED
            assert heard == [(job_id, "work", "g-1", {"n": 1}, error)]
        stored = await row(rig, job_id)
        assert (stored.state, stored.error) == ("failed", error)
        assert await engine.claim(1) == []

    async def test_a_job_handed_back_was_never_started(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job(max_starts=1))
        for fence in (1, 2, 3):
            [lease] = await engine.claim(1)
            assert (lease.starts, lease.fence) == (1, fence)
            assert await again(rig, engine, lease, counted=False) is JobState.QUEUED
        assert (await row(rig, job_id)).starts == 0

    async def test_a_failure_and_what_is_written_about_it_are_one(self, rig: Rig) -> None:
        def refuse(tx: Transaction, *_: object) -> None:
            raise LookupError("the generation cannot be failed")

        engine = rig.engine(on_failed=refuse)
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        with pytest.raises(LookupError):
            await rig.database.write(lambda tx: engine.fail(tx, lease, {"code": "x"}))
        assert await state(rig, job_id) is JobState.RUNNING
        assert not lease.ended.is_set()
        await end(rig, engine, lease)

    async def test_a_handler_that_fails_its_job_is_not_told_about_it(self, rig: Rig) -> None:
        with collecting() as (heard, on_failed):
            engine = rig.engine(on_failed=on_failed)
            await put(rig, engine, job())
            [lease] = await engine.claim(1)
            await end(rig, engine, lease, JobState.FAILED)
            assert heard == []


class Canceling:
    async def test_a_job_that_never_ran_is_canceled_at_once(self, rig: Rig) -> None:
        engine = rig.engine()
        due = rig.clock.now() + timedelta(seconds=60)
        for new in (job(), job(not_before=due)):
            [job_id] = await put(rig, engine, new)
            assert await cancel(rig, engine, job_id) is JobState.CANCELED
            assert await state(rig, job_id) is JobState.CANCELED
        rig.clock.advance(60)
        assert await engine.claim(5) == []

    async def test_a_running_job_keeps_its_seat_until_it_has_ended(self, rig: Rig) -> None:
        engine = rig.engine({"light": 1})
        job_id, waiting = await put(rig, engine, job(), job())
        [lease] = await engine.claim(5)
        assert await cancel(rig, engine, job_id) is JobState.RUNNING
        assert lease.canceled.is_set()
        assert await engine.claim(5) == []
        await end(rig, engine, lease, JobState.CANCELED)
        assert await state(rig, job_id) is JobState.CANCELED
        assert [lease.job_id for lease in await engine.claim(5)] == [waiting]

    async def test_a_cancellation_rolled_back_is_not_told(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)

        def story(tx: Transaction) -> None:
            engine.cancel(tx, job_id)
            raise LookupError

        with pytest.raises(LookupError):
            await rig.database.write(story)
        assert not lease.canceled.is_set()

    async def test_another_process_hears_of_it_when_it_renews(self, rig: Rig) -> None:
        here, there = rig.engine(owner="here"), rig.engine(owner="there")
        [job_id] = await put(rig, here, job())
        [lease] = await there.claim(1)
        await cancel(rig, here, job_id)
        await there.renew()
        assert lease.canceled.is_set()

    async def test_a_job_that_ran_before_is_canceled_by_its_next_lease(self, rig: Rig) -> None:
        """A call to a provider may be in flight for it: only a handler can end that."""
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        await again(rig, engine, lease, 3600)
        assert await cancel(rig, engine, job_id) is JobState.QUEUED
        [second] = await engine.claim(1)  # at once: nobody waits an hour for a cancellation
        assert second.canceled.is_set()
        await again(rig, engine, second, 3600)
        [third] = await engine.claim(1)
        await end(rig, engine, third, JobState.CANCELED)

    async def test_an_ended_job_stays_as_it_is(self, rig: Rig) -> None:
        engine = rig.engine()
        [job_id] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        await end(rig, engine, lease)
        assert await cancel(rig, engine, job_id) is JobState.SUCCEEDED
        assert not (await row(rig, job_id)).cancel_requested

    async def test_an_unknown_job_is_an_error(self, rig: Rig) -> None:
        engine = rig.engine()
        with pytest.raises(LookupError):
            await cancel(rig, engine, "nothing")


class Looking:
    async def test_depths_name_every_class(self, rig: Rig) -> None:
        engine = rig.engine({"light": 2, "heavy": 1})
        await put(rig, engine, *(job() for _ in range(5)), job(class_="odd"))
        await engine.claim(2)
        depths = await engine.depths()
        assert depths["heavy"] == (0, 0)
        assert sum(depths["light"]) == 5
        assert sum(running for _, running in depths.values()) == 2
        assert sum(queued for queued, _ in depths.values()) == 4

    async def test_a_position_counts_those_that_start_before(self, rig: Rig) -> None:
        engine = rig.engine({"light": 1})
        ids = await put(rig, engine, *(job() for _ in range(3)), job(class_="heavy"))
        batch, other = await put(
            rig, engine, job(priority=Priority.BATCH), job(account_id="bob", payload={"second": True})
        )

        async def positions(*ids: str) -> list[int | None]:
            return await rig.database.read(lambda tx: [engine.position(tx, job_id) for job_id in ids])

        assert sorted(await positions(ids[0], other)) == [1, 2]  # type: ignore[type-var]
        assert await positions(ids[1], ids[2], batch, ids[3]) == [3, 4, 5, 1]
        light, heavy = sorted(await engine.claim(5), key=lambda lease: lease.class_, reverse=True)
        assert await positions(light.job_id, heavy.job_id, "nothing") == [None, None, None]
        assert await positions(ids[2], batch) == [3, 4]

    async def test_a_position_is_counted_no_further_than_a_thousand(self, rig: Rig) -> None:
        engine = rig.engine()
        ids = await put(rig, engine, *(job() for _ in range(1_005)))
        found = await rig.database.read(
            lambda tx: [engine.position(tx, ids[n]) for n in (0, 998, 999, 1_004)]
        )
        assert found == [1, 999, 1_000, 1_000]

    async def test_a_new_job_finds_those_with_a_seat_and_those_queued_before_it(self, rig: Rig) -> None:
        engine = rig.engine({"light": 1, "heavy": 1})

        async def ahead(class_: str, priority: Priority) -> int:
            return await rig.database.read(lambda tx: engine.ahead(tx, class_, priority))

        assert await ahead("light", Priority.BATCH) == 0
        await put(rig, engine, *(job() for _ in range(3)), job(priority=Priority.BATCH), job(class_="heavy"))
        await put(rig, engine, job(not_before=rig.clock.now() + timedelta(days=1)))  # not in anybody's way
        [light, heavy] = sorted(await engine.claim(5), key=lambda lease: lease.class_, reverse=True)
        assert await ahead("light", Priority.INTERACTIVE) == 3
        assert await ahead("light", Priority.BATCH) == 4
        assert await ahead("heavy", Priority.INTERACTIVE) == 1
        await end(rig, engine, heavy)
        await end(rig, engine, light)
        assert await ahead("heavy", Priority.BATCH) == await ahead("odd", Priority.BATCH) == 0
        assert await ahead("light", Priority.INTERACTIVE) == 2


class Purging:
    async def test_ended_jobs_go_and_all_others_stay(self, rig: Rig) -> None:
        engine = rig.engine()
        old, running = await put(rig, engine, job(), job(kind="long"))
        leases = {lease.job_id: lease for lease in await engine.claim(2)}
        await end(rig, engine, leases[old])
        [waiting] = await put(rig, engine, job(not_before=rig.clock.now() + timedelta(days=30)))
        rig.clock.advance(86_400)
        [young] = await put(rig, engine, job())
        [lease] = await engine.claim(1)
        await end(rig, engine, lease)
        assert await engine.purge(timedelta(days=2)) == 0
        assert await engine.purge(timedelta(hours=12)) == 1
        assert [await state(rig, job_id) for job_id in (running, waiting, young)] == [
            JobState.RUNNING,
            JobState.QUEUED,
            JobState.SUCCEEDED,
        ]
        await end(rig, engine, leases[running])
        rig.clock.advance(86_400)
        assert await engine.purge(timedelta(hours=12)) == 2

    async def test_a_call_is_bounded_and_the_next_goes_on(self, rig: Rig) -> None:
        engine = rig.engine()
        ids = await put(rig, engine, *(job() for _ in range(4_500)))
        await rig.database.write(lambda tx: [engine.cancel(tx, job_id) for job_id in ids])
        rig.clock.advance(60)
        gone = [await engine.purge(timedelta(seconds=1)) for _ in range(3)]
        assert sum(gone) == 4_500
        assert max(gone) < 4_500


class Conformance(Claiming, Beginning, Delaying, Canceling, Leasing, Waking, Looking, Purging, Fairness):
    """All of it."""
