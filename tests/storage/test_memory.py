from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from ferrotype.storage.memory import ENTRY_BYTES, LARGE_BYTES, MAX_HITS, MAX_SPARED, MemoryCache, cache_key


def filled(cache: MemoryCache, *names: str, size: int = 1_000) -> None:
    for name in names:
        cache.put(name, name.encode().ljust(size), "image/png")


def room_for(entries: int, size: int = 1_000) -> MemoryCache:
    """A cache for so many entries of that size."""
    return MemoryCache(entries * (size + ENTRY_BYTES), size)


def test_a_picture_comes_back_with_its_type() -> None:
    cache = MemoryCache(1_000_000, 50_000)
    cache.put("a", b"bytes", "image/webp")
    found = cache.get("a")
    assert found is not None
    assert (found.asset_id, found.transform, found.body) == ("a", "", b"bytes")
    assert found.content_type == "image/webp"
    assert cache.get("b") is None
    stats = cache.stats()
    assert (stats.entries, stats.hits, stats.misses) == (1, 1, 1)
    assert stats.bytes == 5 + ENTRY_BYTES


def test_a_variant_is_another_picture_and_knows_what_it_is_made_of() -> None:
    cache = MemoryCache(1_000_000, 50_000)
    cache.put(cache_key("a"), b"original", "image/png")
    cache.put(cache_key("a", "w=100&bg=aa?b"), b"variant", "image/webp")
    found = cache.get("a?w=100&bg=aa?b")
    assert found is not None
    assert (found.asset_id, found.transform, found.body) == ("a", "w=100&bg=aa?b", b"variant")
    original = cache.get("a")
    assert original is not None
    assert original.body == b"original"


def test_a_picture_never_changes() -> None:
    cache = MemoryCache(1_000_000, 50_000)
    first = cache.put("a", b"bytes", "image/webp")
    assert cache.put("a", b"other", "image/webp") is first
    cache.get("a")
    assert cache.put("a", b"other", "image/webp") is first


def test_a_large_picture_is_handed_back_and_not_kept() -> None:
    cache = MemoryCache(1_000_000, 100)
    assert cache.put("a", b"x" * 101, "image/png").body == b"x" * 101
    assert cache.get("a") is None
    cache.put("b", b"x" * 100, "image/png")
    assert cache.get("b") is not None


def test_no_memory_keeps_nothing() -> None:
    cache = MemoryCache(0, 100)
    cache.put("a", b"", "image/png")
    assert cache.get("a") is None
    assert cache.stats().bytes == 0


def test_a_removed_picture_is_gone_from_both_queues() -> None:
    cache = room_for(20)
    filled(cache, "old")
    cache.get("old")
    filled(cache, *(f"filling-{i}" for i in range(20)))  # moves `old` into the main queue
    filled(cache, "new")
    assert cache.get("old")
    before = cache.stats()
    cache.remove("old")
    cache.remove("new")
    cache.remove("never")
    assert cache.get("old") is None
    assert cache.get("new") is None
    assert cache.stats().entries == before.entries - 2
    assert cache.stats().bytes == before.bytes - 2 * (1_000 + ENTRY_BYTES)


def test_a_forgotten_asset_takes_all_its_variants_along_and_no_other() -> None:
    cache = MemoryCache(1_000_000, 50_000)
    for asset in ("a", "ab"):
        filled(cache, asset, *(cache_key(asset, f"w={width}") for width in (100, 200, 300)))
    cache.get("a?w=200")
    cache.forget("a")
    cache.forget("never")
    assert [cache.get(key) for key in ("a", "a?w=100", "a?w=200", "a?w=300")] == [None] * 4
    assert all(cache.get(key) for key in ("ab", "ab?w=100", "ab?w=200", "ab?w=300"))
    filled(cache, "a?w=100")
    assert cache.get("a?w=100")


def test_a_scan_does_not_drive_out_what_is_asked_for_again() -> None:
    cache = MemoryCache(500_000, 10_000)
    wanted = [f"wanted-{i}" for i in range(10)]
    filled(cache, *wanted)
    for name in wanted:
        assert cache.get(name)
    filled(cache, *(f"scanned-{i}" for i in range(1_000)))
    assert all(cache.get(name) for name in wanted)
    assert cache.stats().bytes <= 500_000


def test_a_newcomer_stays_for_a_while_however_popular_the_others_are() -> None:
    cache = room_for(50)
    wanted = [f"wanted-{i}" for i in range(50)]
    filled(cache, *wanted)
    for name in wanted * MAX_HITS:
        cache.get(name)
    for i in range(100):
        filled(cache, f"new-{i}")
        assert cache.get(f"new-{i}")


def test_a_picture_that_comes_back_soon_is_not_cast_out_again() -> None:
    cache = room_for(20)
    filled(cache, "wanted", *(f"first-{i}" for i in range(25)))
    assert cache.get("wanted") is None
    filled(cache, "wanted")  # it is remembered
    filled(cache, *(f"second-{i}" for i in range(100)))
    assert cache.get("wanted")


def lifetimes(cache: MemoryCache, *names: str, size: int) -> list[int]:
    """How many newcomers, each asked for again, it takes to drive out each of the names."""
    left: dict[str, int] = {}
    for number in range(1_000):
        filled(cache, f"new-{number}", size=size)
        cache.get(f"new-{number}")
        for name in names:
            if name not in cache._entries:
                left.setdefault(name, number)
        if len(left) == len(names):
            return [left[name] for name in names]
    raise AssertionError("some stay for ever")


def test_hits_buy_rounds_and_large_pictures_pay_more() -> None:
    cache = MemoryCache(30 * (LARGE_BYTES + ENTRY_BYTES), LARGE_BYTES)
    for name, size in (("small", 1_000), ("large", LARGE_BYTES)):
        filled(cache, name, size=size)
        cache.get(name)
    filled(cache, *(f"first-{i}" for i in range(40)), size=LARGE_BYTES)  # both are in the main queue now
    cache.get("small")
    cache.get("large")
    small, large = lifetimes(cache, "small", "large", size=LARGE_BYTES)
    assert large < small  # though it is younger


def test_hits_in_the_small_queue_buy_the_way_into_the_main_queue_and_no_more() -> None:
    cache = room_for(30)
    for name, hits in (("often", MAX_HITS), ("once", 1)):
        filled(cache, name)
        for _ in range(hits):
            cache.get(name)
    filled(cache, *(f"first-{i}" for i in range(40)))
    cache.get("once")
    often, once = lifetimes(cache, "often", "once", size=1_000)
    assert often < once


def test_the_names_that_are_remembered_are_no_more_than_the_pictures() -> None:
    cache = room_for(20)
    filled(cache, *(f"scanned-{i}" for i in range(1_000)))
    assert 0 < len(cache._cast_out) <= cache.stats().entries == 20


def test_one_eviction_spares_a_bounded_number() -> None:
    entries = 5 * MAX_SPARED
    cache = room_for(entries)
    names = [f"hot-{i}" for i in range(entries)]
    filled(cache, *names)
    for name in names * MAX_HITS:
        cache.get(name)
    filled(cache, "new")
    assert cache.stats().entries == entries
    filled(cache, *(f"more-{i}" for i in range(10)))
    assert cache.stats().entries == entries


@given(
    st.integers(0, 300_000),
    st.lists(
        st.tuples(st.sampled_from(["put", "get", "remove"]), st.integers(0, 9), st.integers(0, 30_000)),
        max_size=200,
    ),
)
def test_the_bound_holds_and_bytes_are_never_mixed_up(
    max_bytes: int, steps: list[tuple[str, int, int]]
) -> None:
    cache = MemoryCache(max_bytes, 20_000)
    first: dict[str, int] = {}
    for step, number, size in steps:
        name = str(number)
        if step == "put":
            kept = cache.put(name, bytes([number]) * size, f"image/{number}")
            first[name] = len(kept.body)
        elif step == "remove":
            cache.remove(name)
            assert cache.get(name) is None
        elif found := cache.get(name):
            assert found.body == bytes([number]) * first[name]
            assert found.content_type == f"image/{number}"
        assert cache.stats().bytes <= max_bytes


class Caching(RuleBasedStateMachine):
    """Against a dict of all that was ever put: the cache may lack anything, and never has another thing.
    Its own counts agree with what it gives."""

    assets = Bundle("assets")

    @initialize(entries=st.integers(3, 60))
    def start(self, entries: int) -> None:
        self.cache = MemoryCache(entries * 2 * ENTRY_BYTES, 3 * ENTRY_BYTES)
        self.put: dict[str, bytes] = {}

    @rule(target=assets, number=st.integers(0, 20))
    def asset(self, number: int) -> str:
        return f"asset-{number}"

    @rule(asset=assets, transform=st.sampled_from(["", "w=1", "w=2", "w=3"]), size=st.integers(0, 20_000))
    def keep(self, asset: str, transform: str, size: int) -> None:
        key = cache_key(asset, transform)
        body = f"{key}.{size}".encode().ljust(size)
        self.put[key] = self.cache.put(key, body, "image/png").body
        assert self.put[key].startswith(f"{key}.".encode())

    @rule(asset=assets, transform=st.sampled_from(["", "w=1", "w=2", "w=3"]), times=st.integers(1, 5))
    def look(self, asset: str, transform: str, times: int) -> None:
        key = cache_key(asset, transform)
        for _ in range(times):
            found = self.cache.get(key)
            if found is not None:
                assert found.body == self.put[key]
                assert (found.asset_id, found.transform) == (asset, transform)

    @rule(asset=assets)
    def forget(self, asset: str) -> None:
        self.cache.forget(asset)
        for transform in ("", "w=1", "w=2", "w=3"):
            assert self.cache.get(cache_key(asset, transform)) is None

    @invariant()
    def its_counts_are_true(self) -> None:
        if not hasattr(self, "cache"):
            return
        cache = self.cache
        entries = cache._entries
        assert {**cache._small, **cache._main} == entries
        assert len(cache._small) + len(cache._main) == len(entries) == cache.stats().entries
        assert {key: entry.body for key, entry in entries.items()}.items() <= self.put.items()
        assert cache.stats().bytes == sum(len(self.put[key]) + ENTRY_BYTES for key in entries)
        assert cache.stats().bytes <= cache.max_bytes
        assert cache._small_bytes == sum(entry.cost for entry in cache._small.values())
        variants = {key for keys in cache._variants.values() for key in keys}
        assert variants == {key for key, entry in entries.items() if entry.transform}
        assert all(cache._variants.values())


TestCaching = Caching.TestCase
