"""The few ASGI pieces that the raw applications share."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ferrotype.domain.problems import MEDIA_TYPE, Problem

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def start(status: int, headers: Headers) -> Message:
    """The message that opens an answer. It may be sent any number of times."""
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes, *, more: bool = False) -> Message:
    """A piece of an answer, the last one unless `more` follows."""
    return {"type": "http.response.body", "body": data, "more_body": more}


async def send_problem(
    send: Send, problem: Problem, *, head: bool = False, extra: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with an RFC 9457 problem, which no cache may keep; `head` leaves the body out."""
    data = json.dumps(problem.to_json()).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(data)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"access-control-allow-origin", b"*"),
        *extra,
    ]
    if problem.retry_after is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(problem.retry_after)))
    await send(start(problem.status, headers))
    await send(body(b"" if head else data))
