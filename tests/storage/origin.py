"""A provider's file server whose every byte the test decides on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferrotype.domain.asset import Origin
from ferrotype.imaging.sniff import ACCEPTED, sniff
from ferrotype.net.base import Incoming

ORIGIN = Origin(provider="test", url="http://origin.test/picture.png")
#: Up to its pixels, which it announces plenty of.
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + bytes(17) + b"\x7f\xff\xff\xffIDAT"


def content_type_of(head: bytes) -> str | None:
    kind = sniff(head)
    return kind.content_type if kind in ACCEPTED else None


def picture(size: int) -> bytes:
    """Bytes that a sniffer calls a PNG, each place different from its neighbours."""
    filler = bytes(range(251)) * (size // 251 + 1)
    return (PNG + filler)[:size]


class FakeOrigin:
    """`fetch` gives what was fed, in the same chunks, and waits for more until `end` or `fail`."""

    def __init__(self, length: int | None = None, content_type: str | None = "image/png") -> None:
        self.length = length
        self.content_type = content_type
        self.framed = True
        self.fetches = 0
        self.left = 0
        self.refusal: Exception | None = None
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def feed(self, chunk: bytes) -> None:
        self._chunks.put_nowait(chunk)

    def end(self) -> None:
        self._chunks.put_nowait(None)

    def fail(self, error: Exception) -> None:
        self._chunks.put_nowait(error)

    def serve(self, body: bytes, *, announced: bool = True) -> None:
        """The whole picture at once."""
        self.length = len(body) if announced else None
        self.feed(body)
        self.end()

    @asynccontextmanager
    async def fetch(self, origin: Origin) -> AsyncIterator[Incoming]:
        self.fetches += 1
        if self.refusal:
            raise self.refusal
        try:
            yield Incoming(self.content_type, self.length, self._read(), self.framed)
        finally:
            self.left += 1

    async def _read(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk
