"""The contract of `Store`; a new store is one more parameter."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from pathlib import Path

import pytest

from ferrotype.domain.problems import NotFound, Overloaded, StoreMisconfigured, StoreUnavailable
from ferrotype.storage import disk
from ferrotype.storage.base import Store
from ferrotype.storage.disk import CHUNK, DiskStore, WrongBytes
from tests.storage.azurite import Azurite
from tests.storage.conftest import gcs_store
from tests.storage.seaweed import Seaweed

BODY = os.urandom(CHUNK + 1000)
SHA256 = hashlib.sha256(BODY).hexdigest()
KEY = "2026/01/31/picture.png"
BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "a/../b",
    "a//b",
    "a/",
    ".hidden",
    "a/.b",
    "a\\b",
    "a\0b",
    "é",
    "a" * 600,
]


def no_links(source: Path, target: Path) -> None:
    raise OSError(errno.EXDEV, "another file system")


@pytest.fixture(params=["disk with links", "disk with copies", "s3", "gcs", "azure", "cloudinary"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    match request.param:
        case "disk with links":
            return DiskStore(tmp_path / "store")
        case "disk with copies":
            return DiskStore(tmp_path / "store", link=no_links)
        case "s3":
            server: Seaweed = request.getfixturevalue("s3_server")
            return server.store()
        case "azure":
            emulator: Azurite = request.getfixturevalue("azure_server")
            return emulator.store()
        case "cloudinary":
            made: Store = request.getfixturevalue("cloudinary_store")
            return made
        case _:
            return gcs_store(request.getfixturevalue("gcs_sim"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(BODY)
    return path


async def read(store: Store, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.open(key, start, end)])


async def test_what_was_put_is_there(store: Store, source: Path) -> None:
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert await store.size(KEY) == len(BODY)
    assert await read(store, KEY) == BODY
    path = store.local_path(KEY)
    assert path is None or path.read_bytes() == BODY


async def test_it_outlives_its_source(store: Store, source: Path) -> None:
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    source.unlink()
    assert await read(store, KEY) == BODY


async def test_putting_twice_is_harmless(store: Store, source: Path) -> None:
    for _ in range(2):
        await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert await read(store, KEY) == BODY


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (10, 20),
        (CHUNK - 1, CHUNK + 1),
        (len(BODY) - 5, None),
        (5, 5),
        (7, 3),
        (0, 10**9),
        (len(BODY), None),
        (len(BODY), len(BODY) + 1),
    ],
)
async def test_a_part_of_it(store: Store, source: Path, start: int, end: int | None) -> None:
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert await read(store, KEY, start, end) == BODY[start:end]


async def test_an_absent_key(store: Store) -> None:
    assert await store.size(KEY) is None
    assert store.local_path(KEY) is None
    for start, end in ((0, None), (0, 10), (3, None), (5, 5)):
        with pytest.raises(NotFound):
            await read(store, KEY, start, end)
    await store.delete(KEY)


async def test_a_deleted_key_is_absent(store: Store, source: Path) -> None:
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    await store.delete(KEY)
    assert await store.size(KEY) is None
    assert source.read_bytes() == BODY


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_a_key_never_leaves_the_store(store: Store, source: Path, tmp_path: Path, key: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotFound):
        await store.put(key, source, content_type="image/png", sha256=SHA256)
    with pytest.raises(NotFound):
        store.local_path(key)
    with pytest.raises(NotFound):
        await read(store, key)
    with pytest.raises(NotFound):
        await store.size(key)
    with pytest.raises(NotFound):
        await store.delete(key)
    assert sorted(tmp_path.rglob("*")) == before


async def test_an_empty_file(store: Store, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    await store.put(KEY, empty, content_type="image/png", sha256=hashlib.sha256().hexdigest())
    assert await store.size(KEY) == 0
    assert await read(store, KEY) == b""


async def test_another_picture_under_the_key_is_replaced(store: Store, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(BODY[::-1])
    sha256 = hashlib.sha256(BODY[::-1]).hexdigest()
    await store.put(KEY, other, content_type="image/png", sha256=sha256)
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert await read(store, KEY) == BODY


async def test_many_at_once(store: Store, source: Path) -> None:
    """Of one key and of several: whatever order they end in, all have the picture."""
    keys = [KEY, KEY, KEY, "a.png", "b/c.png"]
    await asyncio.gather(*(store.put(key, source, content_type="image/png", sha256=SHA256) for key in keys))
    assert [await read(store, key) for key in set(keys)] == [BODY] * 3


async def test_it_is_well(store: Store, source: Path) -> None:
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    health = await store.health()
    assert health.ok
    assert health.mend == ""
    assert await read(store, KEY) == BODY


async def test_a_reader_may_leave(store: Store, source: Path) -> None:
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    reading = store.open(KEY)
    assert BODY.startswith(await anext(reading))
    await reading.aclose()  # type: ignore[attr-defined]
    assert await read(store, KEY) == BODY


async def test_a_missing_source_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await store.put(KEY, tmp_path / "nowhere", content_type="image/png", sha256=SHA256)
    assert await store.size(KEY) is None


async def test_the_disk_store_shares_the_spools_blocks(tmp_path: Path, source: Path) -> None:
    store = DiskStore(tmp_path / "store")
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    path = store.local_path(KEY)
    assert path is not None
    assert path.samefile(source)


async def test_a_copy_with_other_bytes_is_not_kept(tmp_path: Path, source: Path) -> None:
    store = DiskStore(tmp_path / "store", link=no_links)
    with pytest.raises(WrongBytes):
        await store.put(KEY, source, content_type="image/png", sha256="0" * 64)
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("link", [os.link, no_links])
async def test_a_torn_file_of_an_earlier_life_is_replaced(tmp_path: Path, source: Path, link: object) -> None:
    store = DiskStore(tmp_path / "store", link=link)  # type: ignore[arg-type]
    torn = tmp_path / "store" / KEY
    torn.parent.mkdir(parents=True)
    torn.write_bytes(BODY[:100])
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert torn.read_bytes() == BODY


async def test_a_nearly_full_disk_takes_links_and_no_copies(tmp_path: Path, source: Path) -> None:
    def free(_: Path) -> int:
        return len(BODY)

    copying = DiskStore(tmp_path / "copies", min_free_bytes=1, free=free, link=no_links)
    with pytest.raises(Overloaded):
        await copying.put(KEY, source, content_type="image/png", sha256=SHA256)
    linking = DiskStore(tmp_path / "links", min_free_bytes=1, free=free)
    await linking.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert await linking.size(KEY) == len(BODY)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_that_fills_up(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """In the middle of a copy: nothing stays of it, and once there is room the picture gets there."""
    store = DiskStore(tmp_path / "store", name="nas", link=no_links)

    def fills_up(fd: int, data: bytes) -> None:
        os.write(fd, data[:100])
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as full:
        full.setattr(disk, "write_all", fills_up)
        with pytest.raises(StoreUnavailable, match="store nas is full") as caught:
            await store.put(KEY, source, content_type="image/png", sha256=SHA256)
        assert caught.value.retryable
        assert not (await store.health()).ok
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert await read(store, KEY) == BODY


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="wants a folder that not even root can write to")
async def test_a_disk_that_cannot_be_written_to(source: Path) -> None:
    store = DiskStore(Path("/sys/kernel"), name="nas")
    with pytest.raises(
        StoreMisconfigured, match=r"store nas refuses us .*: make the folder writable"
    ) as caught:
        await store.put(KEY, source, content_type="image/png", sha256=SHA256)
    assert caught.value.retryable
    health = await store.health()
    assert not health.ok
    assert "/sys/kernel" in health.detail
    assert "writable" in health.mend


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ESTALE])
async def test_a_disk_that_fails_is_named(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = DiskStore(tmp_path / "store", name="nas")
    await store.put(KEY, source, content_type="image/png", sha256=SHA256)

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    wanted = StoreMisconfigured if number == errno.EROFS else StoreUnavailable
    for name in ("unlink", "stat"):
        with monkeypatch.context() as broken:
            broken.setattr(Path, name, fails)
            with pytest.raises(wanted, match="store nas"):
                await (store.delete(KEY) if name == "unlink" else store.size(KEY))
    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", fails)
        with pytest.raises(wanted, match="store nas"):
            await read(store, KEY)


async def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    (tmp_path / "store").rmdir()
    health = await store.health()
    assert not health.ok
    assert str(tmp_path) in health.detail
    assert health.mend
    full = DiskStore(tmp_path / "full", min_free_bytes=2, free=lambda _: 1)
    assert not (await full.health()).ok
    assert list((tmp_path / "full").iterdir()) == []
