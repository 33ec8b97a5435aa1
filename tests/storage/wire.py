"""The way to an HTTP server, on which every request is seen, and may be cut in the middle of its body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from tests.ports import free_port

PIECE: Final = 16 * 1024
END: Final = b"\r\n\r\n"
BODILESS: Final = (204, 304)


@dataclass
class Request:
    """One request. `path` is without its query, `came` the bytes of its body that were passed on, of `size`.
    `status` is that of the answer once all of it was passed back, None until then and for ever where either
    side broke off. `began` and `ended` are moments of the wire."""

    method: str
    path: str
    query: str
    size: int
    began: int
    came: int = 0
    status: int | None = None
    ended: int | None = None

    @property
    def well(self) -> bool:
        """Whether it was answered, with a good word."""
        return self.status is not None and self.status < 300


def never(_: Request) -> int | None:
    """Cut nothing."""
    return None


class Wire:
    """Passes requests on to a server on this machine. Nobody listens until `up`, and after `down`."""

    def __init__(self, target: int, cut: Callable[[Request], int | None] = never) -> None:
        """`cut` says after how many bytes of its body a request's connection breaks; None for never."""
        self.port = free_port()
        self.requests: list[Request] = []
        #: Heads, pieces of bodies and answers that were passed on.
        self.moments = 0
        self._target = target
        self._cut = cut
        self._due: tuple[int, Callable[[], None], asyncio.Future[None]] | None = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def at(self, moment: int, act: Callable[[], None]) -> None:
        """Call `act` at that moment or the next, before anything else is passed on, and return then."""
        done = asyncio.get_running_loop().create_future()
        self._due = moment, act, done
        await done

    def sever(self) -> None:
        """Break all connections that there are; what was said and not passed on is lost."""
        for writer in self._writers:
            writer.transport.abort()

    async def up(self) -> None:
        """Listen, always on the same port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)

    async def down(self) -> None:
        """Refuse connections, and break those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.sever()

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connected(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, back, there, writer):
                    pass
        finally:
            for each in (writer, back):
                each.transport.abort()
                self._writers.discard(each)

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        back: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """One request and its answer; whether the connection may go on."""
        head = await reader.readuntil(END)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path, _, query = target.partition("?")
        fields = _fields(head)
        assert "transfer-encoding" not in fields, "bodies of requests come with their length"
        size = int(fields.get("content-length", "0"))
        request = Request(method, unquote(path), query, size, self.moments)
        self.requests.append(request)
        cut = self._cut(request)
        await self._pass(head, back)
        while (left := request.size - request.came) > 0:
            most = left if cut is None else cut - request.came
            if most <= 0:
                return False
            piece = await reader.read(min(PIECE, most))
            if not piece:
                return False
            await self._pass(piece, back)
            request.came += len(piece)
        head = await there.readuntil(END)
        fields, status = _fields(head), int(head.split(b" ", 2)[1])
        await self._pass(head, writer)
        if method == "HEAD" or status in BODILESS:
            pass
        elif fields.get("transfer-encoding") == "chunked":
            await self._chunks(there, writer)
        else:
            await self._bytes(there, writer, int(fields["content-length"]))
        self._moment()
        request.status, request.ended = status, self.moments
        return fields.get("connection", "").lower() != "close"

    async def _bytes(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        while count:
            piece = await there.read(min(PIECE, count))
            if not piece:
                raise ConnectionResetError
            count -= len(piece)
            writer.write(piece)
            await writer.drain()

    async def _chunks(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = -1
        while size:
            line = await there.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            writer.write(line + await there.readexactly(size + 2))
            await writer.drain()

    async def _pass(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        sink.write(data)
        self._moment()
        await sink.drain()

    def _moment(self) -> None:
        self.moments += 1
        if self._due is not None and self.moments >= self._due[0]:
            (_, act, done), self._due = self._due, None
            act()
            done.set_result(None)


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}
