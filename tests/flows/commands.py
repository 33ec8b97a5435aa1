"""The real command in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.flows.harness import free_port

NOISE = ("Traceback", "never retrieved", "was never awaited", "experimental")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def quiet(self) -> bool:
        """Whether no Python internals were shown to the user."""
        return not any(word in self.out + self.err for word in NOISE)


class Command:
    """`ferrotype ...` in `folder`, with its data there, seen on a terminal 80 columns wide."""

    def __init__(self, folder: Path, *args: str, **environ: str) -> None:
        self._folder = folder
        self._args = args
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FERROTYPE_")},
            "FERROTYPE_DATA_DIR": str(folder / "data"),
            "COLUMNS": "80",
            **environ,
        }
        self.env.pop("COMFYUI_URL" if "COMFYUI_URL" not in environ else "", None)

    async def start(self) -> asyncio.subprocess.Process:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ferrotype", *self._args),
            cwd=self._folder,
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return self.process

    async def ended(self) -> Ran:
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return Ran(self.process.returncode, out.decode(), err.decode())

    async def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


async def ferrotype(folder: Path, *args: str, **environ: str) -> Ran:
    """Run a command to its end."""
    command = Command(folder, *args, **environ)
    await command.start()
    try:
        return await command.ended()
    finally:
        if command.process.returncode is None:
            command.process.kill()


class Serve(Command):
    """`ferrotype serve`, which can be killed and started again on the same data and port."""

    def __init__(self, folder: Path, *args: str, **environ: str) -> None:
        port = environ.setdefault("FERROTYPE_PORT", str(free_port()))
        environ.setdefault("FERROTYPE_LOG_FORMAT", "json")
        super().__init__(folder, "serve", *args, **environ)
        self.base = f"http://127.0.0.1:{port}"

    async def up(self, http: aiohttp.ClientSession) -> None:
        """Start it and return once it takes orders."""
        await self.start()
        while True:
            if self.process.returncode is not None:
                raise AssertionError((await self.ended()).err)
            try:
                async with http.get(f"{self.base}/readyz") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)  # it is still starting, and needs the processor: ask again

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> Ran:
        self.signal(number)
        return await self.ended()


@asynccontextmanager
async def serving(
    folder: Path, *args: str, **environ: str
) -> AsyncIterator[tuple[Serve, aiohttp.ClientSession]]:
    """A server process that is up, and a client; the process is gone afterwards."""
    server = Serve(folder, *args, **environ)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        try:
            await server.up(http)
            yield server, http
        finally:
            if server.process.returncode is None:
                server.process.kill()
                await server.process.wait()
