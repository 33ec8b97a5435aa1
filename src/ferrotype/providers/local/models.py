"""Calls of the models of the extra `[local]`: checked here, worked on in worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

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
BASE: Final = 192 * MIB
UPSCALE_OPAQUE: Final = 14
UPSCALE_ALPHA: Final = 28
RESTYLE_ANY: Final = 300


class Models:
    """Enlarges and restyles pictures. After a restart a picture is simply made again."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self.workers = Workers(settings)
        self._calls: dict[str, asyncio.Task[None]] = {}

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
        await self._order(request)

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
            await work
            yield Finished()
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
        for work in self._calls.values():
            work.cancel()
        await self.workers.close()

    async def _work(self, request: AttemptRequest, events: asyncio.Queue[WatchEvent | None]) -> None:
        order, pictures = await self._order(request)
        if position := self.workers.position:
            events.put_nowait(Queued(position))
        made = await self.workers.run(
            order,
            pictures,
            request.timeout,
            lambda: events.put_nowait(Started()),
            lambda fraction: events.put_nowait(Progress(fraction)),
        )
        events.put_nowait(
            Output(
                index=0,
                data=made.data,
                content_type=made.content_type,
                width=made.width,
                height=made.height,
            )
        )

    async def _order(self, request: AttemptRequest) -> tuple[dict[str, Any], list[bytes]]:
        """What a worker is told, and the input pictures. Raises ProviderRejected."""
        if not request.images:
            raise ProviderRejected("An input picture is needed.", field="image")
        pictures = [await image.read() for image in request.images]
        if request.target == RESTYLE:
            _check_style(request)
            size, per_pixel = (request.width, request.height), RESTYLE_ANY
        else:
            original, alpha = await asyncio.to_thread(_header, pictures[0])
            size, per_pixel = self._enlarged(original, request), UPSCALE_ALPHA if alpha else UPSCALE_OPAQUE
        self._check_memory(size, per_pixel)
        order = {
            "target": request.target,
            "params": dict(request.params),
            "width": size[0],
            "height": size[1],
            "format": request.format,
        }
        return order, pictures

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


def _check_style(request: AttemptRequest) -> None:
    style, pictures = request.params.get("style"), len(request.images)
    if (style is None) == (pictures == 1) or pictures > 2:
        raise ProviderRejected(
            "Either params.style or a second picture says in which style to paint.", field="params.style"
        )


def _header(data: bytes) -> tuple[tuple[int, int], bool]:
    """(width, height) of an input, and whether it has transparency."""
    try:
        image = open_image(data, kind_of(head_of(data)[0]))
        return shown_size(image), bool(image.hasalpha())
    except (RequestProblem, VipsError) as error:
        raise ProviderRejected(f"The input picture cannot be read: {error}", field="image") from None
