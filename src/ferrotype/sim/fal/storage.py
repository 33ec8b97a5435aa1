"""fal's storage, simulated: two steps by its REST API, or one with a token of its delivery network."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from aiohttp import web

STORES: Final = frozenset({"gcs", "fal-cdn-v3"})
TOKEN_SECONDS: Final = 600
LIFECYCLES: Final = ("X-Fal-Object-Lifecycle", "X-Fal-Object-Lifecycle-Preference")


@dataclass
class File:
    """An uploaded file; `data` is None until its bytes are here, `lifecycle` what the headers asked for."""

    id: str
    content_type: str
    name: str
    data: bytes | None = None
    lifecycle: dict[str, Any] | None = None


class Storage:
    """`url` is the simulator's; `links` the base URL of the addresses that it names."""

    def __init__(self, url: Callable[[], str], links: Callable[[], str]) -> None:
        self._url = url
        self._links = links
        self.files: dict[str, File] = {}
        self.tokens: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/rest/storage/upload/initiate", self._initiate),
            web.put("/rest/uploads/{file}", self._put),
            web.post("/rest/storage/auth/token", self._token),
            web.post("/cdn/files/upload", self._upload),
            web.get("/files/{file}/{name}", self._get),
        ]

    def read(self, address: str) -> bytes | None:
        """What an app finds at an address that an order names; None when it cannot have it."""
        if address.startswith("data:"):
            meta, comma, text = address.partition(",")
            if not comma:
                return None
            try:
                encoded = meta.endswith(";base64")
                return base64.b64decode(text, validate=True) if encoded else unquote_to_bytes(text)
            except binascii.Error:
                return None
        prefix = f"{self._url()}/files/"
        if not address.startswith(prefix):
            return None
        file = self.files.get(address.removeprefix(prefix).partition("/")[0])
        return file.data if file is not None else None

    async def _initiate(self, request: web.Request) -> web.Response:
        told = await _json(request)
        if request.query.get("storage_type") not in STORES:
            return web.json_response({"detail": "Unknown storage type"}, status=400)
        if not all(isinstance(told.get(key), str) for key in ("file_name", "content_type")):
            detail = [{"loc": ["body", "content_type"], "msg": "Field required", "type": "missing"}]
            return web.json_response({"detail": detail}, status=422)
        file = self._new(request, told["content_type"], told["file_name"])
        return web.json_response(
            {
                "upload_url": f"{self._links()}/rest/uploads/{file.id}?signature={secrets.token_hex(8)}",
                "file_url": self._address(file),
            }
        )

    async def _put(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["file"])
        if file is None or "signature" not in request.query:
            return web.Response(status=403, text="SignatureDoesNotMatch")
        if request.content_type != file.content_type:
            return web.Response(status=403, text="SignatureDoesNotMatch: Content-Type")
        file.data = await request.read()
        return web.Response(status=200)

    async def _token(self, request: web.Request) -> web.Response:
        if request.query.get("storage_type") != "fal-cdn-v3":
            return web.json_response({"detail": "Unknown storage type"}, status=400)
        token = secrets.token_urlsafe(24)
        self.tokens.add(token)
        until = datetime.now(UTC) + timedelta(seconds=TOKEN_SECONDS)
        return web.json_response(
            {
                "token": token,
                "token_type": "Bearer",
                "base_url": f"{self._url()}/cdn",
                "expires_at": until.isoformat(),
            }
        )

    async def _upload(self, request: web.Request) -> web.Response:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            return web.json_response({"detail": "Unauthorized"}, status=401)
        file = self._new(request, request.content_type, request.headers.get("X-Fal-File-Name", "upload.bin"))
        file.data = await request.read()
        return web.json_response({"access_url": self._address(file)})

    async def _get(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["file"])
        if file is None or file.data is None:
            return web.json_response({"detail": "Not found"}, status=404)
        return web.Response(body=file.data, content_type=file.content_type)

    def _new(self, request: web.Request, content_type: str, name: str) -> File:
        told = next((request.headers[header] for header in LIFECYCLES if header in request.headers), None)
        file = File(uuid.uuid4().hex, content_type, name, lifecycle=json.loads(told) if told else None)
        self.files[file.id] = file
        return file

    def _address(self, file: File) -> str:
        return f"{self._url()}/files/{file.id}/{file.name.rpartition('/')[2]}"


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        told = await request.json()
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {}
