"""The websocket side: who is connected under which client id, and one loop that sends in order."""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_FORMATS = {"JPEG": 1, "PNG": 2}


def preview_frame(form: str, data: bytes) -> bytes:
    """Binary frame 1: the image format (1 JPEG, 2 PNG) and the image; it names no prompt."""
    return struct.pack(">II", PREVIEW, _FORMATS[form]) + data


def metadata_frame(form: str, data: bytes, metadata: dict[str, Any]) -> bytes:
    """Binary frame 4: a length, JSON with the prompt and node ids, and the image."""
    head = json.dumps({**metadata, "image_type": f"image/{form.lower()}"}).encode()
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(head)) + head + data


def text_frame(node_id: str, text: str) -> bytes:
    """Binary frame 3: a length, the node id, and a progress text."""
    name = node_id.encode()
    return struct.pack(">II", TEXT, len(name)) + name + text.encode()


@dataclass(slots=True, eq=False)
class Connection:
    """One open websocket and the feature flags that its client announced."""

    socket: web.WebSocketResponse
    request: web.Request
    flags: dict[str, Any] = field(default_factory=dict)

    def abort(self) -> None:
        """Drops the TCP connection without a closing handshake; the client sees 1006."""
        if self.request.transport is not None:
            self.request.transport.abort()


class Hub:
    """Sockets by client id. A second socket under one id takes its place, and whichever closes first removes
    the id: the other one stays open and hears nothing more."""

    def __init__(self, features: Callable[[], dict[str, Any]]) -> None:
        self._features = features
        self._sockets: dict[str, Connection] = {}
        self._everyone: set[Connection] = set()
        self._outbox: asyncio.Queue[tuple[list[Connection], str | bytes]] = asyncio.Queue()

    def send(self, kind: str, data: dict[str, Any], client_id: Any = None) -> None:
        """Queues a JSON message for one client, or for all where the id is None."""
        self._put(json.dumps({"type": kind, "data": data}), client_id)

    def send_bytes(self, frame: bytes, client_id: Any = None) -> None:
        """Queues a binary frame for one client, or for all where the id is None."""
        self._put(frame, client_id)

    def wants_metadata(self, client_id: Any) -> bool:
        """Whether that client asked for previews with metadata."""
        found = self._sockets.get(client_id) if isinstance(client_id, str) else None
        return bool(found and found.flags.get("supports_preview_metadata"))

    async def flushed(self) -> None:
        """Returns when everything queued so far was written to the sockets."""
        await self._outbox.join()

    async def publish(self) -> None:
        """Sends what was queued, in order, until cancelled."""
        while True:
            connections, message = await self._outbox.get()
            try:
                for connection in connections:
                    await _deliver(connection, message)
            finally:
                self._outbox.task_done()

    async def serve(
        self, request: web.Request, greet: Callable[[str], Iterable[dict[str, Any]]]
    ) -> web.StreamResponse:
        """One websocket from handshake to end. `greet` gives the first messages for a client id."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.rel_url.query.get("clientId") or uuid.uuid4().hex
        connection = Connection(socket, request)
        self._sockets[client_id] = connection
        self._everyone.add(connection)
        try:
            for message in greet(client_id):
                await socket.send_str(json.dumps(message))
            await self._listen(connection)
        except ConnectionError:
            pass
        finally:
            self._everyone.discard(connection)
            self._sockets.pop(client_id, None)  # even if a newer socket stands there: so does the real server
        return socket

    def drop(self, client_id: Any = None) -> None:
        """Aborts that client's socket, or all."""
        found = self._sockets.get(client_id)
        for connection in [found] if found else list(self._everyone) if client_id is None else []:
            connection.abort()

    async def _listen(self, connection: Connection) -> None:
        first = True
        async for message in connection.socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                data = json.loads(message.data)
            except ValueError:
                continue
            if not isinstance(data, dict):
                continue
            if first and data.get("type") == "feature_flags":
                connection.flags = data.get("data", {})
                self._outbox.put_nowait(
                    ([connection], json.dumps({"type": "feature_flags", "data": self._features()}))
                )
            first = False

    def _put(self, message: str | bytes, client_id: Any) -> None:
        if client_id is None:
            receivers = list(self._sockets.values())
        else:
            found = self._sockets.get(client_id) if isinstance(client_id, str) else None
            receivers = [found] if found else []
        if receivers:
            self._outbox.put_nowait((receivers, message))


async def _deliver(connection: Connection, message: str | bytes) -> None:
    if connection.socket.closed:
        return
    try:
        if isinstance(message, bytes):
            await connection.socket.send_bytes(message)
        else:
            await connection.socket.send_str(message)
    except (ConnectionError, RuntimeError):
        return  # the peer went away; its handler notices by itself
