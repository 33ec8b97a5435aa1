"""The disk store: originals as plain files, which share their blocks with the spool where they can."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ferrotype.domain.problems import NotFound, Problem, StoreMisconfigured, StoreUnavailable
from ferrotype.storage.base import Entry, LevelHealth, WrongBytes
from ferrotype.storage.filesystem import FULL, free_bytes, sync_folder, write_all
from ferrotype.storage.folder import walk
from ferrotype.storage.keys import checked

CHUNK: Final = 256 * 1024
RETRY_SECONDS: Final = 5.0
#: What a look at the health writes.
HEALTH: Final = b"is it well?"
WRITABLE: Final = "make the folder writable for this user, and see that its disk is there and has room"
#: The folder is there, and not ours to write: only a person can mend it.
REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)

__all__ = ["CHUNK", "DiskStore", "WrongBytes"]


class DiskStore:
    """A `Store` in a folder."""

    def __init__(
        self,
        root: Path,
        *,
        name: str = "disk",
        min_free_bytes: int = 0,
        public_base: str | None = None,
        free: Callable[[Path], int] = free_bytes,
        link: Callable[[Path, Path], None] = os.link,
    ) -> None:
        """`public_base` is the URL under which a web server or a CDN serves the folder. `link` is what `put`
        tries before it copies; it raises OSError where files cannot share."""
        root.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.local = True
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._public_base = public_base
        self._free = free
        self._link = link

    async def put(self, key: str, source: Path, *, content_type: str, sha256: str) -> None:
        """See `Store`. A linked file is the spool's own, so its hash was taken on the way in; a copy is
        hashed again. Raises WrongBytes when that differs."""
        await asyncio.to_thread(self._put, self._path(key), source, sha256)

    def local_path(self, key: str) -> Path | None:
        path = self._path(key)
        return path if path.is_file() else None

    async def public_url(self, key: str) -> str | None:
        return None if self._public_base is None else f"{self._public_base.rstrip('/')}/{key}"

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        path = self._path(key)
        try:
            with self._in_our_words():
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"The store {self.name} has no such key.") from None
        try:
            position = start
            while end is None or position < end:
                count = CHUNK if end is None else min(CHUNK, end - position)
                with self._in_our_words():
                    data = await asyncio.to_thread(os.pread, fd, count, position)
                if not data:
                    return
                position += len(data)
                yield data
        finally:
            os.close(fd)

    async def size(self, key: str) -> int | None:
        path = self._path(key)
        try:
            with self._in_our_words():
                return path.stat().st_size
        except FileNotFoundError:
            return None

    async def delete(self, key: str) -> None:
        path = self._path(key)
        with self._in_our_words():
            path.unlink(missing_ok=True)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """See `Store`. A link is as young as its name: the file may have waited long in the spool. Names that
        begin with a dot are nobody's pictures."""
        with self._in_our_words():
            async for entry in walk(self._root, prefix):
                yield entry

    async def close(self) -> None:
        """See `Store`."""

    async def health(self) -> LevelHealth:
        """See `Store`."""
        return await asyncio.to_thread(self._examine)

    def _examine(self) -> LevelHealth:
        probe = self._root / f".health-{secrets.token_hex(4)}"
        try:
            with probe.open("xb", buffering=0) as writing:
                write_all(writing.fileno(), HEALTH)
                os.fsync(writing.fileno())
            given = probe.read_bytes()
            free = self._free(self._root)
        except OSError as error:
            return LevelHealth(False, f"{self._root}: {error.strerror or error}", WRITABLE)
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        if given != HEALTH:
            return LevelHealth(False, f"{self._root} does not give back what was written", "check the disk")
        if free < self._min_free_bytes:
            mend = "free some space, or lower FERROTYPE_MIN_FREE_DISK_BYTES"
            return LevelHealth(False, f"{self._root}: {free / 2**20:.0f} MiB are free, too few", mend)
        return LevelHealth(True, f"{self._root}, {free / 2**30:.1f} GiB free")

    def _path(self, key: str) -> Path:
        """Raises NotFound for a key that could leave the folder, or that no file system would take."""
        return self._root / checked(key, self.name)

    @contextmanager
    def _in_our_words(self, source: Path | None = None) -> Iterator[None]:
        """Raises StoreUnavailable or StoreMisconfigured for an OSError of the disk's. That something is not
        there is for the caller to say, and so is what is wrong with the file `source`."""
        try:
            yield
        except (FileNotFoundError, WrongBytes):
            raise
        except OSError as error:
            if source is not None and error.filename == str(source):
                raise
            raise self._problem(error) from error

    def _problem(self, error: OSError) -> Problem:
        said = error.strerror or type(error).__name__
        if error.errno in FULL:
            return StoreUnavailable(f"The store {self.name} is full: make room on its disk.", retry_after=60)
        if error.errno in REFUSED:
            detail = f"The store {self.name} refuses us ({said}): {WRITABLE}."
            return StoreMisconfigured(detail, retry_after=RETRY_SECONDS)
        detail = f"The store {self.name} cannot be used ({said})."
        return StoreUnavailable(detail, retry_after=RETRY_SECONDS)

    def _put(self, target: Path, source: Path, sha256: str) -> None:
        with self._in_our_words(source):
            if target.exists():
                if os.path.samefile(target, source) or _hash(target) == sha256:
                    sync_folder(target.parent)  # a crash may have come between the link and its sync
                    return
                target.unlink()  # a torn file of an earlier life
            self._make_folders(target.parent)
            try:
                self._link(source, target)
            except FileExistsError:
                pass  # another put of the same key was faster
            except OSError:
                self._copy(source, target, sha256)
            sync_folder(target.parent)

    def _make_folders(self, folder: Path) -> None:
        """Every folder on the way, each new one durable in its parent."""
        if folder.is_dir():
            return
        self._make_folders(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
        sync_folder(folder.parent)

    def _copy(self, source: Path, target: Path, sha256: str) -> None:
        if self._free(self._root) - source.stat().st_size < self._min_free_bytes:
            detail = f"The store {self.name} is nearly full: make room on its disk."
            raise StoreUnavailable(detail, retry_after=60)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        digest = hashlib.sha256()
        try:
            with source.open("rb") as reading, temporary.open("xb", buffering=0) as writing:
                while data := reading.read(CHUNK):
                    digest.update(data)
                    write_all(writing.fileno(), data)
                os.fsync(writing.fileno())
            if digest.hexdigest() != sha256:
                raise WrongBytes(f"{source} does not have the hash {sha256}")
            os.rename(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
