"""The story of a GET for anything but an original as it is kept: found in the caches, or made once for
everybody who asks. Beside variants these are originals that lose or gain what stands around their pixels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final

import structlog
from cachebox import LRUCache

from ferrotype.domain.clock import Clock
from ferrotype.domain.edition import CLEAN, unsigned
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
from ferrotype.imaging.provenance.strip import cleaned
from ferrotype.imaging.render import render
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.sniff import HEAD
from ferrotype.imaging.vips import Source, kind_of
from ferrotype.imaging.watermark import Watermark
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver, Found, Opened
from ferrotype.services.labels import Label, Labels
from ferrotype.services.originals import MOVES
from ferrotype.storage.arrivals import Arrival, ArrivalBroken
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


@dataclass(frozen=True, slots=True)
class Made:
    """An edition's bytes; `fault` is why they are not signed though they should be, and `is_original` that
    there was nothing to take out."""

    data: bytes
    content_type: str
    fault: str | None = None
    is_original: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """An edition: its name, and what makes it of the original, which blocks. `decoded` ones cost so much that
    their number is bounded, and that every level keeps them; of others, as large as their original, only the
    memory does."""

    name: str
    make: Callable[[Source, Label], Made]
    decoded: bool


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
        labels: Labels,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        """`pool` is for what somebody waits for, `patient_pool` for what `make_later` is asked; `labels`
        tells what is written into the files."""
        self.labels = labels
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
        found = await self._levels.get(asset_id, self._variant(transform).name)
        return Opened(*found) if found else None

    async def get(self, found: Found, transform: Transform) -> Opened:
        """The variant, made now if no level has it; requests for one that is being made join it.

        Its level is the cache that had it, or `render` with how long that took. One that could not be signed
        has the name of the unsigned one. Raises what `Deliver.open` raises, BrokenPicture for a picture that
        cannot be decoded, InvalidField naming the parameter that asks for what cannot be, and Overloaded at
        once when too many are waiting.
        """
        return await self._joined(found, self._variant(transform))

    async def clean(self, found: Found) -> Opened:
        """The original without the workflow in its file, its pixels as they are; the original itself, by its
        own name, where there was none. Raises as `get` does."""
        return await self._joined(found, Wish(CLEAN, _clean, decoded=False))

    async def labelled(self, found: Found) -> Opened:
        """The original for a download, its pixels as they are: labelled where `Labels.download` has a name
        for that. Raises as `get` does."""
        name = self.labels.download(found.asset)
        if name is None:  # what it has to tell needs a signature, which cannot be made now
            return await self.clean(found)
        make = partial(_labelled, keep_workflow=self.labels.keep_workflows)
        return await self._joined(found, Wish(name, make, decoded=False))

    def make_later(self, found: Found, transform: Transform) -> None:
        """Have it made when nobody waits for the processor; not at all when many are in front, or when it was
        tried a while ago and no level has it."""
        wish = self._variant(transform)
        key = cache_key(found.asset.id, wish.name)
        if key in self._later or key in self._making:
            return
        until: float | None = self._tried.get(key)
        if until is not None and self._clock.monotonic() < until:
            return
        impossible = cache_key(found.asset.id, transform.canonical())
        task = asyncio.get_running_loop().create_task(self._make_later(found, wish, impossible))
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

    def _variant(self, transform: Transform) -> Wish:
        make = partial(self._render, transform)
        return Wish(self.labels.name(transform.canonical()), make, decoded=True)

    async def _joined(self, found: Found, wish: Wish) -> Opened:
        key = cache_key(found.asset.id, wish.name)
        task = self._making.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._get(found, wish))
            self._making[key] = task
            task.add_done_callback(lambda _: self._making.pop(key))
        return await asyncio.shield(task)

    async def _get(self, found: Found, wish: Wish) -> Opened:
        if wish.decoded:
            known = await self._levels.get(found.asset.id, wish.name)
            if known:
                return Opened(*known)
        elif cached := self._levels.get_here(found.asset.id, wish.name):
            return Opened(cached, "memory")
        return await self._make(found, wish, self._pool)

    async def _make_later(self, found: Found, wish: Wish, impossible: str) -> None:
        try:
            made = await self._make(found, wish, self._patient_pool)
            if not made.has_name(wish.name):
                return  # it could not be signed now
        except InvalidField:
            self._impossible[impossible] = True
        except Problem:
            return  # a moment's fault: the next request asks again
        except Exception:
            log.exception("a variant was not made", asset_id=found.asset.id)
        self._tried[cache_key(found.asset.id, wish.name)] = self._clock.monotonic() + AGAIN_SECONDS

    async def _make(self, found: Found, wish: Wish, pool: ImagingPool) -> Opened:
        asset_id = found.asset.id
        known: tuple[str, float] | None = self._broken.get(asset_id)
        if known and self._clock.monotonic() < known[1]:
            raise BrokenPicture(known[0])
        started = perf_counter()
        ok = False
        try:
            made = await self._made(found, wish, pool)
            ok = True
        except BrokenPicture as problem:
            self._broken[asset_id] = problem.detail, self._clock.monotonic() + BROKEN_SECONDS
            raise
        finally:
            seconds = perf_counter() - started
            self._telemetry.observe(OPERATION, seconds, ok=ok, request=False)
        name = "" if made.is_original else wish.name
        if made.fault is not None:
            self.labels.failed(made.fault)
            name = unsigned(name)
        keep = self._levels.put if wish.decoded or made.is_original else self._levels.put_here
        kept = keep(asset_id, name, made.data, made.content_type)
        return Opened(kept, f"{OPERATION};dur={seconds * 1000:.1f}")

    async def _made(self, found: Found, wish: Wish, pool: ImagingPool) -> Made:
        arrived: bytes | None = None
        for _ in range(MOVES):
            try:
                # The seat comes first, so that nothing is read for those that are refused.
                with pool.seat() as seat:
                    source = await self._deliver.source(found) if arrived is None else arrived
                    if not isinstance(source, Arrival):
                        label = await self.labels.of(found.asset)
                        return await seat.run(partial(wish.make, source, label))
                arrived = await (self._wait_for(source) if wish.decoded else self._collect(source))
            except FileNotFoundError:  # it went from the spool to its store meanwhile
                found = await self._deliver.find(found.asset.id)
            except UnsupportedMedia as problem:
                raise BrokenPicture(problem.detail) from problem
            except InvalidField as problem:
                if problem.field != "image":
                    raise
                raise BrokenPicture(problem.detail, limit=problem.limit) from problem
        raise OriginUnavailable("The picture's bytes are moving.", retry_after=1)

    def _render(self, transform: Transform, source: Source, label: Label) -> Made:
        made = render(source, transform, self._limits, self._marks, xmp=label.packet)
        signed = label.sign(made.data, transform, source)
        return Made(signed.data, made.content_type, signed.fault)

    async def _collect(self, arrival: Arrival) -> bytes | None:
        """All the bytes as soon as the last is here, None of a picture that is better read from its file."""
        length = (await arrival.head()).length
        if length is None or length > self._levels.max_object_bytes:
            await arrival.finished()
            return None
        try:
            async with aclosing(arrival.chunks()) as chunks:
                return b"".join([chunk async for chunk in chunks])
        except ArrivalBroken as broken:
            raise broken.problem from broken

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


def _clean(source: Source, _label: Label) -> Made:
    original = _whole(source)
    data = cleaned(original)
    return Made(data, kind_of(data[:HEAD]).content_type, is_original=data is original)


def _labelled(source: Source, label: Label, *, keep_workflow: bool) -> Made:
    made = label.label(_whole(source), keep_workflow=keep_workflow)
    return Made(made.data, kind_of(made.data[:HEAD]).content_type, made.fault)


def _whole(source: Source) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()
