"""Real processes on loopback: the server, the simulator, anything else, each with its own event loop."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

PORTS = itertools.count(os.getpid())
ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 15.0
#: Settings of the person who measures must not change what is measured.
OURS = ("FERROTYPE_", "COMFYUI_", "DATABASE_URL")


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to outgoing connections: nothing takes
    it before its process listens there, or while that is dead."""
    while True:
        port = 10_000 + next(PORTS) % 10_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@asynccontextmanager
async def process(
    command: Sequence[str],
    *,
    port: int,
    folder: Path,
    env: Mapping[str, str] | None = None,
    core: int | None = None,
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A process that listens on `port`; ended at the end. `core` pins it there.

    Raises RuntimeError with its last lines when it ends or does not listen in time.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    pin = [] if core is None else ["taskset", "-c", str(core)]
    log = folder / f"{port}.log"
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: ASYNC220 - starting takes a millisecond
            [*pin, *command],
            cwd=folder,
            env={**clean, "PYTHONPATH": str(ROOT), **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        await _listening(child, port, log)
        yield child
    finally:
        child.terminate()
        try:
            await asyncio.to_thread(child.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class Mortal:
    """A process that can be killed and started again, with the same command, port and folder."""

    def __init__(
        self, command: Sequence[str], *, port: int, folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._make = partial(process, command, port=port, folder=folder, env=env)
        self._stack = AsyncExitStack()
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns once it listens."""
        self._child = await self._stack.enter_async_context(self._make())

    def send(self, number: signal.Signals) -> None:
        """Sent to it while it runs."""
        assert self._child is not None
        self._child.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL: it has no last word."""
        self.send(signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        """Ends it in the ordinary way, if it runs."""
        await self._stack.aclose()


async def _listening(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
    raise RuntimeError(f"{child.args!r} does not listen:\n{log.read_text(errors='replace')[-2000:]}")


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def server(port: int, folder: Path, **settings: str) -> dict[str, str]:
    """The environment of a server whose data is in `folder`."""
    return {
        "FERROTYPE_PORT": str(port),
        "FERROTYPE_DATA_DIR": str(folder / f"data-{port}"),
        "FERROTYPE_LOG_LEVEL": "warning",
        "FERROTYPE_DRAIN_SECONDS": "0",
        **settings,
    }


@dataclass
class Stack:
    """A server with the ComfyUI simulator behind it."""

    url: str
    sim: str
    http: aiohttp.ClientSession

    async def order(self, wait: bool = True, **body: Any) -> dict[str, Any]:
        """The envelope. Raises RuntimeError unless it went well."""
        headers = {"Prefer": "wait=60" if wait else "respond-async"}
        async with self.http.post(f"{self.url}/v1/generations", json=body, headers=headers) as reply:
            envelope = await reply.json()
            if reply.status != (201 if wait else 202) or envelope.get("error"):
                raise RuntimeError(f"an order was answered with {reply.status}: {envelope}")
            return dict(envelope)

    async def events(self, generation_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """(type, data) until the server closes the stream."""
        async with self.http.get(f"{self.url}/v1/generations/{generation_id}/events") as reply:
            kind = ""
            while line := (await reply.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    async def journal(self) -> dict[str, Any]:
        """Every request that the simulator received and its marks, on the machine's monotonic clock."""
        async with self.http.get(f"{self.sim}/_sim/journal") as reply:
            return dict(await reply.json())

    async def seeds(self) -> dict[str, int]:
        """Prompt ids and the seed of each, from the simulator's history; asks it once."""
        async with self.http.get(f"{self.sim}/history") as reply:
            history = await reply.json()
        return {
            prompt_id: node["inputs"]["seed"]
            for prompt_id, entry in history.items()
            for node in entry["prompt"][2].values()
            if "seed" in node["inputs"]
        }


@asynccontextmanager
async def stack(
    script: Mapping[str, Any], *, launcher: Sequence[str] = (), **settings: str
) -> AsyncIterator[Stack]:
    """The simulator with `script`, and a server that uses it; `launcher` takes the place of `serve`."""
    with TemporaryDirectory(prefix="ferrotype-bench-") as name:
        folder, sim_port, port = Path(name), free_port(), free_port()
        options = [part for key, value in script.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        command = python("ferrotype", "sim", "comfyui", "--port", str(sim_port), *options)
        sim, url = f"http://127.0.0.1:{sim_port}", f"http://127.0.0.1:{port}"
        env = server(port, folder, COMFYUI_URL=sim, **settings)
        async with (
            process(command, port=sim_port, folder=folder, env={"VIPS_CONCURRENCY": "1"}),
            process(launcher or python("ferrotype", "serve"), port=port, folder=folder, env=env),
            aiohttp.ClientSession() as http,
        ):
            yield Stack(url, sim, http)
