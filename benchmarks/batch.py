"""Ten pictures in one order: as many at once as the class has seats, each told as soon as it exists."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from benchmarks.processes import Stack, stack
from benchmarks.report import Figure, Grid, Result, console, percentile

PICTURES = 10
STEPS = 4
SCRIPT = {"workers": PICTURES, "steps": STEPS, "step_seconds": 1 / STEPS}
#: Seats of the class, and the seconds within which all pictures are wanted.
SEATS = ((10, 1.05), (4, 3.1))
FIRST_SECONDS = 1.05
ROUNDS = 3
SIDE = 256


async def measure() -> Result:
    """Orders whose reply is waited for, and orders that are followed by their events, in turn."""
    result = Result(
        "batch",
        f"{PICTURES} pictures of 1 s each in one order",
        f"One order with `num_images: {PICTURES}`; the ComfyUI simulator works on {PICTURES} prompts at once"
        f" and takes {STEPS} steps of {1000 // STEPS} ms for each, and then its own time to paint and save"
        f" them ({SIDE} px, so that painting takes little). `FERROTYPE_CLASSES=heavy=N` gives the seats; on"
        f" four of them ten pictures take three turns. Median of {ROUNDS} orders that wait for the reply, and"
        " of as many that are followed over server-sent events.",
    )
    grid = Grid(
        "seconds since the client began to send, median (slowest)",
        [
            "seats",
            "reply with all",
            "first `output`",
            "last `output`",
            "`succeeded`",
            "first / last call arrives",
            "first call to last picture saved",
            "most at once",
        ],
        [],
    )
    for seats, wanted in SEATS:
        await _seats(seats, wanted, result, grid)
    result.grids.append(grid)
    return result


async def _seats(seats: int, wanted: float, result: Result, grid: Grid) -> None:
    replies, provider, first_call, last_call = [], [], [], []
    moments: dict[str, list[float]] = {"first": [], "last": [], "succeeded": []}
    most = 0
    with console.status(f"{seats} seats"):
        async with stack(SCRIPT, FERROTYPE_CLASSES=f"heavy={seats}") as parts:
            await parts.order(**_body(1, pictures=1))  # opens the connections
            for number in range(ROUNDS):
                await _forget(parts)
                started = time.monotonic()
                await parts.order(**_body(100 * number + 100))
                replies.append(time.monotonic() - started)
                marks = (await parts.journal())["marks"]
                calls = [mark["t"] for mark in marks if mark["what"] == "queued"]
                first_call.append(min(calls) - started)
                last_call.append(max(calls) - started)
                provider.append(max(mark["t"] for mark in marks if mark["what"] == "saved") - min(calls))
                most = max(most, _most_at_once(marks))
                for what, seconds in (await _followed(parts, 100 * number + 5000)).items():
                    moments[what].append(seconds)
    first = moments["first"]
    result.figures += [
        Figure(f"all {PICTURES} on {seats} seats, reply", percentile(replies, 0.5), "s", wanted),
        Figure(f"first picture event on {seats} seats", percentile(first, 0.5), "s", FIRST_SECONDS),
    ]
    columns = [replies, first, moments["last"], moments["succeeded"]]
    cells = [f"{percentile(values, 0.5):.3f} ({max(values):.3f})" for values in columns]
    cells.append(f"{percentile(first_call, 0.5):.3f} / {percentile(last_call, 0.5):.3f}")
    cells.append(f"{percentile(provider, 0.5):.3f} ({max(provider):.3f})")
    grid.rows.append([str(seats), *cells, str(most)])
    result.raw[f"{seats} seats"] = {"reply": replies, "provider": provider, **moments}


def _body(seed: int, pictures: int = PICTURES) -> dict[str, Any]:
    return {"prompt": "a fox", "num_images": pictures, "seed": seed, "width": SIDE, "height": SIDE}


async def _forget(parts: Stack) -> None:
    async with parts.http.delete(f"{parts.sim}/_sim/journal") as reply:
        reply.raise_for_status()


async def _followed(parts: Stack, seed: int) -> dict[str, float]:
    started = time.monotonic()
    envelope = await parts.order(wait=False, **_body(seed))
    outputs = []
    async for kind, _ in parts.events(envelope["id"]):
        if kind == "output":
            outputs.append(time.monotonic() - started)
        elif kind == "succeeded" and len(outputs) == PICTURES:
            return {"first": outputs[0], "last": outputs[-1], "succeeded": time.monotonic() - started}
    raise RuntimeError(f"{len(outputs)} of {PICTURES} pictures were announced")


def _most_at_once(marks: Iterable[dict[str, Any]]) -> int:
    """How many prompts the provider had started and not finished."""
    now = most = 0
    for mark in sorted(marks, key=lambda mark: float(mark["t"])):
        now += {"started": 1, "finished": -1}.get(mark["what"], 0)
        most = max(most, now)
    return most
