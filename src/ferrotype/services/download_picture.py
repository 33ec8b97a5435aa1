"""One original on its way into an archive: looked at once, then read again to be sent.

Its bytes are in memory a piece at a time, and every piece is read in a thread. What is written into it comes
in while it is read; only one that is signed is in memory whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from ferrotype.domain.problems import InvalidField, UnsupportedMedia
from ferrotype.imaging.provenance.splices import Splice, growth
from ferrotype.imaging.provenance.xmp import splices
from ferrotype.imaging.sniff import HEAD, sniff
from ferrotype.services.labels import MAX_BYTES, Label

#: Read in one go, in bytes.
CHUNK: Final = 256 * 1024

T = TypeVar("T")


class Readable(Protocol):
    """What is needed of a binary file."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> int: ...
    def close(self) -> None: ...


OpenFile = Callable[[Path], Readable]


class Spliced:
    """A file with some bytes taken out and others put in, to be read from its beginning to its end."""

    def __init__(self, file: Readable, splices: Sequence[Splice]) -> None:
        self._file = file
        self._splices = splices
        self._next = list(splices)
        self._ahead = b""
        self._at = 0

    def read(self, size: int, /) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        if self._next and self._at == self._next[0].at:
            splice = self._next.pop(0)
            self._ahead = splice.insert
            self._at += splice.drop
            if splice.drop:
                self._file.seek(self._at)
            return self.read(size)
        data = self._file.read(min(size, self._next[0].at - self._at) if self._next else size)
        self._at += len(data)
        return data

    def seek(self, position: int, /) -> int:
        """To the beginning, which is 0."""
        self._next = list(self._splices)
        self._ahead = b""
        self._at = self._file.seek(position)
        return position

    def close(self) -> None:
        self._file.close()


def open_file(path: Path) -> Readable:
    """The file without a buffer of its own: it is read in large pieces."""
    return io.FileIO(path)


class PackedPicture:
    """`look` fills the fields: `size` is in bytes, `sha256` in hex, empty where it was not asked for; those
    of the original are `original_size` and `original_sha256`. `fault` is why it is not signed though it
    should be. Close it in the end, whatever came."""

    def __init__(self, open_file: OpenFile = open_file) -> None:
        self._open_file = open_file
        self._file: Readable | None = None
        self._reading: asyncio.Task[Any] | None = None
        self.size = 0
        self.crc = 0
        self.sha256 = ""
        self.original_size = 0
        self.original_sha256 = ""
        self.content_type: str | None = None
        self.fault: str | None = None
        self._sent = 0

    async def look(self, source: Path | bytes, label: Label, *, hashed: bool) -> None:
        """Read all of it for what stands in front of it in the archive; with `hashed` for its hash as well,
        which one that is labelled gets anyway.

        Raises FileNotFoundError, or OSError when it cannot be read.
        """
        await self._in_thread(lambda: self._look(source, label, hashed))

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
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _look(self, source: Path | bytes, label: Label, hashed: bool) -> None:
        self._close()  # of a look that failed
        self._file = io.BytesIO(source) if isinstance(source, bytes) else self._open_file(source)
        longer = self._label(source, label, hashed)
        digest = hashlib.sha256() if hashed or longer else None
        for data in _pieces(self._file):
            if not self.size:
                kind = sniff(data[:HEAD])
                self.content_type = kind.content_type if kind else None
            if digest is not None:
                digest.update(data)
            self.crc = zlib.crc32(data, self.crc)
            self.size += len(data)
        self.sha256 = digest.hexdigest() if digest is not None else ""
        self.original_size = self.size - longer
        if not longer:
            self.original_sha256 = self.sha256
        self._file.seek(0)

    def _label(self, source: Path | bytes, label: Label, hashed: bool) -> int:
        """Put the file with its label in the place of the original; by how many bytes it is longer, 0 where
        it stays as it is. A workflow stays in it: archives are their owner's."""
        assert self._file is not None
        original, size = self._file, len(source) if isinstance(source, bytes) else source.stat().st_size
        new: Readable
        try:
            if label.signing is not None and size <= MAX_BYTES:
                whole = b"".join(_pieces(original))
                original.seek(0)
                made = label.label(whole, keep_workflow=True)
                self.fault = made.fault
                new, longer = io.BytesIO(made.data), len(made.data) - len(whole)
            else:
                found = splices(source, label.packet)
                new, longer = Spliced(original, found), growth(found)
        except (InvalidField, UnsupportedMedia):  # it is packed as it is
            original.seek(0)
            return 0
        if not longer:
            return 0
        if hashed:
            self.original_sha256 = _digest(original)
            original.seek(0)
        if not isinstance(new, Spliced):
            original.close()
        self._file = new
        return longer

    def _read(self) -> bytes:
        assert self._file is not None
        data = self._file.read(min(CHUNK, self.size - self._sent))
        self._sent += len(data)
        if not data and self._sent < self.size:
            raise EOFError(f"it has become shorter than {self.size} bytes")
        return data


def _pieces(file: Readable) -> Iterator[bytes]:
    return iter(lambda: file.read(CHUNK), b"")


def _digest(file: Readable) -> str:
    digest = hashlib.sha256()
    for data in _pieces(file):
        digest.update(data)
    return digest.hexdigest()
