"""A simulated service with troubles: `python -m benchmarks.launch.troubled '{"kind": "fal", ...}'`.

What it does for money it writes to a file (`bill`), a line each, before it does it, so that whoever kills it
can still read what was ordered. SIGUSR1 closes its door: connections break and new ones are refused, while
what it knows and works on stays; SIGUSR2 opens it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web

from ferrotype.sim.fal import FalSim
from ferrotype.sim.hosted import Fault, HostedSim, Work, Works
from ferrotype.sim.openai import OpenAISim
from ferrotype.sim.replicate import ReplicateSim

KINDS: dict[str, type[HostedSim]] = {"replicate": ReplicateSim, "fal": FalSim, "openai": OpenAISim}
#: The requests that start paid work, and where in their JSON the prompt stands.
ORDERS = {
    "replicate": "POST /v1/models/{owner}/{name}/predictions",
    "fal": "POST /{endpoint}",
    "openai": "POST /v1/images/generations",
}
#: What may become of an order: the first four of its work, the last two of the answer to it.
GARBAGE = ("truncated", "text", "empty", "failed", "cut", "lost")
#: What may become of the answer to any other question.
ANSWERS = ("cut", "lost", "failed")
#: What becomes of the work that the current request orders. Its task, and the thread that paints, inherit it.
FATE: ContextVar[str | None] = ContextVar("fate", default=None)
#: Above this many orders in a second, one is told to come back after `RETRY_AFTER` seconds.
WINDOW = 1.0
RETRY_AFTER = 1
PICTURE_ROUTE = "GET /outputs/"


@dataclass(frozen=True)
class Troubles:
    """What is to happen there.

    `rate`: orders per second that are taken, None for any number. `garbage`: the share of orders, of other
    questions and of picture files that come to nothing good. `seconds`: how long a picture takes at least; at
    most it is twice as long.
    """

    kind: str
    port: int
    bill: str
    key: str
    seconds: float
    garbage: float = 0.0
    rate: int | None = None
    seed: int = 0


class Bill:
    """The file. Each line is one write, so that a kill leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, what: str, **facts: Any) -> None:
        line = json.dumps({"what": what, "at": time.time(), "pid": os.getpid(), **facts})
        os.write(self._file, f"{line}\n".encode())


class TroubledWorks(Works):
    """Work that ends as its order's fate will have it; `bill` is set by who made the simulator."""

    bill: Bill
    dice: Random

    def begin(self, work: Work) -> Work:
        self.bill.write("paid", id=work.id, prompt=work.prompt, seed=work.seed, fate=FATE.get())
        return super().begin(work)

    async def _run(self, work: Work) -> None:
        await asyncio.sleep(self.dice.uniform(0, self.script.seconds))  # or all would end at the same moment
        await super()._run(work)

    def _due(self) -> Fault | None:
        match FATE.get():
            case "failed":
                return Fault("error", "CUDA out of memory")
            case "empty":
                return Fault("empty")
        return super()._due()

    def _picture(self, work: Work, index: int) -> bytes:
        data = super()._picture(work, index)
        fate = FATE.get()
        if fate == "truncated":
            data = data[: len(data) // 2]
        elif fate == "text":
            data = b"<html><body>Bad gateway</body></html>"
        self.bill.write("made", id=work.id, sha256=hashlib.sha256(data).hexdigest())
        return data


class Troubled:
    """Mixed into a simulator."""

    troubles: Troubles
    bill: Bill
    dice: Random
    taken: deque[float]

    async def _answer(self, request: web.Request, handler: Any, route: str) -> web.StreamResponse | None:
        FATE.set(None)
        if route == ORDERS[self.troubles.kind]:
            return await self._ordered(request, handler, route)
        response: web.StreamResponse | None = await super()._answer(request, handler, route)  # type: ignore[misc]
        if self.dice.random() >= self.troubles.garbage or not isinstance(response, web.Response):
            return response
        # Half a picture at its full length would be believed to be on its way: this one breaks off.
        fate = "lost" if route.startswith(PICTURE_ROUTE) else self.dice.choice(ANSWERS)
        self.bill.write("spoiled", route=route, fate=fate)
        if fate == "failed":
            return web.Response(status=500, text="<html>Bad gateway</html>", content_type="text/html")
        return _cut(response) if fate == "cut" else None

    async def _ordered(self, request: web.Request, handler: Any, route: str) -> web.StreamResponse | None:
        prompt = await _prompt(request)
        if self._is_over_rate():
            self.bill.write("refused", prompt=prompt)
            headers = {"Retry-After": str(RETRY_AFTER)}
            return web.json_response({"detail": "Too many requests"}, status=429, headers=headers)
        fate = self.dice.choice(GARBAGE) if self.dice.random() < self.troubles.garbage else None
        FATE.set(fate)
        response: web.StreamResponse | None = await super()._answer(request, handler, route)  # type: ignore[misc]
        if fate == "cut" and isinstance(response, web.Response):
            return _cut(response)
        return None if fate == "lost" else response

    def _is_over_rate(self) -> bool:
        now, rate = time.monotonic(), self.troubles.rate
        while self.taken and self.taken[0] <= now - WINDOW:
            self.taken.popleft()
        if rate is not None and len(self.taken) >= rate:
            return True
        self.taken.append(now)
        return False


async def _prompt(request: web.Request) -> str:
    body = await request.json()
    return str(body.get("input", body)["prompt"])


def _cut(response: web.Response) -> web.Response:
    body = bytes(response.body)  # type: ignore[arg-type]
    return web.Response(
        status=response.status, body=body[: len(body) // 2], content_type=response.content_type
    )


def troubled(troubles: Troubles) -> HostedSim:
    """The simulator; the caller starts it."""
    base = KINDS[troubles.kind]
    sim = type(f"Troubled{base.__name__}", (Troubled, base), {"works_class": TroubledWorks})()
    sim.troubles, sim.dice, sim.taken = troubles, Random(troubles.seed), deque()
    sim.bill = sim.works.bill = Bill(Path(troubles.bill))
    sim.works.dice = sim.dice
    sim.script.update({"key": troubles.key, "steps": 2, "seconds": troubles.seconds})
    return sim


async def main() -> None:
    troubles = Troubles(**json.loads(sys.argv[1]))
    sim = troubled(troubles)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    doors: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: doors.add(loop.create_task(sim.close_door())))
    loop.add_signal_handler(signal.SIGUSR2, lambda: doors.add(loop.create_task(sim.open_door())))
    await sim.start(port=troubles.port)
    await stop.wait()
    await sim.stop()


if __name__ == "__main__":
    asyncio.run(main())
