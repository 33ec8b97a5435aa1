"""Server-sent events out of a body that comes piece by piece.

Source: the HTML standard, "Server-sent events". One thing is read more kindly than it says: an event without
the blank line after it counts when the stream ends, since servers forget that line.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

LINE_END: Final = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """`name` is `message` where the server gave none; `data` are its data lines, joined by line feeds."""

    name: str
    data: str


async def server_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[ServerEvent]:
    """Every event with data, in order. What is not UTF-8 is replaced, so that nothing is raised here."""
    name, data = "", list[str]()
    async for line in _lines(chunks):
        if not line:
            if data:
                yield ServerEvent(name or "message", "\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
    if data:
        yield ServerEvent(name or "message", "\n".join(data))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """The lines without their ends. Only new bytes are searched: one line may carry a whole picture."""
    line, after_return, first = bytearray(), False, True
    async for chunk in chunks:
        # A line feed that belongs to a carriage return at the end of the chunk before.
        new = chunk[1:] if after_return and chunk[:1] == b"\n" else chunk
        after_return = chunk[-1:] == b"\r"
        *ends, rest = LINE_END.split(new)
        for end in ends:
            line += end
            yield _text(line, first)
            first = False
            line.clear()
        line += rest
    if line:
        yield _text(line, first)


def _text(line: bytearray, first: bool) -> str:
    text = line.decode("utf-8", "replace")
    return text.removeprefix("\ufeff") if first else text
