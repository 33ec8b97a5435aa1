"""The memory cache: whole pictures, bounded in bytes, safe from scans.

The policy is S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction", SOSP 2023). A
picture enters a small queue; one that was asked for again by the time it reaches the end of it moves into
the main queue, another leaves, so that a crawler or an export drives out other newcomers only. In the main
queue hits buy another round: one hit for a variant, up to three for a large original. Names of those that
left the small queue are remembered for a while: one that comes back was cast out too early and goes to the
main queue at once.

A hit moves nothing: it counts. That is why this beats caches that reorder on a hit, in Rust or not
(docs/adr/0010-delivery-caches.md has the figures).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

#: What an entry costs beside its body: the objects, the keys, the name that is remembered when it leaves,
#: and a reply's prepared headers, in bytes.
ENTRY_BYTES: Final = 4096
#: Of all bytes: the small queue. The paper's value; 5 % and 20 % were within a percent of it here.
SMALL_SHARE: Final = 0.1
#: Hits that count: as many more rounds a picture may have in the main queue.
MAX_HITS: Final = 3
#: A body so large pays two hits for another round, one of twice the size three. That costs a percent of the
#: bytes that come from memory, and answers two percent more requests from it.
LARGE_BYTES: Final = 256 * 1024
#: Pictures that one eviction spares at most, so that it takes microseconds also where everything was hit.
MAX_SPARED: Final = 64


def cache_key(asset_id: str, transform: str = "") -> str:
    """The one text that names a picture: `transform` is `Transform.canonical()`, empty for the original."""
    return f"{asset_id}?{transform}" if transform else asset_id


class Cached:
    """A picture in memory. `reply` is room for what the front prepares on the first hit.

    `asset_id` and `transform` (canonical, empty for the original) are what its entity tag is made of.
    """

    __slots__ = ("asset_id", "body", "content_type", "hits", "key", "reply", "transform")

    def __init__(self, key: str, body: bytes, content_type: str) -> None:
        self.key = key
        self.asset_id, _, self.transform = key.partition("?")
        self.body = body
        self.content_type = content_type
        self.reply: object = None
        self.hits = 0

    @property
    def cost(self) -> int:
        """Bytes that the cache counts for it."""
        return len(self.body) + ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class CacheStats:
    """`bytes` and `max_bytes` include the bookkeeping; `misses` counts look-ups that found nothing."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int


class MemoryCache:
    """By `cache_key`. `max_bytes` 0 keeps nothing; a body above `max_object_bytes` is not taken."""

    def __init__(self, max_bytes: int, max_object_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._small_max = int(max_bytes * SMALL_SHARE)
        self.max_object_bytes = min(max_object_bytes, self._small_max - ENTRY_BYTES)
        self._entries: dict[str, Cached] = {}
        #: Both in the order of arrival, each entry in one of them.
        self._small: OrderedDict[str, Cached] = OrderedDict()
        self._main: OrderedDict[str, Cached] = OrderedDict()
        #: Keys that left the small queue, never more than there are entries.
        self._cast_out: OrderedDict[str, None] = OrderedDict()
        self._variants: dict[str, set[str]] = {}
        self._bytes = 0
        self._small_bytes = 0
        self._hits = 0
        self._misses = 0

    def get(self, key: str) -> Cached | None:
        """The picture, if it is here."""
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return None
        self._hits += 1
        if entry.hits < MAX_HITS:
            entry.hits += 1
        return entry

    def put(self, key: str, body: bytes, content_type: str) -> Cached:
        """Keep a picture, if it is small enough; the entry either way. What a key names never changes, so
        one that is here already stays."""
        entry = self._entries.get(key)
        if entry is not None:
            return entry
        entry = Cached(key, body, content_type)
        if len(body) <= self.max_object_bytes:
            self._keep(entry)
        return entry

    def remove(self, key: str) -> None:
        """Forget one picture; an absent one is no error."""
        entry = self._entries.get(key)
        if entry is not None:
            if self._small.pop(key, None) is not None:
                self._small_bytes -= entry.cost
            else:
                del self._main[key]
            self._drop(entry)

    def forget(self, asset_id: str) -> None:
        """Forget an asset's original and all its variants."""
        for key in [asset_id, *self._variants.get(asset_id, ())]:
            self.remove(key)

    def stats(self) -> CacheStats:
        """What `/metrics` shows."""
        return CacheStats(
            entries=len(self._entries),
            bytes=self._bytes,
            max_bytes=self.max_bytes,
            hits=self._hits,
            misses=self._misses,
        )

    def _keep(self, entry: Cached) -> None:
        cost = entry.cost
        while self._bytes + cost > self.max_bytes:
            self._evict()
        if entry.key in self._cast_out:
            del self._cast_out[entry.key]
            self._main[entry.key] = entry
        else:
            self._small[entry.key] = entry
            self._small_bytes += cost
        self._entries[entry.key] = entry
        self._bytes += cost
        if entry.transform:
            self._variants.setdefault(entry.asset_id, set()).add(entry.key)

    def _evict(self) -> None:
        """Drop one picture; there is at least one."""
        while self._small and (self._small_bytes > self._small_max or not self._main):
            key, entry = self._small.popitem(last=False)
            self._small_bytes -= entry.cost
            if not entry.hits:
                self._drop(entry)
                self._remember(key)
                return
            entry.hits = 0
            self._main[key] = entry
        for _ in range(MAX_SPARED):
            key, entry = next(iter(self._main.items()))
            fee = min(MAX_HITS, 1 + len(entry.body) // LARGE_BYTES)
            if entry.hits < fee:
                break
            entry.hits -= fee
            self._main.move_to_end(key)
        self._drop(self._main.popitem(last=False)[1])

    def _remember(self, key: str) -> None:
        self._cast_out[key] = None
        while len(self._cast_out) > len(self._entries):
            self._cast_out.popitem(last=False)

    def _drop(self, entry: Cached) -> None:
        """Out of everything but the queues."""
        del self._entries[entry.key]
        self._bytes -= entry.cost
        if entry.transform:
            keys = self._variants[entry.asset_id]
            keys.remove(entry.key)
            if not keys:
                del self._variants[entry.asset_id]
