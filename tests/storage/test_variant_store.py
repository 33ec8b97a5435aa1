"""The contract of `VariantStore`: a new store is one more parameter. Then what is the disk's own."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ferrotype.domain.clock import ManualClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import NotFound
from ferrotype.storage import variants as module
from ferrotype.storage.base import NotForgotten, Picture, VariantStore
from ferrotype.storage.variants import BLOCK, CROWDED, ROOMY, DiskVariants

MAX_BYTES = 100 * BLOCK
WEBP = Picture(os.urandom(10_000), "image/webp")
#: With its head it fills one block.
SMALL = Picture(b"x" * (BLOCK - 100), "image/webp")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["disk"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[VariantStore]:
    made = DiskVariants(tmp_path / "variants", MAX_BYTES, clock)
    await made.recover()
    yield made
    made.close()


@pytest.fixture
async def open_disk(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Callable[..., DiskVariants]]:
    opened: list[DiskVariants] = []

    def open(max_bytes: int = MAX_BYTES, **options: Any) -> DiskVariants:
        opened.append(DiskVariants(tmp_path / "variants", max_bytes, clock, **options))
        return opened[-1]

    yield open
    for each in opened:
        each.close()


@pytest.fixture
async def disk(open_disk: Callable[..., DiskVariants]) -> DiskVariants:
    made = open_disk()
    await made.recover()
    return made


@asynccontextmanager
async def at_work(store: VariantStore) -> AsyncIterator[asyncio.Task[None]]:
    janitor = asyncio.create_task(store.run())
    try:
        yield janitor
    finally:
        janitor.cancel()
        await asyncio.gather(janitor, return_exceptions=True)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def size_on_disk(folder: Path) -> int:
    return sum(-(-path.stat().st_size // BLOCK) * BLOCK for path in files(folder))


# The contract


async def test_what_was_put_comes_back(store: VariantStore) -> None:
    asset = new_id()
    assert await store.get(asset, "w=100") is None
    assert await store.put(asset, "w=100", WEBP)
    assert await store.get(asset, "w=100") == WEBP
    assert await store.get(asset, "w=200") is None
    assert await store.get(new_id(), "w=100") is None


async def test_a_transform_may_hold_any_text(store: VariantStore) -> None:
    asset = new_id()
    for transform in ("../../../etc/passwd", "a/b", "\0", "é", "w=1" * 2_000, "."):
        picture = Picture(transform.encode(), "image/png")
        assert await store.put(asset, transform, picture)
        assert await store.get(asset, transform) == picture


@pytest.mark.parametrize("bad", ["", ".", "..", "../x", "A" * 36, "x" * 36])
async def test_what_is_no_id_names_nothing(store: VariantStore, bad: str) -> None:
    with pytest.raises(NotFound):
        await store.get(bad, "w=1")
    with pytest.raises(NotFound):
        await store.put(bad, "w=1", WEBP)
    with pytest.raises(NotFound):
        await store.forget(bad)


async def test_putting_twice_is_harmless(store: VariantStore) -> None:
    asset = new_id()
    for _ in range(2):
        assert await store.put(asset, "w=100", WEBP)
    assert await store.get(asset, "w=100") == WEBP


async def test_many_put_and_get_the_same_at_once(store: VariantStore) -> None:
    asset = new_id()
    puts = [store.put(asset, "w=100", WEBP) for _ in range(20)]
    gets = [store.get(asset, "w=100") for _ in range(20)]
    kept, found = await asyncio.gather(asyncio.gather(*puts), asyncio.gather(*gets))
    assert all(kept)
    assert all(each in (None, WEBP) for each in found)
    assert await store.get(asset, "w=100") == WEBP


async def test_forgetting_takes_every_variant_of_an_asset_and_no_other(store: VariantStore) -> None:
    asset = new_id()
    other = new_id()
    alike = new_id()[:-4] + asset[-4:]  # shares the folders above
    for each in (asset, other, alike):
        for width in (100, 200):
            await store.put(each, f"w={width}", WEBP)
    await store.forget(asset)
    await store.forget(asset)
    assert [await store.get(asset, f"w={width}") for width in (100, 200)] == [None, None]
    for each in (other, alike):
        assert await store.get(each, "w=100") == await store.get(each, "w=200") == WEBP
    assert await store.put(asset, "w=100", WEBP)
    assert await store.get(asset, "w=100") == WEBP


async def test_what_is_larger_than_the_store_is_not_kept(store: VariantStore) -> None:
    asset = new_id()
    assert not await store.put(asset, "w=1", Picture(bytes(MAX_BYTES), "image/png"))
    assert await store.get(asset, "w=1") is None


async def test_what_was_read_longest_ago_leaves_when_room_is_needed(
    store: VariantStore, clock: ManualClock
) -> None:
    old, read, young, latest = [[new_id() for _ in range(count)] for count in (20, 20, 20, 36)]
    for each in (old, read, young, latest):
        for asset in each:
            assert await store.put(asset, "w=1", SMALL)
        clock.advance(600)
    for asset in read:
        assert await store.get(asset, "w=1")
    await store.evict()
    here = [
        [await store.get(asset, "w=1") for asset in each].count(SMALL) for each in (old, read, young, latest)
    ]
    assert 0 < here[0] < 20
    assert here[1:] == [20, 20, 36]


# The disk: its folder


async def test_a_variant_lies_where_its_id_and_its_hash_say(disk: DiskVariants, tmp_path: Path) -> None:
    asset = "0199d3c0-aaaa-7bbb-8ccc-0123456789ab"
    await disk.put(asset, "w=100", WEBP)
    (path,) = files(tmp_path)
    assert path.parent == tmp_path / "variants" / "ab" / "89" / asset
    assert len(path.name) == 32
    assert path.read_bytes().endswith(WEBP.body)


async def test_another_imaging_version_never_meets_the_older_variants(
    open_disk: Callable[..., DiskVariants],
) -> None:
    old, new = open_disk(version="1"), open_disk(version="2")
    asset = new_id()
    await old.recover()
    await old.put(asset, "w=100", WEBP)
    assert await new.get(asset, "w=100") is None
    await new.recover()
    assert new.stats().bytes == old.stats().bytes
    await new.forget(asset)
    assert await old.get(asset, "w=100") is None


async def test_bytes_are_counted_in_blocks(disk: DiskVariants, tmp_path: Path) -> None:
    asset, other = new_id(), new_id()
    await disk.put(asset, "w=1", WEBP)
    await disk.put(asset, "w=1", WEBP)
    await disk.put(asset, "w=2", SMALL)
    await disk.put(other, "w=2", SMALL)
    assert disk.stats().bytes == 5 * BLOCK == size_on_disk(tmp_path)
    await disk.forget(asset)
    assert disk.stats().bytes == BLOCK == size_on_disk(tmp_path)


# The disk: damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))  # what a power cut leaves of an unsynced file


@pytest.mark.parametrize("damage", [cut, emptied, flipped, longer, zeroed])
async def test_a_damaged_file_is_a_miss_and_leaves(
    disk: DiskVariants, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    asset = new_id()
    await disk.put(asset, "w=1", WEBP)
    (path,) = files(tmp_path)
    damage(path)
    found = await asyncio.gather(*(disk.get(asset, "w=1") for _ in range(4)))
    assert found == [None] * 4
    assert files(tmp_path) == []
    assert disk.stats().damaged >= 1
    assert await disk.put(asset, "w=1", WEBP)
    assert await disk.get(asset, "w=1") == WEBP
    assert (disk.stats().hits, disk.stats().misses) == (1, 4)


# The disk: restarts


async def test_a_restart_finds_everything_and_clears_away_what_a_crash_left(
    open_disk: Callable[..., DiskVariants], tmp_path: Path
) -> None:
    before = open_disk()
    await before.recover()
    assets = [new_id() for _ in range(20)]
    for asset in assets:
        await before.put(asset, "w=1", SMALL)
    (folder,) = {path.parent for path in files(tmp_path) if path.parent.name == assets[0]}
    (folder / ".half.00000000").write_bytes(b"half a picture")
    shutil.copytree(folder, tmp_path / "variants" / ".forgotten" / "x")

    after = open_disk()
    assert await after.get(assets[0], "w=1") == SMALL
    assert not await after.put(new_id(), "w=1", SMALL)  # it does not know yet whether there is room
    await after.recover()
    assert after.stats().bytes == 20 * BLOCK == size_on_disk(tmp_path)
    assert len(files(tmp_path)) == 20
    assert await after.put(new_id(), "w=1", SMALL)
    assert [await after.get(asset, "w=1") for asset in assets] == [SMALL] * 20
    assert after.stats().refused == 1


async def test_a_lower_bound_is_kept_from_the_start(
    open_disk: Callable[..., DiskVariants], tmp_path: Path, clock: ManualClock
) -> None:
    before = open_disk()
    await before.recover()
    assets = [new_id() for _ in range(50)]
    for asset in assets:
        clock.advance(1)
        await before.put(asset, "w=1", SMALL)
    after = open_disk(20 * BLOCK)
    await after.recover()
    assert not await after.put(new_id(), "w=1", SMALL)
    await after.evict()
    assert size_on_disk(tmp_path) == after.stats().bytes == 20 * ROOMY * BLOCK
    assert [await after.get(asset, "w=1") for asset in assets[-17:]] == [SMALL] * 17
    assert after.stats().evicted == 33


async def test_when_something_was_read_last_survives_a_restart(
    open_disk: Callable[..., DiskVariants], clock: ManualClock
) -> None:
    before = open_disk()
    await before.recover()
    assets = [new_id() for _ in range(50)]
    for asset in assets:
        await before.put(asset, "w=1", SMALL)
    clock.advance(120)
    for asset in assets[:10]:
        await before.get(asset, "w=1")
    after = open_disk(10 * BLOCK / ROOMY)
    await after.recover()
    await after.evict()
    assert [await after.get(asset, "w=1") for asset in assets] == [SMALL] * 10 + [None] * 40


async def test_a_read_is_recorded_once_a_minute(
    disk: DiskVariants, tmp_path: Path, clock: ManualClock
) -> None:
    asset = new_id()
    await disk.put(asset, "w=1", SMALL)
    (path,) = files(tmp_path)
    written = path.stat().st_mtime
    assert written == clock.now().timestamp()
    clock.advance(50)
    await disk.get(asset, "w=1")
    assert path.stat().st_mtime == written
    clock.advance(50)
    await disk.get(asset, "w=1")
    assert path.stat().st_mtime == written + 100


# The disk: room


@pytest.mark.slow
async def test_the_bound_holds_with_many_writers(disk: DiskVariants, tmp_path: Path) -> None:
    kept = await asyncio.gather(*(disk.put(new_id(), "w=1", WEBP) for _ in range(100)))
    assert sum(kept) == MAX_BYTES // (3 * BLOCK) == len(files(tmp_path))
    assert disk.stats().refused == 100 - sum(kept)
    assert disk.stats().bytes == size_on_disk(tmp_path) <= MAX_BYTES


async def test_the_janitor_takes_stock_first(open_disk: Callable[..., DiskVariants]) -> None:
    before = open_disk()
    await before.recover()
    await before.put(new_id(), "w=1", SMALL)
    disk = open_disk()
    async with at_work(disk):
        for _ in range(10_000):
            if await disk.put(new_id(), "w=1", SMALL):
                break
            await asyncio.sleep(0)
    assert disk.stats().bytes == 2 * BLOCK


async def test_the_janitor_wakes_when_it_gets_crowded(
    disk: DiskVariants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_room = asyncio.Event()
    evict = disk.evict

    async def evicting() -> None:
        await evict()
        made_room.set()

    monkeypatch.setattr(disk, "evict", evicting)
    enough = int(MAX_BYTES * CROWDED) // BLOCK
    async with at_work(disk):
        for _ in range(enough):
            assert await disk.put(new_id(), "w=1", SMALL)
        assert not made_room.is_set()
        await disk.put(new_id(), "w=1", SMALL)
        await made_room.wait()
    assert disk.stats().bytes == size_on_disk(tmp_path) == int(MAX_BYTES * ROOMY)
    assert disk.stats().evicted == enough + 1 - int(100 * ROOMY)


async def test_writers_that_find_no_room_cause_one_round(
    disk: DiskVariants, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 0
    evict = disk.evict

    async def evicting() -> None:
        nonlocal rounds
        rounds += 1
        for _ in range(20):  # all that are refused while it works
            await disk.put(new_id(), "w=1", Picture(bytes(30 * BLOCK), "image/png"))
        await evict()

    monkeypatch.setattr(disk, "evict", evicting)
    for _ in range(96):
        await disk.put(new_id(), "w=1", SMALL)
    async with at_work(disk):
        for _ in range(10_000):
            if disk.stats().evicted:
                break
            await disk.get(new_id(), "w=1")
        for _ in range(20):
            await disk.get(new_id(), "w=1")
    assert disk.stats().refused == 20
    assert rounds == 1


async def test_the_janitor_goes_on_after_a_fault(disk: DiskVariants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILED_PAUSE", 0)
    rounds: asyncio.Queue[int] = asyncio.Queue()

    async def failing() -> None:
        rounds.put_nowait(1)
        raise OSError(errno.EIO, "a disk that fails")

    monkeypatch.setattr(disk, "evict", failing)
    async with at_work(disk) as janitor:
        for _ in range(100):
            await disk.put(new_id(), "w=1", SMALL)
        await rounds.get()
        await disk.put(new_id(), "w=1", SMALL)
        await rounds.get()
        assert not janitor.done()


async def test_empty_folders_of_assets_leave_with_their_variants(
    open_disk: Callable[..., DiskVariants], tmp_path: Path, clock: ManualClock
) -> None:
    disk = open_disk(10 * BLOCK)
    await disk.recover()
    gone, half = new_id(), new_id()
    await disk.put(gone, "w=1", SMALL)
    await disk.put(half, "w=1", SMALL)
    clock.advance(10)
    await disk.put(half, "w=2", SMALL)
    for _ in range(7):
        await disk.put(new_id(), "w=1", SMALL)
    await disk.evict()
    names = {path.name for path in (tmp_path / "variants").glob("*/*/*")}
    assert gone not in names
    assert half in names
    assert await disk.get(half, "w=2") == SMALL


async def test_a_nearly_full_disk_takes_nothing(
    open_disk: Callable[..., DiskVariants], tmp_path: Path
) -> None:
    disk = open_disk(min_free_bytes=1_000, free=lambda _: 1_000 + BLOCK - 1)
    await disk.recover()
    assert not await disk.put(new_id(), "w=1", SMALL)
    assert files(tmp_path) == []
    roomy = open_disk(min_free_bytes=1_000, free=lambda _: 1_000 + BLOCK)
    await roomy.recover()
    assert await roomy.put(new_id(), "w=1", SMALL)


@pytest.mark.parametrize(
    ("number", "raised"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EIO, True)]
)
async def test_a_write_that_fails_leaves_nothing_behind(
    disk: DiskVariants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raised: bool
) -> None:
    def failing(fd: int, data: bytes) -> None:
        os.write(fd, data[:10])
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "write_all", failing)
    asset = new_id()
    if raised:
        with pytest.raises(OSError, match=os.strerror(number)):
            await disk.put(asset, "w=1", WEBP)
    else:
        assert not await disk.put(asset, "w=1", WEBP)
    assert files(tmp_path) == []
    assert disk.stats().bytes == 0
    assert await disk.get(asset, "w=1") is None


# The disk: at the same time


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """A writer that has written everything says so, and waits before the file gets its name."""
    written, go_on = threading.Event(), threading.Event()
    write_part = DiskVariants._write_part

    def holding(self: DiskVariants, part: Path, head: bytes, body: bytes) -> None:
        write_part(self, part, head, body)
        written.set()
        assert go_on.wait(60)

    monkeypatch.setattr(DiskVariants, "_write_part", holding)
    return written, go_on


async def test_a_variant_that_is_written_while_its_asset_is_forgotten(
    disk: DiskVariants, tmp_path: Path, held: tuple[threading.Event, threading.Event]
) -> None:
    written, go_on = held
    asset = new_id()
    putting = asyncio.ensure_future(disk.put(asset, "w=1", WEBP))
    await asyncio.to_thread(written.wait, 60)
    assert disk.stats().bytes == 3 * BLOCK  # its place is taken already
    await disk.forget(asset)
    go_on.set()
    assert not await putting
    assert files(tmp_path) == []
    assert disk.stats().bytes == 0


async def test_two_writers_of_one_variant_are_counted_once(
    disk: DiskVariants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=60)
    write_part = DiskVariants._write_part

    def meeting(self: DiskVariants, part: Path, head: bytes, body: bytes) -> None:
        write_part(self, part, head, body)
        both.wait()

    monkeypatch.setattr(DiskVariants, "_write_part", meeting)
    asset = new_id()
    assert await asyncio.gather(*(disk.put(asset, "w=1", WEBP) for _ in range(2))) == [True, True]
    assert disk.stats().bytes == 3 * BLOCK == size_on_disk(tmp_path)
    assert await disk.put(asset, "w=1", WEBP)  # writes nothing: nobody would meet it


async def test_stock_taking_counts_what_is_being_written(
    disk: DiskVariants, tmp_path: Path, held: tuple[threading.Event, threading.Event]
) -> None:
    written, go_on = held
    putting = asyncio.ensure_future(disk.put(new_id(), "w=1", WEBP))
    await asyncio.to_thread(written.wait, 60)
    await disk.evict()
    assert disk.stats().bytes == 3 * BLOCK
    go_on.set()
    assert await putting
    assert disk.stats().bytes == 3 * BLOCK == size_on_disk(tmp_path)


async def test_stock_taking_while_an_asset_is_forgotten(
    disk: DiskVariants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, go_on = threading.Event(), threading.Event()
    rmtree = shutil.rmtree

    def holding(path: Path, ignore_errors: bool = False) -> None:
        gone.set()
        assert go_on.wait(60)
        rmtree(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", holding)
    asset = new_id()
    await disk.put(asset, "w=1", WEBP)
    await disk.put(new_id(), "w=1", WEBP)
    forgetting = asyncio.create_task(disk.forget(asset))
    await asyncio.to_thread(gone.wait, 60)
    await disk.evict()
    go_on.set()
    await forgetting
    assert disk.stats().bytes == size_on_disk(tmp_path) == 3 * BLOCK


async def test_stock_taking_misses_nothing_that_appears_meanwhile(
    disk: DiskVariants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, go_on = threading.Event(), threading.Event()
    count = disk._count

    def counting(branch: Path, clean: bool) -> Counter[int]:
        ages = count(branch, clean)
        counted.set()
        assert go_on.wait(60)
        return ages

    await disk.put("0199d3c0-aaaa-7bbb-8ccc-0123456789ab", "w=1", WEBP)
    monkeypatch.setattr(disk, "_count", counting)
    evicting = asyncio.create_task(disk.evict())
    await asyncio.to_thread(counted.wait, 60)
    await disk.put("0199d3c0-aaaa-7bbb-8ccc-0123456789cd", "w=1", WEBP)
    go_on.set()
    await evicting
    assert disk.stats().bytes == size_on_disk(tmp_path) == 6 * BLOCK


async def test_a_folder_that_the_janitor_takes_from_under_a_writer_is_made_again(
    disk: DiskVariants, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = new_id()
    real = os.open
    taken: list[Path] = []

    def taking(path: Any, flags: int, *rest: int) -> int:
        if flags & os.O_EXCL and not taken:
            taken.append(Path(path).parent)
            taken[0].rmdir()
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", taking)
    assert await disk.put(asset, "w=1", WEBP)
    assert taken
    assert await disk.get(asset, "w=1") == WEBP


async def test_a_disk_that_fails_to_forget_says_so(
    disk: DiskVariants, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = new_id()
    await disk.put(asset, "w=1", WEBP)

    def failing(source: object, target: object) -> None:
        raise OSError(errno.EROFS, "a read-only disk")

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(NotForgotten, match="read-only"):
        await disk.forget(asset)


async def test_strange_things_in_the_folder_are_left_alone(
    open_disk: Callable[..., DiskVariants], tmp_path: Path
) -> None:
    root = tmp_path / "variants"
    (root / "ab").mkdir(parents=True)
    (root / "README").write_text("hello")
    (root / "ab" / "stray").write_text("hello")
    disk = open_disk()
    await disk.recover()
    assert disk.stats().bytes == 0
    assert await disk.put(new_id(), "w=1", WEBP)
    await disk.evict()
    assert (root / "README").exists()


# Against a model


class Storing(RuleBasedStateMachine):
    """Against a dict of all that was put and not forgotten: the store may lack anything once it made room,
    lacks nothing before, never has another thing, and counts what lies on the disk."""

    @initialize(blocks=st.integers(5, 40))
    def start(self, blocks: int) -> None:
        from tempfile import mkdtemp

        self.runner = asyncio.Runner()
        self.folder = Path(mkdtemp(prefix="variants-"))
        self.clock = ManualClock()
        self.blocks = blocks
        self.open()
        self.kept: dict[tuple[str, str], Picture] = {}
        self.lost = False
        self.assets = [new_id() for _ in range(5)]

    def open(self) -> None:
        async def opening() -> DiskVariants:
            store = DiskVariants(self.folder, self.blocks * BLOCK, self.clock)
            await store.recover()
            return store

        self.store = self.runner.run(opening())

    @rule(asset=st.integers(0, 4), width=st.integers(1, 5), size=st.integers(0, 20_000))
    def put(self, asset: int, width: int, size: int) -> None:
        name = self.assets[asset], f"w={width}"
        picture = self.kept.get(name) or Picture(f"{name}".encode().ljust(size, b"."), "image/png")
        self.clock.advance(1)
        if self.runner.run(self.store.put(*name, picture)):
            self.kept[name] = picture
        else:
            assert size_on_disk(self.folder) + size + 4096 > self.blocks * BLOCK

    @rule(asset=st.integers(0, 4), width=st.integers(1, 5))
    def get(self, asset: int, width: int) -> None:
        name = self.assets[asset], f"w={width}"
        self.clock.advance(61)
        found = self.runner.run(self.store.get(*name))
        assert found == self.kept.get(name) or (found is None and self.lost)

    @rule(asset=st.integers(0, 4))
    def forget(self, asset: int) -> None:
        self.runner.run(self.store.forget(self.assets[asset]))
        for name in [name for name in self.kept if name[0] == self.assets[asset]]:
            assert self.runner.run(self.store.get(*name)) is None
            del self.kept[name]

    @rule()
    def evict(self) -> None:
        before = self.store.stats().bytes
        self.runner.run(self.store.evict())
        after = self.store.stats().bytes
        assert after <= self.blocks * BLOCK * ROOMY
        self.lost |= after < before
        assert (after < before) == (before > int(self.blocks * BLOCK * ROOMY))

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.open()

    @invariant()
    def counts_are_true(self) -> None:
        if hasattr(self, "store"):
            assert self.store.stats().bytes == size_on_disk(self.folder) <= self.blocks * BLOCK

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.runner.close()
            shutil.rmtree(self.folder)


TestStoring = Storing.TestCase
TestStoring.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
