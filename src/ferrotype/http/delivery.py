"""`/images/{asset_id}[.ext]`: pictures, served by raw ASGI ahead of the API framework.

A memory hit is a slice, a look-up or two, a scan of the request's headers and two sends of prepared messages.
Choices that the URL leaves open:

- The extension is for people and for tools that want one. Every known one is accepted and none changes
  the answer: the content type is that of the bytes, also when the extension says something else.
- Only the canonical spelling is served. A percent-encoded or upper-case form would make several cache
  entries of one picture on the way, so it is 404 like any other unknown path.
- A range of a picture that is still arriving waits for its bytes when the length is known; with no
  length the whole is sent.
- An original whose file tells a workflow goes out without it, under a tag of its own. While it arrives it is
  held back if its beginning does not show that there is none, unless it is a PNG: that loses it on the way.
- A picture that breaks off after its head was sent ends the connection with an exception: Granian then
  closes it before the announced length or the last chunk (HTTP/2: resets the stream), which clients see
  as an error. HTTP/1.0 has no last chunk, so there an unknown length is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Final

import structlog

from ferrotype.domain.asset import Visibility
from ferrotype.domain.edition import CLEAN, is_signed
from ferrotype.domain.problems import InternalError, OriginUnavailable, Problem
from ferrotype.http.asgi import Headers, Message, Receive, Scope, Send, body, send_problem, start
from ferrotype.http.bodies import Body, body_of
from ferrotype.http.conditional import NAMES as CONDITIONS
from ferrotype.http.conditional import Conditions, none_match
from ferrotype.http.disposition import picture_disposition
from ferrotype.http.picture_access import PictureAccess
from ferrotype.http.picture_choice import Choice, choose
from ferrotype.http.picture_headers import (
    PREFLIGHT,
    describe,
    explaining,
    made_at,
    not_modified,
    picture_headers,
    redirect,
)
from ferrotype.http.picture_info import send_info
from ferrotype.http.picture_query import Freshness, Queries
from ferrotype.http.picture_url import PREFIX, SUFFIX, is_canonical, parse_path
from ferrotype.http.prepared import MEMORY, Prepared, Reply
from ferrotype.http.ranges import ByteRange
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver, Opened, check_arrived
from ferrotype.services.flowing import Flowed, flowing
from ferrotype.services.originals import MOVES
from ferrotype.services.variants import Variants
from ferrotype.services.workflows import Workflows
from ferrotype.storage.arrival import Arrival
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import Cached, MemoryCache

OPERATION: Final = "deliver"
NOTHING: Final = body(b"")
FIXED: Final = Freshness.FIXED
#: Levels that are caches of what was made or fetched before.
CACHES: Final = (MEMORY, "shared", "variants")

log = structlog.get_logger(__name__)


class DeliveryApp:
    """The ASGI application. `cache` is the first of the `levels` that `deliver` and `variants` fill."""

    def __init__(
        self,
        deliver: Deliver,
        variants: Variants,
        workflows: Workflows,
        levels: Levels,
        cache: MemoryCache,
        prepared: Prepared,
        queries: Queries,
        access: PictureAccess,
        telemetry: Telemetry,
    ) -> None:
        self._deliver = deliver
        self._variants = variants
        self._workflows = workflows
        self._levels = levels
        self._cache = cache
        self._prepared = prepared
        self._queries = queries
        self._access = access
        self._observe = telemetry.observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        path = scope["path"]
        freshness = FIXED
        if scope["query_string"]:
            cached, freshness = self._prepared.recall(scope, path[PREFIX:SUFFIX], plain=True)
        else:
            cached = self._cache.get(path[PREFIX:SUFFIX])
        reply = None if cached is None else cached.reply
        if not isinstance(reply, Reply) or scope["method"] != "GET" or not is_canonical(scope, path):
            await self._timed_answer(scope, send, started)
            return
        ok, same = reply.ok[freshness], reply.not_modified[freshness]
        if ok is None or same is None:
            await self._timed_answer(scope, send, started)
            return
        tagged = has_it = dated = conditional = False
        for name, value in scope["headers"]:
            if name in CONDITIONS:
                if name == b"if-none-match":
                    tagged, has_it = True, has_it or not none_match(value, reply.etag)
                elif name == b"if-modified-since":
                    dated = True
                else:
                    conditional = True
        if conditional or (dated and not tagged):  # browsers send the date along with the tag, which counts
            await self._timed_answer(scope, send, started)
            return
        await send(same if has_it else ok)
        await send(NOTHING if has_it else reply.data)
        self._observe(OPERATION, perf_counter() - started, ok=True, cached=True)

    async def _timed_answer(self, scope: Scope, send: Send, started: float) -> None:
        level: str | None = None
        try:
            level = await self._answer(scope, send)
        finally:
            seconds = perf_counter() - started
            self._observe(OPERATION, seconds, ok=level is not None, cached=level in CACHES)

    async def _answer(self, scope: Scope, send: Send) -> str | None:
        """Every request that is no plain hit: which level had the picture, None for a problem. An answer
        without a picture has no level and is empty."""
        try:
            asset_id, info = parse_path(scope)
            if scope["method"] == "OPTIONS":
                return await _end(send, PREFLIGHT)
            query = self._queries.read(scope["query_string"])
            left = self._access.seconds_left(scope, query)
            self._access.check_transform(scope, query, signed=left is not None)
            changes = self._levels.changes
            choice = None if info else self._ready(scope, asset_id)
            if choice is None:
                found = await self._deliver.find(asset_id)
                if found.asset.visibility is Visibility.PRIVATE:
                    self._access.check_private(scope, signed=left is not None)
                if info:
                    await send_info(scope, send, found.asset, self._prepared.caching, left)
                    return ""
                choice = await choose(found, query, scope["headers"], self._variants, self._workflows)
                if (
                    query.is_plain
                    and choice.may_be_elsewhere
                    and (url := await self._deliver.location(found))
                ):
                    return await _end(send, redirect(url, left))
            # What only the API key lets pass is for nobody else.
            private = choice.private or (left is None and not self._access.is_open(query))

            def tell(choice: Choice) -> tuple[Headers, Conditions]:
                name, caching = choice.name, self._prepared.caching
                told = describe(asset_id, name, caching, choice.freshness, private=private, left=left)
                return told, Conditions(scope, told[0][1], None if name else made_at(asset_id))

            for possible in choice.possible:
                told, wanted = tell(possible)
                if choice.holds is not None:
                    wanted.check()
                if wanted.has_it(exists=choice.exists):
                    if choice.found:
                        check_arrived(choice.found)
                    return await _end(send, not_modified(told))
            choice, told, opened, sending, part = await self._open(scope, choice, tell)
        except Problem as problem:
            await send_problem(send, problem, head=scope["method"] == "HEAD", extra=explaining(problem))
            return None
        except Exception as error:
            log.exception("a delivery failed", path=scope["path"])
            await send_problem(send, InternalError(type(error).__name__), head=scope["method"] == "HEAD")
            return None
        kept = opened.delivery
        if isinstance(kept, Cached) and not private and changes == self._levels.changes:
            self._prepared.remember(scope, query, kept, choice.freshness)
        length = part.stop - part.start if part else sending.size
        headers = [*told, *picture_headers(sending.content_type, length, opened.level)]
        if part and sending.size is not None:
            headers.append((b"content-range", part.content_range(sending.size)))
        if query.download is not None or choice.name:
            headers.append(picture_disposition(query.download, asset_id, sending.content_type))
        await send(start(206 if part else 200, headers))
        await (send(NOTHING) if scope["method"] == "HEAD" else sending.send(send))
        return opened.level

    def _ready(self, scope: Scope, asset_id: str) -> Choice | None:
        """The picture, where the memory has it and it was found before that anybody may load it."""
        cached, freshness = self._prepared.recall(scope, asset_id)
        if cached is None or not isinstance(cached.reply, Reply):
            return None
        return Choice(cached.transform, freshness, opened=Opened(cached, MEMORY))

    async def _open(
        self, scope: Scope, choice: Choice, tell: Callable[[Choice], tuple[Headers, Conditions]]
    ) -> tuple[Choice, Headers, Opened | Flowed, Body, ByteRange | None]:
        """The bytes, ready to be sent, and what is told of the edition that they are."""
        for _ in range(MOVES):
            try:
                found, opened = await self._fetch(choice)
                told, wanted = tell(found)
                wanted.check()
                sending = await body_of(opened.delivery, scope)
                part = wanted.part(sending.size)
                if scope["method"] != "HEAD":
                    await sending.begin(part)
            except FileNotFoundError:
                continue  # it went from the spool to its store meanwhile
            return found, told, opened, sending, part
        raise OriginUnavailable("The picture's bytes are moving.", retry_after=1)

    async def _fetch(self, choice: Choice) -> tuple[Choice, Opened | Flowed]:
        if choice.opened is not None:
            return choice, choice.opened
        found = choice.found
        assert found is not None
        if choice.transform is not None:
            opened = await self._variants.get(found, choice.transform)
        elif choice.labelled:
            opened = await self._variants.labelled(found)
        elif choice.holds:
            opened = await self._variants.clean(found)
        else:
            opened = await self._deliver.open(found)
            if choice.holds is None and await self._workflows.stops(found.asset.id, opened.delivery):
                choice = replace(choice, name=CLEAN, holds=True)
                flowed = await _flowed(opened)
                if flowed is not None:
                    return choice, flowed
                opened = await self._variants.clean(found)
        if isinstance(opened.delivery, Cached) and not opened.has_name(choice.name):
            # It could not be signed now, or there was no workflow in what was held back.
            fresh = Freshness.INTERIM if is_signed(choice.name) else choice.freshness
            choice = replace(choice, name=opened.delivery.transform, freshness=fresh)
        return choice, opened


async def _flowed(opened: Opened) -> Flowed | None:
    """What still arrives without its workflow, as it comes; None for what has to be whole first."""
    if not isinstance(opened.delivery, Arrival):
        return None
    delivery = await flowing(opened.delivery)
    return Flowed(delivery, opened.level) if delivery else None


async def _end(send: Send, message: Message) -> str:
    """Send an answer without a body."""
    await send(message)
    await send(NOTHING)
    return ""
