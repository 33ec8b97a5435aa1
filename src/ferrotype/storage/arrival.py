"""One picture whose bytes are arriving: one writer, any number of readers.

The writer appends to a part of the spool; readers read that file back, each through a descriptor of its
own, so the memory used does not depend on the size of the picture or on how slow a reader is. A reader that
has caught up waits for the writer's next signal; nothing polls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferrotype.domain.problems import OriginUnavailable, Problem
from ferrotype.storage.spool import Part

#: Read in one go, in bytes. The file was written a moment ago and is in the page cache.
READ_CHUNK: Final = 128 * 1024


class OriginUnusable(OriginUnavailable):
    """What came is no picture, or too large a one: fetching it again would not help."""

    retryable = False


class ArrivalBroken(Exception):
    """The bytes broke off after a reader was given some; whoever passes them on must not end cleanly."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ArrivalHead:
    """What is known with the first bytes. `length` is in bytes, None when the origin does not tell."""

    content_type: str
    length: int | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A complete picture in the spool. `sha256` is in hex."""

    bytes: int
    sha256: str
    content_type: str
    path: Path


class Arrival:
    """What readers see, and the few steps by which `Arrivals` moves it on, in this order: `has_head`,
    `has_bytes` as often as needed, `has_all`, `is_kept`; or `broke` at any time before `is_kept`."""

    def __init__(self, asset_id: str) -> None:
        self.asset_id = asset_id
        self._part: Part | None = None
        self._head: ArrivalHead | None = None
        self._available = 0
        self._whole = False
        self._arrived: Arrived | None = None
        self._problem: Problem | None = None
        self._moved = asyncio.Event()

    async def head(self) -> ArrivalHead:
        """Waits for the first bytes. Raises OriginUnavailable, OriginTimeout or Overloaded."""
        while self._head is None:
            if self._problem:
                raise self._again()
            await self._moved.wait()
        return self._head

    async def chunks(self, start: int = 0) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` on as they come. When no more will come it raises ArrivalBroken, but the
        problem itself if it had given none."""
        fd = await self._open()
        try:
            position = start
            while True:
                if position < self._available:
                    count = min(READ_CHUNK, self._available - position)
                    data = os.pread(fd, count, position)
                    position += len(data)
                    yield data
                elif self._whole:
                    return
                elif self._problem:
                    raise ArrivalBroken(self._problem) if position > start else self._again()
                else:
                    await self._moved.wait()
        finally:
            os.close(fd)

    async def finished(self) -> Arrived:
        """Waits until the picture is in the spool, durably. Raises the problem if it broke."""
        while self._arrived is None:
            if self._problem:
                raise self._again()
            await self._moved.wait()
        return self._arrived

    async def length(self) -> int:
        """How many bytes it has, in the end. Raises as `finished` does."""
        return (await self.finished()).bytes

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self._arrived is not None or self._problem is not None

    def has_head(self, head: ArrivalHead, part: Part) -> None:
        """The kind of the picture is known."""
        self._head = head
        self._part = part
        self._signal()

    def has_bytes(self, available: int) -> None:
        """The first `available` bytes can be read."""
        self._available = available
        self._signal()

    def has_all(self) -> None:
        """No more bytes will come, and they are the whole picture: readers may end."""
        self._whole = True
        self._signal()

    def is_kept(self, arrived: Arrived) -> None:
        """The file has its final name."""
        self._head = self._head or ArrivalHead(arrived.content_type, arrived.bytes)
        self._part = None
        self._available = arrived.bytes
        self._whole = True
        self._arrived = arrived
        self._signal()

    def broke(self, problem: Problem) -> None:
        """It will never be whole."""
        self._part = None
        self._problem = problem
        self._signal()

    async def _open(self) -> int:
        await self.head()
        if self._part:
            return self._part.reader()
        if self._arrived:
            return os.open(self._arrived.path, os.O_RDONLY | os.O_CLOEXEC)
        raise self._again()

    def _again(self) -> Problem:
        """The problem for one of several waiters: each has a traceback of its own."""
        assert self._problem
        problem = self._problem
        copy = type(problem)(problem.detail, limit=problem.limit, retry_after=problem.retry_after)
        copy.__cause__ = problem
        return copy

    def _signal(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
