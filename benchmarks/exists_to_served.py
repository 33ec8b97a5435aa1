"""From the moment a picture exists at the provider until the client holds a URL that serves it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from benchmarks.processes import Stack, python, stack
from benchmarks.report import Figure, Grid, Result, console, number, percentile

OLDER = 33
STORE_SECONDS = 3
ORDERS = 200
AT_ONCE = 4
SCRIPT = {"older": {"count": OLDER}, "steps": 4, "step_seconds": 0.01, "workers": AT_ONCE}
BASE_SEED = 1000
ONE_EACH = ("POST /prompt", "GET /history/{prompt_id}", "GET /view")


@dataclass
class Order:
    """When the client had what, in seconds of the machine's monotonic clock."""

    seed: int
    answered: float
    first_byte: float
    last_byte: float
    stored: bool
    bytes: int


async def measure() -> Result:
    """One order after the other, then four at a time, each against fresh processes."""
    result = Result(
        "exists_to_served",
        "Picture exists at the provider → the client holds a URL that serves it",
        f"{ORDERS} orders of one 1024 px PNG each through the ComfyUI simulator, whose output folder holds"
        f" {OLDER} older files; a store that takes {STORE_SECONDS} s for each upload. The clock starts when"
        " the simulator has written the file (its journal; all processes read one monotonic clock) and stops"
        " when the client has the whole reply of `POST /v1/generations`. Then the client gets the URL in that"
        " reply on the same connection, while the bytes still come from the provider.",
    )
    grid = Grid("ms since the picture exists", ["", "p50", "p90", "p99", "max"], [])
    for at_once in (1, AT_ONCE):
        await _round(at_once, result, grid)
    result.grids.insert(0, grid)
    return result


async def _round(at_once: int, result: Result, grid: Grid) -> None:
    label = "one at a time" if at_once == 1 else f"{at_once} at a time"
    launcher = python("benchmarks.launch.slow_store", str(STORE_SECONDS))
    with console.status(f"{ORDERS} orders, {label}"):
        async with stack(SCRIPT, launcher=launcher) as parts:
            seeds = iter(range(BASE_SEED, BASE_SEED + ORDERS))
            orders: list[Order] = []

            async def client() -> None:
                orders.extend([await _order(parts, seed) for seed in seeds])

            await asyncio.gather(*(client() for _ in range(at_once)))
            journal = await parts.journal()
            seed_of = await parts.seeds()
    saved = {seed_of[mark["prompt_id"]]: mark["t"] for mark in journal["marks"] if mark["what"] == "saved"}
    moments = {
        "reply": [(order.answered - saved[order.seed]) * 1e3 for order in orders],
        "first byte of the picture": [(order.first_byte - saved[order.seed]) * 1e3 for order in orders],
        "last byte of the picture": [(order.last_byte - saved[order.seed]) * 1e3 for order in orders],
    }
    for what, values in moments.items():
        row = [f"{percentile(values, share):.1f}" for share in (0.5, 0.9, 0.99, 1)]
        grid.rows.append([f"{what}, {label}", *row])
    reply = moments["reply"]
    alone = at_once == 1
    result.figures += [
        Figure(f"p50, {label}", percentile(reply, 0.5), "ms", 15 if alone else None),
        Figure(f"p99, {label}", percentile(reply, 0.99), "ms", 60 if alone else None),
    ]
    result.grids.append(_wire(journal["counts"], label))
    held = sum(order.stored for order in orders)
    size = percentile([order.bytes for order in orders], 0.5)
    result.notes.append(
        f"{label}: pictures of {number(size, 'bytes')};"
        f" {held} of {len(orders)} were in the store when the reply came."
    )
    result.raw[label] = {what: [round(value, 3) for value in values] for what, values in moments.items()}


async def _order(parts: Stack, seed: int) -> Order:
    envelope = await parts.order(prompt="a fox under the moon", seed=seed, width=1024, height=1024)
    answered = time.monotonic()
    (asset,) = envelope["output"]
    async with parts.http.get(asset["url"]) as reply:
        reply.raise_for_status()
        size = len(await reply.content.readany())
        first = time.monotonic()
        size += len(await reply.content.read())
        last = time.monotonic()
        if size != reply.content_length:
            raise RuntimeError(f"{asset['url']}: {size} of {reply.content_length} bytes")
    return Order(seed, answered, first, last, asset["stored"], size)


def _wire(counts: dict[str, int], label: str) -> Grid:
    rest = Counter(counts)
    rows = [[route, str(rest.pop(route, 0)), f"{counts.get(route, 0) / ORDERS:g}"] for route in ONE_EACH]
    rows += [[route, str(count), ""] for route, count in sorted(rest.items())]
    return Grid(
        f"every request that the provider received, {label}", ["route", "in all", "per picture"], rows
    )
