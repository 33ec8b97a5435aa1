"""Conditions on an entity tag and on a date (RFC 9110, section 13). Only originals have a date."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from ferrotype.domain.problems import PreconditionFailed, RangeNotSatisfiable
from ferrotype.http.asgi import Scope
from ferrotype.http.ranges import ByteRange, Unsatisfiable, parse_range

_TAGS: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
#: In front of a weak tag.
WEAK: Final = b"W/"
#: Tags without the mark of a weak one in front.
_STRONG: Final = re.compile(rb'(?<!W/)("[\x21\x23-\x7e\x80-\xff]*")')
#: Bytes of a condition that are looked at; nobody keeps more tags of one picture.
MAX_HEADER: Final = 8192
#: Longest date that is looked at, in bytes.
MAX_DATE: Final = 64
NAMES: Final = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"}
)


def none_match(header: bytes, etag: bytes) -> bool:
    """Whether `If-None-Match` lets the answer through: False means 304. Tags are compared weakly, and
    `*` stands for every one. `etag` comes with its quotes, and with the mark of a weak one if it is one."""
    if header == etag:
        return False
    if header.strip(b" \t") == b"*":
        return False
    return etag.removeprefix(WEAK) not in _TAGS.findall(header[:MAX_HEADER])


def match(header: bytes, etag: bytes) -> bool:
    """Whether `If-Match` holds: `*`, or the very same strong tag, which a weak one never is (13.1.1)."""
    value = header.strip(b" \t")
    return value == b"*" or etag in _STRONG.findall(value[:MAX_HEADER])


def modified_since(header: bytes, modified: int) -> bool:
    """Whether `If-Modified-Since` lets the answer through: False means 304. `modified` is in seconds since
    1970. What is no date counts for nothing (13.1.3)."""
    since = read_date(header)
    return since is None or modified > since


def if_range(header: bytes, etag: bytes, modified: int | None = None) -> bool:
    """Whether `If-Range` keeps the range: the very same strong tag, which a weak one never is, or the very
    same date, which is a strong validator where nothing ever changes (13.1.5)."""
    value = header.strip(b" \t")
    return (value == etag and not etag.startswith(WEAK)) or (
        modified is not None and read_date(value) == modified
    )


def read_date(header: bytes) -> int | None:
    """Seconds since 1970 of an HTTP date in any of its forms (5.6.7); None for what is none."""
    if len(header) > MAX_DATE:
        return None
    try:
        moment = parsedate_to_datetime(header.decode("ascii"))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):  # UnicodeDecodeError is a ValueError
        return None


class Conditions:
    """The conditions and the range of one request. `modified` is when the picture was made, in seconds since
    1970; None for one that has no date."""

    def __init__(self, scope: Scope, etag: bytes, modified: int | None = None) -> None:
        self._etag = etag
        self._modified = modified
        self._get = scope["method"] == "GET"
        self._found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in NAMES:
                # Several lines of a list are one list (RFC 9110, 5.3); of the others that is bad syntax.
                self._found[name] = self._found[name] + b"," + value if name in self._found else value

    def check(self) -> None:
        """Raise PreconditionFailed when the client wants another picture than this one (13.2.2)."""
        tags, date = self._found.get(b"if-match"), self._found.get(b"if-unmodified-since")
        if tags is not None:
            if not match(tags, self._etag):
                raise PreconditionFailed("The picture has another entity tag.", field="If-Match")
        elif date is not None and self._modified is not None:
            until = read_date(date)
            if until is not None and self._modified > until:
                raise PreconditionFailed("The picture is newer than that.", field="If-Unmodified-Since")

    def has_it(self, *, exists: bool) -> bool:
        """Whether the client's own copy is the picture. `*` stands for any, if it surely `exists`. A date
        counts only without a tag (13.1.3)."""
        tags = self._found.get(b"if-none-match")
        if tags is not None:
            return (exists or tags.strip(b" \t") != b"*") and not none_match(tags, self._etag)
        since = self._found.get(b"if-modified-since")
        return since is not None and self._modified is not None and not modified_since(since, self._modified)

    def part(self, size: int | None) -> ByteRange | None:
        """The range to send, None for the whole picture. Raises RangeNotSatisfiable."""
        header = self._found.get(b"range")
        if header is None or size is None or not self._get:
            return None
        validator = self._found.get(b"if-range")
        if validator is not None and not if_range(validator, self._etag, self._modified):
            return None
        try:
            return parse_range(header, size)
        except Unsatisfiable:
            raise RangeNotSatisfiable(f"The picture has {size} bytes.", field="Range", limit=size) from None
