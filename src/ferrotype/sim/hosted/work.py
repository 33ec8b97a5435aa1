"""What a simulated service does for a call: it queues, runs in steps, paints, ends in one of many ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pyvips

from ferrotype.sim import pixels
from ferrotype.sim.hosted.script import Fault, HostedScript
from ferrotype.sim.options import take

State = Literal["queued", "running", "succeeded", "failed", "canceled"]
TERMINAL = ("succeeded", "failed", "canceled")
ENDINGS: Final[dict[str | None, State]] = {
    None: "succeeded",
    "empty": "succeeded",
    "canceled": "canceled",
    "error": "failed",
    "refusal": "failed",
}


@dataclass
class Work:
    """One accepted call. `request` is whatever the service keeps of it; `step` counts to `steps`; `fault`
    says why it failed, was refused, or made nothing. `pictures` are the finished bytes."""

    id: str
    request: dict[str, Any]
    prompt: str = ""
    seed: int = 0
    width: int = 1024
    height: int = 1024
    count: int = 1
    form: str = "PNG"  # JPEG, PNG or WEBP
    source: bytes | None = None  # an input picture: what is made resembles it
    state: State = "queued"
    step: int = 0
    steps: int = 4
    fault: Fault | None = None
    pictures: list[bytes] = field(default_factory=list)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    parked: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in TERMINAL

    def preview(self, share: float, side: int | None = None) -> bytes:
        """A small JPEG of what there is after that share of the steps, 0 to 1; `side` is that of the script's
        `picture_side`."""
        return pixels.preview(_paint(self, 0, share, side, side), "JPEG")

    async def change(self) -> None:
        """Returns after the next change of state or step."""
        await self.changed.wait()

    async def end(self) -> None:
        """Returns once it has ended."""
        while not self.ended:
            await self.changed.wait()

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Works:
    """All work of one service."""

    def __init__(self, script: HostedScript) -> None:
        self.script = script
        self.items: dict[str, Work] = {}
        self._released: set[str] = set()
        self._changed = asyncio.Event()
        self._slots: list[Work] = []
        self.on_change: list[Callable[[Work], None]] = []

    @property
    def created(self) -> int:
        """How many calls were accepted: each of them costs money at a real service."""
        return len(self.items)

    @property
    def busy(self) -> bool:
        """Whether every slot is taken."""
        taken = sum(not work.ended for work in self.items.values())
        return self.script.slots is not None and taken >= self.script.slots

    def begin(self, work: Work) -> Work:
        """Accepts the call; it goes on by itself."""
        work.steps = max(1, self.script.steps)
        self.items[work.id] = work
        work.task = asyncio.create_task(self._run(work))
        self._tell()
        return work

    def cancel(self, work_id: str) -> bool:
        """Stops it; whether it had not ended yet."""
        work = self.items.get(work_id)
        if work is None or work.ended:
            return False
        self._end(work, "canceled")
        if work.task is not None:
            work.task.cancel()
        return True

    def release(self, work_id: str | None = None) -> None:
        """Lets parked work go on, one or all."""
        if work_id is None:
            self._released.update(self.items)
        else:
            self._released.add(work_id)
        self._tell()

    async def held(self, count: int = 1) -> list[str]:
        """Waits until at least `count` pieces of work are parked; their ids."""
        while len(found := [w.id for w in self.items.values() if w.parked and not w.ended]) < count:
            await self._changed.wait()
        return found

    async def accepted(self, count: int = 1) -> None:
        """Waits until so many calls were accepted."""
        while self.created < count:
            await self._changed.wait()

    async def idle(self) -> None:
        """Waits until everything has ended."""
        while not all(work.ended for work in self.items.values()):
            await self._changed.wait()

    def look(self) -> None:
        """Makes parked work look again: the script may have changed."""
        self._tell()

    async def close(self) -> None:
        """Ends everything."""
        tasks = [work.task for work in self.items.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, work: Work) -> None:
        script = self.script
        await _pause(script.queue_seconds)
        await self._gate(work, "queue")
        started = time.monotonic()
        work.state, work.started_at = "running", datetime.now(UTC)
        self._changed_by(work)
        hangs, script.hang_times = take(script.hang_times)
        for step in range(1, work.steps + 1):
            if step == work.steps:
                if hangs:
                    await asyncio.Event().wait()
                await self._gate(work, "end")
            await _pause(script.seconds / work.steps)
            work.step = step
            self._changed_by(work)
            if step == 1:
                await self._gate(work, "run")
        work.seconds = time.monotonic() - started
        work.fault = self._due()
        if work.fault is None:
            indices = range(work.count)
            work.pictures = [await asyncio.to_thread(self._picture, work, index) for index in indices]
        self._end(work, ENDINGS[work.fault.kind if work.fault else None])

    async def _gate(self, work: Work, place: str) -> None:
        while self.script.hold == place and work.id not in self._released:
            work.parked = place
            self._tell()
            await self._changed.wait()
        work.parked = None

    def _end(self, work: Work, state: State) -> None:
        work.state, work.ended_at = state, datetime.now(UTC)
        self._changed_by(work)

    def _changed_by(self, work: Work) -> None:
        for told in self.on_change:
            told(work)
        work.tell()
        self._tell()

    def _due(self) -> Fault | None:
        for fault in self.script.faults:
            fires, fault.times = take(fault.times)
            if fires:
                return fault
        return None

    def _picture(self, work: Work, index: int) -> bytes:
        kind = self.script.picture
        fires, self.script.picture_times = take(self.script.picture_times)
        kind = kind if fires else "good"
        if kind in ("text", "html", "empty", "huge"):
            texts = {
                "text": b"Bad gateway",
                "html": b"<html><body>Bad gateway</body></html>",
                "empty": b"",
                # A true picture in front: only its size is wrong.
                "huge": pixels.png(_paint(work, index, 1.0)) + bytes(self.script.huge_bytes),
            }
            return texts[kind]
        side = self.script.picture_side
        width, height = (side, side) if side else (work.width, work.height)
        picture = _paint(work, index, 1.0, width, height)
        data = pixels.encode(picture, work.form)
        return data[: len(data) // 2] if kind == "truncated" else data

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _paint(
    work: Work, index: int, share: float, width: int | None = None, height: int | None = None
) -> pyvips.Image:
    """The picture of that index; it depends on prompt, seed and source, and is noisier the less is done."""
    key = f"{work.prompt} {work.seed + index}".encode()
    picture = pixels.paint(key, width or work.width, height or work.height)
    if work.source is not None:
        with suppress(pyvips.Error):
            below = pixels.rgb(pyvips.Image.new_from_buffer(work.source, ""))
            picture = pixels.blend(pixels.fit(below, picture.width, picture.height), picture, 0.5)
    return pixels.noise(picture, work.seed, 1 - share) if share < 1 else picture


async def _pause(seconds: float) -> None:
    await asyncio.sleep(max(0.0, seconds))
