"""What is ready in memory: replies prepared with their headers, and where queries lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cachebox import LRUCache

from ferrotype.domain.transform import etag
from ferrotype.http.asgi import Headers, Message, Scope, body, start
from ferrotype.http.negotiation import NONE, Accepts, accepts_of
from ferrotype.http.picture_headers import (
    Caching,
    describing,
    disposition,
    last_modified,
    not_modified,
    picture_headers,
)
from ferrotype.http.picture_query import Freshness, Query
from ferrotype.storage.memory import Cached, MemoryCache

#: Queries of assets that are remembered.
REMEMBERED: Final = 8192
#: The level that the memory is called.
MEMORY: Final = "memory"
FIXED: Final = Freshness.FIXED
NEGOTIATED: Final = Freshness.NEGOTIATED


class Reply:
    """A whole picture for anybody. `ok` and `not_modified` are the starts of 200 and 304 by freshness, None
    until that was asked for once."""

    __slots__ = ("data", "etag", "not_modified", "ok")

    def __init__(self, cached: Cached) -> None:
        self.etag = etag(cached.asset_id, cached.transform).encode()
        self.data = body(cached.body)
        self.ok: list[Message | None] = [None] * len(Freshness)
        self.not_modified: list[Message | None] = [None] * len(Freshness)


@dataclass(frozen=True, slots=True)
class Named:
    """Where a query of an asset leads: a key of the memory cache by what the client reads, of `NONE` where
    that does not matter. Who asks one that is not `plain` has to be looked at first."""

    freshness: Freshness
    plain: bool
    keys: dict[Accepts, str]


class Prepared:
    """Pictures in memory that were found before, and that anybody may load."""

    def __init__(self, cache: MemoryCache, caching: Caching) -> None:
        self.caching = caching
        self._cache = cache
        self._names: LRUCache[tuple[str, bytes], Named] = LRUCache(REMEMBERED)

    def recall(self, scope: Scope, asset_id: str, *, plain: bool = False) -> tuple[Cached | None, Freshness]:
        """The picture in memory that the query led to before; with `plain` only for a query that anybody may
        ask."""
        raw = scope["query_string"]
        if not raw:
            return self._cache.get(asset_id), FIXED
        named: Named | None = self._names.get((asset_id, raw))
        if named is None or (plain and not named.plain):
            return None, FIXED
        accepts = accepts_of(scope["headers"]) if named.freshness is NEGOTIATED else NONE
        key = named.keys.get(accepts)
        return self._cache.get(key) if key else None, named.freshness

    def remember(
        self, scope: Scope, query: Query, cached: Cached, freshness: Freshness, *, plain: bool = True
    ) -> None:
        """Answer such requests from here on at once; those that are not `plain` after a look at who asks."""
        if query.download is not None or freshness is Freshness.INTERIM:
            return
        reply = cached.reply if isinstance(cached.reply, Reply) else Reply(cached)
        if reply.ok[freshness] is None:
            told = describe(cached.asset_id, cached.transform, self.caching, freshness)
            headers = picture_headers(cached.content_type, len(cached.body), MEMORY)
            if cached.transform:
                headers.append(disposition("inline", cached.asset_id, cached.content_type))
            reply.not_modified[freshness] = not_modified(told)
            reply.ok[freshness] = start(200, [*told, *headers])
        cached.reply = reply
        raw = scope["query_string"]
        if raw:
            name = cached.asset_id, raw
            known: Named | None = self._names.get(name)
            accepts = accepts_of(scope["headers"]) if freshness is NEGOTIATED else NONE
            keys = {**(known.keys if known else {}), accepts: cached.key}
            self._names[name] = Named(freshness, plain, keys)


def describe(
    asset_id: str,
    canonical: str,
    caching: Caching,
    freshness: Freshness,
    *,
    private: bool = False,
    left: float | None = None,
) -> Headers:
    """What 200, 206 and 304 of a picture say alike. Only an original has a date: a variant's bytes may change
    with the configuration and with the server's version, which its tag alone tells."""
    tag = etag(asset_id, canonical).encode()
    modified = None if canonical else last_modified(asset_id)
    cache_control = caching.header(freshness, private=private, left=left)
    return describing(tag, cache_control, freshness, modified)
