"""Previews of unfinished pictures, bounded in size and in number: providers send what they like."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ferrotype.domain.problems import Problem
from ferrotype.imaging.bounded import CONTENT_TYPE, bounded
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.services.event_settings import EventSettings

#: What shows a preview, told its content type and bytes.
Show = Callable[[str, bytes], None]


@dataclass(slots=True)
class _Picture:
    """What is known of one unfinished picture. `newest` is what was not shown yet, `after` the moment of the
    event loop from which it may be."""

    newest: tuple[bytes, str, Show] | None = None
    after: float = 0.0
    busy: bool = False
    finished: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Previews:
    """Passes previews on, each as soon as it may be. One that comes too early waits, and a newer one takes
    its place; so the last is shown too."""

    def __init__(self, pool: ImagingPool, settings: EventSettings, limits: ImagingSettings) -> None:
        self._pool = pool
        self._max_bytes = settings.preview_max_bytes
        self._pause = 1 / settings.previews_per_second
        self._limits = limits
        self._pictures: dict[str, dict[int, _Picture]] = {}
        self._making: set[asyncio.Task[None]] = set()

    def offer(self, generation_id: str, index: int, data: bytes, content_type: str, show: Show) -> None:
        """Have a preview of that picture shown, now or a little later, or a newer one instead."""
        picture = self._pictures.setdefault(generation_id, {}).setdefault(index, _Picture())
        picture.newest = data, content_type, show
        self._push(picture)

    def forget(self, generation_id: str, index: int | None = None) -> None:
        """The generation's picture of that index is finished, or all are: what waits is shown no more."""
        known = self._pictures.get(generation_id, {})
        for each in list(known) if index is None else [index]:
            picture = known.pop(each, None)
            if picture is not None:
                picture.finished = True
                if picture.timer is not None:
                    picture.timer.cancel()
        if not known:
            self._pictures.pop(generation_id, None)

    @property
    def waiting(self) -> int:
        """Generations whose previews are looked after."""
        return len(self._pictures)

    async def close(self) -> None:
        """Drop everything."""
        for generation_id in list(self._pictures):
            self.forget(generation_id)
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)

    def _push(self, picture: _Picture) -> None:
        if picture.busy or picture.finished or picture.timer is not None or picture.newest is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < picture.after:
            picture.timer = loop.call_at(picture.after, self._due, picture)
            return
        data, content_type, show = picture.newest
        picture.newest = None
        picture.after = loop.time() + self._pause
        if len(data) <= self._max_bytes:
            show(content_type, data)
            return
        picture.busy = True
        task = loop.create_task(self._shrink(picture, data, show))
        self._making.add(task)
        task.add_done_callback(self._making.discard)

    def _due(self, picture: _Picture) -> None:
        picture.timer = None
        self._push(picture)

    async def _shrink(self, picture: _Picture, data: bytes, show: Show) -> None:
        """Off the event loop. What is no picture, or comes when the pool has no place, is not shown."""
        try:
            made = await self._pool.run(bounded, data, self._max_bytes, self._limits)
        except Problem:
            made = None
        finally:
            picture.busy = False
        if made is not None and not picture.finished:
            show(CONTENT_TYPE, made)
        self._push(picture)
