"""The illustrator's calls, in threads of this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

import pyvips

from ferrotype.domain.asset import Credit
from ferrotype.domain.problems import ProviderFailed, ProviderInterrupted
from ferrotype.providers.base import (
    AttemptRequest,
    Finished,
    Output,
    Preview,
    Progress,
    Started,
    WatchEvent,
)
from ferrotype.providers.hosted.text import shown
from ferrotype.providers.illustrator import CREDIT, illustrate
from ferrotype.providers.local.encode import encode


class _Canceled(Exception):
    """Thrown through the drawing to stop it."""


class Drawings:
    """Draws at most `threads` pictures at once. After a restart a picture is simply drawn again."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="illustrator")
        self._cancels: dict[str, threading.Event] = {}

    @property
    def under_way(self) -> int:
        """Calls that run or wait."""
        return len(self._cancels)

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent, None]:
        """Draw it. Raises ProviderInterrupted when canceled, ProviderFailed when the drawing breaks."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        canceled = self._cancels.setdefault(request_id, threading.Event())

        def tell(fraction: float, preview: bytes | None) -> None:
            if canceled.is_set():
                raise _Canceled
            loop.call_soon_threadsafe(events.put_nowait, Progress(fraction))
            if preview is not None:
                loop.call_soon_threadsafe(events.put_nowait, Preview(preview, "image/jpeg"))

        def draw() -> tuple[bytes, str]:
            picture = illustrate(
                request.prompt,
                width=request.width,
                height=request.height,
                seed=request.seed,
                style=request.style,
                negative_prompt=request.negative_prompt,
                on_progress=tell,
            )
            return encode(picture, request.format)

        drawing = loop.run_in_executor(self._pool, draw)
        drawing.add_done_callback(lambda _: events.put_nowait(Finished()))
        try:
            yield Started()
            while not isinstance(event := await events.get(), Finished):
                yield event
            data, content_type = await drawing
            yield Output(
                index=0,
                data=data,
                content_type=content_type,
                seed=request.seed,
                width=request.width,
                height=request.height,
                credit=Credit(**CREDIT),
            )
            yield Finished()
        except _Canceled:
            raise ProviderInterrupted("The drawing was stopped.") from None
        except (ValueError, OSError, RuntimeError, pyvips.Error) as error:
            raise ProviderFailed(f"The drawing failed: {shown(error)}") from error
        finally:
            canceled.set()
            self._cancels.pop(request_id, None)
            drawing.cancel()
            drawing.add_done_callback(lambda _: drawing.cancelled() or drawing.exception())

    def cancel(self, request_id: str) -> None:
        """Stop that drawing, if it is one of these."""
        if request_id in self._cancels:
            self._cancels[request_id].set()

    def close(self) -> None:
        """Stop everything."""
        for canceled in self._cancels.values():
            canceled.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
