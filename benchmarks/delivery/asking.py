"""Load for what takes long: requests in a given order, so many at a time, each timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp

from benchmarks.report import percentile


@dataclass
class Timed:
    """What came of some requests. `seconds` is from the first to the last byte of all; the others are one for
    each reply, in the order in which they came. `levels` are what `Server-Timing` said first."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    retry_after: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Good replies per second."""
        return self.count(200) / self.seconds

    def count(self, status: int) -> int:
        return self.statuses.count(status)

    def of(self, status: int) -> list[float]:
        """Latencies of the replies with that status."""
        return [a for a, b in zip(self.latencies, self.statuses, strict=True) if b == status]

    def ms(self, share: float, status: int = 200) -> float:
        """A percentile of the good replies, in milliseconds; 0 of none."""
        latencies = self.of(status)
        return percentile(latencies, share) * 1e3 if latencies else 0.0


def session() -> aiohttp.ClientSession:
    """One connection for each request: a kept one would bind a client to one process of a peer that has
    several, and connecting on loopback costs nothing beside making a picture."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=120), auto_decompress=False
    )


async def for_seconds(
    http: aiohttp.ClientSession, urls: Iterator[str], at_once: int, seconds: float, least: int
) -> Timed:
    """Go through the URLs with `at_once` requests at a time; none begins after `seconds` if `least` have
    begun. Raises RuntimeError when a reply is no 200."""
    timed, began, started = Timed(), 0, time.monotonic()

    async def client() -> None:
        nonlocal began
        while began < least or time.monotonic() - started < seconds:
            began += 1
            await one(http, next(urls), timed)
            if timed.statuses[-1] != 200:
                raise RuntimeError(f"a request was answered with {timed.statuses[-1]}")

    await asyncio.gather(*(client() for _ in range(at_once)))
    timed.seconds = time.monotonic() - started
    return timed


async def all_at_once(http: aiohttp.ClientSession, urls: Sequence[str]) -> Timed:
    """Every URL at the same time."""
    timed, started = Timed(), time.monotonic()
    await asyncio.gather(*(one(http, url, timed) for url in urls))
    timed.seconds = time.monotonic() - started
    return timed


async def one(http: aiohttp.ClientSession, url: str, timed: Timed) -> None:
    """One request, until its last byte."""
    started = time.perf_counter()
    async with http.get(url) as reply:
        body = await reply.read()
        timed.latencies.append(time.perf_counter() - started)
        timed.statuses.append(reply.status)
        timed.sizes.append(len(body))
        timed.levels.append(reply.headers.get("Server-Timing", "").partition(";")[0])
        timed.retry_after.append(reply.headers.get("Retry-After", ""))
