"""The three places that a picture's bytes are sent from.

`begin` comes before the head of the answer is sent and waits for the first byte, since until then a failure
can still be told as a problem; after it `send` can only cut the connection.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

from ferrotype.http.asgi import Scope, Send, body
from ferrotype.http.ranges import ByteRange
from ferrotype.services.deliver import Delivery, File
from ferrotype.services.flowing import Flowing
from ferrotype.storage.arrivals import Arrival, ArrivalHead
from ferrotype.storage.memory import Cached

#: Read from disk in one go, in bytes; `send` waits for a slow client, so that no more than this waits here.
CHUNK: Final = 256 * 1024
PATHSEND: Final = "http.response.pathsend"
#: Granian calls HTTP/1.0 "1".
WITHOUT_CHUNKS: Final = ("1.0", "1")


class Body(Protocol):
    """`size` is in bytes, None when it is not known yet."""

    content_type: str
    size: int | None

    async def begin(self, part: ByteRange | None) -> None:
        """Get ready to send `part`, or the whole. Raises a problem, and FileNotFoundError for a file that has
        moved meanwhile."""
        ...

    async def send(self, send: Send) -> None:
        """Everything after the head. Raises when the bytes break off."""
        ...


async def body_of(delivery: Delivery | Flowing, scope: Scope) -> Body:
    """The body of what was found. Waits for the head of an arrival, and raises its problem."""
    if isinstance(delivery, Cached):
        return MemoryBody(delivery)
    if isinstance(delivery, File):
        pathsend = delivery.stays and PATHSEND in (scope.get("extensions") or ())
        return FileBody(delivery, pathsend=pathsend)
    head = await delivery.head()
    if head.length is None and scope.get("http_version") in WITHOUT_CHUNKS:
        head = ArrivalHead(head.content_type, await delivery.length())
    return ArrivingBody(delivery, head)


class MemoryBody:
    """A picture, or a part of it, in one piece."""

    def __init__(self, cached: Cached) -> None:
        self.content_type = cached.content_type
        self.size: int | None = len(cached.body)
        self._data = cached.body

    async def begin(self, part: ByteRange | None) -> None:
        if part:
            self._data = self._data[part.start : part.stop]

    async def send(self, send: Send) -> None:
        await send(body(self._data))


class FileBody:
    """Read in threads, or, when the whole is wanted, by the server itself where it has the extension
    `pathsend` (on Granian about 1.5 times as fast at 20 MB)."""

    def __init__(self, file: File, *, pathsend: bool) -> None:
        self.content_type = file.content_type
        self.size: int | None = file.size
        self._path = file.path
        self._pathsend = pathsend
        self._part = ByteRange(0, file.size)
        self._file: io.FileIO | None = None

    async def begin(self, part: ByteRange | None) -> None:
        if part or not self._pathsend:
            self._part = part or self._part
            self._file = await asyncio.to_thread(io.FileIO, self._path)

    async def send(self, send: Send) -> None:
        if self._file is None:
            await send({"type": PATHSEND, "path": str(self._path.absolute())})
            return
        position, stop = self._part.start, self._part.stop
        with self._file as file:
            while position < stop:
                count = min(CHUNK, stop - position)
                data = await asyncio.to_thread(os.pread, file.fileno(), count, position)
                if not data:
                    raise EOFError(f"{self._path} has become shorter than {self.size} bytes")
                position += len(data)
                await send(body(data, more=position < stop))


class ArrivingBody:
    """Bytes as they come; a part ends when its last byte is here, whatever still follows."""

    def __init__(self, arrival: Arrival | Flowing, head: ArrivalHead) -> None:
        self.content_type = head.content_type
        self.size = head.length
        self._arrival = arrival
        self._chunks: AsyncGenerator[bytes, None]
        self._first = b""
        self._wanted = head.length

    async def begin(self, part: ByteRange | None) -> None:
        self._chunks = self._arrival.chunks(part.start if part else 0)
        self._wanted = part.stop - part.start if part else self._wanted
        self._first = await anext(self._chunks, b"")

    async def send(self, send: Send) -> None:
        sent, chunk = 0, self._first
        async with aclosing(self._chunks):
            while chunk:
                data = chunk if self._wanted is None else chunk[: self._wanted - sent]
                sent += len(data)
                await send(body(data, more=True))
                chunk = b"" if sent == self._wanted else await anext(self._chunks, b"")
        await send(body(b""))
