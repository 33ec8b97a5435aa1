"""`/images/{asset_id}[.ext]`: pictures, served by raw ASGI ahead of the API framework.

A memory hit is a slice, a look-up, a scan of the request's headers and two sends of prepared messages.
Choices that the URL leaves open:

- The extension is for people and for tools that want one. Every known one is accepted and none changes
  the answer: the content type is that of the bytes, also when the extension says something else.
- Only the canonical spelling is served. A percent-encoded or upper-case form would make several cache
  entries of one picture on the way, so it is 404 like any other unknown path.
- `v=...` is a cache-buster and is ignored; `dl` asks for a download by `Content-Disposition`. Every
  other parameter would change the picture and is refused, never silently ignored.
- A range of a picture that is still arriving waits for its bytes when the length is known; with no
  length the whole is sent.
- A picture that breaks off after its head was sent ends the connection with an exception: Granian then
  closes it before the announced length or the last chunk (HTTP/2: resets the stream), which clients see
  as an error. HTTP/1.0 has no last chunk, so there an unknown length is waited for.
"""

from __future__ import annotations

from time import perf_counter
from typing import Final

import structlog

from ferrotype.domain.problems import InternalError, Problem
from ferrotype.domain.transform import etag
from ferrotype.http.asgi import Receive, Scope, Send, body, send_problem, start
from ferrotype.http.bodies import body_of
from ferrotype.http.conditional import Conditions, none_match
from ferrotype.http.picture_headers import PREFLIGHT, attachment, explaining, not_modified, picture_headers
from ferrotype.http.picture_url import PREFIX, SUFFIX, is_canonical, parse_url
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver
from ferrotype.storage.memory import Cached, MemoryCache

OPERATION: Final = "deliver"
NOTHING: Final = body(b"")

log = structlog.get_logger(__name__)


class Reply:
    """What a picture in memory is answered with, prepared once."""

    __slots__ = ("data", "etag", "not_modified", "ok")

    def __init__(self, cached: Cached) -> None:
        self.etag = etag(cached.asset_id).encode()
        self.ok = start(200, picture_headers(self.etag, cached.content_type, len(cached.body)))
        self.not_modified = not_modified(self.etag)
        self.data = body(cached.body)


class DeliveryApp:
    """The ASGI application. `cache` is the one that `deliver` fills."""

    def __init__(self, deliver: Deliver, cache: MemoryCache, telemetry: Telemetry) -> None:
        self._deliver = deliver
        self._cache = cache
        self._observe = telemetry.observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        path = scope["path"]
        cached = self._cache.get(path[PREFIX:SUFFIX])
        if (
            cached is None
            or scope["method"] != "GET"
            or scope["query_string"]
            or not is_canonical(scope, path)
        ):
            await self._timed_answer(scope, send, cached, started)
            return
        reply = cached.reply
        if not isinstance(reply, Reply):
            reply = cached.reply = Reply(cached)
        ranged = False
        for name, value in scope["headers"]:
            if name == b"if-none-match" and not none_match(value, reply.etag):
                await send(reply.not_modified)
                await send(NOTHING)
                break
            if name == b"range":
                ranged = True
        else:
            if ranged:
                await self._timed_answer(scope, send, cached, started)
                return
            await send(reply.ok)
            await send(reply.data)
        self._observe(OPERATION, perf_counter() - started, ok=True, cached=True)

    async def _timed_answer(self, scope: Scope, send: Send, cached: Cached | None, started: float) -> None:
        ok = False
        try:
            ok = await self._answer(scope, send, cached)
        finally:
            self._observe(OPERATION, perf_counter() - started, ok=ok, cached=cached is not None)

    async def _answer(self, scope: Scope, send: Send, cached: Cached | None) -> bool:
        """Every request that is no plain hit; whether it went well."""
        head = scope["method"] == "HEAD"
        try:
            asset_id, download = parse_url(scope)
            if scope["method"] == "OPTIONS":
                await send(PREFLIGHT)
                await send(NOTHING)
                return True
            tag = etag(asset_id).encode()
            wanted = Conditions(scope, tag)
            if wanted.has_it():
                if cached is None:
                    await self._deliver.check(asset_id)
                await send(not_modified(tag))
                await send(NOTHING)
                return True
            picture = await body_of(cached or await self._deliver.open(asset_id), scope)
            part = wanted.part(picture.size)
            if not head:
                await picture.begin(part)
        except Problem as problem:
            await send_problem(send, problem, head=head, extra=explaining(problem))
            return False
        except Exception as error:
            log.exception("a delivery failed", path=scope["path"])
            await send_problem(send, InternalError(type(error).__name__), head=head)
            return False
        length = part.stop - part.start if part else picture.size
        headers = picture_headers(tag, picture.content_type, length, picture.level)
        if part and picture.size is not None:
            headers.append((b"content-range", part.content_range(picture.size)))
        if download:
            headers.append((b"content-disposition", attachment(asset_id, picture.content_type)))
        await send(start(206 if part else 200, headers))
        await (send(NOTHING) if head else picture.send(send))
        return True
