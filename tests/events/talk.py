"""Clients of streams: server-sent events and WebSockets, and one that stops reading."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ferrotype.domain.event import Event
from tests.flows.harness import Client

ORDER: dict[str, Any] = {"prompt": "a fox", "width": 256, "height": 256, "seed": 7}


@dataclass
class Sent:
    """One server-sent event. `number` is the field `id`."""

    number: int
    type: str
    data: dict[str, Any]


@asynccontextmanager
async def listening(client: Client, path: str, **headers: str) -> AsyncIterator[AsyncIterator[Sent]]:
    """The events of a stream, which is closed at the end."""
    async with client.http.get(client.base + path, headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"

        async def events() -> AsyncIterator[Sent]:
            rest = b""
            async for chunk in reply.content.iter_any():
                *blocks, rest = (rest + chunk).split(b"\n\n")
                for block in blocks:
                    if block.startswith(b":"):
                        continue
                    number, type, data = block.decode().split("\n")
                    yield Sent(int(number[4:]), type[7:], json.loads(data[6:]))

        yield events()


async def until(events: AsyncIterator[Sent], *types: str) -> list[Sent]:
    """The events up to the first of one of those types."""
    found = []
    async for event in events:
        found.append(event)
        if event.type in types:
            return found
    raise AssertionError(f"the stream ended without {types}: {[event.type for event in found]}")


async def when(is_so: Callable[[], bool]) -> None:
    """Return once it is so."""
    for _ in itertools.count():
        if is_so():
            return
        await asyncio.sleep(0)


@dataclass
class Talk:
    """A WebSocket."""

    socket: aiohttp.ClientWebSocketResponse

    async def say(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        message = await self.socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return dict(json.loads(message.data))

    async def until(self, *types: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while not found or found[-1]["type"] not in types:
            found.append(await self.hear())
        return found

    async def closed(self) -> int | None:
        """The code, after whatever was said before it."""
        while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        return self.socket.close_code


@asynccontextmanager
async def talking(client: Client, **headers: str) -> AsyncIterator[Talk]:
    async with client.http.ws_connect(f"{client.base}/v1/ws", headers=headers) as socket:
        yield Talk(socket)


@asynccontextmanager
async def unread(client: Client, head: str) -> AsyncIterator[socket.socket]:
    """A connection with a small buffer that has asked, and reads nothing unless the test does."""
    where = urlsplit(client.base)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (where.hostname, where.port))
        await loop.sock_sendall(connection, head.replace("HOST", where.netloc).encode())
        yield connection


def preview(client: Client, index: int, size: int = 60_000) -> Event:
    """A live event of the account, large enough to fill buffers."""
    return Event(
        "preview",
        "01890000-0000-7000-8000-000000000000",
        client.app.clock.now(),
        {"index": index, "data_uri": "data:image/webp;base64," + "A" * size},
        account_id=client.app.account_id,
    )
