"""Identifiers: UUIDv7 (RFC 9562) in the canonical lowercase form, 36 characters.

They sort by creation time to the millisecond and carry 74 random bits and no counter, so that an
asset id is unguessable. Python's own `uuid.uuid7` (3.14) spends 42 of those bits on a counter.
"""

import re
import secrets
import time
import uuid
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id(unix_ms: int | None = None) -> str:
    """A fresh id for `unix_ms` (milliseconds since the epoch; now when omitted)."""
    stamp = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    value = (stamp & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # RFC 9562 variant
    return str(uuid.UUID(int=value))


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id. Anything else never reaches a path or a query."""
    return _UUID.fullmatch(text) is not None
