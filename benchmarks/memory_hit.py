"""Pictures out of memory, against the bare server underneath and against nginx, on one core each."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pyvips

from benchmarks.processes import free_port, process, python, server
from benchmarks.report import Figure, Grid, Result, console, percentile

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 32
SECONDS = 3
ROUNDS = 3
WANTED = 0.85
TOOLS = {"taskset": "util-linux", "wrk": "wrk", "nginx": "nginx-light"}
#: Sides of the pictures of noise that have about these sizes as WebP; the real sizes are in the result.
PICTURES = {"2 KB": (56, 60), "60 KB": (360, 75), "1 MB": (1280, 88)}
NOT_MODIFIED = "304"
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;{user}
events {{ worker_connections 1024; }}
http {{
  types {{ image/webp webp; }}
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=100; open_file_cache_valid 60s;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}/pictures;
           add_header Cache-Control "public, max-age=31536000, immutable"; }}
}}
"""


@dataclass(frozen=True)
class Target:
    """What to ask one server for one kind of reply."""

    url: str
    pid: int
    etag: str | None = None


@dataclass(frozen=True)
class Load:
    """One run of wrk. `busy` is the share of the server's core that the server used."""

    rate: float
    p99_ms: float
    busy: float


async def measure() -> Result | None:
    """Ours, bare, nginx in turn, several times; None with a word where a tool is missing."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool, path=_path()) is None]
    if missing or (os.cpu_count() or 1) < 2:
        want = f"apt-get install {' '.join(missing)}" if missing else "two cores"
        console.print(f"[yellow]memory_hit is skipped: it needs {want}.[/]")
        return None
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        async with _servers(Path(name)) as (kinds, sizes):
            loads = await _rounds(kinds)
    return _result(loads, sizes)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@asynccontextmanager
async def _servers(folder: Path) -> AsyncIterator[tuple[dict[str, dict[str, Target]], dict[str, int]]]:
    """Kind of reply -> server -> what to ask; all serve the same bytes, and were seen to."""
    pictures = folder / "pictures"
    pictures.mkdir()
    ours, bare, nginx = free_port(), free_port(), free_port()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        pinned: dict[str, Any] = {"folder": folder, "core": SERVER_CORE}
        command = python("ferrotype", "serve")
        env = server(ours, folder)
        our_process = await stack.enter_async_context(process(command, port=ours, env=env, **pinned))
        urls = {}
        for name, (side, quality) in PICTURES.items():
            file = pictures / f"{name.replace(' ', '')}.webp"
            file.write_bytes(_noise(side, quality))
            urls[name] = (await _upload(http, f"http://127.0.0.1:{ours}", file.read_bytes()), file)
        command = python("benchmarks.launch.bare", str(pictures))
        env = server(bare, folder)
        bare_process = await stack.enter_async_context(process(command, port=bare, env=env, **pinned))
        config = folder / "nginx.conf"
        user = " user root;" if os.geteuid() == 0 else ""
        config.write_text(NGINX.format(folder=folder, port=nginx, user=user))
        command = [
            str(shutil.which("nginx", path=_path())),
            "-e",
            str(folder / "error.log"),
            "-c",
            str(config),
        ]
        nginx_process = await stack.enter_async_context(process(command, port=nginx, **pinned))
        kinds = {}
        for name, (url, file) in urls.items():
            kinds[name] = {
                "ours": Target(url, our_process.pid),
                "bare": Target(f"http://127.0.0.1:{bare}/{file.name}", bare_process.pid),
                "nginx": Target(f"http://127.0.0.1:{nginx}/{file.name}", nginx_process.pid),
            }
            for target in kinds[name].values():
                await _check(http, target, file.read_bytes())
        kinds[NOT_MODIFIED] = await _not_modified(http, kinds["60 KB"], bare)
        yield kinds, {name: file.stat().st_size for name, (_, file) in urls.items()}


async def _not_modified(
    http: aiohttp.ClientSession, pictures: Mapping[str, Target], bare: int
) -> dict[str, Target]:
    targets = {}
    for name, target in pictures.items():
        async with http.get(target.url) as reply:
            etag = reply.headers.get("ETag")
        url = f"http://127.0.0.1:{bare}/304" if name == "bare" else target.url
        targets[name] = Target(url, target.pid, etag or '"constant"')
        async with http.get(url, headers={"If-None-Match": targets[name].etag or ""}) as reply:
            if reply.status != 304:
                raise RuntimeError(f"{url} answered {reply.status} instead of 304")
    return targets


def _noise(side: int, quality: int) -> bytes:
    noise = pyvips.Image.gaussnoise(side, side, sigma=40, mean=128, seed=7)
    noise = noise.bandjoin([noise.rot90(), noise.rot180()]).cast("uchar").copy(interpretation="srgb")
    return bytes(noise.webpsave_buffer(Q=quality, effort=2))


async def _upload(http: aiohttp.ClientSession, base: str, data: bytes) -> str:
    async with http.post(f"{base}/v1/assets", data=data, headers={"Content-Type": "image/webp"}) as reply:
        envelope = await reply.json()
        if reply.status != 201:
            raise RuntimeError(f"an upload was answered with {reply.status}: {envelope}")
        return str(envelope["url"])


async def _check(http: aiohttp.ClientSession, target: Target, data: bytes) -> None:
    for _ in range(50):  # also warms it
        async with http.get(target.url) as reply:
            if reply.status != 200 or await reply.read() != data or reply.content_type != "image/webp":
                raise RuntimeError(f"{target.url} does not serve the picture")


async def _rounds(kinds: Mapping[str, Mapping[str, Target]]) -> dict[str, dict[str, list[Load]]]:
    loads: dict[str, dict[str, list[Load]]] = {
        kind: {name: [] for name in targets} for kind, targets in kinds.items()
    }
    for number in range(ROUNDS):
        for kind, targets in kinds.items():
            for name, target in targets.items():
                with console.status(f"round {number + 1} of {ROUNDS}: {kind}, {name}"):
                    loads[kind][name].append(await asyncio.to_thread(_wrk, target))
    return loads


def _wrk(target: Target) -> Load:
    """Raises RuntimeError when a reply was an error."""
    headers = ["-H", f"If-None-Match: {target.etag}"] if target.etag else []
    command = [
        "taskset",
        "-c",
        str(LOAD_CORE),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{SECONDS}s",
        "--latency",
    ]
    before, started = _cpu_seconds(target.pid), time.monotonic()
    done = subprocess.run(
        [*command, *headers, target.url], capture_output=True, text=True, timeout=SECONDS + 20, check=True
    )
    busy = (_cpu_seconds(target.pid) - before) / (time.monotonic() - started)
    said = done.stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk {target.url}: {said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if rate is None or p99 is None:
        raise RuntimeError(f"wrk said something else: {said}")
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]]
    return Load(float(rate[1]), float(p99[1]) * scale, busy)


def _cpu_seconds(pid: int) -> float:
    """What a process and its children have used, all threads (proc(5): utime, stime)."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue  # it ended meanwhile
        fields = rest.rpartition(") ")[2].split()
        if int(number) == pid or int(fields[1]) == pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _result(loads: Mapping[str, Mapping[str, list[Load]]], sizes: Mapping[str, int]) -> Result:
    grid = Grid(
        f"median of {ROUNDS} runs",
        [
            "reply",
            "ours / bare",
            "ours / nginx",
            "ours req/s",
            "bare req/s",
            "nginx req/s",
            "p99 ms",
            "core busy, %",
        ],
        [],
    )
    figures = []
    for kind, by_server in loads.items():
        rate = {name: percentile([load.rate for load in runs], 0.5) for name, runs in by_server.items()}
        p99 = [percentile([load.p99_ms for load in runs], 0.5) for runs in by_server.values()]
        busy = [percentile([load.busy for load in runs], 0.5) for runs in by_server.values()]
        ratio = rate["ours"] / rate["bare"]
        pairs = zip(by_server["ours"], by_server["bare"], strict=True)
        rounds = [ours.rate / bare.rate for ours, bare in pairs]
        figures.append(Figure(f"{kind}: ours / bare", ratio, "×", WANTED, at_most=False))
        label = f"{kind} ({sizes[kind]:,} bytes)" if kind in sizes else kind
        grid.rows.append(
            [
                label,
                f"{ratio:.2f} ({min(rounds):.2f}-{max(rounds):.2f})",
                f"{rate['ours'] / rate['nginx']:.2f}",
                *(f"{rate[name]:,.0f}" for name in ("ours", "bare", "nginx")),
                " / ".join(f"{value:.1f}" for value in p99),
                " / ".join(f"{value * 100:.0f}" for value in busy),
            ]
        )
    versions = ", ".join(_version(*command) for command in (("nginx", "-v"), ("wrk", "-v")))
    return Result(
        "memory_hit",
        "A picture in memory, and a 304, on one core",
        f"wrk with {CONNECTIONS} connections on core {LOAD_CORE} for {SECONDS} s each, against one server at"
        f" a time on core {SERVER_CORE}, in turn (ours, bare, nginx; {ROUNDS} rounds). Bare is an ASGI"
        " application that does nothing but send constant bytes with two headers, on the same server with the"
        " same options and event loop (`benchmarks/launch/bare.py`); nginx serves the same file with sendfile"
        " and an open-file cache from one worker. Ours sends all its headers, counts and times each request."
        " Every server was seen to send exactly the picture's bytes.",
        figures=figures,
        grids=[grid],
        notes=[
            "p99 and how busy the servers' core was: ours / bare / nginx. A server whose core is not full was"
            " held back by wrk or by other processes, so its rate is a lower bound.",
            "In brackets: the lowest and the highest ratio of one round. Where they lie on both sides of the"
            " target, the verdict is not certain.",
            versions,
        ],
        raw={
            kind: {name: [vars(load) for load in runs] for name, runs in by_server.items()}
            for kind, by_server in loads.items()
        },
    )


def _version(tool: str, option: str) -> str:
    done = subprocess.run(
        [str(shutil.which(tool, path=_path())), option], capture_output=True, text=True, check=False
    )
    return (
        (done.stderr + done.stdout)
        .strip()
        .splitlines()[0]
        .removeprefix("nginx version: ")
        .partition(" Copy")[0]
    )
