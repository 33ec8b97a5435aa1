"""The spool: one file per asset, from its first byte until a durable store has a copy.

`<id>` is a complete file. `<id>.<token>.part` is one that is arriving; it gets its final name only when its
bytes are on the disk (fsync of the file, rename, fsync of the folder), so that a crash at any instant
leaves either the whole picture or nothing under the final name.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import NotFound, Overloaded
from ferrotype.storage.filesystem import free_bytes, full_is_overloaded, sync_folder, write_all

PART_SUFFIX: Final = ".part"
#: fsync waits for the disk: threads of its own keep it from starving reads, and several of them let
#: the file system commit many files at once.
SYNC_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class SpoolUsage:
    """Bytes that the spool holds, parts included, and its bound."""

    bytes: int
    max_bytes: int


class Spool:
    """The folder and its bounds. Lives on one event loop; call `recover` once before anything else."""

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        *,
        min_free_bytes: int = 0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._free = free
        self._bytes = 0
        self._threads = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="spool")

    def recover(self) -> list[str]:
        """Clear away what a crash left half-written; the ids of the complete files, oldest first."""
        self._root.mkdir(parents=True, exist_ok=True)
        complete: list[str] = []
        self._bytes = 0
        with os.scandir(self._root) as entries:
            for entry in entries:
                if entry.name.endswith(PART_SUFFIX):
                    os.unlink(entry.path)
                elif is_id(entry.name):
                    complete.append(entry.name)
                    self._bytes += entry.stat().st_size
        return sorted(complete)

    def complete(self) -> list[str]:
        """The ids of the complete files, oldest first."""
        with os.scandir(self._root) as entries:
            return sorted(entry.name for entry in entries if is_id(entry.name))

    def path(self, asset_id: str) -> Path | None:
        """The complete file, None while there is none. Raises NotFound when `asset_id` is no id."""
        path = self._path(asset_id)
        return path if path.exists() else None

    def link(self, asset_id: str) -> Path | None:
        """Another name of the complete file, which stays when the file is removed; the caller unlinks it, and
        a crash leaves it to `recover`. None where there is no such file, or no such thing as a link."""
        path = self._path(asset_id)
        name = path.with_name(f"{asset_id}.{secrets.token_hex(4)}{PART_SUFFIX}")
        try:
            os.link(path, name)
        except OSError:
            return None
        return name

    async def write(self, asset_id: str, data: bytes) -> Path:
        """Keep bytes that are here already; durable once this returns. Doing it twice is harmless.

        Raises Overloaded when the spool or the disk is full, NotFound when `asset_id` is no id.
        """
        if existing := self.path(asset_id):
            return existing
        part = self.open_part(asset_id, len(data))
        try:
            part.book(len(data))
            await self._in_thread(lambda: part.append(data))
            return await part.commit()
        except BaseException:
            part.discard()
            raise

    def open_part(self, asset_id: str, length: int | None = None) -> Part:
        """A file for bytes that are about to arrive, `length` of them if that is known.

        Raises Overloaded when they would not fit, NotFound when `asset_id` is no id.
        """
        final = self._path(asset_id)
        self.check_room(length or 0)
        path = final.with_name(f"{asset_id}.{secrets.token_hex(4)}{PART_SUFFIX}")
        with full_is_overloaded():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        return Part(self, path, final, fd)

    async def remove(self, asset_id: str) -> None:
        """Forget the complete file; an absent one is no error."""
        path = self._path(asset_id)

        def unlink() -> int:
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                return 0
            return size

        self._bytes -= await asyncio.to_thread(unlink)

    @property
    def usage(self) -> SpoolUsage:
        """What is held now, and the bound."""
        return SpoolUsage(self._bytes, self._max_bytes)

    def close(self) -> None:
        """Wait for the writes under way."""
        self._threads.shutdown(wait=True)

    def check_room(self, count: int) -> None:
        """Raise Overloaded when `count` more bytes would not fit into the spool or onto the disk."""
        if self._bytes + count > self._max_bytes:
            raise Overloaded("The spool is full; try again later.", limit=self._max_bytes, retry_after=30)
        if self._free(self._root) - count < self._min_free_bytes:
            raise Overloaded("The disk is nearly full; try again later.", retry_after=60)

    def _book(self, count: int) -> None:
        if count > 0:
            self.check_room(count)
        self._bytes += count

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Run `work` to its end, also for a caller that is canceled: its file must not vanish under it."""
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])
            raise

    def _path(self, asset_id: str) -> Path:
        if not is_id(asset_id):
            raise NotFound("There is no such asset.")
        return self._root / asset_id


class Part:
    """A file that is arriving; ended by `commit` or `discard`."""

    __slots__ = ("_fd", "_final", "_path", "_sealed", "_spool", "size")

    def __init__(self, spool: Spool, path: Path, final: Path, fd: int) -> None:
        self._spool = spool
        self._path = path
        self._final = final
        self._fd = fd
        self._sealed = False
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append to the page cache. Raises Overloaded when the bytes do not fit."""
        self.book(len(data))
        self.append(data)

    def book(self, count: int) -> None:
        """Count bytes that will be appended. Raises Overloaded when they do not fit."""
        self._spool._book(count)
        self.size += count

    def append(self, data: bytes) -> None:
        """Append bytes that are booked; may run in a thread."""
        with full_is_overloaded():
            write_all(self._fd, data)

    @property
    def path(self) -> Path:
        """The file that grows."""
        return self._path

    def reader(self) -> int:
        """A file descriptor of the reader's own, for `os.pread`; the reader closes it."""
        return os.dup(self._fd)

    async def read(self) -> bytes:
        """Everything written so far."""
        return await asyncio.to_thread(os.pread, self._fd, self.size, 0)

    async def sync(self) -> None:
        """Durable as far as it is written once this returns."""
        await self._spool._in_thread(lambda: os.fsync(self._fd))

    async def commit(self) -> Path:
        """Make it the complete file; durable once this returns."""
        await self._spool._in_thread(self._seal)
        self._close()
        return self._final

    def discard(self) -> None:
        """Forget the bytes; harmless after either end."""
        if self._fd < 0:
            return
        self._close()
        if not self._sealed:
            self._path.unlink(missing_ok=True)
            self._spool._book(-self.size)

    def _seal(self) -> None:
        with full_is_overloaded():
            os.fsync(self._fd)
            os.rename(self._path, self._final)
            self._sealed = True
            sync_folder(self._final.parent)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)
