"""The simulated XML interface of Google Cloud Storage.

Sources: cloud.google.com/storage/docs/xml-api (reference of objects, of uploads in parts and of errors;
August 2026) and the client of object_store 0.14. Listing knows `prefix`, `start-after`, `max-keys` and pages,
no delimiter.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

from ferrotype.sim.door import Door
from ferrotype.sim.gcs.access import ServiceAccount
from ferrotype.sim.gcs.objects import KEPT_HEADERS, Buckets, StoredObject, etag
from ferrotype.sim.gcs.script import GcsScript
from ferrotype.sim.hosted.journal import Journal
from ferrotype.sim.options import Failure, due, take

MAX_BODY: Final = 256 * 1024 * 1024
#: By method, and by the parameter that tells what is meant.
ROUTES: Final = {
    ("PUT", ""): "put object",
    ("PUT", "uploadId"): "put part",
    ("POST", "uploads"): "begin upload",
    ("POST", "uploadId"): "complete upload",
    ("DELETE", "uploadId"): "abort upload",
    ("DELETE", ""): "delete object",
    ("GET", ""): "get object",
    ("HEAD", ""): "head object",
    ("GET", "list-type"): "list objects",
}
READS: Final = ("get object", "head object")
STATUS: Final = {
    "AccessDenied": 403,
    "AuthenticationRequired": 401,
    "EntityTooSmall": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "MalformedXML": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
}


class GcsSim(Door):
    """Buckets in memory. `journal` has every request under its name in `ROUTES`."""

    def __init__(self, script: GcsScript | None = None, *, tls: tuple[str, str] | None = None) -> None:
        super().__init__(tls)
        self.script = script or GcsScript()
        self.journal = Journal()
        self.buckets = Buckets()
        self.account = ServiceAccount()

    def service_account(self) -> str:
        """The JSON key of the account that is let in, once this listens."""
        return json.dumps(self.account.to_json(self.url))

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        await self._listen(app, host, port)
        if self.script.key_file is not None:
            await asyncio.to_thread(Path(self.script.key_file).write_text, self.service_account(), "utf-8")

    async def stop(self) -> None:
        await self._leave()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        bucket, _, name = unquote(request.rel_url.raw_path.removeprefix("/")).partition("/")
        mark = next((each for each in ("uploads", "uploadId", "list-type") if each in request.query), "")
        route = ROUTES.get((request.method, mark), "unknown")
        headers = {key.lower(): value for key, value in request.headers.items()}
        entry = self.journal.open(request.method, request.path, request.query_string, route, headers)
        failure = due(self.script.failures, route)
        if failure is not None and not failure.after:
            answer = _failed(failure)
        else:
            answer = await self._answer(request, route, bucket, name)
            if failure is not None:
                answer = _failed(failure)
        self.journal.answered(entry, 0 if answer is None else answer.status)
        if answer is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # never reaches anybody
        return answer

    async def _answer(self, request: web.Request, route: str, bucket: str, name: str) -> web.Response:
        if refused := self._refused(request, route):
            return refused
        if bucket not in self.script.buckets:
            return _error("NoSuchBucket")
        if route == "list objects":
            return self._list(request, bucket)
        handlers: dict[str, Callable[[web.Request, str, str], Awaitable[web.Response]]] = {
            "put object": self._put,
            "put part": self._put_part,
            "begin upload": self._begin,
            "complete upload": self._complete,
            "abort upload": self._abort,
            "delete object": self._delete,
            "get object": self._get,
            "head object": self._get,
        }
        if route not in handlers or not name:
            return _error("MethodNotAllowed")
        return await handlers[route](request, bucket, name)

    def _refused(self, request: web.Request, route: str) -> web.Response | None:
        if "X-Goog-Signature" in request.query:
            refusal = self.account.refusal(request.method, request.rel_url.raw_path, request.query)
            return _error(refusal[1], refusal[0]) if refusal else None
        if not self.script.private or (self.script.public_read and route in READS):
            return None
        token = request.headers.get("Authorization", "").removeprefix("Bearer").strip()
        if not token:
            return _error("AccessDenied")
        return None if self.account.signed(token) else _error("AuthenticationRequired")

    async def _put(self, request: web.Request, bucket: str, name: str) -> web.Response:
        data = await request.read()
        there = self.buckets.objects.get((bucket, name))
        wanted = request.headers.get("x-goog-if-generation-match")
        if wanted is not None and wanted != str(there.generation if there else 0):
            return _error("PreconditionFailed")
        stored = self._keep(bucket, name, StoredObject(data, _kept(request)))
        return web.Response(headers=_of(stored, "ETag", "x-goog-generation", "x-goog-hash"))

    async def _begin(self, request: web.Request, bucket: str, name: str) -> web.Response:
        upload_id = self.buckets.begin(bucket, name, _kept(request))
        return _xml(
            f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(name)}</Key>"
            f"<UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        )

    async def _put_part(self, request: web.Request, bucket: str, name: str) -> web.Response:
        data = await request.read()
        upload = self.buckets.uploads.get(request.query["uploadId"])
        if upload is None or (upload.bucket, upload.name) != (bucket, name):
            return _error("NoSuchUpload")
        upload.parts[int(request.query["partNumber"])] = data
        return web.Response(headers={"ETag": etag(data)})

    async def _complete(self, request: web.Request, bucket: str, name: str) -> web.Response:
        upload_id = request.query["uploadId"]
        if upload_id not in self.buckets.uploads:
            return _error("NoSuchUpload")
        try:
            told = [
                (int(part.findtext("PartNumber", "")), part.findtext("ETag", ""))
                for part in ElementTree.fromstring(await request.text()).iter("Part")
            ]
        except (ElementTree.ParseError, ValueError):
            return _error("MalformedXML")
        made = self.buckets.complete(upload_id, told)
        if isinstance(made, str):
            return _error(made)
        stored = self._keep(bucket, name, made)
        return _xml(
            f"<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(name)}</Key>"
            f"<ETag>{escape(stored.etag)}</ETag></CompleteMultipartUploadResult>",
            headers=_of(stored, "x-goog-generation"),
        )

    async def _abort(self, request: web.Request, _bucket: str, _name: str) -> web.Response:
        upload = self.buckets.uploads.pop(request.query["uploadId"], None)
        return web.Response(status=204) if upload else _error("NoSuchUpload")

    async def _delete(self, _request: web.Request, bucket: str, name: str) -> web.Response:
        gone = self.buckets.objects.pop((bucket, name), None)
        return web.Response(status=204) if gone else _error("NoSuchKey")

    async def _get(self, request: web.Request, bucket: str, name: str) -> web.Response:
        stored = self.buckets.objects.get((bucket, name))
        if stored is None:
            return _error("NoSuchKey")
        data, headers, status = stored.data, stored.describe(), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if asked:
            start = int(asked[1])
            end = min(int(asked[2]) + 1 if asked[2] else len(data), len(data))
            if start >= len(data):
                return _error("InvalidRange")
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
            data, status = data[start:end], 206
        headers["Content-Length"] = str(len(data))  # of an empty one as well
        return web.Response(status=status, body=data, headers=headers)

    def _list(self, request: web.Request, bucket: str) -> web.Response:
        query = request.query
        if "delimiter" in query:
            return _error("NotImplemented")
        after = query.get("continuation-token") or query.get("start-after", "")
        names = self.buckets.names(bucket, query.get("prefix", ""), after)
        shown = names[: int(query.get("max-keys", "1000"))]
        rows = "".join(self._row(bucket, name) for name in shown)
        more = len(shown) < len(names)
        token = (
            f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more and shown else ""
        )
        return _xml(
            f"<ListBucketResult><Name>{bucket}</Name><KeyCount>{len(shown)}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )

    def _row(self, bucket: str, name: str) -> str:
        stored = self.buckets.objects[bucket, name]
        return (
            f"<Contents><Key>{escape(name)}</Key><Generation>{stored.generation}</Generation>"
            f"<LastModified>{stored.made:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified><ETag>{escape(stored.etag)}</ETag>"
            f"<Size>{len(stored.data)}</Size></Contents>"
        )

    def _keep(self, bucket: str, name: str, stored: StoredObject) -> StoredObject:
        fires, self.script.corrupt = take(self.script.corrupt)
        if fires and stored.data:
            turned = bytes([stored.data[0] ^ 1]) + stored.data[1:]
            stored = StoredObject(turned, stored.headers, stored.in_parts)
        self.buckets.objects[bucket, name] = stored
        return stored


def _kept(request: web.Request) -> dict[str, str]:
    kept = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    return kept | {name: value for name, value in request.headers.items() if name.startswith("x-goog-meta-")}


def _of(stored: StoredObject, *names: str) -> dict[str, str]:
    return {name: value for name, value in stored.describe().items() if name in names}


def _failed(failure: Failure) -> web.Response | None:
    if failure.status == 0:
        return None
    return web.Response(status=failure.status, body=failure.body.encode(), headers=failure.headers)


def _error(code: str, status: int | None = None) -> web.Response:
    return _xml(
        f"<Error><Code>{code}</Code><Message>{code}.</Message></Error>", status=status or STATUS[code]
    )


def _xml(text: str, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = f"<?xml version='1.0' encoding='UTF-8'?>{text}"
    return web.Response(
        status=status, text=body, content_type="application/xml", charset="UTF-8", headers=headers
    )
