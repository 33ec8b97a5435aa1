"""The ceiling: the server, event loop and options that Ferrotype runs on, and an application that only sends.

`FERROTYPE_PORT=... python -m benchmarks.delivery.launch.bare FILE`: FILE is JSON with the URL of a Valkey and
the replies (`parts.BareReply`). Each path is answered with its headers and its bytes: constant ones, a file
that the server sends by itself (`pathsend`), or the value of a key.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from redis.asyncio import Redis

from ferrotype.app.server import http_server
from ferrotype.app.settings import load_settings
from ferrotype.cli.main import run

Send = Callable[[Any], Awaitable[None]]


def sender(reply: Mapping[str, Any], client: Redis | None) -> Callable[[Send], Awaitable[None]]:
    """The answer of one path, with everything prepared that can be."""
    headers = [(name.encode(), value.encode()) for name, value in reply["headers"].items()]
    head = {"type": "http.response.start", "status": reply["status"], "headers": headers}
    file, key = reply["file"], reply["key"]
    body = Path(file).read_bytes() if file else b""
    message = {"type": "http.response.body", "body": body}

    async def from_memory(send: Send) -> None:
        await send(head)
        await send(message)

    async def from_file(send: Send) -> None:
        await send(head)
        await send({"type": "http.response.pathsend", "path": file})

    async def from_valkey(send: Send) -> None:
        assert client is not None
        value = await client.get(key)
        await send(head)
        await send({"type": "http.response.body", "body": value})

    return {"memory": from_memory, "file": from_file, "valkey": from_valkey}[reply["place"]]


def build(told: Mapping[str, Any]) -> Any:
    client = Redis.from_url(told["valkey"], protocol=2) if told["valkey"] else None
    senders = {reply["path"]: sender(reply, client) for reply in told["replies"]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await senders[scope["path"]](send)

    return app


if __name__ == "__main__":
    # `http_server` makes Ferrotype's own server, so that the options are the same by construction.
    told = json.loads(Path(sys.argv[1]).read_text())
    wanted = SimpleNamespace(front=build(told), settings=load_settings())
    run(http_server(wanted, wanted.settings.http.host).serve())  # type: ignore[arg-type]
