"""The CDN in front of us, and how it is told to forget: by the tag that every answer with a picture carries,
and by URL what it has of the stores.

However many pictures are deleted at once, one call goes out at a time, with all that came meanwhile: services
bound their calls a minute, and take many tags in each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import CdnUnavailable, Problem
from ferrotype.storage.base import LevelHealth
from ferrotype.storage.cdn_settings import CdnSettings

#: Purged to see whether that is allowed: no picture has this tag.
NOBODYS: Final = "ferrotype-doctor"
MEND: Final = "see docs/CDN.md for what it needs"


class Cdn(Protocol):
    """One service. A tag is a picture's id. `tags_at_once` and `urls_at_once` bound one call."""

    name: str
    tags_at_once: int
    urls_at_once: int

    async def purge(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """Forget every answer with one of these tags, and these URLs; done, or promised within seconds, once
        this returns. What the service does not have is no error.

        Raises CdnUnavailable or CdnMisconfigured.
        """
        ...

    async def close(self) -> None:
        """End every connection."""
        ...


@dataclass(slots=True)
class _Wish:
    tag: str
    urls: Sequence[str]
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Purger:
    """Tells one CDN, of many pictures in one call. Use it from one event loop."""

    def __init__(self, cdn: Cdn, clock: Clock) -> None:
        self._cdn = cdn
        self._clock = clock
        self._wishes: deque[_Wish] = deque()
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0

    async def purge(self, tag: str, urls: Sequence[str] = ()) -> None:
        """See `Cdn.purge`. While the service wants to be left alone it is not asked."""
        wait = self._not_before - self._clock.monotonic()
        if wait > 0:
            raise CdnUnavailable(f"The CDN {self._cdn.name} asks for patience.", retry_after=wait)
        wish = _Wish(tag, urls)
        self._wishes.append(wish)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work(), name="cdn purges")
        await wish.done

    async def health(self) -> LevelHealth:
        """Whether the service takes a purge now; raises nothing."""
        try:
            await self.purge(NOBODYS)
        except Problem as problem:
            return LevelHealth(False, problem.detail, MEND)
        return LevelHealth(True, f"{self._cdn.name} takes purges")

    async def close(self) -> None:
        """Break off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._cdn.close()

    async def _work(self) -> None:
        """Call after call, until nothing is wished any more."""
        while batch := self._batch():
            try:
                await self._cdn.purge(
                    [wish.tag for wish in batch], [url for wish in batch for url in wish.urls]
                )
            except BaseException as error:
                self._refuse(batch, error)
                if not isinstance(error, Exception):
                    raise
            else:
                for wish in batch:
                    _end(wish, None)

    def _batch(self) -> list[_Wish]:
        """As many as fit into a call, whoever came first."""
        batch: list[_Wish] = []
        urls = 0
        while self._wishes and len(batch) < self._cdn.tags_at_once:
            urls += len(self._wishes[0].urls)
            if batch and urls > self._cdn.urls_at_once:
                break
            batch.append(self._wishes.popleft())
        return batch

    def _refuse(self, batch: list[_Wish], error: BaseException) -> None:
        refused = list(batch)
        if isinstance(error, CdnUnavailable) and error.retry_after:
            self._not_before = self._clock.monotonic() + error.retry_after
        if not isinstance(error, Problem) or self._not_before > self._clock.monotonic():
            refused += self._wishes  # they would be told the same
            self._wishes.clear()
        told = error if isinstance(error, Exception) else asyncio.CancelledError()
        for wish in refused:
            _end(wish, told)


def _end(wish: _Wish, error: BaseException | None) -> None:
    if wish.done.done():  # whoever wished it was canceled
        return
    if error is None:
        wish.done.set_result(None)
    else:
        wish.done.set_exception(error)


def open_purger(settings: CdnSettings, base: str | None, clock: Clock) -> Purger | None:
    """The configured CDN, None when there is none. `base` is the public URL of this server."""
    if settings.service is None:
        return None
    # aiohttp's client is loaded anyway; this keeps the three services out of every process.
    from ferrotype.storage.cdn_services import open_service

    return Purger(open_service(settings, base, clock), clock)
