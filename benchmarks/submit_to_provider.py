"""From the client's POST until the provider has been called, on an idle server."""

from __future__ import annotations

import asyncio
import time

from benchmarks.processes import Stack, stack
from benchmarks.report import Figure, Grid, Result, console, percentile

ORDERS = 200
SCRIPT = {"steps": 1}
BASE_SEED = 5000
POLL_SECONDS = 0.005
PATIENCE = 20.0


async def measure() -> Result:
    """One asynchronous order after the other."""
    with console.status(f"{ORDERS} orders"):
        async with stack(SCRIPT) as parts:
            sent, accepted = {}, {}
            for seed in range(BASE_SEED, BASE_SEED + ORDERS):
                sent[seed] = time.monotonic()
                envelope = await parts.order(wait=False, prompt="a fox", seed=seed, width=256, height=256)
                accepted[seed] = time.monotonic()
                await _idle_again(parts, envelope["id"])
            journal = await parts.journal()
            seed_of = await parts.seeds()
    called = {
        seed_of[entry["prompt_id"]]: entry["t"]
        for entry in journal["entries"]
        if entry["route"] == "POST /prompt"
    }
    moments = {
        "`POST /prompt` arrives at the provider": [(called[seed] - sent[seed]) * 1e3 for seed in sent],
        "the client has the 202": [(accepted[seed] - sent[seed]) * 1e3 for seed in sent],
    }
    calls = next(iter(moments.values()))
    return Result(
        "submit_to_provider",
        "Submit → provider called, idle",
        f"{ORDERS} orders with `Prefer: respond-async`, each sent when everything behind the one before it"
        " (store, placeholder) has ended. From the moment the client starts to send until `POST /prompt` has"
        " arrived at the ComfyUI simulator; in between lie the order's transaction, the lease, and the"
        " durable row of the attempt.",
        figures=[
            Figure("p50", percentile(calls, 0.5), "ms", 5),
            Figure("p99", percentile(calls, 0.99), "ms"),
        ],
        grids=[
            Grid(
                "ms since the client began to send",
                ["", "p50", "p90", "p99", "max"],
                [
                    [what, *(f"{percentile(values, share):.1f}" for share in (0.5, 0.9, 0.99, 1))]
                    for what, values in moments.items()
                ],
            )
        ],
        raw={what: [round(value, 3) for value in values] for what, values in moments.items()},
    )


async def _idle_again(parts: Stack, generation_id: str) -> None:
    async for _ in parts.events(generation_id):
        pass  # the stream closes with the generation's end
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with parts.http.get(f"{parts.url}/v1/generations/{generation_id}") as reply:
            output = (await reply.json())["output"]
        if output and all(asset["stored"] and asset["placeholder"] for asset in output):
            await asyncio.sleep(POLL_SECONDS)
            return
        await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"the work behind generation {generation_id} does not end")
