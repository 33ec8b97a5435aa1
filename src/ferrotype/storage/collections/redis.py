"""Pictures in Redis or Valkey: base64, data URIs, bare bytes, JSON and hashes that have them in a field."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ferrotype.domain.problems import InvalidField, StoreUnavailable, TooLarge
from ferrotype.imaging.sniff import sniff
from ferrotype.storage.collections.base import Item, whole
from ferrotype.storage.collections.rows import Fields, Told, decoded, is_url, picture_of, told

#: Keys of one answer.
SCANNED: Final = 200
#: Base64 is longer than what it stands for; JSON has more beside it.
OVERHEAD: Final = 2

Fetch = Callable[[str], AsyncIterator[bytes]]


class RedisCollection:
    """The values of the keys that match a pattern. One value at a time is in memory for each that reads."""

    def __init__(self, url: str, match: str, fields: Fields, fetch: Fetch, max_bytes: int) -> None:
        """`fetch` gets what a field has a URL of. Raises InvalidField for a URL that is none."""
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        database = parts.path.strip("/") or "0"
        self._base = (
            f"unix:{parts.path}"
            if parts.scheme == "unix"
            else f"redis://{host}:{parts.port or 6379}/{database}"
        )
        self.where = f"{self._base} {match}"
        self._match = match
        self._fields = fields
        self._fetch = fetch
        self._max_bytes = max_bytes
        scheme = {"valkey": "redis", "valkeys": "rediss"}.get(parts.scheme, parts.scheme)
        try:
            self._redis: Any = Redis.from_url(url.replace(parts.scheme, scheme, 1), socket_timeout=30)
        except ValueError as error:
            raise InvalidField(
                f"--from: this is no address of a Redis server ({error}).", field="--from"
            ) from None

    async def items(self) -> AsyncIterator[Item]:
        """See `Collection`. SCAN may give a key twice; the second time it is imported already."""
        cursor = 0
        while True:
            cursor, keys = await self._ask(self._redis.scan(cursor, match=self._match, count=SCANNED))
            for key in keys:
                name = key.decode("utf-8", "backslashreplace")
                item = Item(f"{self._base}/{name}", name, name, partial(self._open, key))
                yield replace(item, know=partial(self._known, item, key))
            if cursor == 0:
                return

    async def close(self) -> None:
        """See `Collection`."""
        await self._redis.aclose()

    async def _known(self, item: Item, key: bytes) -> Item:
        value = await self._value(key)
        if not isinstance(value, Told):
            return replace(item, open=partial(whole, value), size=len(value), know=None)
        if is_url(value.picture):
            open_ = partial(self._fetch, value.picture)
        else:
            open_ = partial(whole, await asyncio.to_thread(picture_of, value.picture))
        return replace(
            item,
            former_id=value.name or item.former_id,
            open=open_,
            created_at=value.created_at,
            tags=value.tags,
            metadata=value.metadata,
            know=None,
        )

    async def _open(self, key: bytes) -> AsyncIterator[bytes]:
        item = await self._known(Item("", "", "", partial(self._open, key)), key)
        async for data in item.open():
            yield data

    async def _value(self, key: bytes) -> Told | bytes:
        kind = (await self._ask(self._redis.type(key))).decode()
        bound = self._max_bytes * OVERHEAD
        if kind == "string":
            self._bounded(await self._ask(self._redis.strlen(key)), bound)
            value = await self._ask(self._redis.get(key))
            if value is None:
                raise InvalidField("It is gone.", field="key")
            return await asyncio.to_thread(decoded, value, self._fields)
        if kind == "hash":
            names = await self._ask(self._redis.hkeys(key))
            sizes = [await self._ask(self._redis.hstrlen(key, name)) for name in names]
            self._bounded(sum(sizes), bound)
            row = {
                name.decode("utf-8", "replace"): _text(value)
                for name, value in (await self._ask(self._redis.hgetall(key))).items()
            }
            return told(row, self._fields)
        if kind == "none":
            raise InvalidField("It is gone.", field="key")
        raise InvalidField(f"It is a {kind}, not a string and not a hash.", field="key")

    def _bounded(self, size: int, bound: int) -> None:
        if size > bound:
            raise TooLarge(f"The value has {size} bytes; {bound} are read.", field="value", limit=bound)

    async def _ask(self, answer: Any) -> Any:
        try:
            return await answer
        except (RedisError, OSError, TimeoutError) as error:
            kind = type(error).__name__
            raise StoreUnavailable(f"The Redis server at {self._base} cannot be used ({kind}).") from None


def _text(value: bytes) -> str:
    """A hash's value; a picture's bare bytes as base64."""
    if sniff(value[:4096]) is not None:
        return base64.b64encode(value).decode()
    return value.decode("utf-8", "replace")
