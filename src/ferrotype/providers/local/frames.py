"""What the server and a worker tell each other through pipes: a line of JSON, then raw bodies.

The line is an object; its member `bodies` gives the length of each body behind it, in bytes. The server sends
orders, one at a time::

    {"target", "params", "width", "height", "format"} + the input pictures

and the worker answers each with any number of `progress` and then one of the others::

    {"tell": "progress", "fraction"}
    {"tell": "made", "content_type", "width", "height"} + the picture
    {"tell": "problem", "problem"}
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, BinaryIO


def pack(message: dict[str, Any], bodies: list[bytes] | None = None) -> list[bytes]:
    """The pieces to write, in order."""
    given = bodies or []
    line = json.dumps({**message, "bodies": [len(body) for body in given]})
    return [line.encode() + b"\n", *given]


def read(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next message of a blocking stream, None at its end. Raises EOFError in the middle of one."""
    line = stream.readline()
    if not line:
        return None
    message = json.loads(line)
    bodies = [stream.read(length) for length in message["bodies"]]
    if [len(body) for body in bodies] != message["bodies"]:
        raise EOFError
    return message, bodies


async def receive(stream: asyncio.StreamReader) -> tuple[dict[str, Any], list[bytes]]:
    """The next message. Raises asyncio.IncompleteReadError at the end of the stream."""
    message = json.loads(await stream.readuntil(b"\n"))
    return message, [await stream.readexactly(length) for length in message["bodies"]]
