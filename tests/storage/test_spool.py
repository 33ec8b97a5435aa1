from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import NotFound, Overloaded
from ferrotype.storage.spool import Spool


def files(spool_root: Path) -> list[str]:
    return sorted(path.name for path in spool_root.iterdir())


async def test_a_written_picture_is_whole_and_counted(spool: Spool) -> None:
    asset_id = new_id()
    assert spool.path(asset_id) is None
    path = await spool.write(asset_id, b"picture")
    assert path == spool.path(asset_id)
    assert path.read_bytes() == b"picture"
    assert spool.usage.bytes == 7


async def test_the_first_bytes_of_an_asset_stay(spool: Spool) -> None:
    asset_id = new_id()
    await spool.write(asset_id, b"picture")
    path = await spool.write(asset_id, b"another")
    assert path.read_bytes() == b"picture"
    assert spool.usage.bytes == 7


async def test_nothing_has_the_final_name_before_the_disk_has_the_bytes(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = new_id()
    order: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(fd: int) -> None:
        order.append("fsync folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "fsync file")
        assert (spool.path(asset_id) is None) == (len(order) == 1)
        real_fsync(fd)

    def rename(old: Path, new: Path) -> None:
        order.append("rename")
        real_rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    await spool.write(asset_id, b"picture")
    assert order == ["fsync file", "rename", "fsync folder"]


async def test_a_restart_keeps_whole_files_and_clears_the_rest(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    before = Spool(root, 1_000)
    before.recover()
    first, second = sorted([new_id(), new_id()])
    await before.write(second, b"22")
    await before.write(first, b"1")
    half = before.open_part(new_id())
    half.write(b"half of it")
    (root / "README").write_text("somebody's own")

    after = Spool(root, 1_000)
    assert after.recover() == [first, second]
    assert files(root) == sorted([first, second, "README"])
    assert after.usage.bytes == 3
    half.discard()
    before.close()
    after.close()


AN_ID = "0193abcd-0000-7000-8000-00000000abcd"


@pytest.mark.parametrize(
    "asset_id", ["", ".", "..", "../x", "a/b", "x" * 36, AN_ID[:-1] + "\0", AN_ID.upper(), AN_ID + "\n"]
)
async def test_only_ids_become_paths(tmp_path: Path, spool: Spool, asset_id: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    for call in (spool.path, spool.open_part):
        with pytest.raises(NotFound):
            call(asset_id)
    with pytest.raises(NotFound):
        await spool.write(asset_id, b"x")
    with pytest.raises(NotFound):
        await spool.remove(asset_id)
    assert sorted(tmp_path.rglob("*")) == before


async def test_a_full_spool_refuses_and_room_comes_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    spool.recover()
    kept = new_id()
    await spool.write(kept, b"12345678")
    with pytest.raises(Overloaded):
        await spool.write(new_id(), b"123")
    with pytest.raises(Overloaded):
        spool.open_part(new_id(), 3)
    part = spool.open_part(new_id())
    part.write(b"12")
    with pytest.raises(Overloaded):
        part.write(b"3")
    part.discard()
    assert spool.usage.bytes == 8
    assert files(tmp_path) == [kept]
    await spool.remove(kept)
    await spool.remove(kept)
    assert spool.usage.bytes == 0
    await spool.write(new_id(), b"1234567890")
    spool.close()


async def test_the_disk_is_never_filled_up(tmp_path: Path) -> None:
    free = 1_000
    spool = Spool(tmp_path, 10_000, min_free_bytes=990, free=lambda _: free)
    spool.recover()
    part = spool.open_part(new_id(), 10)
    with pytest.raises(Overloaded):
        spool.open_part(new_id(), 11)
    part.write(b"12345")
    free = 995
    part.write(b"12345")
    free = 990
    with pytest.raises(Overloaded):
        part.write(b"1")
    part.discard()
    assert files(tmp_path) == []
    spool.close()


async def test_a_disk_that_fills_up_anyway_leaves_nothing(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Overloaded):
        await spool.write(new_id(), b"picture")
    assert files(tmp_path / "spool") == []
    assert spool.usage.bytes == 0


async def test_a_disk_that_became_read_only_is_said(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as read_only:
        read_only.setattr(os, "open", refused)
        with pytest.raises(Overloaded, match="read-only") as caught:
            await spool.write(new_id(), b"picture")
    assert caught.value.retry_after == 60
    assert spool.usage.bytes == 0
    assert files(tmp_path / "spool") == []
    await spool.write(new_id(), b"picture")


async def test_a_canceled_write_is_whole_or_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    asset_id = new_id()
    loop = asyncio.get_running_loop()
    entered, go_on = asyncio.Event(), threading.Event()
    real_fsync = os.fsync

    def slow(fd: int) -> None:
        loop.call_soon_threadsafe(entered.set)
        go_on.wait()
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", slow)
    writing = asyncio.create_task(spool.write(asset_id, b"picture"))
    try:
        await entered.wait()
        writing.cancel()
    finally:
        go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    path = spool.path(asset_id)
    assert path is not None
    assert path.read_bytes() == b"picture"
    assert spool.usage.bytes == 7
    assert files(path.parent) == [asset_id]
