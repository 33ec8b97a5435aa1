"""A level below the memory, as the others see it: its faults are misses, its writes behind the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

import structlog

from ferrotype.storage.base import CacheLevel, Picture

#: Writes under way at once.
WRITERS: Final = 4
#: Writes that may wait, however small.
MAX_WAITING: Final = 1024

#: Which level had a picture; `variants` is the variant store.
Level = Literal["memory", "shared", "variants"]
log = structlog.get_logger(__name__)


class Below:
    """`dropped` counts writes that found no room to wait, `errors` the faults of the place. `is_forgotten`
    tells of assets that must not be written any more."""

    def __init__(
        self, level: Level, place: CacheLevel, queue_bytes: int, is_forgotten: Callable[[str], bool]
    ) -> None:
        self.level: Level = level
        self.dropped = 0
        self.errors = 0
        self._place = place
        self._queue_bytes = queue_bytes
        self._is_forgotten = is_forgotten
        self._bytes = 0
        self._writers = asyncio.Semaphore(WRITERS)
        self._writes: set[asyncio.Task[None]] = set()
        #: Those that have a writer, with their assets.
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._failing = False

    @property
    def waiting(self) -> int:
        """Writes that have not ended."""
        return len(self._writes)

    async def get(self, asset_id: str, transform: str) -> Picture | None:
        """The picture, if the place has it and is well."""
        try:
            picture = await self._place.get(asset_id, transform)
        except Exception as error:
            self._failed(error)
            return None
        self._failing = False
        return picture

    def put_later(self, asset_id: str, transform: str, picture: Picture) -> None:
        """Write it behind the answer, if there is room for one more that waits."""
        size = len(picture.body)
        if self._bytes + size > self._queue_bytes or len(self._writes) >= MAX_WAITING:
            self.dropped += 1
            return
        self._bytes += size
        task = asyncio.get_running_loop().create_task(self._put(asset_id, transform, picture))
        self._writes.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._writes.discard(task)
            self._bytes -= size

        task.add_done_callback(done)

    async def forget(self, asset_id: str) -> None:
        """After the asset was marked as forgotten. Raises NotForgotten."""
        under_way = [task for task, other in self._under_way.items() if other == asset_id]
        if under_way:
            await asyncio.wait(under_way)
        await self._place.forget(asset_id)

    async def settled(self) -> None:
        """Wait until nothing waits."""
        while self._writes:
            await asyncio.wait(self._writes)

    async def drop(self) -> None:
        """End every write."""
        for task in self._writes:
            task.cancel()
        await self.settled()

    async def _put(self, asset_id: str, transform: str, picture: Picture) -> None:
        async with self._writers:
            if self._is_forgotten(asset_id):
                return
            task = asyncio.current_task()
            assert task
            self._under_way[task] = asset_id
            try:
                await self._place.put(asset_id, transform, picture)
            except Exception as error:
                self._failed(error)
            finally:
                del self._under_way[task]

    def _failed(self, error: Exception) -> None:
        """Said once until it is well again."""
        self.errors += 1
        if not self._failing:
            self._failing = True
            log.warning("a cache level fails", level=self.level, reason=repr(error))
