"""The ceiling: constant bytes on the server, event loop and options that Ferrotype runs on, and nothing else.

`FERROTYPE_PORT=... python -m benchmarks.launch.bare FOLDER` serves each file of FOLDER at `/name`, and a
constant 304 at `/304`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ferrotype.app.server import http_server
from ferrotype.app.settings import load_settings
from ferrotype.cli.main import run


def start(status: int, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def reply(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    length = (b"content-length", str(len(data)).encode())
    return start(200, (b"content-type", b"image/webp"), length), {"type": "http.response.body", "body": data}


def build(folder: Path) -> Any:
    replies = {f"/{file.name}": reply(file.read_bytes()) for file in folder.iterdir()}
    replies["/304"] = (start(304), {"type": "http.response.body", "body": b""})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        head, body = replies[scope["path"]]
        await send(head)
        await send(body)

    return app


if __name__ == "__main__":
    # `http_server` makes Ferrotype's own server, so that the options are the same by construction.
    wanted = SimpleNamespace(front=build(Path(sys.argv[1])), settings=load_settings())
    run(http_server(wanted, wanted.settings.http.host).serve())  # type: ignore[arg-type]
