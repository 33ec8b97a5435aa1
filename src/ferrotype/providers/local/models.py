"""Calls of the models of the extra `[local]`: checked here, worked on in worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from ferrotype.domain.problems import (
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderRejected,
    RequestProblem,
)
from ferrotype.imaging.vips import VipsError, head_of, kind_of, open_image, shown_size
from ferrotype.providers.base import (
    AttemptRequest,
    Finished,
    Output,
    Progress,
    Queued,
    Started,
    WatchEvent,
)
from ferrotype.providers.local.settings import LocalSettings
from ferrotype.providers.local.weights import RESTYLE, missing
from ferrotype.providers.local.workers import Workers

#: No side of a WebP or a JPEG is longer, in pixels.
MAX_SIDE: Final = 16_383
MIB: Final = 1024 * 1024
#: Bytes that a worker needs for any picture, and for each pixel of the result beyond that (measured for every
#: format, with a tenth over; docs/providers/local.md).
BASE: Final = 256 * MIB
UPSCALE_OPAQUE: Final = 16
UPSCALE_ALPHA: Final = 30
RESTYLE_ANY: Final = 330


class Models:
    """Enlarges and restyles pictures. After a restart a picture is simply made again."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self.workers = Workers(settings)
        self._calls: dict[str, asyncio.Task[float]] = {}

    @property
    def under_way(self) -> int:
        """Calls that run or wait."""
        return len(self._calls)

    async def check(self, request: AttemptRequest) -> None:
        """Whether it can be done here.

        Raises ProviderMisconfigured when a package is missing, ProviderRejected for an input or a parameter
        that is wrong, and where the work would not fit, naming the limit.
        """
        reason = missing(request.target)
        if reason is not None:
            raise ProviderMisconfigured(reason)
        _check_pictures(request)
        await self._size(request)

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent, None]:
        """Do it. Closing the iterator ends the work; raises what `Workers.run` does, and
        ProviderInterrupted when canceled."""
        events: asyncio.Queue[WatchEvent | None] = asyncio.Queue()
        work = asyncio.create_task(self._work(request, events), name=f"local {request.target}")
        work.add_done_callback(lambda _: events.put_nowait(None))
        self._calls[request_id] = work
        try:
            while (event := await events.get()) is not None:
                yield event
            if work.cancelled():
                raise ProviderInterrupted("The work was stopped.")
            yield Finished(seconds=await work)
        finally:
            self._calls.pop(request_id, None)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def cancel(self, request_id: str) -> None:
        """End that call, if it is one of these."""
        if request_id in self._calls:
            self._calls[request_id].cancel()

    async def close(self) -> None:
        """End every call and every process."""
        calls = list(self._calls.values())
        for work in calls:
            work.cancel()
        await asyncio.gather(*calls, return_exceptions=True)  # one may be about to start a process
        await self.workers.close()

    async def _work(self, request: AttemptRequest, events: asyncio.Queue[WatchEvent | None]) -> float:
        """Seconds that a worker had it."""
        _check_pictures(request)
        width, height = await self._size(request)
        order = {
            "target": request.target,
            "params": dict(request.params),
            "width": width,
            "height": height,
            "format": request.format,
        }
        pictures = [await image.read() for image in request.images]
        if position := self.workers.position:
            events.put_nowait(Queued(position))
        now = asyncio.get_running_loop().time
        started = now()

        def begun() -> None:
            nonlocal started
            started = now()
            events.put_nowait(Started())

        made = await self.workers.run(
            order,
            pictures,
            request.timeout,
            begun,
            lambda fraction: events.put_nowait(Progress(fraction)),
        )
        seconds = now() - started
        events.put_nowait(
            Output(
                index=0,
                data=made.data,
                content_type=made.content_type,
                width=made.width,
                height=made.height,
            )
        )
        return seconds

    async def _size(self, request: AttemptRequest) -> tuple[int, int]:
        """Width and height of the result. Raises ProviderRejected where it may not be that large, or its
        work would not fit in a worker's memory."""
        if request.target == RESTYLE:
            size, per_pixel = (request.width, request.height), RESTYLE_ANY
        else:
            original, alpha = await asyncio.to_thread(_header, await request.images[0].read())
            size, per_pixel = self._enlarged(original, request), UPSCALE_ALPHA if alpha else UPSCALE_OPAQUE
        self._check_memory(size, per_pixel)
        return size

    def _enlarged(self, size: tuple[int, int], request: AttemptRequest) -> tuple[int, int]:
        scale = request.params.get("scale")
        if scale not in (2, 4):
            raise ProviderRejected("scale must be 2 or 4.", field="params.scale", limit=[2, 4])
        width, height = (side * int(scale) for side in size)
        if max(width, height) > MAX_SIDE:
            raise ProviderRejected(
                f"{scale}x makes it {width} x {height}; a side may have {MAX_SIDE} pixels.",
                field="image",
                limit=MAX_SIDE,
            )
        most = self._settings.local_max_pixels
        if width * height > most:
            raise ProviderRejected(
                f"{scale}x makes it {width} x {height}; {most} pixels are allowed.",
                field="image",
                limit=most,
            )
        return width, height

    def _check_memory(self, size: tuple[int, int], per_pixel: int) -> None:
        needed, memory = BASE + per_pixel * size[0] * size[1], self._settings.memory
        if needed > memory:
            raise ProviderRejected(
                f"{size[0]} x {size[1]} needs about {needed // MIB} MiB; a worker may use {memory // MIB}.",
                field="image",
                limit=memory,
            )


def _check_pictures(request: AttemptRequest) -> None:
    style, pictures = request.params.get("style"), len(request.images)
    if not pictures:
        raise ProviderRejected("An input picture is needed.", field="image")
    if request.target == RESTYLE and ((style is None) == (pictures == 1) or pictures > 2):
        raise ProviderRejected(
            "Either params.style or a second picture says in which style to paint.", field="params.style"
        )


def _header(data: bytes) -> tuple[tuple[int, int], bool]:
    """(width, height) of an input, and whether it has transparency."""
    try:
        image = open_image(data, kind_of(head_of(data)[0]))
        return shown_size(image), bool(image.hasalpha())
    except RequestProblem as problem:
        raise ProviderRejected(problem.detail, field="image") from None
    except VipsError:
        raise ProviderRejected("The input picture is damaged or cut short.", field="image") from None
