"""Two minutes of what a site is asked for, in caches so small that they overflow all the time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from benchmarks.delivery import parts, usage
from benchmarks.delivery.mix import SHARES, Mix, Tally, ask
from benchmarks.delivery.pictures import photo
from benchmarks.delivery.wrk import LOAD_CORE, SERVER_CORE
from benchmarks.report import Figure, Grid, Result, console, percentile

SECONDS: Final = 120
#: Until then the caches fill, and the allocator finds its size.
SETTLED: Final = 30
CONNECTIONS: Final = 16
PICTURES, SIDE = 40, 640
SEED: Final = 4
MIB: Final = 1024 * 1024
#: Bounds that are reached within the first seconds, so that every level evicts from then on.
BOUNDS: Final = {
    "FERROTYPE_MEMORY_CACHE_BYTES": str(12 * MIB),
    "FERROTYPE_VARIANT_STORE_BYTES": str(16 * MIB),
}
#: The server remembers where the last 8,192 queries led. They are filled first: the run is too short for it.
SPELLINGS: Final = 10_000
GROWTH: Final = 1.05
HITS: Final = sum(list(SHARES.values())[:5]) / sum(SHARES.values())

#: Seconds since the start, and bytes resident.
Samples = list[tuple[float, int]]


async def measure() -> Result | None:
    """One long run; None with a word where there is only one core."""
    if len(os.sched_getaffinity(0)) < 2:
        console.print("[yellow]delivery_soak is skipped: it needs two cores.[/]")
        return None
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        with TemporaryDirectory(prefix="ferrotype-bench-") as name:
            return await _run(Path(name))
    finally:
        os.sched_setaffinity(0, cores)


async def _run(folder: Path) -> Result:
    async with parts.ours(folder, core=SERVER_CORE, **BOUNDS) as server:
        async with aiohttp.ClientSession() as http:
            urls = [await parts.upload(http, server, file) for file in _pictures(folder)]
            tags = [(await parts.ask(http, url)).headers["etag"] for url in urls]
            mix = Mix(urls, tags, SEED)
            for path in mix.hot():
                await parts.ask(http, f"{server.url}{path}")
        spellings, forever = mix.spellings(SPELLINGS), float("inf")
        await asyncio.gather(*(ask(server.url, spellings, forever, Tally()) for _ in range(CONNECTIONS)))
        tally, samples, began = Tally(), Samples(), time.monotonic()
        watching = asyncio.create_task(_watch(server.pid, began, samples))
        requests = iter(mix)
        used = time.process_time(), usage.cpu_seconds(server.pid)
        with console.status(f"{SECONDS} seconds"):
            until = began + SECONDS
            await asyncio.gather(*(ask(server.url, requests, until, tally) for _ in range(CONNECTIONS)))
        busy = [
            (after - before) / SECONDS
            for after, before in zip(
                (usage.cpu_seconds(server.pid), time.process_time()), used[::-1], strict=True
            )
        ]
        watching.cancel()
        log = "".join(file.read_text() for file in folder.glob("*.log"))
    return _result(tally, samples, began, busy, log)


def _pictures(folder: Path) -> list[Path]:
    files = [folder / f"{number}.webp" for number in range(PICTURES)]
    for number, file in enumerate(files):
        photo(SIDE, SIDE, number + 1).webpsave(str(file), Q=90, effort=2)
    return files


async def _watch(pid: int, began: float, samples: Samples) -> None:
    """A look at each second."""
    while True:
        samples.append((time.monotonic() - began, usage.resident(pid)))
        await asyncio.sleep(1)


def slope(samples: Samples) -> float:
    """Bytes per second, of the straight line that fits best."""
    mean_t = sum(at for at, _ in samples) / len(samples)
    mean_b = sum(size for _, size in samples) / len(samples)
    over = sum((at - mean_t) * (size - mean_b) for at, size in samples)
    return over / sum((at - mean_t) ** 2 for at, _ in samples)


def _result(tally: Tally, samples: Samples, began: float, busy: Sequence[float], log: str) -> Result:
    settled = [sample for sample in samples if sample[0] >= SETTLED]
    grown = slope(settled) * (settled[-1][0] - settled[0][0])
    start = settled[0][1]
    result = Result(
        "delivery_soak",
        f"Two minutes of mixed requests, {HITS:.0%} of them hits",
        f"{CONNECTIONS} connections ask without a pause for {SECONDS} s: {_mixture()}. {PICTURES} pictures of"
        f" {SIDE} px, those at the front more often; the server on core {SERVER_CORE}, the load on core"
        f" {LOAD_CORE}. The caches are so small that every level evicts all the time"
        f" (`{'`, `'.join(f'{key}={value}' for key, value in BOUNDS.items())}`), and {SPELLINGS:,} URLs were"
        " asked for before, so that what remembers URLs is full. Flat means: the"
        f" straight line that fits the resident bytes from second {SETTLED} to the end rises by at most"
        f" {GROWTH - 1:.0%}. Every reply had the status that its request wants.",
        figures=[
            Figure(f"RSS: growth from second {SETTLED} to the end", 1 + grown / start, "×", GROWTH),
            Figure("requests per second", len(tally.moments) / SECONDS, "req/s"),
            Figure("p99 of hits", _ms(_hits(tally), 0.99), "ms"),
        ],
    )
    header = ["", "requests", "p50 ms", "p99 ms", "longest ms"]
    grid = Grid("latencies", header, [])
    for kind, latencies in tally.latencies.items():
        shares = [f"{_ms(latencies, share):.2f}" for share in (0.5, 0.99, 1)]
        grid.rows.append([kind, f"{len(latencies):,}", *shares])
    course = Grid("course", ["second", "req/s", "RSS MB"], [])
    for first in range(0, SECONDS, 15):
        count = sum(first <= moment - began < first + 15 for moment in tally.moments)
        sizes = [size for at, size in samples if first <= at < first + 15]
        course.rows.append(
            [f"{first}-{first + 15}", f"{count / 15:,.0f}", f"{percentile(sizes, 0.5) / 1e6:.1f}"]
        )
    result.grids += [grid, course]
    result.notes += [
        f"RSS {samples[0][1] / 1e6:.1f} MB at the start, {start / 1e6:.1f} MB after {SETTLED} s,"
        f" {samples[-1][1] / 1e6:.1f} MB at the end, at most {max(size for _, size in samples) / 1e6:.1f} MB;"
        f" slope {slope(settled) * 60 / 1e6:+.2f} MB a minute.",
        f"Answered by: {', '.join(f'{level} {count:,}' for level, count in tally.levels.most_common())};"
        f" {tally.bytes / 1e9:.1f} GB of pictures.",
        f"The server's core was {busy[0]:.0%} busy, the load's {busy[1]:.0%}.",
        "The server's log has no warning." if not log.strip() else f"The log says: {log.strip()[-500:]}",
    ]
    result.raw = {
        "samples": samples,
        "levels": dict(tally.levels),
        "percentiles_ms": {
            kind: {str(share): _ms(latencies, share) for share in (0.5, 0.9, 0.99, 0.999, 1.0)}
            for kind, latencies in tally.latencies.items()
        },
    }
    return result


def _mixture() -> str:
    total = sum(SHARES.values())
    return ", ".join(f"{share / total:.1%} {kind}" for kind, share in SHARES.items())


def _hits(tally: Tally) -> list[float]:
    return [each for kind in list(SHARES)[:5] for each in tally.latencies[kind]]


def _ms(latencies: Sequence[float], share: float) -> float:
    return percentile(latencies, share) * 1e3 if latencies else 0.0
