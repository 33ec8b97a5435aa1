"""The Files API: pictures uploaded once and named by their address (resumable uploads)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from ferrotype.sim.gemini.errors import ApiError, wrong


@dataclass(slots=True)
class Upload:
    """A file, or one that is on its way."""

    name: str
    mime_type: str
    display_name: str
    data: bytearray = field(default_factory=bytearray)
    done: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Files:
    """All files of one key. `url` gives the simulator's address."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._uploads: dict[str, Upload] = {}

    def routes(self) -> list[web.RouteDef]:
        """The API's routes for files."""
        return [
            web.post("/upload/{version}/files", self._upload),
            web.get("/{version}/files", self._list),
            web.get("/{version}/files/{id}", self._get),
            web.delete("/{version}/files/{id}", self._delete),
        ]

    def data(self, uri: str) -> bytes:
        """A file's bytes by its address. Raises ApiError."""
        return bytes(self._find(uri.rpartition("/")[2]).data)

    def _find(self, id: str) -> Upload:
        upload = self._uploads.get(id)
        if upload is None or not upload.done:
            raise ApiError(
                "PERMISSION_DENIED",
                f"You do not have permission to access the File {id} or it may not exist.",
            )
        return upload

    def _json(self, upload: Upload) -> dict[str, Any]:
        return {
            "name": f"files/{upload.name}",
            "displayName": upload.display_name,
            "mimeType": upload.mime_type,
            "sizeBytes": str(len(upload.data)),
            "createTime": upload.at.isoformat(),
            "updateTime": upload.at.isoformat(),
            "expirationTime": (upload.at + timedelta(hours=48)).isoformat(),
            "sha256Hash": base64.b64encode(hashlib.sha256(upload.data).hexdigest().encode()).decode(),
            "uri": f"{self._url()}/v1beta/files/{upload.name}",
            "state": "ACTIVE",
            "source": "UPLOADED",
        }

    async def _upload(self, request: web.Request) -> web.Response:
        commands = request.headers.get("X-Goog-Upload-Command", "").replace(" ", "").split(",")
        if "start" in commands:
            return self._start(request, await request.json() if request.can_read_body else {})
        upload = self._uploads.get(request.query.get("upload_id", ""))
        if upload is None or upload.done:
            return ApiError("NOT_FOUND", "There is no such upload.").response()
        if int(request.headers.get("X-Goog-Upload-Offset", "0")) != len(upload.data):
            return wrong("The offset is not where the upload stands.").response()
        upload.data += await request.read()
        if "finalize" not in commands:
            return web.Response(headers={"X-Goog-Upload-Status": "active"})
        upload.done = True
        return web.json_response({"file": self._json(upload)}, headers={"X-Goog-Upload-Status": "final"})

    def _start(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        told = body.get("file", {})
        name = str(told.get("name", "")).rpartition("/")[2] or secrets.token_hex(6)
        mime_type = request.headers.get("X-Goog-Upload-Header-Content-Type", "application/octet-stream")
        title = told.get("displayName") or told.get("display_name") or ""
        self._uploads[name] = Upload(name, mime_type, str(title))
        url = f"{self._url()}{request.path}?upload_id={name}&upload_protocol=resumable"
        headers = {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"}
        return web.json_response({}, headers=headers)

    async def _list(self, request: web.Request) -> web.Response:
        done = [upload for upload in self._uploads.values() if upload.done]
        return web.json_response(page(request, "files", [self._json(upload) for upload in done]))

    async def _get(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self._json(self._find(request.match_info["id"])))
        except ApiError as error:
            return error.response()

    async def _delete(self, request: web.Request) -> web.Response:
        try:
            self._find(request.match_info["id"])
        except ApiError as error:
            return error.response()
        del self._uploads[request.match_info["id"]]
        return web.json_response({})


def page(request: web.Request, name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a list: `pageSize` items (50) from `pageToken` on."""
    start, size = int(request.query.get("pageToken", "0")), int(request.query.get("pageSize", "50"))
    rest = {"nextPageToken": str(start + size)} if start + size < len(items) else {}
    return {name: items[start : start + size], **rest}
