"""The levels of the cache in their order: memory, shared cache, variant store.

A look-up asks one after the other and fills those above the one that had it. What is kept goes to the memory
at once and to the levels below behind the answer, bounded: where more than `QUEUE_BYTES` wait it is dropped
and counted, since every picture can be had again. No caller sees a level fail.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Final

from ferrotype.domain.clock import Clock
from ferrotype.storage.base import FORGOTTEN_SECONDS, CacheLevel, NotForgotten, Picture
from ferrotype.storage.below import Below, Level
from ferrotype.storage.memory import Cached, MemoryCache, cache_key

#: Bytes that may wait to be written, for each level.
QUEUE_BYTES: Final = 32 * 1024 * 1024
#: Seconds that `close` waits for writes.
CLOSE_SECONDS: Final = 2.0

__all__ = ["Level", "Levels"]


class Levels:
    """Finished pictures, nearest level first. A picture is named by its asset's id and its canonical
    transform, which is empty for the original. Originals do not go into the variant store: they have stores
    of their own."""

    def __init__(
        self,
        memory: MemoryCache,
        clock: Clock,
        *,
        shared: CacheLevel | None = None,
        variants: CacheLevel | None = None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._shared = shared and Below("shared", shared, queue_bytes, self.is_forgotten)
        self._variants = variants and Below("variants", variants, queue_bytes, self.is_forgotten)
        #: Grows whenever what was known of some asset holds no more.
        self.changes = 0
        #: When each mark ends, in that order.
        self._forgotten: OrderedDict[str, float] = OrderedDict()

    @property
    def max_object_bytes(self) -> int:
        """A larger body never enters the memory."""
        return self._memory.max_object_bytes

    def get_here(self, asset_id: str, transform: str = "") -> Cached | None:
        """The picture, if it is in memory."""
        return self._memory.get(cache_key(asset_id, transform))

    async def get(self, asset_id: str, transform: str = "") -> tuple[Cached, Level] | None:
        """The picture, and which level had it."""
        cached = self.get_here(asset_id, transform)
        return (cached, "memory") if cached else await self.get_below(asset_id, transform)

    async def get_below(self, asset_id: str, transform: str = "") -> tuple[Cached, Level] | None:
        """`get` for a caller that has looked into the memory already."""
        for below in self._below(transform):
            if self.is_forgotten(asset_id):
                return None
            picture = await below.get(asset_id, transform)
            if picture is None or self.is_forgotten(asset_id):
                continue
            if self._shared and below is not self._shared:
                self._shared.put_later(asset_id, transform, picture)
            key = cache_key(asset_id, transform)
            return self._memory.put(key, picture.body, picture.content_type), below.level
        return None

    def put(self, asset_id: str, transform: str, body: bytes, content_type: str) -> Cached:
        """Keep a finished picture. One of an asset that was just forgotten is handed back and not kept."""
        key = cache_key(asset_id, transform)
        if self.is_forgotten(asset_id):
            return Cached(key, body, content_type)
        for below in self._below(transform):
            below.put_later(asset_id, transform, Picture(body, content_type))
        return self._memory.put(key, body, content_type)

    def put_here(self, asset_id: str, transform: str, body: bytes, content_type: str) -> Cached:
        """Keep in memory alone what can be had again for next to nothing; else as `put`."""
        key = cache_key(asset_id, transform)
        if self.is_forgotten(asset_id):
            return Cached(key, body, content_type)
        return self._memory.put(key, body, content_type)

    def forget_in_memory(self, asset_id: str) -> None:
        """Let the memory alone forget an asset: what was prepared there for readers holds no more."""
        self.changes += 1
        self._memory.forget(asset_id)

    def forget_here(self, asset_id: str) -> None:
        """What `forget` does at once: from here on nothing of the asset is found in this process."""
        self.changes += 1
        now = self._clock.monotonic()
        while self._forgotten and next(iter(self._forgotten.values())) <= now:
            self._forgotten.popitem(last=False)
        self._forgotten[asset_id] = now + FORGOTTEN_SECONDS
        self._forgotten.move_to_end(asset_id)
        self._memory.forget(asset_id)

    def remember(self, asset_id: str) -> None:
        """Keep pictures of an asset again that was forgotten here."""
        self.changes += 1
        self._forgotten.pop(asset_id, None)

    async def forget(self, asset_id: str) -> None:
        """Let go of an asset's original and of all its variants, in every level. It stays forgotten for
        `FORGOTTEN_SECONDS`: nothing that began before brings a part of it back.

        Raises NotForgotten when a level could not be told: ask again later, from a job.
        """
        self.forget_here(asset_id)
        told = await asyncio.gather(
            *(below.forget(asset_id) for below in self._below("any")), return_exceptions=True
        )
        if failed := [error for error in told if error]:
            raise NotForgotten("; ".join(str(error) for error in failed)) from failed[0]

    def is_forgotten(self, asset_id: str) -> bool:
        """Whether the asset was forgotten a moment ago."""
        until = self._forgotten.get(asset_id)
        return until is not None and self._clock.monotonic() < until

    async def is_shared(self, asset_id: str) -> bool:
        """Whether the shared cache has the original: other nodes find it there."""
        return self._shared is not None and await self._shared.get(asset_id, "") is not None

    def stats(self) -> dict[str, int]:
        """What is behind the answers, for `/metrics`: `<level>_waiting`, `_dropped` and `_errors`."""
        return {
            f"{below.level}_{name}": getattr(below, name)
            for below in self._below("any")
            for name in ("waiting", "dropped", "errors")
        }

    async def settled(self) -> None:
        """Wait until all is written that was to be."""
        for below in self._below("any"):
            await below.settled()

    async def close(self) -> None:
        """Give the writes that wait a moment, and drop the others. The levels themselves stay open."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.settled()
        for below in self._below("any"):
            await below.drop()

    def _below(self, transform: str) -> list[Below]:
        """The levels below the memory that keep such a picture."""
        return [below for below in (self._shared, self._variants if transform else None) if below]
