"""The story of a GET for a variant: found in the caches, or made once for everybody who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from typing import Final

import structlog
from cachebox import LRUCache

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    BrokenPicture,
    InvalidField,
    OriginUnavailable,
    Overloaded,
    Problem,
    UnsupportedMedia,
)
from ferrotype.domain.transform import Transform
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.render import Rendered, render
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.watermark import Watermark
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver, Found, Opened
from ferrotype.services.originals import MOVES
from ferrotype.storage.arrivals import Arrival
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import cache_key

OPERATION: Final = "render"
#: A picture that turned out broken is not tried again for so many seconds, however many ask.
BROKEN_SECONDS: Final = 5.0
#: What `make_later` tried is not tried again for so many seconds: some caches cannot keep it.
AGAIN_SECONDS: Final = 600.0
#: Transforms and pictures that are remembered to be impossible.
REMEMBERED: Final = 4096

log = structlog.get_logger(__name__)


class Variants:
    """Finds variants, nearest level first, and makes those that no level has. `marks` are the operator's
    watermarks, by the name that stands in a transform."""

    def __init__(
        self,
        deliver: Deliver,
        levels: Levels,
        pool: ImagingPool,
        patient_pool: ImagingPool,
        limits: ImagingSettings,
        marks: Mapping[str, Watermark],
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        """`pool` is for what somebody waits for, `patient_pool` for what `make_later` is asked."""
        self._deliver = deliver
        self._levels = levels
        self._pool = pool
        self._patient_pool = patient_pool
        self._limits = limits
        self._marks = marks
        self._telemetry = telemetry
        self._clock = clock
        #: Variants whose pictures are still arriving.
        self._waiting = 0
        self._making: dict[str, asyncio.Task[Opened]] = {}
        self._later: dict[str, asyncio.Task[None]] = {}
        #: Why, and until when.
        self._broken: LRUCache[str, tuple[str, float]] = LRUCache(REMEMBERED)
        self._impossible: LRUCache[str, bool] = LRUCache(REMEMBERED)
        #: When what `make_later` tried may be tried again.
        self._tried: LRUCache[str, float] = LRUCache(REMEMBERED)

    async def kept(self, asset_id: str, transform: Transform) -> Opened | None:
        """The variant, if a level has it."""
        found = await self._levels.get(asset_id, transform.canonical())
        return Opened(*found) if found else None

    async def get(self, found: Found, transform: Transform) -> Opened:
        """The variant, made now if no level has it; requests for one that is being made join it.

        Its level is the cache that had it, or `render` with how long that took. Raises what `Deliver.open`
        raises, BrokenPicture for a picture that cannot be decoded, InvalidField
        naming the parameter that asks for what cannot be, and Overloaded at once when too many are waiting.
        """
        canonical = transform.canonical()
        key = cache_key(found.asset.id, canonical)
        task = self._making.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._get(found, transform, canonical))
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(task)

    def make_later(self, found: Found, transform: Transform) -> None:
        """Have it made when nobody waits for the processor; not at all when many are in front, or when it was
        tried a while ago and no level has it."""
        key = cache_key(found.asset.id, transform.canonical())
        if key in self._later or key in self._making:
            return
        until: float | None = self._tried.get(key)
        if until is not None and self._clock.monotonic() < until:
            return
        task = asyncio.get_running_loop().create_task(self._make_later(found, transform, key))
        self._later[key] = task
        task.add_done_callback(lambda _: self._later.pop(key))

    def is_possible(self, asset_id: str, transform: Transform) -> bool:
        """False for a variant that `make_later` found out to be impossible."""
        return cache_key(asset_id, transform.canonical()) not in self._impossible

    async def settled(self) -> None:
        """Wait until nothing is being made."""
        while tasks := [*self._making.values(), *self._later.values()]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Drop what is asked of us."""
        tasks = [*self._making.values(), *self._later.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _get(self, found: Found, transform: Transform, canonical: str) -> Opened:
        known = await self._levels.get(found.asset.id, canonical)
        return Opened(*known) if known else await self._make(found, transform, self._pool)

    async def _make_later(self, found: Found, transform: Transform, key: str) -> None:
        try:
            await self._make(found, transform, self._patient_pool)
        except InvalidField:
            self._impossible[key] = True
        except Problem:
            return  # a moment's fault: the next request asks again
        except Exception:
            log.exception("a variant was not made", asset_id=found.asset.id)
        self._tried[key] = self._clock.monotonic() + AGAIN_SECONDS

    async def _make(self, found: Found, transform: Transform, pool: ImagingPool) -> Opened:
        asset_id = found.asset.id
        known: tuple[str, float] | None = self._broken.get(asset_id)
        if known and self._clock.monotonic() < known[1]:
            raise BrokenPicture(known[0])
        started = perf_counter()
        ok = False
        try:
            made = await self._render(found, transform, pool)
            ok = True
        except BrokenPicture as problem:
            self._broken[asset_id] = problem.detail, self._clock.monotonic() + BROKEN_SECONDS
            raise
        finally:
            seconds = perf_counter() - started
            self._telemetry.observe(OPERATION, seconds, ok=ok, request=False)
        kept = self._levels.put(asset_id, transform.canonical(), made.data, made.content_type)
        return Opened(kept, f"{OPERATION};dur={seconds * 1000:.1f}")

    async def _render(self, found: Found, transform: Transform, pool: ImagingPool) -> Rendered:
        told = packet(found.asset.source_type)
        for _ in range(MOVES):
            try:
                # The seat comes first, so that nothing is read for those that are refused.
                with pool.seat() as seat:
                    source = await self._deliver.source(found)
                    if not isinstance(source, Arrival):
                        return await seat.run(
                            partial(render, source, transform, self._limits, self._marks, xmp=told)
                        )
                await self._wait_for(source)
            except FileNotFoundError:  # it went from the spool to its store meanwhile
                found = await self._deliver.find(found.asset.id)
            except UnsupportedMedia as problem:
                raise BrokenPicture(problem.detail) from problem
            except InvalidField as problem:
                if problem.field != "image":
                    raise
                raise BrokenPicture(problem.detail, limit=problem.limit) from problem
        raise OriginUnavailable("The picture's bytes are moving.", retry_after=1)

    async def _wait_for(self, arrival: Arrival) -> None:
        """Until the picture is whole. As many may wait for that as for a thread."""
        if self._waiting >= self._pool.bound:
            raise Overloaded(
                f"{self._waiting} variants wait for pictures that arrive.",
                limit=self._pool.bound,
                retry_after=1,
            )
        self._waiting += 1
        try:
            await arrival.finished()
        finally:
            self._waiting -= 1
