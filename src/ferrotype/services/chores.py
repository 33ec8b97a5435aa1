"""What long chores over many pictures share: many at once and no more, a bound on bytes a second, patience.

A chore goes on where it was stopped because every step it made is a row; nothing here remembers anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol, TypeVar

from ferrotype.db.copies import Amount
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Overloaded, Problem, StoreMisconfigured
from ferrotype.storage.base import WrongBytes

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

#: Tries of one step; between them 1, 2 and 4 seconds, or as long as the problem asks for.
TRIES: Final = 4
LONGEST_PAUSE: Final = 30.0
#: Pictures in a row that fail because a place is out of reach, until the chore stops.
IN_A_ROW: Final = 8


class Watcher(Protocol):
    """Who looks on while a chore runs."""

    def done(self, count: int = 1, size: int = 0) -> None:
        """So many pictures more are done, `size` bytes of them."""
        ...

    def say(self, text: str) -> None:
        """Something that a person has to see now."""
        ...


class Pace:
    """At most so many bytes a second, on average; None for as many as there are."""

    def __init__(
        self, bytes_per_second: float | None, clock: Clock, sleep: Sleep = asyncio.sleep, burst: float = 0.5
    ) -> None:
        """What was not used of the last `burst` seconds may be used at once."""
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._burst = burst
        self._free_at = clock.monotonic()

    async def take(self, size: int) -> None:
        """Return when `size` more bytes may pass."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - self._burst) + size / self._rate
        if self._free_at > now:
            await self._sleep(self._free_at - now)


class Patience:
    """Tries a step again when its place is out of reach for a moment; stops the chore when it stays away."""

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self._in_a_row = 0

    async def __call__(self, step: Callable[[], Awaitable[T]], tries: int = TRIES) -> T:
        """What `step` gives. Raises what it raised the last time, and Hopeless."""
        for tried in range(1, tries + 1):
            try:
                found = await step()
            except StoreMisconfigured as problem:
                raise Hopeless(problem) from problem
            except (Problem, WrongBytes) as error:
                if isinstance(error, Problem) and not error.retryable:
                    self._in_a_row = 0
                    raise
                if tried < tries:
                    asked = error.retry_after if isinstance(error, Problem) else None
                    await self._sleep(min(max(2.0 ** (tried - 1), asked or 0), LONGEST_PAUSE))
                    continue
                if isinstance(error, Overloaded):
                    self._in_a_row += 1
                    if self._in_a_row >= IN_A_ROW:
                        raise Hopeless(error) from error
                raise
            self._in_a_row = 0
            return found
        raise AssertionError("the last try returns or raises")


class Hopeless(Exception):
    """A place that the chore needs cannot be used: to go on with the next picture makes no sense."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


async def for_each(items: AsyncIterator[T], work: Callable[[T], Awaitable[None]], width: int) -> None:
    """Do `work` for every item, `width` at once; an item is asked for only when somebody is free for it.

    The first exception of any of them ends all, and is raised.
    """
    turn = asyncio.Lock()

    async def worker() -> None:
        while True:
            async with turn:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except BaseExceptionGroup as problems:
        raise problems.exceptions[0] from None


async def pages(
    database: Database, page: Callable[[Transaction, str], list[T]], name: Callable[[T], str], after: str = ""
) -> AsyncIterator[T]:
    """Every row of `page`, which gives those whose `name` comes after the one it is told."""
    while True:
        found = await database.read(lambda tx, after=after: page(tx, after))  # type: ignore[misc]
        for each in found:
            yield each
        if not found:
            return
        after = name(found[-1])


NONE: Final = Amount(0, 0)
