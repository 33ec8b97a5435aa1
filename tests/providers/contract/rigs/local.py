"""The illustrator, which draws in threads of this process; edits go to a worker. There is no service: only
the drawing is held up, and looks meanwhile, as between any two strokes, whether it was stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest, WatchEvent
from ferrotype.providers.illustrator import illustrate
from ferrotype.providers.local import LocalProvider
from ferrotype.providers.local.process import Made, Worker
from ferrotype.providers.local.styles import STYLES
from ferrotype.providers.local.weights import RESTYLE, missing
from tests.providers.contract.rig import Orders, Place, picture

#: Progress from which on a drawing is begun, and as good as done.
STAGES: Final[dict[Place, float]] = {"run": 0.1, "end": 0.75}
#: Seconds between a parked drawing's looks.
LOOK: Final = 0.005
BASE: Final = AttemptRequest(
    attempt_id=new_id(),
    operation="generate",
    target="illustrator",
    model="local/illustrator",
    prompt="a fox under the moon",
    width=96,
    height=64,
    seed=7,
)

Tell = Callable[[float, bytes | None], None]


class Gate:
    """Where drawings park, each in its thread."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()
        self._parked = asyncio.Semaphore(0)

    def close(self, place: Place) -> None:
        self._open.clear()
        self.place = place

    def open(self) -> None:
        self.place = None
        self._open.set()

    async def parked(self) -> None:
        """Returns when one has come here that nobody has waited for yet."""
        await self._parked.acquire()

    def stop_at(self, place: Place, look: Callable[[], None]) -> None:
        """Called by a drawing that has come to that place; raises what `look` does."""
        if self.place == place:
            self._loop.call_soon_threadsafe(self._parked.release)
            while self.place == place:
                look()
                self._open.wait(LOOK)


@dataclass(kw_only=True)
class LocalRig(Orders):
    """The provider `local`, with an illustrator that can be held up."""

    gate: Gate
    calls: set[str]
    given: list[bytes]
    _states: list[str] = field(default_factory=list)
    _faults: list[str] = field(default_factory=list)

    def paid(self) -> int:
        return len(self.calls)  # after a restart one is drawn again, which costs nothing

    def states(self) -> list[str]:
        return list(self._states)

    def hold(self, place: Place = "run") -> None:
        self.gate.close(place)

    async def held(self) -> None:
        await self.gate.parked()

    def release(self) -> None:
        self.gate.open()

    def inputs(self) -> list[bytes]:
        return self.given

    def fault(self, kind: str, message: str = "CUDA out of memory") -> None:
        assert kind == "error"
        self._faults.append(message)

    def draw(self, prompt: str, *, on_progress: Tell, **order: Any) -> Any:
        """Takes the place of `illustrate`."""
        number = len(self._states)
        self._states.append("queued")

        def tell(fraction: float, preview: bytes | None) -> None:
            try:
                on_progress(fraction, preview)
            except Exception:
                self._states[number] = "canceled"
                raise

        def tell_and_stop(fraction: float, preview: bytes | None) -> None:
            tell(fraction, preview)
            for place, stage in STAGES.items():
                if fraction >= stage:
                    self.gate.stop_at(place, lambda: tell(fraction, None))

        self.gate.stop_at("queue", lambda: tell(0.0, None))
        if self._faults:
            self._states[number] = "failed"
            raise RuntimeError(self._faults.pop())
        self._states[number] = "running"
        drawn = illustrate(prompt, on_progress=tell_and_stop, **order)
        self._states[number] = "succeeded"
        return drawn


class Counted(LocalProvider):
    """Notes which calls are worked on: with a drawing it begins when it is watched."""

    def __init__(self, calls: set[str]) -> None:
        super().__init__(threads=2)
        self._calls = calls

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncIterator[WatchEvent]:
        self._calls.add(request_id)
        async with aclosing(super().watch(request, request_id)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event


@asynccontextmanager
async def rig() -> AsyncIterator[LocalRig]:
    calls: set[str] = set()
    given: list[bytes] = []
    work = Worker.run

    async def run(worker: Worker, order: dict[str, Any], pictures: list[bytes], *more: Any) -> Made:
        given.extend(pictures)
        return await work(worker, order, pictures, *more)

    lacks = {"service", "url outputs", "refusal", "seconds"}
    made = LocalRig(
        gate=Gate(),
        calls=calls,
        given=given,
        make=lambda: Counted(calls),
        base=BASE,
        edit={
            "operation": "restyle",
            "target": RESTYLE,
            "params": {"style": STYLES[0]},
            "images": (picture(),),
        },
        lacks=frozenset(lacks | {"edits"} if missing(RESTYLE) else lacks),
    )
    drawing = mock.patch("ferrotype.providers.local.drawing.illustrate", made.draw)
    with drawing, mock.patch.object(Worker, "run", run):
        yield made
        made.release()
