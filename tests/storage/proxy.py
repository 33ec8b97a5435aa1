"""A way to a server that can break in the middle of what is said, or fall silent."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.ports import free_port

PIECE = 16 * 1024


class Cutter:
    """Passes bytes on. After `there` bytes to the server, or `back` bytes from it, all connections break, and
    new ones do at once, until `mend`."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._target = port
        self._left: dict[str, int | None] = {"there": None, "back": None}
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.broke = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut_after(self, *, there: int | None = None, back: int | None = None) -> None:
        self._left = {"there": there, "back": back}

    def mend(self) -> None:
        self.cut_after()
        self._speaking.set()

    def fall_silent(self) -> None:
        """The server's answers are kept back."""
        self._speaking.clear()

    async def __aenter__(self) -> Cutter:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if 0 in self._left.values():
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        for source, sink, way in ((reader, back, "there"), (there, writer, "back")):
            task = asyncio.create_task(self._pass(source, sink, way))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: str) -> None:
        with suppress(ConnectionError):
            while data := await source.read(PIECE):
                if way == "back":
                    await self._speaking.wait()
                left = self._left[way]
                if left is not None:
                    data = data[:left]
                    self._left[way] = left - len(data)
                sink.write(data)
                await sink.drain()
                if self._left[way] == 0:
                    self._break()
                    return
        sink.close()

    def _break(self) -> None:
        self.broke += 1
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
