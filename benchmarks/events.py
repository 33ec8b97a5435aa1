"""Streams: what idle ones cost, how late events come, and what one that reads nothing does to others."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any, cast

import aiohttp

from benchmarks.processes import free_port, process, python, server
from benchmarks.report import Figure, Grid, Result, console, percentile

#: Clients that only listen, and the figure for all of them, in MB (10^6 bytes).
IDLE = 5_000
IDLE_MB = 150
#: Connections that are opened at once.
OPENING = 100
SOCKETS = 500
RATE = 200
SECONDS = 8.0
#: Events per second that go to all sockets.
FAN_OUT = (5, 10, 20, 40)
#: The shape with one that reads nothing.
CROWD = 100
CROWD_RATE = 40
CROWD_SIZE = 16_384
ROUNDS = 2
HANDSHAKE = (
    "GET /v1/ws HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
#: The moment in an event, and how many bytes of it may still be on their way.
TOLD = re.compile(rb'"told":([0-9.]+)}')
MARK = 64
HELD: dict[str, Any] = {"hold": "start"}
QUIET_SECONDS = 3.0
LOOK_SECONDS = 0.05


@dataclass
class Telling:
    """A server that tells what a plan says."""

    url: str
    folder: Path
    child: Popen[bytes]
    http: aiohttp.ClientSession
    plans: int = 0

    @property
    def busy(self) -> float:
        """Seconds of processor time so far (proc(5): utime and stime)."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss(self) -> float:
        """MB of resident memory."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6

    async def tell(self, **plan: Any) -> int:
        """Have it tell events; how many it told, once it has."""
        plan = {"size": 0, "durable": False, "topics": [], "seconds": SECONDS, **plan}
        done = self.folder / f"{self.plans}.done"
        (self.folder / "next").write_text(json.dumps(plan))
        (self.folder / "next").rename(self.folder / f"{self.plans}.plan")
        self.plans += 1
        for _ in itertools.count():
            if done.exists():
                break
            await asyncio.sleep(LOOK_SECONDS)
        return int(json.loads(done.read_text())["told"])

    async def orders(self, count: int) -> list[str]:
        """Generations that do not begin."""

        async def one(number: int) -> str:
            body = {"prompt": f"fox {number}", "width": 256, "height": 256}
            headers = {"Prefer": "respond-async"}
            async with self.http.post(f"{self.url}/v1/generations", json=body, headers=headers) as reply:
                return str((await reply.json())["id"])

        return [await one(number) for number in range(count)]


@asynccontextmanager
async def telling(**settings: str) -> AsyncIterator[Telling]:
    """The server, with a simulator that holds every order."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ferrotype-bench-")))
        sim_port, port = free_port(), free_port()
        options = [f"--set={key}={value}" for key, value in HELD.items()]
        command = python("ferrotype", "sim", "comfyui", "--port", str(sim_port), *options)
        await stack.enter_async_context(process(command, port=sim_port, folder=folder))
        env = server(port, folder, COMFYUI_URL=f"http://127.0.0.1:{sim_port}", **settings)
        launch = python("benchmarks.launch.telling", str(folder))
        child = await stack.enter_async_context(process(launch, port=port, folder=folder, env=env))
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Telling(f"http://127.0.0.1:{port}", folder, child, http)


async def measure() -> Result:
    """All of it, on one server after the other."""
    with console.status("idle clients"):
        idle = await _idle()
    with console.status("sockets"):
        own, fan = await _sockets()
    with console.status("one that reads nothing"):
        crowd, cut = await _crowd()
    alone, beside = (percentile([lag for each in crowd[what] for lag in each], 0.99) for what in crowd)
    return Result(
        "events",
        "Streams: idle clients, many WebSockets, one that reads nothing",
        f"{IDLE:,} clients open `GET /v1/events`, read the snapshot and wait; resident memory of the"
        f" server before and with them. Then {SOCKETS} WebSockets, {RATE} events/s for {SECONDS:.0f} s: each"
        " event to one of them (its own generation), live, and as a durable row with its transaction; and"
        " every event to all of them. A lag is from the moment when the server begins to tell until the"
        f" client has the message. Last, {CROWD} sockets that get every one of {CROWD_RATE} events/s of"
        f" {CROWD_SIZE // 1024} KB, without and with one more that reads nothing, in turn. Server and clients"
        " are one process each, on two cores.",
        figures=[
            Figure(f"memory of {IDLE:,} idle SSE clients", idle["clients"], "MB", IDLE_MB),
            Figure(f"p99 lag, {RATE} live events/s to {SOCKETS} sockets", own["live"].p99, "ms"),
            Figure(f"p99 lag, {RATE} durable events/s to {SOCKETS} sockets", own["durable"].p99, "ms"),
            Figure("p99 lag with one that reads nothing / without", beside / alone, "×"),
        ],
        grids=[
            Grid(
                "idle clients",
                ["", "MB", "KB each"],
                [
                    ["server before", f"{idle['before']:.1f}", ""],
                    [f"{IDLE:,} clients", f"{idle['clients']:.1f}", f"{idle['clients'] * 1e3 / IDLE:.1f}"],
                    ["still held when they are gone", f"{idle['after'] - idle['before']:.1f}", ""],
                ],
            ),
            Grid(
                f"{SOCKETS} WebSockets, ms",
                ["", "messages/s", "p50", "p99", "max", "came", "processor each"],
                [heard.row(what) for what, heard in {**_named(own), **_fanned(fan)}.items()],
            ),
            Grid(
                f"{CROWD} WebSockets, ms",
                ["", "p50", "p99", "max"],
                [_crowded(what, [lag for each in lags for lag in each]) for what, lags in crowd.items()],
            ),
        ],
        notes=[
            f"The client that read nothing was cut off in {cut} of {ROUNDS} rounds, as it should.",
            "With every event to all, the clients' process and the server's are busy on a core each.",
        ],
        raw={
            "idle": idle,
            "crowd_p99": {w: [percentile(e, 0.99) for e in lags] for w, lags in crowd.items()},
        },
    )


async def _idle() -> dict[str, float]:
    async with telling(FERROTYPE_KEEP_ALIVE="60") as it:
        await it.orders(1)
        await _close([await _listen(it.url)])  # what the first one loads is not the clients'
        before = it.rss
        clients: list[socket.socket] = []
        while len(clients) < IDLE:
            clients += await asyncio.gather(*(_listen(it.url) for _ in range(OPENING)))
        await asyncio.sleep(QUIET_SECONDS)
        rss = it.rss
        await _close(clients)
        await asyncio.sleep(QUIET_SECONDS)
        return {"before": before, "clients": rss - before, "after": it.rss}


async def _listen(url: str, buffer: int | None = None) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    client, loop = socket.socket(), asyncio.get_running_loop()
    if buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.setblocking(False)
    await loop.sock_connect(client, (host, int(port)))
    await loop.sock_sendall(client, f"GET /v1/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    answer = b""
    while not (b"event: snapshot" in answer and answer.endswith(b"\n\n\r\n")):
        data = await loop.sock_recv(client, 65_536)
        if not data:
            raise RuntimeError(f"an idle client was sent away: {answer!r}")
        answer += data
    return client


async def _close(clients: Sequence[socket.socket]) -> None:
    for client in clients:
        client.close()


@dataclass
class Heard:
    """What all sockets of one run got."""

    told: int
    readers: int
    seconds: float
    #: Seconds of the server's processor time.
    busy: float
    lags: list[float]

    @property
    def p99(self) -> float:
        return percentile(self.lags, 0.99)

    def row(self, what: str) -> list[str]:
        shares = (f"{percentile(self.lags, share):.1f}" for share in (0.5, 0.99, 1))
        came = len(self.lags) / (self.told * self.readers)
        each = f"{self.busy / len(self.lags) * 1e6:.0f} µs"
        return [what, f"{len(self.lags) / self.seconds:,.0f}", *shares, f"{came:.1%}", each]


def _named(own: dict[str, Heard]) -> dict[str, Heard]:
    return {f"{RATE} {what} events/s, each to one": heard for what, heard in own.items()}


def _fanned(fan: dict[int, Heard]) -> dict[str, Heard]:
    return {f"{rate} live events/s, each to all": heard for rate, heard in fan.items()}


def _crowded(what: str, lags: list[float]) -> list[str]:
    return [what, *(f"{percentile(lags, share):.1f}" for share in (0.5, 0.99, 1))]


async def _sockets() -> tuple[dict[str, Heard], dict[int, Heard]]:
    own, fan = {}, {}
    async with telling(FERROTYPE_MAX_BODY_BYTES="1000000") as it:
        ids = await it.orders(SOCKETS)
        async with _open(it, [{"generation_id": id} for id in ids]) as heard:
            for what in ("live", "durable"):
                own[what] = await _run(it, heard, 1, rate=RATE, topics=ids, durable=what == "durable")
        async with _open(it, [{"account": True}] * SOCKETS) as heard:
            for rate in FAN_OUT:
                fan[rate] = await _run(it, heard, SOCKETS, rate=rate)
    return own, fan


async def _run(it: Telling, heard: list[float], readers: int, **plan: Any) -> Heard:
    """One plan, to the end of what comes of it."""
    heard.clear()
    busy = it.busy
    told, before = await it.tell(**plan), -1
    while before < len(heard) < told * readers:
        before = len(heard)
        await asyncio.sleep(1)
    return Heard(told, readers, SECONDS, it.busy - busy, list(heard))


async def _crowd() -> tuple[dict[str, list[list[float]]], int]:
    crowd: dict[str, list[list[float]]] = {"without": [], "with one that reads nothing": []}
    cut = 0
    async with telling(FERROTYPE_STREAM_STALL_SECONDS="2") as it:
        await it.orders(1)
        for _ in range(ROUNDS):
            for what, lags in crowd.items():
                async with AsyncExitStack() as stack:
                    dead = None
                    if what != "without":
                        dead = await _listen(it.url, buffer=4_096)
                        stack.callback(dead.close)
                    heard = await stack.enter_async_context(_open(it, [{"account": True}] * CROWD))
                    heard.clear()
                    before = await _stalled(it)
                    # Twice: what the system takes for a client is to be full while others are measured.
                    await it.tell(rate=CROWD_RATE, size=CROWD_SIZE, seconds=2 * SECONDS)
                    await asyncio.sleep(1)
                    lags.append(list(heard))
                    if dead is not None:
                        cut += int(await _stalled(it) > before)
    return crowd, cut


async def _stalled(it: Telling) -> float:
    async with it.http.get(f"{it.url}/metrics?format=json") as reply:
        text = await reply.text()
    line = [each for each in text.splitlines() if each.startswith("ferrotype_streams_stalled_total")]
    return float(line[0].split()[1]) if line else 0.0


class _Reader(asyncio.Protocol):
    """A WebSocket's client that only looks for moments, so that the clients are not what is measured."""

    def __init__(self, host: str, wish: dict[str, Any], lags: list[float]) -> None:
        self._host = host
        self._wish = wish
        self._lags = lags
        self._rest = b""
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        transport.write(HANDSHAKE.replace("HOST", self._host).encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        data = self._rest + data
        end = 0
        for found in TOLD.finditer(data):
            self._lags.append((now - float(found[1])) * 1e3)
            end = found.end()
        self._rest = data[max(end, len(data) - MARK) :]
        if not self.ready.done():
            self._rest = data
            if b'"type":"snapshot"' in data:
                self.ready.set_result(None)
            elif data.endswith(b"\r\n\r\n"):
                text = json.dumps({"type": "subscribe", "subscription": "s", **self._wish}).encode()
                # A text frame with a mask that changes nothing (RFC 6455, 5.2).
                self._transport.write(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)


@asynccontextmanager
async def _open(it: Telling, wishes: Sequence[dict[str, Any]]) -> AsyncIterator[list[float]]:
    """A socket for each wish; the lags of what they get, in ms."""
    lags: list[float] = []
    host, _, port = it.url.removeprefix("http://").partition(":")
    open_: list[asyncio.BaseTransport] = []
    try:
        for wish in wishes:
            transport, reader = await asyncio.get_running_loop().create_connection(
                partial(_Reader, f"{host}:{port}", wish, lags), host, int(port)
            )
            open_.append(transport)
            await reader.ready
        yield lags
    finally:
        for transport in open_:
            transport.close()
