"""Folders and buckets: each file that is called like a picture, and each that has no extension."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ferrotype.domain.problems import InvalidField
from ferrotype.storage.base import Entry
from ferrotype.storage.collections.base import Item
from ferrotype.storage.folder import walk

if TYPE_CHECKING:
    from ferrotype.storage.object_store import ObjectStore

#: Extensions of pictures, read or not: one that cannot be read is told, not passed over.
EXTENSIONS: Final = frozenset(
    {
        *("apng", "avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg"),
        *("jpg", "jxl", "png", "svg", "tif", "tiff", "webp"),
    }
)
PIECE: Final = 256 * 1024


def is_picture_name(name: str) -> bool:
    """Whether a file of that name claims to be a picture."""
    return PurePosixPath(name).suffix.lower().lstrip(".") in EXTENSIONS


class FolderCollection:
    """The files below a folder. Those that begin with a dot, and links, are passed over."""

    def __init__(self, root: Path, prefix: str = "", ours: Callable[[str], bool] = lambda _: False) -> None:
        """`ours` tells keys that are copies of assets here. Raises InvalidField where there is no folder."""
        if not root.is_dir():
            raise InvalidField(f"There is no folder {root}.", field="--from")
        self._root = root.resolve()
        self._prefix = prefix
        self._ours = ours
        self.where = f"the folder {root}"

    async def items(self) -> AsyncIterator[Item]:
        """See `Collection`. A file's date is that of its last change."""
        async for entry in self._entries():
            if self._ours(entry.key):
                continue
            path = self._root / entry.key
            shown = entry.key.encode("utf-8", "backslashreplace").decode()
            yield Item(
                source=f"file://{os.fsencode(path).hex()}" if shown != entry.key else f"file://{path}",
                address=shown,
                former_id=shown,
                open=lambda path=path: _read(path),  # type: ignore[misc]
                size=entry.size,
                created_at=_changed(path, entry),
                surely=is_picture_name(entry.key),
            )

    async def close(self) -> None:
        """See `Collection`."""

    async def _entries(self) -> AsyncIterator[Entry]:
        try:
            async for entry in walk(self._root, self._prefix):
                yield entry
        except OSError as error:
            where = error.filename or self._root
            raise InvalidField(f"{where} cannot be read ({error.strerror}).", field="--from") from None


class BucketCollection:
    """The objects of a bucket. `address` is what every source begins with: it names the place for good."""

    def __init__(
        self, store: ObjectStore, address: str, prefix: str, ours: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._store = store
        self._address = address
        self._prefix = prefix
        self._ours = ours
        self.where = f"{address}{prefix}"

    async def items(self) -> AsyncIterator[Item]:
        """See `Collection`. An object's date is that of its last change."""
        async for entry in self._store.entries(self._prefix):
            if self._ours(entry.key) or (entry.size == 0 and entry.key.endswith("/")):
                continue
            yield Item(
                source=f"{self._address}{entry.key}",
                address=f"{self._address}{entry.key}",
                former_id=entry.key,
                open=lambda key=entry.key: self._store.read(key),  # type: ignore[misc]
                size=entry.size,
                created_at=entry.modified,
                surely=is_picture_name(entry.key),
            )

    async def close(self) -> None:
        """See `Collection`."""
        await self._store.close()


async def _read(path: Path) -> AsyncIterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while data := await asyncio.to_thread(file.read, PIECE):
                yield data
    except OSError as error:
        raise InvalidField(f"It cannot be read ({error.strerror}).", field="file") from None


def _changed(path: Path, entry: Entry) -> datetime:
    """When its bytes were last written: what a listing tells may be younger."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return entry.modified
