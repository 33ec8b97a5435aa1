"""The ZIP format as far as an archive of stored files needs it: bytes out, no files and no waiting.

Source: PKWARE's APPNOTE.TXT 6.3.10; the extra field 0x5455 (time in UTC) is Info-ZIP's. Files are stored,
not compressed: pictures are compressed already. A file's size and CRC are known before its header is
written, so they stand in the header. With the data descriptors of archives that are written in one pass
they would follow the bytes, and a stored file has no end that a reader could see: Java's ZipInputStream,
Apache Commons Compress and at times macOS refuse such archives (docs/adr/0005-libraries.md).

Equal calls give equal bytes, on every machine.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

#: From here on a field says "see the ZIP64 one".
MAX_32: Final = 0xFFFF_FFFF
MAX_16: Final = 0xFFFF
#: Versions of the format that a reader needs: 2.0 for files in general, 4.5 for ZIP64.
PLAIN, ZIP64 = 20, 45
UNIX: Final = 3 << 8
#: Names are UTF-8.
FLAGS: Final = 1 << 11
STORED: Final = 0
#: A regular file that everybody may read, as Unix has it.
MODE: Final = 0o100644 << 16

LOCAL: Final = struct.Struct("<4s5H3L2H")
CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
END: Final = struct.Struct("<4s4H2LH")
END_64: Final = struct.Struct("<4sQ2H2L4Q")
LOCATOR: Final = struct.Struct("<4sLQL")
TIME_EXTRA: Final = struct.Struct("<2HBl")

FIRST_DAY: Final = datetime(1980, 1, 1, tzinfo=UTC)
LAST_DAY: Final = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive. `size` is in bytes, `at` when it was made; a moment that the format cannot
    hold becomes the nearest one that it can."""

    name: str
    size: int
    crc: int
    at: datetime


class ZipWriter:
    """Gives the bytes around those of the files: `begin` before each file, `end` after the last.

    `offset` counts the bytes of the archive up to the end of the newest file.
    """

    def __init__(self) -> None:
        self.offset = 0
        self._directory: list[tuple[Member, int]] = []

    def begin(self, member: Member) -> bytes:
        """What stands in front of the file's `member.size` bytes, which have to follow."""
        name = member.name.encode()
        large = member.size >= MAX_32
        extra = _time_extra(member.at) + (_zip64_extra(member.size, member.size) if large else b"")
        size = MAX_32 if large else member.size
        date, time = _dos(member.at)
        header = LOCAL.pack(
            *(b"PK\3\4", ZIP64 if large else PLAIN, FLAGS, STORED, time, date),
            *(member.crc, size, size, len(name), len(extra)),
        )
        self._directory.append((member, self.offset))
        self.offset += len(header) + len(name) + len(extra) + member.size
        return header + name + extra

    def end(self) -> list[bytes]:
        """The directory, an entry per file, and the end record: what follows the last file."""
        entries = [_central(member, at) for member, at in self._directory]
        count, size, start = len(entries), sum(map(len, entries)), self.offset
        tail = b""
        if count >= MAX_16 or size >= MAX_32 or start >= MAX_32:
            rest = END_64.size - 12  # its own length does not count what stands before it
            tail = END_64.pack(b"PK\6\6", rest, UNIX | ZIP64, ZIP64, 0, 0, count, count, size, start)
            tail += LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
            count, size, start = min(count, MAX_16), min(size, MAX_32), min(start, MAX_32)
        return [*entries, tail + END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0)]


def length_of(members: list[Member]) -> int:
    """Bytes of the archive of these files; no CRC needs to be right for that."""
    writer = ZipWriter()
    for member in members:
        writer.begin(member)
    return writer.offset + sum(map(len, writer.end()))


def _central(member: Member, offset: int) -> bytes:
    name = member.name.encode()
    # In the order of the format: the size, the stored size and the offset, those that do not fit.
    sizes = (member.size, member.size) if member.size >= MAX_32 else ()
    large = (*sizes, *((offset,) if offset >= MAX_32 else ()))
    extra = _time_extra(member.at) + (_zip64_extra(*large) if large else b"")
    size = min(member.size, MAX_32)
    date, time = _dos(member.at)
    version = ZIP64 if large else PLAIN
    header = CENTRAL.pack(
        *(b"PK\1\2", UNIX | version, version, FLAGS, STORED, time, date, member.crc, size, size),
        *(len(name), len(extra), 0, 0, 0, MODE, min(offset, MAX_32)),
    )
    return header + name + extra


def _zip64_extra(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def _time_extra(at: datetime) -> bytes:
    """The exact second in UTC; nothing where it does not fit into 32 bits."""
    seconds = int(at.timestamp())
    return TIME_EXTRA.pack(0x5455, 5, 1, seconds) if 0 <= seconds < 1 << 31 else b""


def _dos(at: datetime) -> tuple[int, int]:
    """Date and time in steps of two seconds. The format means local time; ours is UTC, so that the archive
    does not depend on the machine, and readers of the extra field show the right one."""
    at = min(max(at.astimezone(UTC), FIRST_DAY), LAST_DAY)
    date = (at.year - 1980) << 9 | at.month << 5 | at.day
    return date, at.hour << 11 | at.minute << 5 | at.second // 2
