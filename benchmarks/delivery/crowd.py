"""Two hundred at once for what is not there yet: one variant, and two hundred different ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from benchmarks.delivery import asking, parts, usage
from benchmarks.delivery.asking import Timed
from benchmarks.delivery.parts import Running
from benchmarks.delivery.pictures import jpegs, pngs
from benchmarks.report import Figure, Grid, Result, console, percentile

CROWD: Final = 200
ROUNDS: Final = 3
#: Seconds between two looks at the API meanwhile.
PAUSE: Final = 0.01
#: How long the API is looked at with nothing else to do.
QUIET_SECONDS: Final = 2.0
SIDE, PNGS = 1024, 20
PHOTO, JPEGS = (6000, 4000), 2
#: Enough room for all of the crowd; the default is below that, so that the others are refused.
ROOMY: Final = {"FERROTYPE_IMAGING_QUEUE": str(CROWD)}


@dataclass
class Scene:
    """One crowd. `computed` counts what the server says that it rendered; `api` are seconds of each look at
    the API meanwhile, by route; `memory` is the most that was resident, in bytes, and `before` what was."""

    replies: Timed
    computed: int
    memory: int
    before: int
    api: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class Stage:
    """A server with pictures: `url` is the asset to look at through the API."""

    server: Running
    pngs: list[str]
    jpegs: list[str]
    http: aiohttp.ClientSession
    api: aiohttp.ClientSession

    @property
    def routes(self) -> dict[str, str]:
        asset = self.pngs[0].rpartition("/")[2]
        return {
            "GET /healthz": f"{self.server.url}/healthz",
            "GET /v1/assets/{id}": f"{self.server.url}/v1/assets/{asset}",
        }

    async def rendered(self) -> int:
        """How many variants the server says that it has made since its start; refused ones are its errors."""
        headers = {"Accept": "application/json"}
        async with self.api.get(f"{self.server.url}/metrics", headers=headers) as reply:
            operations = (await reply.json())["operations"]
            render = operations.get("render", {"count": 0, "errors": 0})
            return int(render["count"] - render["errors"])

    async def play(self, urls: Sequence[str]) -> Scene:
        """All of them at once, with somebody at the API meanwhile."""
        usage.forget_peak(self.server.pid)
        before, done = usage.resident(self.server.pid), await self.rendered()
        looking = asyncio.create_task(self.look())
        try:
            replies = await asking.all_at_once(self.http, urls)
        finally:
            looking.cancel()
        api = await looking
        return Scene(replies, await self.rendered() - done, usage.peak(self.server.pid), before, api)

    async def look(self, seconds: float = float("inf")) -> dict[str, list[float]]:
        """Look at each route in turn, until canceled."""
        api: dict[str, list[float]] = {route: [] for route in self.routes}
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                for route, url in self.routes.items():
                    started = time.perf_counter()
                    async with self.api.get(url) as reply:
                        await reply.read()
                        if reply.status != 200:
                            raise RuntimeError(f"{url} was answered with {reply.status} meanwhile")
                    api[route].append(time.perf_counter() - started)
                    await asyncio.sleep(PAUSE)
        except asyncio.CancelledError:
            pass
        return api


async def measure() -> Result:
    """One variant, then different ones with the default queue, then with room for all."""
    scenes: dict[str, list[Scene]] = {}
    quiet: dict[str, list[float]] = {}
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        folder = Path(name)
        with console.status("making pictures"):
            files = [*pngs(folder, PNGS, SIDE), *jpegs(folder, JPEGS, *PHOTO)]
        for settings in ({}, ROOMY):
            async with _stage(folder, files, settings) as stage:
                if not quiet:
                    quiet = await stage.look(QUIET_SECONDS)
                for number in range(ROUNDS):
                    for title, urls in _crowds(stage, number, bool(settings)).items():
                        with console.status(f"round {number + 1} of {ROUNDS}: {title}"):
                            scenes.setdefault(title, []).append(await stage.play(urls))
    return _result(scenes, quiet)


@asynccontextmanager
async def _stage(folder: Path, files: Sequence[Path], settings: dict[str, str]) -> AsyncIterator[Stage]:
    async with (
        parts.ours(folder, core=None, **settings) as server,
        asking.session() as http,
        aiohttp.ClientSession() as api,
    ):
        urls = [await parts.upload(http, server, file) for file in files]
        yield Stage(server, urls[:PNGS], urls[PNGS:], http, api)


def _crowds(stage: Stage, number: int, roomy: bool) -> dict[str, list[str]]:
    """What is asked in a round; nothing was asked before."""
    one = f"{stage.jpegs[0]}?w={800 + number}&format=webp"
    each = CROWD // PNGS
    small = [
        f"{url}?w={512 - number * each - step}&format=webp" for url in stage.pngs for step in range(each)
    ]
    large = [
        f"{stage.jpegs[step % JPEGS]}?w={1200 - number * CROWD - step}&format=webp" for step in range(CROWD)
    ]
    if roomy:
        return {f"{CROWD} for {CROWD} variants of 1024 px, room for all": small}
    return {
        f"{CROWD} for one variant of 24 MP": [one] * CROWD,
        f"{CROWD} for {CROWD} variants of 1024 px": small,
        f"{CROWD} for {CROWD} variants of 24 MP": large,
    }


def _result(scenes: dict[str, list[Scene]], quiet: dict[str, list[float]]) -> Result:
    result = Result(
        "delivery_crowd",
        f"{CROWD} requests at once for what is not there yet",
        f"{CROWD} connections ask at the same moment: for one variant (24 MP JPEG → 800 WebP); for as many"
        " different ones of 1024 px PNG files (→ about 512 WebP), and of 24 MP JPEG files; and once more of"
        f" 1024 px with `FERROTYPE_IMAGING_QUEUE={CROWD}`, so that none is refused. By default 64 wait for a"
        " thread and one more gets 503 with `Retry-After` at once. Computed is what `/metrics` counts as"
        " rendered. Meanwhile somebody on another connection asks the API, one question after another. Server"
        f" and load share all cores; {ROUNDS} rounds.",
    )
    one = next(iter(scenes.values()))
    result.figures.append(
        Figure(f"{CROWD} for one variant: computations", max(scene.computed for scene in one), "", 1)
    )
    header = ["", "200", "503", "computed", "seconds", "p50 ms", "p99 ms", "503 p99 ms", "Retry-After"]
    grid = Grid("the crowd (medians; counts of each round; memory: the most)", [*header, "MB", "more MB"], [])
    api = Grid("the API meanwhile, ms", ["", *_columns(quiet)], [["nothing else", *_latencies([quiet])]])
    for title, played in scenes.items():
        grid.rows.append([title, *_row(played)])
        api.rows.append([title, *_latencies([scene.api for scene in played])])
    result.grids += [grid, api]
    result.notes.append(
        "MB is the most that was resident, by the kernel's own mark; *more* is how much that was above"
        " what was resident just before, which includes pictures that the caches keep."
    )
    for title, played in scenes.items():
        wrong = {status for scene in played for status in scene.replies.statuses} - {200, 503}
        if wrong:
            raise RuntimeError(f"{title}: some were answered with {sorted(wrong)}")
    result.raw = {title: [_facts(scene) for scene in played] for title, played in scenes.items()}
    return result


def _row(scenes: Sequence[Scene]) -> list[str]:
    replies = [scene.replies for scene in scenes]
    waits = sorted({wait for timed in replies for wait in timed.retry_after if wait}, key=int)
    refused = [each for timed in replies for each in timed.of(503)]
    return [
        " / ".join(str(timed.count(200)) for timed in replies),
        " / ".join(str(timed.count(503)) for timed in replies),
        " / ".join(str(scene.computed) for scene in scenes),
        f"{percentile([timed.seconds for timed in replies], 0.5):.1f}",
        f"{percentile([timed.ms(0.5) for timed in replies], 0.5):,.0f}",
        f"{percentile([timed.ms(0.99) for timed in replies], 0.5):,.0f}",
        f"{percentile(refused, 0.99) * 1e3:,.0f}" if refused else "",
        f"{waits[0]}-{waits[-1]}" if waits else "",
        f"{max(scene.memory for scene in scenes) / 1e6:.0f}",
        f"{max(scene.memory - scene.before for scene in scenes) / 1e6:.0f}",
    ]


def _columns(api: dict[str, list[float]]) -> list[str]:
    return [f"{route}, {what}" for route in api for what in ("p50", "p99", "longest")]


def _latencies(apis: Sequence[dict[str, list[float]]]) -> list[str]:
    cells = []
    for route in apis[0]:
        seconds = [each for api in apis for each in api[route]]
        cells += [f"{percentile(seconds, share) * 1e3:.1f}" for share in (0.5, 0.99, 1)]
    return cells


def _facts(scene: Scene) -> dict[str, object]:
    return {
        "latencies": scene.replies.latencies,
        "statuses": scene.replies.statuses,
        "computed": scene.computed,
        "memory": scene.memory,
        "before": scene.before,
        "api": scene.api,
    }
