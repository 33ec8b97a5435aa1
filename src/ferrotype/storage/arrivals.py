"""Bytes on their way into the spool, fetched once however many ask."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import structlog

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import InternalError, OriginProblem, OriginUnavailable, Overloaded, Problem
from ferrotype.net.base import Incoming
from ferrotype.storage.arrival import Arrival, ArrivalBroken, ArrivalHead, Arrived, OriginUnusable
from ferrotype.storage.spool import Part, Spool

#: Enough for every signature that a sniffer looks at; the first chunk nearly always holds it.
HEAD_BYTES: Final = 4096
MAX_BODY_BYTES: Final = 4 * 1024 * 1024

Fetch = Callable[[Origin], AbstractAsyncContextManager[Incoming]]
Whole = Callable[[Path], bool]
Sniff = Callable[[bytes], str | None]
#: Given the asset id, the whole body and its content type, before `finished` resolves.
OnComplete = Callable[[str, bytes, str], object]

__all__ = ["Arrival", "ArrivalBroken", "ArrivalHead", "Arrivals", "Arrived", "OriginUnusable"]

log = structlog.get_logger(__name__)


class Arrivals:
    """The arrivals under way, by asset id. One that broke is forgotten, so that the next `start` tries
    again; one that is in the spool already is read from there, never fetched."""

    def __init__(
        self,
        spool: Spool,
        fetch: Fetch,
        sniff: Sniff,
        *,
        is_whole: Whole = lambda _path: True,
        max_bytes: int | None = None,
        on_complete: OnComplete | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """`sniff` tells the content type from the first bytes, None when they are no picture that is
        accepted here. `is_whole` looks at all of them: a picture that is cut short is no picture, and is
        fetched again where it may have been cut on its way. One above `max_bytes` is refused.
        `on_complete` is called for those of at most `max_body_bytes`."""
        self._spool = spool
        self._fetch = fetch
        self._sniff = sniff
        self._is_whole = is_whole
        self._max_bytes = max_bytes
        self._on_complete = on_complete
        self._max_body_bytes = max_body_bytes
        self._under_way: dict[str, tuple[Arrival, asyncio.Task[None]]] = {}
        self._closed = False

    def start(self, asset_id: str, origin: Origin) -> Arrival:
        """The arrival under way, or a new one whose fetch starts at once. Nobody has to wait for it."""
        if self._closed:
            raise _stopping()
        if joined := self.get(asset_id):
            return joined
        arrival = Arrival(asset_id)
        task = asyncio.get_running_loop().create_task(self._run(arrival, origin), name=f"arrival-{asset_id}")
        self._under_way[asset_id] = arrival, task
        return arrival

    def get(self, asset_id: str) -> Arrival | None:
        """The arrival under way, if there is one."""
        found = self._under_way.get(asset_id)
        return found[0] if found else None

    def __len__(self) -> int:
        return len(self._under_way)

    async def close(self) -> None:
        """End every fetch; what has all its bytes is still kept."""
        self._closed = True
        ending = list(self._under_way.values())
        for _, task in ending:
            task.cancel()
        await asyncio.gather(*(task for _, task in ending), return_exceptions=True)
        for arrival, _ in ending:
            if not arrival.ended:  # its task had not taken its first step
                arrival.broke(_stopping())
        self._under_way.clear()

    async def _run(self, arrival: Arrival, origin: Origin) -> None:
        try:
            if path := self._spool.path(arrival.asset_id):
                arrived, body = await self._from_spool(path)
            else:
                arrived, body = await self._from_origin(arrival, origin)
            if body is not None and self._on_complete:
                self._on_complete(arrival.asset_id, body, arrived.content_type)
            arrival.is_kept(arrived)
        except asyncio.CancelledError:
            arrival.broke(_stopping())
            raise
        except Exception as error:
            arrival.broke(_problem(error, arrival.asset_id))
        finally:
            del self._under_way[arrival.asset_id]

    async def _from_origin(self, arrival: Arrival, origin: Origin) -> tuple[Arrived, bytes | None]:
        part: Part | None = None
        try:
            async with self._fetch(origin) as incoming:
                part = self._spool.open_part(arrival.asset_id, incoming.length)
                head, sha256 = await self._receive(arrival, incoming, part)
            await self._check(part, incoming)
            arrival.has_all()
            body = await part.read() if self._wants_body(part.size) else None
            path = await part.commit()
        except BaseException:
            if part:
                part.discard()
            raise
        return Arrived(part.size, sha256, head.content_type, path), body

    async def _receive(self, arrival: Arrival, incoming: Incoming, part: Part) -> tuple[ArrivalHead, str]:
        digest = hashlib.sha256()
        first = bytearray()
        head: ArrivalHead | None = None
        async for chunk in incoming.chunks:
            digest.update(chunk)
            if self._max_bytes is not None and part.size + len(chunk) > self._max_bytes:
                raise OriginUnusable(f"The picture has more than {self._max_bytes} bytes.")
            part.write(chunk)
            if head is None:
                first += chunk[:HEAD_BYTES]
                if len(first) < HEAD_BYTES:
                    continue
                head = self._head(bytes(first), incoming)
                arrival.has_head(head, part)
            arrival.has_bytes(part.size)
        if incoming.length is not None and part.size != incoming.length:
            raise OriginUnavailable(f"The origin sent {part.size} bytes and announced {incoming.length}.")
        if head is None:
            head = self._head(bytes(first), incoming)
            arrival.has_head(head, part)
            arrival.has_bytes(part.size)
        return head, digest.hexdigest()

    async def _check(self, part: Part, incoming: Incoming) -> None:
        if part.size <= self._max_body_bytes:  # faster than handing it to a thread
            whole = self._is_whole(part.path)
        else:
            whole = await asyncio.to_thread(self._is_whole, part.path)
        if whole:
            return
        if incoming.framed:  # all of it came: the origin has no more
            raise OriginUnusable("The picture at the origin is cut short.")
        raise OriginUnavailable("The picture came cut short.")

    def _head(self, first: bytes, incoming: Incoming) -> ArrivalHead:
        return ArrivalHead(self._kind(first, incoming.content_type), incoming.length)

    def _kind(self, first: bytes, declared: str | None) -> str:
        content_type = self._sniff(first)
        if content_type is None:
            raise OriginUnusable(f"What the origin sent is no picture (declared as {declared or 'nothing'}).")
        return content_type

    async def _from_spool(self, path: Path) -> tuple[Arrived, bytes | None]:
        """A crash may come between the file and the database: the bytes are here and need no fetch."""

        def read() -> tuple[int, bytes, str, bytes | None]:
            size = path.stat().st_size
            with path.open("rb") as file:
                first = file.read(HEAD_BYTES)
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return size, first, sha256, path.read_bytes() if self._wants_body(size) else None

        size, first, sha256, body = await asyncio.to_thread(read)
        return Arrived(size, sha256, self._kind(first, None), path), body

    def _wants_body(self, size: int) -> bool:
        return self._on_complete is not None and size <= self._max_body_bytes


def _stopping() -> Overloaded:
    return Overloaded("The server is stopping.", retry_after=5)


def _problem(error: Exception, asset_id: str) -> Problem:
    """What readers are told. A fault of the origin or the request to it is an origin problem to them."""
    if isinstance(error, OriginProblem | Overloaded):
        return error
    if isinstance(error, Problem):
        unusable = OriginUnusable(error.detail, limit=error.limit)
        unusable.__cause__ = error
        return unusable
    log.error("an arrival failed", asset_id=asset_id, exc_info=error)
    return InternalError("The picture's bytes could not be kept.")
