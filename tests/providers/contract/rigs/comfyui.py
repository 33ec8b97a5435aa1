"""ComfyUI: one server, whose websocket tells how a call fares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.comfyui import ComfyUIProvider
from ferrotype.providers.comfyui.settings import ComfyUISettings
from ferrotype.providers.workflows.library import Library
from ferrotype.sim.comfyui import ComfySim, Failure, NodeError, Script
from tests.providers.comfyui_support import QUICK
from tests.providers.contract.rig import HUGE, KEY, Orders, Place, picture

STEPS: Final = 4
HOLDS: Final[dict[Place, Any]] = {"queue": "start", "run": 1, "end": STEPS - 1}
FRAME: Final = 131_072
#: The shipped workflow `txt2img` with another end: pictures by websocket, and something that is no picture.
ENDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "by_websocket": ("SaveImageWebsocket", {"images": ["decode", 0]}),
    "no_picture": ("SaveLatent", {"samples": ["sampler", 0], "filename_prefix": "{{filename_prefix}}"}),
}
STRANGERS: Final = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
SPOILT: Final = {"text": "Bad gateway", "html": "<html><body>Bad gateway</body></html>", "empty": ""}
BASE: Final = AttemptRequest(
    attempt_id=new_id(),
    operation="generate",
    target="txt2img",
    model="me/sdxl",
    prompt="a fox under the moon",
    width=64,
    height=64,
    seed=7,
    options={"checkpoint": "sd_xl_base_1.0.safetensors"},
    params={"steps": STEPS},
)


class HurriedClock(SystemClock):
    """The machine's clock, which can be made to go ahead."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@dataclass(kw_only=True)
class ComfyRig(Orders):
    """A provider on one or more simulated servers."""

    sims: Sequence[ComfySim]
    clock: HurriedClock
    _place: Place = "run"
    _limits: list[Failure] = field(default_factory=list)

    def paid(self) -> int:
        return len(self._prompts())

    def states(self) -> list[str]:
        return [_state(sim, prompt_id) for sim, prompt_id in self._prompts()]

    def _prompts(self) -> list[tuple[ComfySim, str]]:
        return [
            (sim, mark.prompt_id) for sim in self.sims for mark in sim.journal.marks if mark.what == "queued"
        ]

    def hold(self, place: Place = "run") -> None:
        self._place = place
        for sim in self.sims:
            sim.script.hold = HOLDS[place]
            if place == "queue":  # behind the prompt of somebody else
                sim.queue.put((-1.0, new_id(), STRANGERS, {}, ["2"]))

    async def held(self) -> None:
        waiting = [asyncio.ensure_future(self._held(sim)) for sim in self.sims]
        _, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()

    async def _held(self, sim: ComfySim) -> None:
        if self._place == "queue":
            await sim.journal.wait_mark("queued")
        else:
            await sim.held()

    def release(self) -> None:
        for sim in self.sims:
            sim.script.hold = None
            sim.release()

    def inputs(self) -> list[bytes]:
        return [path.read_bytes() for sim in self.sims for path in sim.folders.input.glob("ferrotype_*")]

    def fault(self, kind: str, message: str = "CUDA out of memory") -> None:
        if kind == "empty":
            self.base = replace(self.base, target="no_picture")
            return
        raised = {"error": "RuntimeError", "canceled": "InterruptProcessingException"}[kind]
        for sim in self.sims:
            sim.script.node_errors.append(NodeError("KSampler", message, raised))

    def spoil(self, kind: str) -> None:
        for sim in self.sims:
            if kind == "truncated":
                sim.script.truncate_view = 100
            else:
                sim.script.wrong_view = "x" * HUGE if kind == "huge" else SPOILT[kind]

    @contextmanager
    def oversized(self) -> Iterator[AttemptRequest]:
        yield self.order(**self.inline_outputs, width=512, height=512)

    def expire(self) -> None:
        for sim in self.sims:
            for path in sim.folders.output.rglob("*.png"):
                path.unlink()

    def refuse(self, status: int, *, headers: dict[str, str] | None = None, body: str = "") -> None:
        self._fail("POST /prompt", status, body=body, headers=headers or {})

    def lose_reply(self) -> None:
        self._fail("POST /prompt", 0, after=True)

    def garble(self, what: Literal["submit", "watch"]) -> None:
        routes = {"submit": "POST /prompt", "watch": "GET /history/{prompt_id}"}
        self._fail(routes[what], 200, after=True, body='{"prompt_id": "0197')

    def limit_rate(self, seconds: float) -> None:
        self._limits = self._fail("*", 429, times=-1, headers={"Retry-After": f"{seconds:g}"})

    def lift_limit(self) -> None:
        for limit in self._limits:
            limit.times = 0

    def turned_away(self) -> int:
        return sum(entry.status == 429 for sim in self.sims for entry in sim.journal.entries)

    def change_key(self) -> None:
        for sim in self.sims:
            sim.script.auth = "bearer:another-key"

    async def close_door(self) -> None:
        for sim in self.sims:
            await sim.close_door()

    async def open_door(self) -> None:
        for sim in self.sims:
            await sim.open_door()

    async def outlast(self, watching: asyncio.Task[Any]) -> None:
        while not watching.done():  # in steps so small that answers under way do not seem to have hung
            self.clock.ahead += 20
            await asyncio.wait((watching,), timeout=0.005)

    def _fail(self, route: str, status: int, **more: Any) -> list[Failure]:
        failures = [Failure(route, status, **more) for _ in self.sims]
        for sim, failure in zip(self.sims, failures, strict=True):
            sim.script.failures.append(failure)
        return failures


def _state(sim: ComfySim, prompt_id: str) -> str:
    if sim.queue.is_pending(prompt_id):
        return "queued"
    if sim.queue.is_running(prompt_id):
        return "running"
    entry = sim.queue.history.get(prompt_id)
    if entry is None:
        return "canceled"  # taken out of the queue
    if entry["status"]["completed"]:
        return "succeeded"
    told = {message[0] for message in entry["status"]["messages"]}
    return "canceled" if "execution_interrupted" in told else "failed"


def script() -> Script:
    """What each server is told to do."""
    return Script(auth=f"bearer:{KEY}", preview="JPEG")


@asynccontextmanager
async def rig_of(sims: Sequence[ComfySim], provider: Any) -> AsyncIterator[ComfyRig]:
    """The rig of these servers; `provider` is called with (settings, clock, pace)."""
    with TemporaryDirectory(prefix="workflows-") as folder:
        write_workflows(Path(folder))
        settings = ComfyUISettings(
            url=", ".join(sim.url for sim in sims), token=KEY, workflows_dir=folder, max_frame_bytes=FRAME
        )
        clock = HurriedClock()
        yield ComfyRig(
            sims=sims,
            clock=clock,
            make=lambda: provider(settings, clock, QUICK),
            base=BASE,
            edit={"operation": "edit", "target": "img2img", "images": (picture(),)},
            inline_outputs={"target": "by_websocket"},
            lacks=frozenset({"refusal", "foreign outputs"}),
        )


def write_workflows(folder: Path) -> None:
    """The workflows of `ENDS`."""
    for name, (kind, inputs) in ENDS.items():
        graph = dict(Library(None).load("txt2img").graph)
        graph["save"] = {"class_type": kind, "inputs": inputs}
        (folder / f"{name}.json").write_text(json.dumps(graph))


@asynccontextmanager
async def rig() -> AsyncIterator[ComfyRig]:
    async with ComfySim(script()) as sim, rig_of([sim], ComfyUIProvider) as made:
        yield made
