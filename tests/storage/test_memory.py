from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ferrotype.storage.memory import ENTRY_BYTES, MemoryCache


def filled(cache: MemoryCache, *names: str, size: int = 1_000) -> None:
    for name in names:
        cache.put(name, name.encode().ljust(size), "image/png")


def test_a_picture_comes_back_with_its_type() -> None:
    cache = MemoryCache(1_000_000, 100_000)
    cache.put("a", b"bytes", "image/webp")
    found = cache.get("a")
    assert found is not None
    assert (found.asset_id, found.body, found.content_type) == ("a", b"bytes", "image/webp")
    assert cache.get("b") is None
    stats = cache.stats()
    assert (stats.entries, stats.hits, stats.misses) == (1, 1, 1)
    assert stats.bytes == 5 + ENTRY_BYTES


def test_an_original_never_changes() -> None:
    cache = MemoryCache(1_000_000, 100_000)
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


def test_a_removed_picture_is_gone_from_both_segments() -> None:
    cache = MemoryCache(1_000_000, 100_000)
    filled(cache, "once", "twice")
    cache.get("twice")
    cache.remove("once")
    cache.remove("twice")
    cache.remove("never")
    assert cache.stats().entries == 0


def test_a_scan_does_not_drive_out_what_is_asked_for_again() -> None:
    cache = MemoryCache(500_000, 10_000)
    wanted = [f"wanted-{i}" for i in range(10)]
    filled(cache, *wanted)
    for name in wanted:
        assert cache.get(name)
    filled(cache, *(f"scanned-{i}" for i in range(1_000)))
    assert all(cache.get(name) for name in wanted)
    assert cache.stats().bytes <= 500_000


@given(
    st.integers(0, 100_000),
    st.lists(st.tuples(st.sampled_from(["put", "get", "remove"]), st.integers(0, 9), st.integers(0, 30_000))),
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
