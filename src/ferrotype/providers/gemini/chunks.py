"""The pieces of an open answer: server-sent events, or JSON at once."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any, Final

import aiohttp

from ferrotype.domain.problems import OutcomeUnknown
from ferrotype.providers.hosted import api

#: Fields of the event stream format that say nothing here.
FIELDS: Final = (b":", b"event:", b"id:", b"retry:")


async def read_chunks(response: aiohttp.ClientResponse, name: str) -> AsyncGenerator[dict[str, Any], None]:
    """Each object of the answer, as it comes.

    With `alt=sse` every event holds one; an error in mid stream may come as bare JSON. Without it (a proxy
    may drop the query) they come as one list. Raises OutcomeUnknown for what cannot be read or is longer
    than allowed.
    """
    stray: list[bytes] = []
    if response.content_type != "text/event-stream":
        stray = [line async for line in _lines(response, name)]
    else:
        data: list[bytes] = []
        async for line in _lines(response, name):
            if line.startswith(b"data:"):
                data.append(line[5:])
            elif not line:
                if data:
                    yield _object(b"\n".join(data), name)
                data = []
            elif not line.startswith(FIELDS):
                stray.append(line)
        if data:
            yield _object(b"\n".join(data), name)
    if any(line.strip() for line in stray):
        whole = _parsed(b"\n".join(stray), name)
        for item in whole if isinstance(whole, list) else [whole]:
            yield _checked(item, name)


async def _lines(response: aiohttp.ClientResponse, name: str) -> AsyncGenerator[bytes, None]:
    """Lines of any length without their ends; a last one that does not end is one too."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > api.MAX_REPLY:
            raise OutcomeUnknown(f"{name} answered with more than {api.MAX_REPLY} bytes.")
        head, *rest = chunk.split(b"\n")
        pieces.append(head)
        for start in rest:
            yield b"".join(pieces).rstrip(b"\r")
            pieces = [start]
    yield b"".join(pieces).rstrip(b"\r")


def _object(data: bytes, name: str) -> dict[str, Any]:
    return _checked(_parsed(data, name), name)


def _parsed(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise OutcomeUnknown(f"{name}'s answer cannot be read.") from None


def _checked(item: Any, name: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise OutcomeUnknown(f"{name}'s answer cannot be read.")
    return item
