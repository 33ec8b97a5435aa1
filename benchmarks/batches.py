"""Ten orders at once: one batch beside a client that orders one by one, and beside the bare provider."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from benchmarks.processes import Stack, stack
from benchmarks.report import Figure, Grid, Result, console, percentile

ITEMS: Final = 10
STEPS: Final = 4
#: ComfyUI's simulator works a second on every prompt, on as many at once as are asked.
SCRIPT: Final = {"workers": ITEMS, "steps": STEPS, "step_seconds": 1 / STEPS}
SEATS: Final = ((10, 1.05), (4, 3.1))
FIRST_SECONDS: Final = 1.05
ROUNDS: Final = 5
DEFAULTS: Final = {"width": 256, "height": 256}
#: Between looks at the bare provider's history, in seconds.
LOOK: Final = 0.01


class Bench:
    """A server on so many seats, with the simulator behind it."""

    def __init__(self, parts: Stack) -> None:
        self.url, self.sim, self.http = parts.url, parts.sim, parts.http
        self._numbers = iter(range(1, 1_000_000))

    def items(self) -> list[dict[str, Any]]:
        """Orders that nobody gave before."""
        return [{"prompt": f"a fox, number {next(self._numbers)}"} for _ in range(ITEMS)]

    async def post(self, path: str, body: Mapping[str, Any], wait: bool = True) -> dict[str, Any]:
        """The envelope. Raises RuntimeError unless all of it went well."""
        headers = {"Prefer": "wait=60" if wait else "respond-async"}
        async with self.http.post(f"{self.url}{path}", json=body, headers=headers) as reply:
            envelope = dict(await reply.json())
            if reply.status != (201 if wait else 202) or envelope.get("error"):
                why = str(envelope.get("error") or envelope.get("status"))[:300]
                raise RuntimeError(f"{path} was answered with {reply.status}: {why}")
            return envelope

    async def batch(self) -> float:
        """Seconds until a batch is answered with all of its pictures."""
        began = time.monotonic()
        envelope = await self.post("/v1/batches", {"items": self.items(), "defaults": DEFAULTS})
        seconds = time.monotonic() - began
        if envelope["images"]["made"] != ITEMS:
            raise RuntimeError(f"{envelope['images']} of {ITEMS}")
        return seconds

    async def followed(self) -> tuple[float, float]:
        """Seconds until the first and until the last picture of a batch is told on its stream."""
        began = time.monotonic()
        body = {"items": self.items(), "defaults": DEFAULTS}
        envelope = await self.post("/v1/batches", body, wait=False)
        events = self._events(f"/v1/batches/{envelope['id']}/events")
        told = [time.monotonic() - began async for kind in events if kind == "output"]
        if len(told) != ITEMS:
            raise RuntimeError(f"{len(told)} of {ITEMS} pictures were told")
        return told[0], told[-1]

    async def _events(self, path: str) -> AsyncIterator[str]:
        async with self.http.get(self.url + path) as reply:
            while line := (await reply.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    yield value

    async def one_by_one(self) -> float:
        """Seconds that a client takes which waits for each picture before it orders the next."""
        began = time.monotonic()
        for item in self.items():
            await self.post("/v1/generations", {**item, **DEFAULTS})
        return time.monotonic() - began

    async def workflow(self) -> dict[str, Any]:
        """What the server sent last."""
        async with self.http.get(f"{self.sim}/history") as reply:
            *_, last = (await reply.json()).values()
        return dict(last["prompt"][2])

    async def bare(self) -> float:
        """Seconds of `asyncio.gather` on the provider itself: submit, look until it is done, load."""
        workflow = await self.workflow()
        began = time.monotonic()
        await asyncio.gather(*(self._prompt(workflow) for _ in range(ITEMS)))
        return time.monotonic() - began

    async def _prompt(self, workflow: Mapping[str, Any]) -> None:
        text = f"bare {next(self._numbers)}"
        fresh = {node_id: self._with_new_seed(node) for node_id, node in workflow.items()}
        body = {"prompt": fresh, "prompt_id": str(uuid.uuid4()), "extra_data": {"text": text}}
        async with self.http.post(f"{self.sim}/prompt", json=body) as reply:
            prompt_id = (await reply.json())["prompt_id"]
        while True:
            async with self.http.get(f"{self.sim}/history/{prompt_id}") as reply:
                found = (await reply.json()).get(prompt_id)
            if found is not None:
                break
            await asyncio.sleep(LOOK)
        (images,) = (node["images"] for node in found["outputs"].values() if "images" in node)
        async with self.http.get(f"{self.sim}/view", params=images[0]) as reply:
            if reply.status != 200 or not await reply.read():
                raise RuntimeError(f"the provider answered {reply.status}")

    def _with_new_seed(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """A node that ComfyUI does not take from its cache."""
        inputs = dict(node["inputs"])
        if "seed" in inputs:
            inputs["seed"] = next(self._numbers)
        return {**node, "inputs": inputs}


async def measure() -> Result:
    """A batch that is waited for, one that is followed, single orders, and the provider alone, in turn."""
    result = Result(
        "batches",
        f"{ITEMS} orders of 1 s each at once",
        f"`POST /v1/batches` with {ITEMS} items; the ComfyUI simulator works on {ITEMS} prompts at once and"
        f" takes {STEPS} steps of {1000 // STEPS} ms for each, and then its own time to save them."
        " `FERROTYPE_CLASSES=heavy=N` gives the seats; on four of them ten pictures take three turns. Median"
        f" of {ROUNDS} rounds, in each of which a batch is waited for, another is followed over server-sent"
        " events, a client orders the same number one by one, and `asyncio.gather` asks the bare provider for"
        " all at once and loads the pictures.",
    )
    grid = Grid(
        "seconds since the client began to send, median (slowest)",
        ["seats", "reply with all", "first `output`", "last `output`", "one by one", "bare provider"],
        [],
    )
    for seats, wanted in SEATS:
        with console.status(f"{seats} seats"):
            await _seats(seats, wanted, result, grid)
    result.grids.append(grid)
    return result


async def _seats(seats: int, wanted: float, result: Result, grid: Grid) -> None:
    async with stack(SCRIPT, FERROTYPE_CLASSES=f"heavy={seats}") as parts:
        bench = Bench(parts)
        await bench.batch()  # opens the connections
        rounds = [
            (await bench.batch(), *await bench.followed(), await bench.one_by_one(), await bench.bare())
            for _ in range(ROUNDS)
        ]
    columns = [list(column) for column in zip(*rounds, strict=True)]
    replies, first, _, singly, bare = columns
    result.figures += [
        Figure(f"all {ITEMS} on {seats} seats, reply", percentile(replies, 0.5), "s", wanted),
        Figure(f"first picture event on {seats} seats", percentile(first, 0.5), "s", FIRST_SECONDS),
        Figure(
            f"one by one : batch on {seats} seats", percentile(singly, 0.5) / percentile(replies, 0.5), "x"
        ),
        Figure(
            f"batch on {seats} seats : bare provider with all at once",
            percentile(replies, 0.5) / percentile(bare, 0.5),
            "x",
        ),
    ]
    grid.rows.append(
        [str(seats), *(f"{percentile(column, 0.5):.3f} ({max(column):.3f})" for column in columns)]
    )
    result.raw[f"{seats} seats"] = dict(
        zip(("reply", "first", "last", "one_by_one", "bare"), columns, strict=True)
    )
