"""What is ready in memory: replies prepared with their headers, and where queries lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cachebox import LRUCache

from ferrotype.domain.transform import etag
from ferrotype.http.asgi import Message, Scope, body, start
from ferrotype.http.disposition import picture_disposition
from ferrotype.http.negotiation import NONE, Accepts, accepts_of
from ferrotype.http.picture_headers import (
    Caching,
    describe,
    not_modified,
    picture_headers,
)
from ferrotype.http.picture_query import Freshness, Query
from ferrotype.storage.memory import Cached, MemoryCache

#: Bytes of queries of assets that are remembered, and what one takes beside its text.
REMEMBERED_BYTES: Final = 8 * 1024 * 1024
NAME_BYTES: Final = 1024
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
    that does not matter. One that is not `plain` has a signature to be looked at first."""

    freshness: Freshness
    plain: bool
    keys: dict[Accepts, str]


class Prepared:
    """Pictures in memory that were found before, and that anybody may load."""

    def __init__(self, cache: MemoryCache, caching: Caching) -> None:
        self.caching = caching
        self._cache = cache
        self._names: LRUCache[tuple[str, bytes], Named] = LRUCache(
            REMEMBERED_BYTES, getsizeof=lambda name, _: 2 * len(name[1]) + NAME_BYTES
        )

    def recall(self, scope: Scope, asset_id: str, *, plain: bool = False) -> tuple[Cached | None, Freshness]:
        """The picture in memory that the query led to before; with `plain` only for a query without a
        signature."""
        raw = scope["query_string"]
        if not raw and (kept := self._cache.get(asset_id)) is not None and kept.reply is not None:
            return kept, FIXED
        named: Named | None = self._names.get((asset_id, raw))
        if named is None or (plain and not named.plain):
            return None, FIXED
        accepts = accepts_of(scope["headers"]) if named.freshness is NEGOTIATED else NONE
        key = named.keys.get(accepts)
        return self._cache.get(key) if key else None, named.freshness

    def remember(self, scope: Scope, query: Query, cached: Cached, freshness: Freshness) -> None:
        """Answer such requests from here on at once; signed ones after a look at the signature."""
        if query.download is not None or freshness is Freshness.INTERIM:
            return
        reply = cached.reply if isinstance(cached.reply, Reply) else Reply(cached)
        if reply.ok[freshness] is None:
            told = describe(cached.asset_id, cached.transform, self.caching, freshness)
            headers = picture_headers(cached.content_type, len(cached.body), MEMORY)
            if cached.transform:
                headers.append(picture_disposition(None, cached.asset_id, cached.content_type))
            reply.not_modified[freshness] = not_modified(told)
            reply.ok[freshness] = start(200, [*told, *headers])
        cached.reply = reply
        raw = scope["query_string"]
        if raw or cached.transform:  # without a query another edition than the original may be meant
            asked = cached.asset_id, raw
            known: Named | None = self._names.get(asked)
            accepts = accepts_of(scope["headers"]) if freshness is NEGOTIATED else NONE
            keys = {**(known.keys if known else {}), accepts: cached.key}
            self._names[asked] = Named(freshness, not query.signed, keys)
