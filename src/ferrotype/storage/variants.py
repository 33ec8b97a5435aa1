"""The variant store on disk: what was computed once, kept within a bound in bytes.

Layout: `ab/cd/<asset id>/<name>`, where `ab/cd` are the id's last random digits and the name is a hash of the
imaging version and the canonical transform. So a variant is found without a database, forgetting an asset is
the renaming of one folder, and an older version's variants are never met again and age away.

Files appear whole (written beside, renamed) and are not synced: a variant can be made again, and one that a
power cut tore is found out by its checksum. A file's modification time is when it was last read, to the
minute: it costs one system call and survives a restart, and no index has to be kept in memory.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

import structlog

from ferrotype.domain.clock import Clock
from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import NotFound
from ferrotype.domain.transform import IMAGING_VERSION
from ferrotype.storage.base import NotForgotten, Picture
from ferrotype.storage.filesystem import free_bytes, write_all
from ferrotype.storage.packed import Damaged, pack_head, unpack

#: A file takes whole blocks of the disk.
BLOCK: Final = 4096
#: Shares of the bound: above the first room is made, down to the second.
CROWDED: Final = 0.95
ROOMY: Final = 0.85
#: Reads within so many seconds of the last are not recorded.
TOUCH_SECONDS: Final = 60
THREADS: Final = 4
#: Seconds between two tries to make room on a disk that fails.
FAILED_PAUSE: Final = 60.0
#: Forgotten folders on their way out. Names that begin with a dot are nobody's variants.
TRASH: Final = ".forgotten"

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VariantStats:
    """`bytes` counts whole blocks. `damaged` files were removed, `evicted` ones too; `refused` variants were
    not written, for want of room or because stock was still being taken."""

    bytes: int
    max_bytes: int
    hits: int
    misses: int
    damaged: int
    evicted: int
    refused: int


class DiskVariants:
    """A `VariantStore` in a folder of its own, which one process owns. It takes variants once `run` or
    `recover` has taken stock; it gives them from the start."""

    name = "disk"

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        clock: Clock,
        *,
        min_free_bytes: int = 0,
        free: Callable[[Path], int] = free_bytes,
        version: str = IMAGING_VERSION,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._max_bytes = max_bytes
        self._clock = clock
        self._min_free_bytes = min_free_bytes
        self._free = free
        self._version = version
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="variants")
        self._crowded = asyncio.Event()
        self._round = asyncio.Lock()
        self._ready = False
        #: Guards what follows, and the moments in which a file appears or a folder goes.
        self._lock = Lock()
        self._kept = 0
        self._pending = 0
        #: Bytes that appeared since stock-taking began.
        self._since = 0
        self._hits = self._misses = self._damaged = self._evicted = self._refused = 0

    async def run(self) -> None:
        """See `VariantStore`."""
        if not self._ready:
            await self.recover()
        while True:
            await self._crowded.wait()
            self._crowded.clear()
            if not self._is_crowded():  # the round before has made room
                continue
            try:
                await self.evict()
            except OSError:
                log.exception("no room can be made for variants", retry_after=FAILED_PAUSE)
                await asyncio.sleep(FAILED_PAUSE)

    async def recover(self) -> None:
        """Clear away what a crash left behind, and count the rest."""
        await self._in_thread(shutil.rmtree, self._root / TRASH, True)
        await self._measure(clean=True)
        self._ready = True
        self._look_for_room()

    async def get(self, asset_id: str, transform: str) -> Picture | None:
        """See `CacheLevel`. Raises OSError when the disk fails, NotFound when `asset_id` is no id."""
        path = self._folder(asset_id) / self._name(transform)
        picture = await self._in_thread(self._read, path)
        if picture is None:
            self._misses += 1
        else:
            self._hits += 1
        return picture

    async def put(self, asset_id: str, transform: str, picture: Picture) -> bool:
        """See `CacheLevel`. Raises OSError when the disk fails, NotFound when `asset_id` is no id."""
        folder, name = self._folder(asset_id), self._name(transform)
        kept = self._ready and await self._in_thread(self._write, folder, name, picture)
        self._refused += not kept
        self._look_for_room()
        return kept

    async def forget(self, asset_id: str) -> None:
        """See `CacheLevel`."""
        try:
            await self._in_thread(self._forget, self._folder(asset_id))
        except OSError as error:
            raise NotForgotten(f"The variant store: {error}") from error

    async def folders(self) -> AsyncIterator[tuple[str, int, datetime]]:
        """The assets that have variants here, each with their bytes and when one was last read."""
        for branch in await self._in_thread(self._branches):
            for found in await self._in_thread(self._assets, branch):
                yield found

    async def evict(self) -> None:
        """See `VariantStore`."""
        async with self._round:
            ages = await self._measure()
            excess = sum(ages.values()) - int(self._max_bytes * ROOMY)
            if excess <= 0:
                return
            for edge in sorted(ages):
                if ages[edge] >= excess:
                    break
                excess -= ages[edge]
            removed = 0
            for branch in await self._in_thread(self._branches):
                count, freed = await self._in_thread(self._clear, branch, edge, excess)
                removed += count
                excess -= freed
            self._evicted += removed
            log.info("made room for variants", removed=removed, bytes=self._kept)

    def stats(self) -> VariantStats:
        """What `/metrics` shows."""
        return VariantStats(
            bytes=self._kept + self._pending,
            max_bytes=self._max_bytes,
            hits=self._hits,
            misses=self._misses,
            damaged=self._damaged,
            evicted=self._evicted,
            refused=self._refused,
        )

    def close(self) -> None:
        """Wait for the reads and writes under way."""
        self._threads.shutdown(wait=True)

    async def _measure(self, *, clean: bool = False) -> Counter[int]:
        """Bytes by the second of their last read. Branch by branch, so that nothing else has to wait long;
        what appears or goes meanwhile may be counted though it is gone, never the other way round."""
        with self._lock:
            self._since = 0
        ages: Counter[int] = Counter()
        for branch in await self._in_thread(self._branches):
            ages.update(await self._in_thread(self._count, branch, clean))
        with self._lock:
            self._kept = sum(ages.values()) + self._since
        return ages

    def _is_crowded(self) -> bool:
        return self._kept + self._pending > self._max_bytes * CROWDED

    def _look_for_room(self) -> None:
        if self._is_crowded():
            self._crowded.set()

    def _in_thread(self, work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _folder(self, asset_id: str) -> Path:
        if not is_id(asset_id):
            raise NotFound("There is no such asset.")
        return self._root / asset_id[-2:] / asset_id[-4:-2] / asset_id

    def _name(self, transform: str) -> str:
        return hashlib.sha256(f"{self._version}\n{transform}".encode()).hexdigest()[:32]

    # In threads

    def _read(self, path: Path) -> Picture | None:
        try:
            with path.open("rb", buffering=0) as file:
                age = self._now() - os.fstat(file.fileno()).st_mtime
                data = file.read()
                if age > TOUCH_SECONDS:
                    with suppress(OSError):  # a read-only disk still gives
                        self._touch(file.fileno())
        except FileNotFoundError:
            return None
        try:
            return unpack(data)
        except Damaged as error:
            log.warning("a variant is damaged and was removed", path=str(path), reason=str(error))
            self._remove(path)
            with self._lock:
                self._damaged += 1
            return None

    def _write(self, folder: Path, name: str, picture: Picture) -> bool:
        target = folder / name
        if target.exists():
            return True
        head = pack_head(picture)
        cost = _blocks(len(head) + len(picture.body))
        if self._free(self._root) - cost < self._min_free_bytes:
            return False
        with self._lock:
            if self._kept + self._pending + cost > self._max_bytes:
                return False
            self._pending += cost
        part = folder / f".{name}.{secrets.token_hex(4)}"
        try:
            self._write_part(part, head, picture.body)
            with self._lock:
                replaced = _size(target)
                os.rename(part, target)
                self._kept += cost - replaced
                self._since += cost
            return True
        except OSError as error:
            # Its folder was forgotten meanwhile, or there is no room: neither is a fault.
            if error.errno in (errno.ENOENT, errno.ENOSPC, errno.EDQUOT):
                return False
            raise
        finally:
            with self._lock:
                self._pending -= cost
            part.unlink(missing_ok=True)

    def _write_part(self, part: Path, head: bytes, body: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(part, flags, 0o644)
        except FileNotFoundError:  # the janitor found the folder empty just now
            part.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(part, flags, 0o644)
        try:
            write_all(fd, head)
            write_all(fd, body)
            self._touch(fd)
        finally:
            os.close(fd)

    def _forget(self, folder: Path) -> None:
        gone = self._root / TRASH / f"{folder.name}.{secrets.token_hex(4)}"
        gone.parent.mkdir(exist_ok=True)
        with self._lock:  # nothing appears in it meanwhile
            freed = sum(_size(entry) for entry in _entries(folder) if not entry.name.startswith("."))
            try:
                os.rename(folder, gone)
            except FileNotFoundError:
                return
            self._kept -= freed
        shutil.rmtree(gone, ignore_errors=True)

    def _branches(self) -> list[Path]:
        """The uppermost folders: each holds a 256th of the assets."""
        return [Path(entry) for entry in _entries(self._root) if not entry.name.startswith(".")]

    def _assets(self, branch: Path) -> list[tuple[str, int, datetime]]:
        found = []
        for middle in _entries(branch):
            for asset in _entries(middle):
                stats = []
                for entry in _entries(asset) if is_id(asset.name) else ():
                    with suppress(FileNotFoundError):
                        stats.append(entry.stat(follow_symlinks=False))
                if stats:
                    newest = datetime.fromtimestamp(max(each.st_mtime for each in stats), UTC)
                    found.append((asset.name, sum(each.st_size for each in stats), newest))
        return found

    def _count(self, branch: Path, clean: bool) -> Counter[int]:
        ages: Counter[int] = Counter()
        for entry in _files(branch):
            if not entry.name.startswith("."):
                with suppress(FileNotFoundError):
                    stat = entry.stat(follow_symlinks=False)
                    ages[int(stat.st_mtime)] += _blocks(stat.st_size)
            elif clean:
                with suppress(FileNotFoundError):
                    os.unlink(entry)
        return ages

    def _clear(self, branch: Path, edge: int, allowance: int) -> tuple[int, int]:
        """Remove what was last read before the second `edge`, and of that second `allowance` bytes. How many
        files went, and how many bytes of the allowance."""
        removed, freed = 0, 0
        for entry in _files(branch):
            if entry.name.startswith("."):
                continue
            with suppress(FileNotFoundError):
                second = int(entry.stat(follow_symlinks=False).st_mtime)
                if second > edge or (second == edge and freed >= allowance):
                    continue
                size = self._remove(Path(entry))
                removed += 1
                freed += size if second == edge else 0
                with suppress(OSError):  # others are left in it
                    os.rmdir(os.path.dirname(entry))
        return removed, freed

    def _remove(self, path: Path) -> int:
        """Bytes that this freed."""
        with self._lock:
            size = _size(path)
            path.unlink(missing_ok=True)
            self._kept -= size
        return size

    def _touch(self, fd: int) -> None:
        now = self._now()
        os.utime(fd, (now, now))

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _size(path: str | os.PathLike[str]) -> int:
    """What the file takes of the disk, 0 when there is none."""
    try:
        return _blocks(os.stat(path, follow_symlinks=False).st_size)
    except FileNotFoundError:
        return 0


def _entries(folder: str | os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
    """What is in a folder; nothing when it is gone, or is none."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        log.warning("a folder of variants cannot be read", path=os.fspath(folder), reason=str(error))


def _files(branch: Path) -> Iterator[os.DirEntry[str]]:
    for middle in _entries(branch):
        for asset in _entries(middle):
            yield from _entries(asset)
