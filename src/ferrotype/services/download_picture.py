"""One original on its way into an archive: looked at once, then read again to be sent.

Its bytes are in memory a piece at a time, and every piece is read in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from ferrotype.imaging.sniff import HEAD, sniff

#: Read in one go, in bytes.
CHUNK: Final = 256 * 1024

T = TypeVar("T")


class Readable(Protocol):
    """What is needed of a binary file."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> int: ...
    def close(self) -> None: ...


OpenFile = Callable[[Path], Readable]


def open_file(path: Path) -> Readable:
    """The file without a buffer of its own: it is read in large pieces."""
    return io.FileIO(path)


class PackedPicture:
    """`look` fills the fields; `size` is in bytes, `sha256` in hex. Close it in the end, whatever came."""

    def __init__(self, open_file: OpenFile = open_file) -> None:
        self._open_file = open_file
        self._file: Readable | None = None
        self._reading: asyncio.Task[Any] | None = None
        self.size = 0
        self.crc = 0
        self.sha256 = ""
        self.content_type: str | None = None
        self._sent = 0

    async def look(self, source: Path | bytes, *, hashed: bool) -> None:
        """Read all of it for what stands in front of it in the archive; with `hashed` for its hash as well.

        Raises FileNotFoundError, or OSError when it cannot be read.
        """
        await self._in_thread(lambda: self._look(source, hashed))

    async def read(self) -> bytes:
        """The next piece, empty after the last. Raises EOFError when there is less than there was."""
        return await self._in_thread(self._read)

    def close(self) -> None:
        """Give the file back; harmless when there is none. A thread that still reads, for somebody who was
        canceled meanwhile, ends first: the file is not closed under it."""
        if self._reading is None or self._reading.done():
            self._close()
        else:
            self._reading.add_done_callback(lambda _: self._close())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        self._reading = reading = asyncio.ensure_future(asyncio.to_thread(work))
        return await asyncio.shield(reading)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _look(self, source: Path | bytes, hashed: bool) -> None:
        self._file = file = io.BytesIO(source) if isinstance(source, bytes) else self._open_file(source)
        digest = hashlib.sha256()
        while data := file.read(CHUNK):
            if not self.size:
                kind = sniff(data[:HEAD])
                self.content_type = kind.content_type if kind else None
            if hashed:
                digest.update(data)
            self.crc = zlib.crc32(data, self.crc)
            self.size += len(data)
        self.sha256 = digest.hexdigest() if hashed else ""
        file.seek(0)

    def _read(self) -> bytes:
        assert self._file is not None
        data = self._file.read(min(CHUNK, self.size - self._sent))
        self._sent += len(data)
        if not data and self._sent < self.size:
            raise EOFError(f"it has become shorter than {self.size} bytes")
        return data
