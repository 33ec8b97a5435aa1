"""What an order costs whose pictures exist already, and what a crowd of identical orders does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiohttp

from benchmarks.processes import free_port, process, python, server
from benchmarks.report import Figure, Grid, Result, console, percentile

CROWD: Final = 500
#: The crowd's picture takes so many seconds at its service.
WORK_SECONDS: Final = 1.0
TURNS: Final = 200
ANSWERS: Final = 3_000
AT_ONCE: Final = 16
CREDITS, USD = 3, 0.04
MODEL: Final = "bench/painter"
TOKEN: Final = "token-of-the-simulator"
PREDICTIONS: Final = "POST /v1/models/{owner}/{name}/predictions"
SHARES: Final = (0.5, 0.9, 0.99, 1)
CATALOGUE: Final = f"""
[[models]]
name = "{MODEL}"
operations = ["generate"]
class = "light"
price = {{ credits = {CREDITS}, usd = {USD} }}
[models.capabilities]
styles = false
[[models.deployments]]
provider = "replicate"
target = "black-forest-labs/flux-1.1-pro"
[models.deployments.options]
default_format = "webp"
[models.deployments.options.input]
prompt = "{{prompt}}"
aspect_ratio = "custom"
width = "{{width}}"
height = "{{height}}"
seed = "{{seed}}"
output_format = "{{format}}"
"""


@dataclass
class Shop:
    """A server with the simulator of Replicate behind it."""

    url: str
    sim: str
    http: aiohttp.ClientSession

    async def order(self, seed: int, reuse: str = "allow") -> tuple[float, dict[str, Any]]:
        """Seconds until the answer, and the envelope. Raises RuntimeError unless it went well."""
        body = {
            "prompt": "a fox under the moon",
            "model": MODEL,
            "width": 512,
            "height": 512,
            "seed": seed,
            "reuse": reuse,
        }
        began = time.monotonic()
        async with self.http.post(f"{self.url}/v1/generations", json=body) as reply:
            envelope = await reply.json()
        seconds = time.monotonic() - began
        if (reply.status, envelope.get("status")) != (201, "succeeded"):
            raise RuntimeError(f"an order was answered with {reply.status}: {envelope}")
        return seconds, dict(envelope)

    async def load(self, url: str) -> str:
        """The hash of a picture."""
        async with self.http.get(url) as reply:
            reply.raise_for_status()
            return hashlib.sha256(await reply.read()).hexdigest()

    async def calls(self) -> int:
        """How often the provider was asked for pictures."""
        async with self.http.get(f"{self.sim}/_sim/journal") as reply:
            journal = await reply.json()
        return int(journal["counts"].get(PREDICTIONS, 0))

    async def counters(self) -> dict[str, float]:
        async with self.http.get(f"{self.url}/metrics", headers={"Accept": "application/json"}) as reply:
            return dict((await reply.json())["counters"])

    async def takes(self, seconds: float) -> None:
        """How long the service works from now on."""
        async with self.http.patch(f"{self.sim}/_sim/script", json={"seconds": seconds}) as reply:
            reply.raise_for_status()


async def measure() -> Result:
    """The crowd first; then one order after the other, fresh and reused in turn; then many reused at once."""
    async with _shop() as shop:
        with console.status(f"{CROWD} identical orders at once"):
            crowd = await _crowd(shop)
        with console.status(f"2 x {TURNS} orders in turn"):
            fresh, reused = await _in_turn(shop)
        with console.status(f"{ANSWERS:,} reused"):
            rate = await _rate(shop)
    result = Result(
        "reuse",
        "The same order again",
        f"A model of {CREDITS} credits and ${USD} at the simulator of Replicate. {CROWD} identical orders at"
        f" once (a `seed`, `reuse: allow`, a connection each) while the service takes {WORK_SECONDS:g} s;"
        " every answer's picture is loaded and hashed, and the simulator's journal says how often it was"
        f" called. Then, with a service that takes no time, {TURNS} fresh orders and {TURNS} repeated ones in"
        " turn, from the client's `POST /v1/generations` until it has the whole reply; then"
        f" {ANSWERS:,} repeated ones on {AT_ONCE} connections. A reuse is a generation of its own, with its"
        " row, hold, entries and events.",
        figures=[
            Figure(f"provider calls for {CROWD} identical orders at once", crowd.calls, "", 1),
            Figure("of their answers right", crowd.right, "", CROWD, at_most=False),
            Figure("seconds beyond the service's work until the last has its answer", crowd.beyond, "s"),
            Figure(
                "p50 of a repeated order beside a fresh one",
                percentile(reused, 0.5) / percentile(fresh, 0.5),
                "×",
                1,
            ),
            Figure("repeated orders answered per second", rate, "req/s"),
        ],
    )
    grid = Grid("ms from order to answer", ["", *(f"p{share * 100:g}" for share in SHARES[:-1]), "max"], [])
    for title, values in (("fresh", fresh), ("repeated", reused), (f"crowd of {CROWD}", crowd.answered)):
        grid.rows.append([title, *(f"{percentile(values, share) * 1e3:.1f}" for share in SHARES)])
    result.grids.append(grid)
    hits = crowd.counters["generations_joined"] + crowd.counters.get("generations_reused", 0)
    missed = crowd.counters["reuse_missed"]
    saved = crowd.counters["reuse_saved_usd"]
    result.notes.append(
        f"After the crowd the metrics say: {hits:,.0f} hits and {missed:,.0f} miss, a hit rate of"
        f" {hits / (hits + missed):.1%}, and ${saved:,.2f} saved, where {CROWD - 1} x ${USD} are"
        f" ${(CROWD - 1) * USD:,.2f}. {crowd.credits} credits were charged for all of them."
    )
    result.raw = {
        "fresh": [round(value * 1e3, 3) for value in fresh],
        "repeated": [round(value * 1e3, 3) for value in reused],
        "counters": crowd.counters,
    }
    return result


@asynccontextmanager
async def _shop() -> AsyncIterator[Shop]:
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        folder, sim_port, port = Path(name), free_port(), free_port()
        (folder / "models.toml").write_text(CATALOGUE)
        script = {"seconds": WORK_SECONDS, "steps": 1, "previews": 0, "key": TOKEN}
        options = [part for key, value in script.items() for part in ("--set", f"{key}={value}")]
        sim, url = f"http://127.0.0.1:{sim_port}", f"http://127.0.0.1:{port}"
        env = server(
            port,
            folder,
            FERROTYPE_CATALOGUE=str(folder / "models.toml"),
            REPLICATE_API_TOKEN=TOKEN,
            REPLICATE_BASE_URL=sim,
        )
        command = python("ferrotype", "sim", "replicate", "--port", str(sim_port), *options)
        timeout = aiohttp.ClientTimeout(total=120)
        async with (
            process(command, port=sim_port, folder=folder, env={"VIPS_CONCURRENCY": "1"}),
            process(python("ferrotype", "serve"), port=port, folder=folder, env=env),
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http,
        ):
            yield Shop(url, sim, http)


@dataclass(frozen=True)
class Crowd:
    """What became of identical orders at once. Times in seconds."""

    calls: int
    right: int
    beyond: float
    credits: int
    answered: Sequence[float]
    counters: dict[str, float]


async def _crowd(shop: Shop) -> Crowd:
    began = time.monotonic()
    answers = await asyncio.gather(*(shop.order(seed=1) for _ in range(CROWD)))
    seconds = time.monotonic() - began
    calls = await shop.calls()
    envelopes = [envelope for _, envelope in answers]
    (leader,) = [envelope for envelope in envelopes if envelope["reused_from"] is None]
    (asset,) = leader["output"]
    wanted = await shop.load(asset["url"])
    hashes = await asyncio.gather(*(shop.load(envelope["output"][0]["url"]) for envelope in envelopes))
    right = sum(
        found == wanted and envelope["reused_from"] in (None, leader["id"])
        for found, envelope in zip(hashes, envelopes, strict=True)
    )
    if len({envelope["id"] for envelope in envelopes}) != CROWD:
        raise RuntimeError("orders share a generation")
    charged = sum(envelope["cost"]["credits"] for envelope in envelopes)
    answered = [seconds for seconds, _ in answers]
    return Crowd(calls, right, seconds - WORK_SECONDS, charged, answered, await shop.counters())


async def _in_turn(shop: Shop) -> tuple[list[float], list[float]]:
    await shop.takes(0)
    fresh: list[float] = []
    reused: list[float] = []
    for number in range(TURNS):
        seconds, made = await shop.order(seed=1_000 + number)
        again, same = await shop.order(seed=1_000 + number)
        if made["reused_from"] is not None or same["reused_from"] != made["id"]:
            raise RuntimeError(f"made anew or not: {json.dumps([made, same])}")
        fresh.append(seconds)
        reused.append(again)
    return fresh, reused


async def _rate(shop: Shop) -> float:
    """Repeated orders per second."""
    left = iter(range(ANSWERS))

    async def client() -> None:
        for _ in left:
            _, envelope = await shop.order(seed=1)
            if envelope["reused_from"] is None:
                raise RuntimeError("an order was made anew")

    began = time.monotonic()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return ANSWERS / (time.monotonic() - began)
