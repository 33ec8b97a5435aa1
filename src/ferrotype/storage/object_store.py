"""Object stores: S3 and what speaks it, Google Cloud Storage and Azure Blob Storage, through obstore.

A picture is put in one request, or from `PART_BYTES` on in parts, and appears under its key only when the
service has all of it. What then is there is held against the file before `put` returns: the service's own
MD5 where it tells one, otherwise the bytes are read back and hashed.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError

from ferrotype.domain.problems import NotFound, Problem, StoreMisconfigured, StoreUnavailable
from ferrotype.storage.base import Entry, LevelHealth, WrongBytes
from ferrotype.storage.fingerprint import Fingerprint, fingerprint, of_bytes
from ferrotype.storage.keys import checked
from ferrotype.storage.object_errors import RETRY_SECONDS, in_our_words, is_beyond, translated

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import AzureStore, GCSStore, S3Store

    Client = AzureStore | GCSStore | S3Store

#: Read in one go, in bytes.
CHUNK: Final = 256 * 1024
#: A larger file is uploaded in parts of so many bytes, so many of them at once: an upload takes
#: (PARTS_AT_ONCE + 2) * PART_BYTES of memory at most. Every service takes parts from 5 MiB on, and 10,000 of
#: them.
PART_BYTES: Final = 8 * 1024 * 1024
PARTS_AT_ONCE: Final = 3
#: Objects of a listing that are in memory at once.
LISTED: Final = 1_000
#: A key stands for one picture for ever.
CACHE_CONTROL: Final = "public, max-age=31536000, immutable"
#: All of a look at the health takes no longer, in seconds.
HEALTH_SECONDS: Final = 10.0
#: What people can do about it.
REACH: Final = "see whether it runs and can be reached from here, and whether its address is right"
CORRECT: Final = "correct its settings, or its own (docs/STORES.md)"


@dataclass(frozen=True, slots=True)
class Clients:
    """obstore's clients of one bucket. Those of `writing` are bounded in the time of a whole request; those
    of `reading` only in the time without a byte, since a picture goes to somebody who may be slow."""

    writing: Client
    reading: Client


class ObjectStore:
    """A `Store` in a bucket."""

    def __init__(
        self,
        name: str,
        clients: Clients,
        *,
        place: str,
        public_base: str | None = None,
        presigned_seconds: int | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        """`place` says for people where the bucket is. `public_base` is the URL under which everybody can
        load what is in it; without one `presigned_seconds` makes URLs that are good for so long."""
        self.name = name
        self.local = False
        self._clients = clients
        self._place = place
        self._public_base = public_base
        self._presigned_seconds = presigned_seconds
        self._part_bytes = part_bytes

    async def put(self, key: str, source: Path, *, content_type: str, sha256: str) -> None:
        """See `Store`."""
        checked(key, self.name)
        there = await self._head(key)  # first: while the store is out of reach nothing is hashed in vain
        wanted, body = await asyncio.to_thread(_read, source, self._part_bytes)
        if wanted.sha256 != sha256:
            raise WrongBytes(f"{source} does not have the hash {sha256}")
        if there is not None and await self._holds(key, wanted, *there):
            return
        try:
            with in_our_words(self.name):
                taken = await obstore.put_async(
                    self._clients.writing,
                    key,
                    body,
                    attributes={"Content-Type": content_type, "Cache-Control": CACHE_CONTROL},
                    chunk_size=self._part_bytes,
                    max_concurrency=PARTS_AT_ONCE,
                )
        except NotFound:  # nothing is looked for here but the place itself
            detail = f"The store {self.name} has no place for pictures: see {self._place}."
            raise StoreMisconfigured(detail, retry_after=RETRY_SECONDS) from None
        if wanted.matches(wanted.size, taken["e_tag"]):  # the hash of what the service took
            return
        there = await self._head(key)
        if there is None or not await self._holds(key, wanted, *there):
            await self.delete(key)
            raise WrongBytes(f"What the store {self.name} got is not what it was sent.")

    def local_path(self, key: str) -> Path | None:
        """None: the bytes are elsewhere."""
        checked(key, self.name)
        return None

    async def public_url(self, key: str) -> str | None:
        """See `Store`. Raises StoreMisconfigured when the credentials can sign nothing."""
        checked(key, self.name)
        if self._public_base is not None:
            return f"{self._public_base}/{key}"
        if self._presigned_seconds is None:
            return None
        with in_our_words(self.name):
            lifetime = timedelta(seconds=self._presigned_seconds)
            return await obstore.sign_async(self._clients.reading, "GET", key, lifetime)

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `Store`."""
        checked(key, self.name)
        if end is not None and end <= start:
            if await self.size(key) is None:
                raise NotFound(f"The store {self.name} has no such key.")
            return
        result = await self._get(key, start, end)
        if result is None:
            return
        first, last = result.range
        missing = last - first
        with in_our_words(self.name):
            async for data in result.stream(min_chunk_size=CHUNK):
                missing -= len(data)
                yield bytes(data)
        if missing:
            raise StoreUnavailable(f"The store {self.name} broke off {missing} bytes before the end.")

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """All the bytes of an object that somebody else put there, whose key we may not take. Raises as
        `open` does."""
        result = await self._get(key, 0, None)
        assert result is not None  # no range, none beyond the end
        with in_our_words(self.name):
            async for data in result.stream(min_chunk_size=CHUNK):
                yield bytes(data)

    async def size(self, key: str) -> int | None:
        """See `Store`."""
        found = await self._head(key)
        return None if found is None else found[0]

    async def delete(self, key: str) -> None:
        """See `Store`."""
        checked(key, self.name)
        with suppress(NotFound), in_our_words(self.name):
            await obstore.delete_async(self._clients.writing, key)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """See `Store`."""
        with in_our_words(self.name):
            async for page in obstore.list(self._clients.writing, prefix or None, chunk_size=LISTED):
                for each in page:
                    yield Entry(each["path"], each["size"], each["last_modified"])

    async def close(self) -> None:
        """See `Store`; obstore has nothing to close."""

    async def health(self) -> LevelHealth:
        """See `Store`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                same = await self._examine(f"health/{secrets.token_hex(8)}.txt")
        except StoreUnavailable as problem:
            return LevelHealth(False, f"{self._place}: {problem.detail}", REACH)
        except Problem as problem:
            return LevelHealth(False, f"{self._place}: {problem.detail}", CORRECT)
        except TimeoutError:
            return LevelHealth(False, f"{self._place}: no answer in {HEALTH_SECONDS:.0f} s", REACH)
        if not same:
            return LevelHealth(False, f"{self._place} does not give back what was written", CORRECT)
        took = loop.time() - started
        return LevelHealth(True, f"{self._place}, written, read and deleted in {took * 1000:.0f} ms")

    async def _examine(self, key: str) -> bool:
        body = secrets.token_bytes(64)
        with in_our_words(self.name):
            await obstore.put_async(
                self._clients.writing, key, body, attributes={"Content-Type": "text/plain"}
            )
        given = b"".join([data async for data in self.open(key)])
        await self.delete(key)
        return given == body

    async def _get(self, key: str, start: int, end: int | None) -> GetResult | None:
        """None for a range that begins after the end."""
        try:
            options: GetOptions = {}
            if end is not None:
                options["range"] = start, end
            elif start:
                options["range"] = {"offset": start}
            return await obstore.get_async(self._clients.reading, key, options=options)
        except (BaseError, OSError, NotImplementedError) as error:
            if is_beyond(error):
                return None
            raise translated(error, self.name) from None

    async def _head(self, key: str) -> tuple[int, str | None] | None:
        """Size in bytes and ETag; None when there is no such key."""
        checked(key, self.name)
        try:
            with in_our_words(self.name):
                found = await obstore.head_async(self._clients.writing, key)
        except NotFound:
            return None
        except StoreMisconfigured as problem:
            raise await self._reason(key) or problem from None
        return found["size"], found["e_tag"]

    async def _reason(self, key: str) -> StoreMisconfigured | None:
        """Why a look at `key` was refused: the answer to HEAD has no body that could tell it."""
        try:
            await self._get(key, 0, 1)
        except StoreMisconfigured as problem:
            return problem
        except Problem:
            pass
        return None

    async def _holds(self, key: str, wanted: Fingerprint, size: int, etag: str | None) -> bool:
        """Whether what is under `key` has these bytes, by the service's hash or by one of our own."""
        if size != wanted.size:
            return False
        if wanted.matches(size, etag):
            return True
        digest = hashlib.sha256()
        async for data in self.open(key):
            digest.update(data)
        return digest.hexdigest() == wanted.sha256


def _read(source: Path, part_bytes: int) -> tuple[Fingerprint, bytes | Path]:
    """What a file is, and what to send: the very bytes that were hashed, where they go in one piece."""
    if source.stat().st_size > part_bytes:
        return fingerprint(source, part_bytes), source
    data = source.read_bytes()
    return of_bytes(data), data
