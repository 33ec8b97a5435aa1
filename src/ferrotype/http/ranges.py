"""`Range`: one byte range of a representation whose size is known (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: Longer digit strings than any size has are no ranges; this also bounds the work on hostile input.
_SPEC: Final = re.compile(rb"(\d{0,18})-(\d{0,18})")
MAX_HEADER: Final = 256


class Unsatisfiable(Exception):
    """The range is well-formed and lies outside the representation: 416."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From `start` up to and without `stop`, in bytes; never empty."""

    start: int
    stop: int

    def content_range(self, size: int) -> bytes:
        """The value of `Content-Range` for a representation of `size` bytes."""
        return b"bytes %d-%d/%d" % (self.start, self.stop - 1, size)


def parse_range(header: bytes, size: int) -> ByteRange | None:
    """The one range asked for; None when the header is to be ignored and the whole is sent (another
    unit, bad syntax, several ranges: RFC 9110, 14.2 allows it). Raises Unsatisfiable."""
    unit, equals, ranges = header.partition(b"=")
    if not equals or unit.strip(b" \t").lower() != b"bytes" or len(header) > MAX_HEADER:
        return None
    # A list may have empty elements, which count for nothing (5.6.1.2).
    specs = [spec for spec in (part.strip(b" \t") for part in ranges.split(b",")) if spec]
    match = _SPEC.fullmatch(specs[0]) if len(specs) == 1 else None
    if match is None:
        return None
    first, last = match.groups()
    return _suffix(last, size) if not first else _interval(int(first), last, size)


def _suffix(count: bytes, size: int) -> ByteRange | None:
    if not count:
        return None
    length = min(int(count), size)
    if length == 0:
        raise Unsatisfiable
    return ByteRange(size - length, size)


def _interval(first: int, last: bytes, size: int) -> ByteRange | None:
    stop = int(last) + 1 if last else size
    if last and stop <= first:
        return None
    if first >= size:
        raise Unsatisfiable
    return ByteRange(first, min(stop, size))
