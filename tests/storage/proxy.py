"""A way to a server that can break in the middle of what is said, change it, or fall silent."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.ports import free_port

PIECE = 16 * 1024


class Proxy:
    """Passes bytes on to a port of this machine. After `there` bytes to the server, or `back` bytes from it,
    all connections break, and new ones do at once, until `mend`; `hold` keeps back what the server says."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.connections = 0
        self.broke = 0
        self._target = port
        self._turn: int | None = None
        self._left: dict[str, int | None] = {"there": None, "back": None}
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def cut_after(self, *, there: int | None = None, back: int | None = None) -> None:
        self._left = {"there": there, "back": back}

    def turn_bit(self, there: int) -> None:
        """One bit of the byte that comes after so many to the server arrives there turned."""
        self._turn = there

    def mend(self) -> None:
        self.cut_after()

    def hold(self) -> None:
        self._speaking.clear()

    def release(self) -> None:
        self._speaking.set()

    async def __aenter__(self) -> Proxy:
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
        self.connections += 1
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
            try:
                while data := await source.read(PIECE):
                    if way == "back":
                        await self._speaking.wait()
                    if way == "there":
                        data = self._turned(data)
                    left = self._left[way]
                    if left is not None:
                        data = data[:left]
                        self._left[way] = left - len(data)
                    sink.write(data)
                    await sink.drain()
                    if self._left[way] == 0:
                        self._break()
                        return
            finally:
                sink.close()

    def _turned(self, data: bytes) -> bytes:
        at, self._turn = self._turn, None
        if at is None:
            return data
        if at >= len(data):
            self._turn = at - len(data)
            return data
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    def _break(self) -> None:
        self.broke += 1
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
