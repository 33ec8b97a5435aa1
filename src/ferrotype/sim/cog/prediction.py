"""One prediction: Cog's states, logs and outputs over a piece of simulated work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import aiohttp

from ferrotype.sim.cog.predictor import Painter, died
from ferrotype.sim.cog.script import CogScript
from ferrotype.sim.cog.webhook import Webhook
from ferrotype.sim.hosted import Work

Status = Literal["starting", "processing", "succeeded", "failed", "canceled"]

REFUSAL: Final = "NSFW content detected. Try running it again, or try a different prompt."

#: Makes the value that an output has on the wire of a finished picture: (work, index, bytes).
Deliver = Callable[[Work, int, bytes], Awaitable[Any]]


class Prediction:
    """What the server knows of one call. `error` is set from the start where its inputs kill it."""

    def __init__(
        self,
        id: str,
        given: Any,
        work: Work,
        *,
        painter: Painter,
        script: CogScript,
        webhook: Webhook,
        deliver: Deliver,
    ) -> None:
        self.id = id
        self.given = given
        self.work = work
        self.status: Status = "starting"
        self.logs = ""
        self.output: Any = None
        self.error: str | None = painter.check(given)
        self.done = asyncio.Event()
        self.webhook = webhook
        self._painter = painter
        self._script = script
        self._deliver = deliver
        self._began = time.monotonic()
        self._seconds = 0.0
        self._step = 0
        self._ending: asyncio.Task[None] | None = None
        self._streamed = 0

    @property
    def ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.done.is_set()

    def snapshot(self) -> dict[str, Any]:
        """Its state as webhooks and a repeated PUT tell it; the latter adds `input`."""
        state: dict[str, Any] = {"id": self.id, "status": self.status, "logs": self.logs}
        if self.output is not None:
            state["output"] = self.output
        if self.error is not None and self.status == "failed":
            state["error"] = self.error
        return state | {"metrics": {"predict_time": self._seconds} if self.ended else {}}

    def reply(self) -> dict[str, Any]:
        """The answer to a synchronous call, which has no logs unless it succeeded."""
        state = self.snapshot()
        if self.status != "succeeded":
            state |= {"logs": ""}
            state.pop("output", None)
        elif "output" not in state:
            state["output"] = None
        return state

    def changed(self) -> None:
        """Its work went on: tells of it."""
        if self.ended or self._ending is not None:
            return
        work = self.work
        if work.state != "queued" and self.status == "starting":
            self.status = "processing"
            self.webhook.send("start", self.snapshot())
            if self.error is None:
                self.log(self._painter.first_lines(self.given))
                self.error = self._painter.last_words(self.given)
        while self._step < work.step and self.error is None:
            self._step += 1
            self.log(self._painter.step_line(self._step, work.steps))
            self._stream()
        if work.ended:
            self._ending = asyncio.create_task(self._end())

    def log(self, text: str) -> None:
        """The predictor printed it."""
        if text:
            self.logs += text
            self.webhook.send("logs", self.snapshot())

    def append(self, value: Any) -> None:
        """One more output is there."""
        if self._script.outputs == "one":
            self.output = value
        else:
            self.output = [*(self.output or []), value]
        self.webhook.send("output", self.snapshot())

    def finish(self, status: Status, error: str | None = None) -> None:
        """The end; the last webhook tells of it."""
        if self.ended:
            return
        self.status = status
        self.error = error if error is not None else self.error
        self._seconds = time.monotonic() - self._began
        self.done.set()
        self.webhook.send("completed", self.snapshot())

    def drop(self) -> None:
        """The server goes away: nobody is told."""
        if self._ending is not None:
            self._ending.cancel()
        self.webhook.drop()
        self.done.set()

    async def _end(self) -> None:
        work = self.work
        fault = work.fault
        if self.error is not None:
            self.finish("failed")
        elif work.state == "canceled":
            self.finish("canceled")
        elif fault is not None and fault.kind == "refusal":
            self.finish("failed", died(f"Exception: {fault.message or REFUSAL}"))
        elif fault is not None and fault.kind == "error":
            self.finish("failed", died(f"RuntimeError: {fault.message}"))
        else:
            await self._succeed()

    async def _succeed(self) -> None:
        if self._script.outputs != "one" and self.output is None:
            self.output = []
        try:
            for index, data in enumerate(self.work.pictures):
                if index >= self._streamed:
                    self.append(await self._deliver(self.work, index, data))
        except (aiohttp.ClientError, OSError):
            self.output = None
            error = "Failed to upload output: upload request failed: error sending request"
            self.finish("failed", error)
            return
        self.finish("succeeded")

    def _stream(self) -> None:
        """`Iterator[Path]`: pictures come one by one while it works."""
        work = self.work
        due = work.count * self._step // work.steps if self._script.outputs == "stream" else 0
        while self._streamed < due:
            self._streamed += 1
            self.append(self._painter.chunk(work, self._streamed - 1))
