"""Real processes on loopback: the server, the simulator, anything else, each with its own event loop."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 15.0
#: Settings of the person who measures must not change what is measured.
OURS = ("FERROTYPE_", "COMFYUI_", "DATABASE_URL")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    with log.open("wb") as output:
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
