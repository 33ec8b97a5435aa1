"""An ASGI server of a few lines, which shows what a client would see."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ferrotype.http.asgi import Message
from ferrotype.http.delivery import DeliveryApp


@dataclass
class Answer:
    """`whole` is False when the connection would have been cut."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    pathsend: bool = False

    def json(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["cache-control"] == "no-store"
        assert int(self.headers["content-length"]) == len(self.body)
        return dict(json.loads(self.body))


class Client:
    """Requests to the application. `chunks` of one that is under way come one by one."""

    def __init__(self, app: DeliveryApp) -> None:
        self._app = app

    async def get(self, url: str, **options: Any) -> Answer:
        return await self.request("GET", url, **options)

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        answer = Answer()
        await self.into(answer, method, url, **options)
        return answer

    async def into(
        self,
        answer: Answer,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        http_version: str = "1.1",
        pathsend: bool = False,
        pieces: asyncio.Queue[bytes] | None = None,
        gate: asyncio.Event | None = None,
    ) -> None:
        """The request, filling `answer` as it goes; with a shut `gate` the client takes one piece only."""
        pairs = headers.items() if isinstance(headers, dict) else headers or []
        raw, _, query = url.partition("?")
        scope = {
            "type": "http",
            "http_version": http_version,
            "method": method,
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
            "extensions": {"http.response.pathsend": {}} if pathsend else {},
        }

        async def receive() -> Message:
            raise AssertionError("a picture's request has no body")

        async def send(message: Message) -> None:
            assert not answer.whole, "something was sent after the end"
            if message["type"] == "http.response.start":
                assert answer.status == 0
                answer.status = message["status"]
                for name, value in message["headers"]:
                    assert name == name.lower()
                    assert name.decode() not in answer.headers, name
                    answer.headers[name.decode()] = value.decode("latin-1")
            elif message["type"] == "http.response.pathsend":
                answer.pathsend = True
                answer.body = Path(message["path"]).read_bytes()
                answer.whole = True
            else:
                assert answer.status
                answer.body += message["body"]
                answer.whole = not message.get("more_body", False)
                if pieces is not None and message["body"]:
                    pieces.put_nowait(message["body"])
                if gate is not None:
                    await gate.wait()

        await self._app(scope, receive, send)
        assert answer.whole
        if method != "HEAD" and answer.status not in (204, 304) and "content-length" in answer.headers:
            assert int(answer.headers["content-length"]) == len(answer.body)
