"""Requests as a site has them, most for what was asked for before, over raw connections that are kept."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final
from urllib.parse import urlsplit

from ferrotype.domain.ids import new_id

#: Shares of a thousand requests. The first five are for what is in memory: 950.
SHARES: Final = {
    "a variant": 550,
    "an original": 170,
    "304": 170,
    "a range": 40,
    "HEAD": 20,
    "a variant made some time ago": 15,
    "a cold variant": 25,
    "a problem": 10,
}
#: Variants that are asked for all the time, of each picture.
HOT: Final = ("w=320&format=webp", "w=160&format=webp", "w=240&h=240&fit=cover&format=jpeg")
#: A variant made some time ago is one of so many.
LONG: Final = 2000
#: Widths and qualities of cold variants, each pair once for each picture.
WIDTHS, QUALITIES = range(64, 320), range(40, 91)
LIMIT: Final = 8 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One of a kind: the bytes to send, and the status of a good reply."""

    kind: str
    data: bytes
    status: int
    bodyless: bool = False


@dataclass
class Tally:
    """What came: seconds of each reply by kind, replies by level, the moment of each reply."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in SHARES})
    levels: Counter[str] = field(default_factory=Counter)
    moments: list[float] = field(default_factory=list)
    bytes: int = 0


class Mix:
    """An endless row of requests, the same for a seed. `urls` are originals; `tags` their ETags."""

    def __init__(self, urls: Sequence[str], tags: Sequence[str], seed: int) -> None:
        self._paths = [urlsplit(url).path for url in urls]
        self._host = urlsplit(urls[0]).netloc
        self._tags = tags
        self._dice = Random(seed)
        self._cold = self._pairs()
        self._made: deque[str] = deque(maxlen=LONG)

    def hot(self) -> list[str]:
        """What should be asked for once before."""
        return [f"{path}{query}" for path in self._paths for query in ("", *(f"?{each}" for each in HOT))]

    def spellings(self, count: int) -> Iterator[Request]:
        """So many URLs of the same few variants."""
        for number in range(count):
            path = self._paths[number % len(self._paths)]
            yield self._get("a variant", f"{path}?{HOT[0]}&v={number}")

    def __iter__(self) -> Iterator[Request]:
        kinds, weights = list(SHARES), list(SHARES.values())
        while True:
            for kind in self._dice.choices(kinds, weights, k=1000):
                yield self._request(kind)

    def _request(self, kind: str) -> Request:
        number = min(int(self._dice.expovariate(4 / len(self._paths))), len(self._paths) - 1)
        path = self._paths[number]
        match kind:
            case "a variant":
                return self._get(kind, f"{path}?{self._dice.choice(HOT)}")
            case "304":
                return self._get(kind, path, 304, f"If-None-Match: {self._tags[number]}\r\n")
            case "a range":
                return self._get(kind, path, 206, "Range: bytes=1000-19999\r\n")
            case "HEAD":
                return self._get(kind, path, method="HEAD")
            case "a variant made some time ago" if self._made:
                return self._get(kind, self._dice.choice(self._made))
            case "a cold variant" | "a variant made some time ago":
                made = next(self._cold)
                self._made.append(made)
                return self._get("a cold variant", made)
            case "a problem":
                if self._dice.random() < 0.5:
                    return self._get(kind, f"/images/{new_id()}", 404)
                return self._get(kind, f"{path}?w=0", 422)
            case _:
                return self._get(kind, path)

    def _get(self, kind: str, path: str, status: int = 200, header: str = "", method: str = "GET") -> Request:
        data = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{header}\r\n".encode()
        return Request(kind, data, status, bodyless=method == "HEAD" or status == 304)

    def _pairs(self) -> Iterator[str]:
        for quality in QUALITIES:
            for width in WIDTHS:
                for path in self._paths:
                    yield f"{path}?w={width}&format=webp&q={quality}"


async def ask(url: str, requests: Iterator[Request], until: float, tally: Tally) -> None:
    """One connection that asks again as soon as it was answered, until `until` (monotonic) or to the end of
    the requests.

    Raises RuntimeError when a reply has another status than its request wants.
    """
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=LIMIT)
    try:
        while time.monotonic() < until and (request := next(requests, None)):
            started = time.perf_counter()
            writer.write(request.data)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = 0 if request.bodyless else int(_value(head, b"content-length") or 0)
            body = await reader.readexactly(length)
            tally.latencies[request.kind].append(time.perf_counter() - started)
            tally.moments.append(time.monotonic())
            tally.bytes += length
            status = int(head[9:12])
            if status != request.status:
                raise RuntimeError(f"{request.data!r} was answered with {status}: {body[:300]!r}")
            level = _value(head, b"server-timing").partition(b";")[0].decode()
            tally.levels[level or ("memory" if status < 400 else "none")] += 1
    finally:
        writer.close()


def _value(head: bytes, name: bytes) -> bytes:
    """The value of a header, empty when there is none."""
    return head.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]
