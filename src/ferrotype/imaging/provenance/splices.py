"""Changes of a file that are known before it is read: a few places where bytes go and come."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ferrotype.imaging.provenance.containers import Span

#: Where a WebP file says how long it is.
RIFF_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class Splice:
    """At `at`, in bytes from the beginning of the file, `drop` bytes go and `insert` comes in."""

    at: int
    drop: int
    insert: bytes


def without(span: Span, instead: bytes = b"") -> Splice:
    """A part goes, or becomes another one."""
    return Splice(span.start, span.stop - span.start, instead)


def riff_size(size: int) -> Splice:
    """What a WebP file says of its own length: without the first 8 bytes."""
    return Splice(RIFF_SIZE, 4, struct.pack("<I", size))


def ordered(found: Iterable[Splice]) -> list[Splice]:
    """In the file's order; what comes in at a place comes before what goes there."""
    return sorted(found, key=lambda each: (each.at, each.drop))


def growth(found: Iterable[Splice]) -> int:
    """By how many bytes a file becomes longer."""
    return sum(len(each.insert) - each.drop for each in found)


def spliced(data: bytes, found: Sequence[Splice]) -> bytes:
    """The file with these splices, which are in its order; the same bytes without any."""
    if not found:
        return data
    kept: list[bytes | memoryview] = []
    view, at = memoryview(data), 0
    for each in found:
        kept += (view[at : each.at], each.insert)
        at = each.at + each.drop
    return b"".join([*kept, view[at:]])
