"""The provider `local`: the illustrator, in this process. Free, deterministic, and always there."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final

import pyvips

from ferrotype.domain.asset import Credit, Origin
from ferrotype.domain.problems import ProviderFailed, ProviderInterrupted, ProviderRejected
from ferrotype.providers.base import (
    AttemptRequest,
    FetchRequest,
    Finished,
    Found,
    Health,
    Lookup,
    Output,
    Preview,
    Progress,
    Started,
    Traits,
    WatchEvent,
)
from ferrotype.providers.connections import Kind, ProviderSettings
from ferrotype.providers.illustrator import CREDIT, illustrate

#: Encoder options per format: high quality, low effort, because somebody waits.
ENCODINGS: Final = {
    "webp": ("image/webp", ".webp", {"Q": 90, "effort": 1}),
    "png": ("image/png", ".png", {"compression": 6}),
    "jpeg": ("image/jpeg", ".jpg", {"Q": 92, "optimize_coding": True}),
}


class LocalSettings(ProviderSettings):
    """What is drawn in this process."""

    area: ClassVar[str] = "local"

    @property
    def configured(self) -> bool:
        return True


class _Canceled(Exception):
    """Thrown through the drawing to stop it."""


class LocalProvider:
    """A `Provider` whose calls run in threads here. After a restart a call is simply drawn again."""

    traits: ClassVar = Traits(
        progress=True, previews=True, cancel="yes", reattach=True, lookup=True, idempotent=True
    )

    def __init__(self, threads: int, name: str = "local") -> None:
        self.name = name
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="illustrator")
        self._cancels: dict[str, threading.Event] = {}

    async def submit(self, request: AttemptRequest) -> str:
        if request.target != "illustrator":
            raise ProviderRejected(f"The local provider has no target {request.target!r}.")
        return request.attempt_id

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncIterator[WatchEvent]:
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
            content_type, suffix, options = ENCODINGS[request.format or "webp"]
            return picture.write_to_buffer(suffix, **options), content_type

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
            raise ProviderFailed(f"The drawing failed: {error}") from error
        finally:
            canceled.set()
            self._cancels.pop(request_id, None)

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        return Lookup.ABSENT

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        if request_id in self._cancels:
            self._cancels[request_id].set()

    def fetch_request(self, origin: Origin) -> FetchRequest:
        raise ProviderFailed("Pictures of the local provider have no origin.")

    async def health(self) -> Health:
        return Health(ok=True, detail="draws in this process", queue_length=len(self._cancels))

    async def close(self) -> None:
        for canceled in self._cancels.values():
            canceled.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


LOCAL = Kind(LocalSettings, lambda _settings, name, _clock: LocalProvider(os.cpu_count() or 1, name))
