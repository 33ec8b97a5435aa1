"""What every store lists: all that is there, below a folder if one is named."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ferrotype.storage.base import Store
from ferrotype.storage.folder import walk
from ferrotype.storage.key_pattern import stem
from tests.storage.test_stores import BODY, SHA256, source, store

__all__ = ["source", "store"]

KEYS = ("a/1.png", "a/b/2.png", "ab/3.png", "4.png")


async def test_all_and_part(store: Store, source: Path) -> None:
    assert [entry async for entry in store.entries()] == []
    for key in KEYS:
        await store.put(key, source, content_type="image/png", sha256=SHA256)
    found = {stem(entry.key): entry async for entry in store.entries()}
    assert sorted(found) == sorted(stem(key) for key in KEYS)
    now = datetime.now(UTC)
    for entry in found.values():
        assert entry.size == len(BODY)
        assert abs(entry.modified - now) < timedelta(hours=1)
    assert sorted([stem(entry.key) async for entry in store.entries("a/")]) == ["a/1", "a/b/2"]
    assert [entry async for entry in store.entries("nothing/")] == []


async def test_more_than_a_page(store: Store, tmp_path: Path) -> None:
    """Pages are 1,000 objects at most in a bucket; here they only have to be put together right."""
    import hashlib

    small = tmp_path / "small"
    small.write_bytes(b"x")
    for number in range(60):
        await store.put(
            f"p/{number}.png", small, content_type="image/png", sha256=hashlib.sha256(b"x").hexdigest()
        )
    assert len({entry.key async for entry in store.entries("p/")}) == 60


async def test_a_folder_passes_over_dots_and_links(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.png", ".hidden", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".folder").mkdir()
    (tmp_path / ".folder/c.png").write_bytes(b"x")
    os.symlink(tmp_path / "in", tmp_path / "again")
    os.symlink("/etc/passwd", tmp_path / "passwd.png")
    assert [entry.key async for entry in walk(tmp_path)] == ["b.png", "in/a.png"]
