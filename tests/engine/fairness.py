"""In which order the jobs of a class start, on every engine."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from ferrotype.engine.base import Priority

from .rig import Rig, cancel, end, job, put, start_order


class Fairness:
    async def test_one_account_alone_is_first_come_first_served(self, rig: Rig) -> None:
        engine = rig.engine()
        ids = await put(rig, engine, *(job() for _ in range(10)))
        assert [lease.job_id for lease in await start_order(rig, engine, 10)] == ids

    async def test_priority_goes_first(self, rig: Rig) -> None:
        engine = rig.engine()
        for priority in (Priority.SCHEDULED, Priority.BATCH, Priority.INTERACTIVE):
            await put(rig, engine, *(job(kind=priority.name, priority=priority) for _ in range(2)))
        kinds = [lease.kind for lease in await start_order(rig, engine, 6)]
        assert kinds == ["INTERACTIVE"] * 2 + ["BATCH"] * 2 + ["SCHEDULED"] * 2

    async def test_a_batch_of_500_does_not_hold_up_a_single_picture(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, *(job(account_id="ada") for _ in range(500)))
        await start_order(rig, engine, 20)
        [single] = await put(rig, engine, job(account_id="bob"))
        assert single in [lease.job_id for lease in await start_order(rig, engine, 2)]

    async def test_two_batches_take_turns(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, *(job(account_id="ada") for _ in range(30)))
        await put(rig, engine, *(job(account_id="bob") for _ in range(30)))
        order = [lease.account_id for lease in await start_order(rig, engine, 40)]
        for upto in range(1, 41):
            share = Counter(order[:upto])
            assert abs(share["ada"] - share["bob"]) <= 1

    async def test_twice_the_weight_is_twice_the_share(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, *(job(account_id="ada", weight=2.0) for _ in range(60)))
        await put(rig, engine, *(job(account_id="bob", weight=1.0) for _ in range(60)))
        order = [lease.account_id for lease in await start_order(rig, engine, 60)]
        for upto in range(3, 61, 3):
            assert abs(Counter(order[:upto])["ada"] - 2 * upto / 3) <= 1

    async def test_nobody_starves_among_those_who_never_stop(self, rig: Rig) -> None:
        engine = rig.engine()
        greedy = [f"greedy-{number}" for number in range(5)]
        await put(rig, engine, *(job(account_id=name) for name in greedy for _ in range(3)))
        await start_order(rig, engine, 7)
        await put(rig, engine, *(job(account_id="ada") for _ in range(3)))
        order: list[str] = []
        for _ in range(24):
            [lease] = await start_order(rig, engine, 1)
            order.append(lease.account_id)
            if lease.account_id != "ada":
                await put(rig, engine, job(account_id=lease.account_id))
        turns = [number for number, name in enumerate(order) if name == "ada"]
        assert len(turns) == 3
        assert turns[0] <= len(greedy)
        assert all(later - sooner <= 2 * len(greedy) + 1 for sooner, later in pairwise(turns))

    async def test_idle_time_is_not_saved_up(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, job(account_id="bob"))
        await start_order(rig, engine, 1)
        await put(rig, engine, *(job(account_id="ada") for _ in range(50)))
        await start_order(rig, engine, 40)
        await put(rig, engine, *(job(account_id="bob") for _ in range(10)))
        order = Counter(lease.account_id for lease in await start_order(rig, engine, 10))
        assert abs(order["ada"] - order["bob"]) <= 2  # equal tags go in any order

    async def test_an_account_s_batch_does_not_push_back_its_own_single_picture(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, *(job(account_id="ada", priority=Priority.BATCH) for _ in range(100)))
        await put(rig, engine, *(job(account_id="bob") for _ in range(50)))
        [single] = await put(rig, engine, job(account_id="ada"))
        assert single in [lease.job_id for lease in await start_order(rig, engine, 2)]

    async def test_an_order_rolled_back_costs_no_turn(self, rig: Rig) -> None:
        engine = rig.engine()

        def refused(tx: object) -> None:
            for _ in range(50):
                engine.enqueue(tx, job(account_id="ada"))  # type: ignore[arg-type]
            raise LookupError

        with pytest.raises(LookupError):
            await rig.database.write(refused)
        await put(rig, engine, job(account_id="ada"))
        await put(rig, engine, *(job(account_id="bob") for _ in range(5)))
        assert "ada" in [lease.account_id for lease in await start_order(rig, engine, 2)]

    async def test_classes_have_clocks_of_their_own(self, rig: Rig) -> None:
        engine = rig.engine()
        await put(rig, engine, *(job(account_id="ada", class_="heavy") for _ in range(50)))
        await put(rig, engine, *(job(account_id="bob") for _ in range(5)), job(account_id="ada"))
        light: list[str] = []
        while len(light) < 2:
            leases = await engine.claim(2)
            light += [lease.account_id for lease in leases if lease.class_ == "light"]
            for lease in leases:
                await end(rig, engine, lease)
        assert "ada" in light

    async def test_canceled_jobs_are_passed_over(self, rig: Rig) -> None:
        engine = rig.engine()
        ids = await put(rig, engine, *(job() for _ in range(6)))
        for job_id in ids[::2]:
            await cancel(rig, engine, job_id)
        assert [lease.job_id for lease in await start_order(rig, engine, 3)] == ids[1::2]
