"""How long an order takes while its store answers at once, and while it answers five seconds late."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.processes import Stack, free_port, process, python, stack
from benchmarks.report import Figure, Grid, Result, console, percentile
from benchmarks.store import parts

ORDERS: Final = 150
WARM: Final = 10
SECONDS: Final = 5.0
SCRIPT: Final = {"steps": 1}
BASE_SEED: Final = 9_000
#: Two servers are never alike to the last tenth of a millisecond.
SAME: Final = 1.1
SHARES: Final = (0.5, 0.9, 0.95, 1)


async def measure() -> Result:
    """Both stores at the same time, each behind a server of its own; the orders go to them in turn."""
    with TemporaryDirectory(prefix="ferrotype-bench-") as name, console.status(f"2 x {ORDERS} orders"):
        folder = Path(name)
        async with AsyncExitStack() as running:
            bucket = await running.enter_async_context(parts.seaweed(folder))
            port = free_port()
            far = python("benchmarks.launch.far_away", str(port), str(bucket.port), str(SECONDS))
            await running.enter_async_context(process(far, port=port, folder=folder))
            away = f"http://127.0.0.1:{port}"
            near = {0.0: bucket.settings(), SECONDS: bucket.settings(away)}
            servers = {
                delay: await running.enter_async_context(stack(SCRIPT, **settings))
                for delay, settings in near.items()
            }
            answered: dict[float, list[float]] = {delay: [] for delay in servers}
            stored = dict.fromkeys(servers, 0)
            for number in range(ORDERS + WARM):
                for delay in sorted(servers, reverse=bool(number % 2)):
                    seconds, was = await _order(servers[delay], BASE_SEED + number)
                    if number >= WARM:
                        answered[delay].append(seconds * 1e3)
                        stored[delay] += was
            waiting = len(answered[SECONDS]) + WARM - await _confirmed(servers[SECONDS])
    ratios = {share: _ratio(answered, share) for share in (0.5, 0.95)}
    result = Result(
        "store_latency",
        f"Answer latency with a store that answers at once, and one that takes {SECONDS:g} s",
        f"{ORDERS} orders of one 1024 px PNG each through the ComfyUI simulator, to two servers in turn: one"
        f" stores to SeaweedFS, the other to the same by way of a proxy that passes every answer on"
        f" {SECONDS:g} s late, so that an upload takes {2 * SECONDS:g} s at least. From the client's `POST"
        " /v1/generations` until it has the whole reply (mode `immediate`); the first"
        f" {WARM} of each are not counted.",
        figures=[
            Figure(f"p{share * 100:g} with the slow store beside the fast one", ratio, "×", SAME)
            for share, ratio in ratios.items()
        ],
    )
    grid = Grid("ms from order to answer", ["", *(f"p{share * 100:g}" for share in SHARES[:-1]), "max"], [])
    for delay, values in answered.items():
        row = [f"{percentile(values, share):.1f}" for share in SHARES]
        grid.rows.append([f"store takes {delay:g} s", *row])
    result.grids.append(grid)
    result.notes.append(
        f"After the last order {waiting} of the {ORDERS + WARM} pictures of the slow store were still in the"
        " spool."
    )
    result.raw = {f"{delay:g}": [round(value, 3) for value in values] for delay, values in answered.items()}
    return result


async def _order(server: Stack, seed: int) -> tuple[float, bool]:
    """Seconds until the answer, and whether the picture was stored by then."""
    began = time.monotonic()
    envelope = await server.order(prompt="a fox under the moon", seed=seed, width=1024, height=1024)
    seconds = time.monotonic() - began
    (asset,) = envelope["output"]
    async with server.http.get(asset["url"]) as reply:  # somebody looks at it, as somebody always does
        reply.raise_for_status()
        await reply.read()
    await asyncio.sleep(0)
    return seconds, bool(asset["stored"])


async def _confirmed(server: Stack) -> int:
    """How many of its pictures have a copy."""
    found, cursor = 0, ""
    while cursor is not None:
        async with server.http.get(f"{server.url}/v1/generations?limit=100{cursor}") as reply:
            page = await reply.json()
        found += sum(asset["stored"] for generation in page["data"] for asset in generation["output"])
        cursor = None if page["next_cursor"] is None else f"&cursor={page['next_cursor']}"
    return found


def _ratio(answered: dict[float, list[float]], share: float) -> float:
    return percentile(answered[SECONDS], share) / percentile(answered[0.0], share)
