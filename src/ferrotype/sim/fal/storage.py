"""fal's storage, simulated: two steps by its REST API, or one with a token of its delivery network, where
large files come in parts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from aiohttp import web

STORES: Final = frozenset({"gcs", "fal-cdn-v3"})
TOKEN_SECONDS: Final = 600
LIFECYCLES: Final = ("X-Fal-Object-Lifecycle", "X-Fal-Object-Lifecycle-Preference")


@dataclass
class File:
    """An uploaded file; `data` is None until its bytes are here, `lifecycle` what the headers asked for.
    `upload_id` is that of an upload in `parts`, by number."""

    id: str
    content_type: str
    name: str
    data: bytes | None = None
    lifecycle: dict[str, Any] | None = None
    upload_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    parts: dict[int, bytes] = field(default_factory=dict)


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
            web.post("/cdn/files/upload/multipart", self._begin_parts),
            web.put("/files/{file}/{name}/multipart/{upload}/{part:[0-9]+}", self._part),
            web.post("/files/{file}/{name}/multipart/{upload}/complete", self._complete),
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
        if not self._is_let_in(request):
            return _unauthorized()
        file = self._new(request, request.content_type, request.headers.get("X-Fal-File-Name", "upload.bin"))
        file.data = await request.read()
        return web.json_response({"access_url": self._address(file)})

    async def _begin_parts(self, request: web.Request) -> web.Response:
        if not self._is_let_in(request):
            return _unauthorized()
        file = self._new(request, request.content_type, request.headers.get("X-Fal-File-Name", "upload.bin"))
        return web.json_response({"access_url": self._address(file), "uploadId": file.upload_id})

    async def _part(self, request: web.Request) -> web.Response:
        if not self._is_let_in(request):
            return _unauthorized()
        file = self._in_parts(request)
        if file is None:
            return web.json_response({"detail": "Not found"}, status=404)
        data = await request.read()
        file.parts[int(request.match_info["part"])] = data
        return web.Response(headers={"ETag": _etag(data)})

    async def _complete(self, request: web.Request) -> web.Response:
        if not self._is_let_in(request):
            return _unauthorized()
        file, told = self._in_parts(request), (await _json(request)).get("parts")
        if file is None:
            return web.json_response({"detail": "Not found"}, status=404)
        numbers = sorted(file.parts)
        expected = [{"partNumber": number, "etag": _etag(file.parts[number])} for number in numbers]
        given = [part for part in told if isinstance(part, dict)] if isinstance(told, list) else []
        if sorted(given, key=lambda part: part.get("partNumber", 0)) != expected:
            return web.json_response({"detail": "Invalid parts"}, status=400)
        file.data = b"".join(file.parts[number] for number in numbers)
        return web.json_response({"access_url": self._address(file)})

    async def _get(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["file"])
        if file is None or file.data is None:
            return web.json_response({"detail": "Not found"}, status=404)
        return web.Response(body=file.data, content_type=file.content_type)

    def _is_let_in(self, request: web.Request) -> bool:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        return kind == "Bearer" and token in self.tokens

    def _in_parts(self, request: web.Request) -> File | None:
        file = self.files.get(request.match_info["file"])
        return file if file is not None and file.upload_id == request.match_info["upload"] else None

    def _new(self, request: web.Request, content_type: str, name: str) -> File:
        told = next((request.headers[header] for header in LIFECYCLES if header in request.headers), None)
        file = File(uuid.uuid4().hex, content_type, name, lifecycle=json.loads(told) if told else None)
        self.files[file.id] = file
        return file

    def _address(self, file: File) -> str:
        return f"{self._url()}/files/{file.id}/{file.name.rpartition('/')[2]}"


def _unauthorized() -> web.Response:
    return web.json_response({"detail": "Unauthorized"}, status=401)


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        told = await request.json()
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {}
