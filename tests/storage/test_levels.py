from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ferrotype.domain.clock import ManualClock
from ferrotype.domain.ids import new_id
from ferrotype.storage.base import FORGOTTEN_SECONDS, NotForgotten, Picture
from ferrotype.storage.below import MAX_WAITING, WRITERS
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache, cache_key
from ferrotype.storage.variants import DiskVariants

KIND = "image/webp"


class Place:
    """A scripted level. `gate` holds back what is asked of it while it is shut; `failing` makes it raise."""

    name = "place"

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Picture] = {}
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failing = False
        self.writing = 0
        self.most_writing = 0

    async def get(self, asset_id: str, transform: str) -> Picture | None:
        self.calls.append("get")
        found = self.kept.get((asset_id, transform))
        await self._pass()
        return found

    async def put(self, asset_id: str, transform: str, picture: Picture) -> bool:
        self.calls.append("put")
        self.writing += 1
        self.most_writing = max(self.most_writing, self.writing)
        try:
            await self._pass()
        finally:
            self.writing -= 1
        self.kept[asset_id, transform] = picture
        return True

    async def forget(self, asset_id: str) -> None:
        self.calls.append("forget")
        await self._pass()
        self.kept = {name: each for name, each in self.kept.items() if name[0] != asset_id}

    async def _pass(self) -> None:
        await self.gate.wait()
        if self.failing:
            raise OSError("it is broken")


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.memory = MemoryCache(1_000_000, 50_000)
        self.shared = Place()
        self.variants = Place()
        self.levels = self.node()

    def node(self, **options: int) -> Levels:
        return Levels(self.memory, self.clock, shared=self.shared, variants=self.variants, **options)

    def restart(self) -> None:
        """The memory is empty again."""
        self.memory = MemoryCache(1_000_000, 50_000)
        self.levels = self.node()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for place in (made.shared, made.variants):
        place.gate.set()
    await made.levels.close()


async def told(levels: Levels, asset: str, transform: str = "") -> tuple[bytes, str, str] | None:
    found = await levels.get(asset, transform)
    return None if found is None else (found[0].body, found[0].content_type, found[1])


async def test_nothing_is_nowhere(world: World) -> None:
    assert await world.levels.get("a", "w=1") is None
    assert world.shared.calls == world.variants.calls == ["get"]
    assert await world.levels.get("a") is None
    assert world.shared.calls == ["get", "get"]
    assert world.variants.calls == ["get"]  # originals have stores of their own


async def test_a_variant_goes_everywhere_and_the_nearest_answers(world: World) -> None:
    cached = world.levels.put("a", "w=1", b"variant", KIND)
    assert (cached.asset_id, cached.transform, cached.body) == ("a", "w=1", b"variant")
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "memory")
    await world.levels.settled()
    assert world.shared.kept == world.variants.kept == {("a", "w=1"): Picture(b"variant", KIND)}
    assert world.shared.calls == world.variants.calls == ["put"]


async def test_an_original_is_not_put_into_the_variant_store(world: World) -> None:
    world.levels.put("a", "", b"original", KIND)
    await world.levels.settled()
    assert world.shared.kept == {("a", ""): Picture(b"original", KIND)}
    assert world.variants.calls == []


async def test_what_the_shared_cache_has_fills_the_memory(world: World) -> None:
    world.shared.kept["a", "w=1"] = Picture(b"variant", KIND)
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "shared")
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "memory")
    await world.levels.settled()
    assert world.variants.calls == []


async def test_what_the_variant_store_has_fills_the_shared_cache_and_the_memory(world: World) -> None:
    world.variants.kept["a", "w=1"] = Picture(b"variant", KIND)
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "variants")
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "memory")
    await world.levels.settled()
    assert world.shared.kept == {("a", "w=1"): Picture(b"variant", KIND)}
    assert world.variants.calls == ["get"]
    world.restart()
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "shared")


async def test_a_look_below_the_memory_counts_no_second_miss(world: World) -> None:
    world.shared.kept["a", ""] = Picture(b"original", KIND)
    assert world.memory.get("a") is None
    found = await world.levels.get_below("a")
    assert found is not None
    assert found[0].body == b"original"
    assert world.memory.stats().misses == 1


async def test_a_picture_too_large_for_the_memory_comes_from_below_each_time(world: World) -> None:
    large = b"x" * 60_000
    world.levels.put("a", "w=1", large, KIND)
    await world.levels.settled()
    assert await told(world.levels, "a", "w=1") == (large, KIND, "shared")
    assert await told(world.levels, "a", "w=1") == (large, KIND, "shared")


async def test_without_lower_levels_there_is_the_memory(world: World) -> None:
    levels = Levels(world.memory, world.clock)
    assert await levels.get("a", "w=1") is None
    levels.put("a", "w=1", b"variant", KIND)
    assert await told(levels, "a", "w=1") == (b"variant", KIND, "memory")
    await levels.forget("a")
    assert await levels.get("a", "w=1") is None
    assert levels.stats() == {}
    await levels.close()


# Behind the answer


async def test_writes_do_not_hold_up_whoever_keeps_something(world: World) -> None:
    world.shared.gate.clear()
    world.variants.gate.clear()
    world.levels.put("a", "w=1", b"variant", KIND)
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "memory")
    assert world.levels.stats()["shared_waiting"] == 1
    world.shared.gate.set()
    world.variants.gate.set()
    await world.levels.settled()
    assert world.levels.stats()["shared_waiting"] == 0


async def test_a_slow_level_does_not_hold_up_another(world: World) -> None:
    world.shared.gate.clear()
    for number in range(3 * WRITERS):
        world.levels.put(str(number), "w=1", b"variant", KIND)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(world.variants.kept) == 3 * WRITERS
    assert world.shared.kept == {}
    assert world.shared.most_writing == WRITERS


async def test_what_waits_is_bounded_in_bytes(world: World) -> None:
    levels = world.node(queue_bytes=10_000)
    world.shared.gate.clear()
    for number in range(15):
        levels.put(str(number), "w=1", b"x" * 1_000, KIND)
    assert levels.stats()["shared_dropped"] == 5
    assert levels.stats()["variants_dropped"] == 5
    world.shared.gate.set()
    await levels.settled()
    assert len(world.shared.kept) == 10
    levels.put("again", "w=1", b"x" * 10_000, KIND)
    await levels.settled()
    assert ("again", "w=1") in world.shared.kept


async def test_what_waits_is_bounded_in_number(world: World) -> None:
    world.shared.gate.clear()
    for number in range(MAX_WAITING + 3):
        world.levels.put(str(number), "", b"", KIND)
    assert world.levels.stats()["shared_dropped"] == 3


async def test_closing_waits_a_moment_and_drops_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.storage.levels.CLOSE_SECONDS", 0.01)
    world.shared.gate.clear()
    for number in range(2 * WRITERS):
        world.levels.put(str(number), "w=1", b"variant", KIND)
    await world.levels.close()
    assert world.levels.stats()["shared_waiting"] == 0
    assert world.shared.kept == {}
    assert len(world.variants.kept) == 2 * WRITERS


# Faults


async def test_a_level_that_fails_is_a_miss_and_the_next_one_answers(world: World) -> None:
    world.variants.kept["a", "w=1"] = Picture(b"variant", KIND)
    world.shared.failing = True
    assert await told(world.levels, "a", "w=1") == (b"variant", KIND, "variants")
    await world.levels.settled()
    assert world.levels.stats()["shared_errors"] == 2  # the look-up, and the filling
    world.levels.put("b", "w=1", b"other", KIND)
    await world.levels.settled()
    assert world.variants.kept["b", "w=1"].body == b"other"


async def test_levels_that_all_fail_are_a_miss(world: World) -> None:
    world.shared.failing = world.variants.failing = True
    assert await world.levels.get("a", "w=1") is None


# Forgetting


async def test_a_forgotten_asset_is_gone_from_every_level(world: World) -> None:
    for asset in ("a", "b"):
        for transform in ("", "w=1", "w=2"):
            world.levels.put(asset, transform, transform.encode(), KIND)
    await world.levels.settled()
    await world.levels.forget("a")
    for transform in ("", "w=1", "w=2"):
        assert await world.levels.get("a", transform) is None
        assert await world.levels.get("b", transform)
    assert {asset for asset, _ in [*world.shared.kept, *world.variants.kept]} == {"b"}


async def test_a_look_up_under_way_brings_nothing_back(world: World) -> None:
    world.shared.kept["a", "w=1"] = Picture(b"variant", KIND)
    world.shared.gate.clear()
    looking = asyncio.create_task(world.levels.get("a", "w=1"))
    await asyncio.sleep(0)
    forgetting = asyncio.create_task(world.levels.forget("a"))
    await asyncio.sleep(0)
    world.shared.gate.set()
    assert await looking is None
    await forgetting
    assert world.memory.get(cache_key("a", "w=1")) is None


async def test_a_look_up_in_the_last_level_brings_nothing_back(world: World) -> None:
    world.variants.kept["a", "w=1"] = Picture(b"variant", KIND)
    world.variants.gate.clear()
    looking = asyncio.create_task(world.levels.get("a", "w=1"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.variants.calls == ["get"]
    forgetting = asyncio.create_task(world.levels.forget("a"))
    await asyncio.sleep(0)
    world.variants.gate.set()
    assert await looking is None
    await forgetting
    await world.levels.settled()
    assert world.shared.kept == {}
    assert world.memory.stats().entries == 0


async def test_writes_under_way_and_waiting_bring_nothing_back(world: World) -> None:
    world.shared.gate.clear()
    world.variants.gate.clear()
    for number in range(2 * WRITERS):
        world.levels.put("a", f"w={number}", b"variant", KIND)
    await asyncio.sleep(0)
    assert world.shared.writing == WRITERS
    forgetting = asyncio.create_task(world.levels.forget("a"))
    await asyncio.sleep(0)
    assert "forget" not in world.shared.calls  # not before the writes have ended
    world.shared.gate.set()
    world.variants.gate.set()
    await forgetting
    await world.levels.settled()
    assert world.shared.kept == world.variants.kept == {}
    assert world.shared.calls.count("put") == WRITERS


async def test_what_is_made_of_a_forgotten_asset_is_handed_back_and_not_kept(world: World) -> None:
    await world.levels.forget("a")
    assert world.levels.put("a", "w=1", b"variant", KIND).body == b"variant"
    await world.levels.settled()
    assert await world.levels.get("a", "w=1") is None
    assert world.shared.kept == world.variants.kept == {}
    world.clock.advance(FORGOTTEN_SECONDS)
    world.levels.put("a", "w=1", b"variant", KIND)
    assert await world.levels.get("a", "w=1")


async def test_nobody_is_asked_for_a_forgotten_asset(world: World) -> None:
    await world.levels.forget("a")
    world.shared.calls.clear()
    world.variants.calls.clear()
    assert await world.levels.get("a", "w=1") is None
    assert world.shared.calls == world.variants.calls == []


async def test_marks_of_forgotten_assets_do_not_pile_up(world: World) -> None:
    for number in range(50):
        await world.levels.forget(f"early-{number}")
    world.clock.advance(FORGOTTEN_SECONDS - 1)
    await world.levels.forget("early-7")  # its time begins anew
    world.clock.advance(1)
    await world.levels.forget("late")
    assert set(world.levels._forgotten) == {"early-7", "late"}
    assert world.levels.is_forgotten("early-7")
    assert not world.levels.is_forgotten("early-8")


async def test_a_level_that_cannot_forget_is_told_of_and_the_others_forget(world: World) -> None:
    world.levels.put("a", "w=1", b"variant", KIND)
    await world.levels.settled()
    world.shared.failing = True
    with pytest.raises(NotForgotten, match="broken"):
        await world.levels.forget("a")
    assert world.variants.kept == {}
    assert await world.levels.get("a", "w=1") is None  # it is there, and dead to this node
    world.shared.failing = False
    await world.levels.forget("a")
    assert world.shared.kept == {}


async def test_on_a_real_disk(tmp_path: Path) -> None:
    clock = ManualClock()
    store = DiskVariants(tmp_path, 1_000_000, clock)
    await store.recover()
    asset = new_id()
    first = Levels(MemoryCache(1_000_000, 50_000), clock, variants=store)
    first.put(asset, "w=1", b"variant", KIND)
    await first.close()
    second = Levels(MemoryCache(1_000_000, 50_000), clock, variants=store)
    assert await told(second, asset, "w=1") == (b"variant", KIND, "variants")
    assert await told(second, asset, "w=1") == (b"variant", KIND, "memory")
    await second.forget(asset)
    third = Levels(MemoryCache(1_000_000, 50_000), clock, variants=store)
    assert await third.get(asset, "w=1") is None
    store.close()


# Against a model


class Caching(RuleBasedStateMachine):
    """Steps of many callers, some of them under way at once: a look-up gives what was put under that name or
    nothing; nothing at all of an asset that was forgotten; and after a moment every level holds only such."""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.runner.run(self.opened())
        self.dead: set[str] = set()
        self.looking: list[tuple[str, str, asyncio.Task[tuple[object, str] | None]]] = []
        self.forgetting: list[asyncio.Task[None]] = []

    async def opened(self) -> None:
        self.world = World()

    def name(self, asset: int, width: int) -> tuple[str, str]:
        return f"asset-{asset}", f"w={width}" if width else ""

    @rule(asset=st.integers(0, 3), width=st.integers(0, 2), size=st.sampled_from([10, 60_000]))
    def put(self, asset: int, width: int, size: int) -> None:
        name = self.name(asset, width)

        async def step() -> None:
            self.world.levels.put(*name, f"{name}".encode().ljust(100), KIND)

        self.runner.run(step())

    @rule(asset=st.integers(0, 3), width=st.integers(0, 2))
    def get(self, asset: int, width: int) -> None:
        name = self.name(asset, width)

        async def step() -> None:
            self.looking.append((*name, asyncio.create_task(self.world.levels.get(*name))))  # type: ignore[arg-type]

        self.runner.run(step())

    @rule(asset=st.integers(0, 3))
    def forget(self, asset: int) -> None:
        self.dead.add(f"asset-{asset}")

        async def step() -> None:
            self.forgetting.append(asyncio.create_task(self.world.levels.forget(f"asset-{asset}")))

        self.runner.run(step())

    @rule(shared=st.booleans(), variants=st.booleans())
    def gates(self, shared: bool, variants: bool) -> None:
        for place, opened in ((self.world.shared, shared), (self.world.variants, variants)):
            if opened:
                place.gate.set()
            else:
                place.gate.clear()

    @rule(steps=st.integers(1, 5))
    def wait(self, steps: int) -> None:
        async def step() -> None:
            for _ in range(steps):
                await asyncio.sleep(0)

        self.runner.run(step())

    @rule()
    def lose_memory(self) -> None:
        """The memory is lost."""
        for asset in range(4):
            self.world.memory.forget(f"asset-{asset}")

    @rule()
    def check(self) -> None:
        self.gates(True, True)

        async def step() -> None:
            await asyncio.gather(*self.forgetting)
            await self.world.levels.settled()
            for asset, transform, task in self.looking:
                found = await task
                assert found is None or found[0].body == f"{(asset, transform)}".encode().ljust(100)  # type: ignore[attr-defined]
            self.looking.clear()
            self.forgetting.clear()
            kept = {*self.world.shared.kept, *self.world.variants.kept}
            assert not {asset for asset, _ in kept} & self.dead
            for asset in self.dead:
                for width in range(3):
                    assert await self.world.levels.get(*self.name(int(asset[-1]), width)) is None

        self.runner.run(step())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.check()
            self.runner.close()


TestCaching = Caching.TestCase
TestCaching.settings = settings(max_examples=100, deadline=None)
