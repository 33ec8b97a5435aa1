"""What the ComfyUI provider's tests share: a provider on a simulator, orders, and what a watch told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from ferrotype.domain.clock import Clock, ManualClock, SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.providers.base import (
    AttemptRequest,
    FetchRequest,
    Finished,
    InputImage,
    Output,
    Provider,
    WatchEvent,
)
from ferrotype.providers.comfyui import ComfyUIProvider, Pace
from ferrotype.providers.comfyui.settings import ComfyUISettings
from ferrotype.sim.comfyui import ComfySim, Script

#: Looks at queue and history at once where the real pace would wait seconds.
QUICK = Pace(first_look=0.01, silence=0.05, grace=0.02, polls=(0.01,), rereads=(0.01,) * 5, tick=0.01)
#: Looks at queue and history only where a message or a clock asks for it.
CALM = Pace(shared=0, tick=0.01)

E = TypeVar("E")


def provider_for(
    url: str, pace: Pace | None = None, clock: Clock | None = None, **settings: Any
) -> ComfyUIProvider:
    return ComfyUIProvider(ComfyUISettings(url=url, **settings), clock or SystemClock(), pace)


@asynccontextmanager
async def bench(
    script: Script | None = None, pace: Pace | None = None, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[tuple[ComfySim, ComfyUIProvider]]:
    """A simulator and a provider that uses it."""
    async with ComfySim(script) as sim:
        provider = provider_for(sim.url, pace, clock, **settings)
        try:
            yield sim, provider
        finally:
            await provider.close()


def order(target: str = "txt2img", **changes: Any) -> AttemptRequest:
    facts: dict[str, Any] = {
        "attempt_id": new_id(),
        "operation": "generate",
        "target": target,
        "prompt": "a fox under the moon",
        "width": 64,
        "height": 64,
        "seed": 7,
        "options": {"checkpoint": "sd_xl_base_1.0.safetensors"},
        "params": {"steps": 4},
    }
    return AttemptRequest(**(facts | changes))


def picture(data: bytes, content_type: str = "image/png") -> InputImage:
    async def read() -> bytes:
        return data

    return InputImage("asset", content_type, sha256(data).hexdigest(), read)


def workflow(folder: Path, name: str, graph: dict[str, tuple[str, dict[str, Any]]]) -> str:
    """Write a template into the user's folder; the folder."""
    nodes = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in graph.items()}
    (folder / f"{name}.json").write_text(json.dumps(nodes))
    return str(folder)


async def run(provider: Provider, request: AttemptRequest) -> list[WatchEvent]:
    """Submit and watch to the end."""
    return await told(provider, request, await provider.submit(request))


async def told(provider: Provider, request: AttemptRequest, request_id: str) -> list[WatchEvent]:
    return [event async for event in provider.watch(request, request_id)]


async def until(condition: Callable[[], object]) -> None:
    """Return once it holds, which takes only turns of the loop."""
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0)


class Follower:
    """A watch that goes on in the background."""

    def __init__(self, provider: Provider, request: AttemptRequest, request_id: str) -> None:
        self.seen: list[WatchEvent] = []
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._follow(provider, request, request_id))

    async def _follow(self, provider: Provider, request: AttemptRequest, request_id: str) -> None:
        try:
            async for event in provider.watch(request, request_id):
                self.seen.append(event)
                self._changed.set()
        finally:
            self._changed.set()

    async def until(self, enough: Callable[[list[WatchEvent]], Any]) -> None:
        """Return once the events so far are enough."""
        while not enough(self.seen):
            if self._task.done():
                self._task.result()
                raise AssertionError(f"ended with {self.seen}")
            self._changed.clear()
            await self._changed.wait()

    async def first(self, kind: type[E]) -> E:
        """The first event of that kind, once it is there."""
        await self.until(lambda seen: only(seen, kind))
        return only(self.seen, kind)[0]

    async def stall(self, clock: ManualClock, seconds: float) -> None:
        """Let so many seconds pass, again and again, until the watch gives up: messages that are still
        on their way count as signs of life when they arrive."""
        while not self._task.done():
            clock.advance(seconds)
            await asyncio.wait({self._task}, timeout=0.01)

    async def end(self) -> list[WatchEvent]:
        """All events; raises what the watch raised."""
        await self._task
        return self.seen


def only(events: Iterable[WatchEvent], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def outputs(events: list[WatchEvent]) -> list[Output]:
    """The pictures of a watch that ended well."""
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.problem is None
    found = only(events, Output)
    assert [output.index for output in found] == list(range(len(found)))
    return found


async def fetch(request: FetchRequest) -> bytes:
    async with (
        aiohttp.ClientSession() as session,
        session.get(request.url, headers=request.headers) as reply,
    ):
        assert reply.status == 200
        return await reply.read()


async def fetched(provider: Provider, output: Output) -> bytes:
    assert output.origin is not None
    return await fetch(provider.fetch_request(output.origin))


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
