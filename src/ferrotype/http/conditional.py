"""Conditions on an entity tag (RFC 9110, section 13). What is served has no modification date, so the
conditions on dates are ignored, as 13.1.3 asks for."""

from __future__ import annotations

import re
from typing import Final

from ferrotype.domain.problems import RangeNotSatisfiable
from ferrotype.http.asgi import Scope
from ferrotype.http.ranges import ByteRange, Unsatisfiable, parse_range

_TAGS: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
#: Bytes of a condition that are looked at; nobody keeps more tags of one picture.
MAX_HEADER: Final = 8192


def none_match(header: bytes, etag: bytes) -> bool:
    """Whether `If-None-Match` lets the answer through: False means 304. Tags are compared weakly, and
    `*` stands for every one. `etag` comes with its quotes."""
    if header == etag:
        return False
    if header.strip(b" \t") == b"*":
        return False
    return etag not in _TAGS.findall(header[:MAX_HEADER])


def if_range(header: bytes, etag: bytes) -> bool:
    """Whether `If-Range` keeps the range: the very same strong tag only, so neither a weak one nor a date
    does (13.1.5)."""
    return header.strip(b" \t") == etag


class Conditions:
    """The conditions and the range of one request."""

    def __init__(self, scope: Scope, etag: bytes) -> None:
        self._etag = etag
        self._get = scope["method"] == "GET"
        self._found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in (b"if-none-match", b"range", b"if-range"):
                # Several lines of a list are one list (RFC 9110, 5.3); of the others that is bad syntax.
                self._found[name] = self._found[name] + b"," + value if name in self._found else value

    def has_it(self) -> bool:
        """Whether the client's own copy is the picture."""
        tags = self._found.get(b"if-none-match")
        return tags is not None and not none_match(tags, self._etag)

    def part(self, size: int | None) -> ByteRange | None:
        """The range to send, None for the whole picture. Raises RangeNotSatisfiable."""
        header = self._found.get(b"range")
        if header is None or size is None or not self._get:
            return None
        validator = self._found.get(b"if-range")
        if validator is not None and not if_range(validator, self._etag):
            return None
        try:
            return parse_range(header, size)
        except Unsatisfiable:
            raise RangeNotSatisfiable(f"The picture has {size} bytes.", field="Range", limit=size) from None
