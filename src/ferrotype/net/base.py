"""What a fetch gives: a body that is still arriving."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer whose head is here. `length` is in bytes, None when the server does not tell;
    `chunks` raises OriginUnavailable, OriginTimeout or TooLarge when the body breaks off, which shows only
    where the answer is `framed`: where it says how long it is, or where it ends."""

    content_type: str | None
    length: int | None
    chunks: AsyncIterator[bytes]
    framed: bool = True
