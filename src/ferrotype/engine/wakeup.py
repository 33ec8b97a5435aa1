"""Signals instead of polling: when is it worth to claim again?"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Final

from ferrotype.domain.clock import Clock

#: The safety net: what no signal told (another process, a clock that was set) is found within this.
NET_SECONDS: Final = 1.0


class Wakeup:
    """One flag between those who commit and the one that claims.

    No wake-up is lost. `claiming` lowers the flag before the claim's story is handed to the database, and
    a commit raises it after it is there, both on the event loop. A commit that the story does not see
    comes after it, so its callback runs after the flag was lowered, and nothing lowers it again before
    the next claim: `wait` finds it raised. A commit that the story did see may raise the flag late; that
    costs one claim that finds nothing. The time of the next delayed job is found by the claim itself, in
    the same story; one that is delayed by a later commit raises the flag like any other.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flag = asyncio.Event()
        self._next_due: datetime | None = None

    def wake(self) -> None:
        """Raise the flag; on the event loop."""
        self._flag.set()

    def claiming(self) -> None:
        """A claim begins: only what happens from here on is news."""
        self._flag.clear()

    def claimed(self, next_due: datetime | None, more: bool) -> None:
        """The claim is there: when the next delayed job is due, and whether it left some behind."""
        self._next_due = next_due
        if more:
            self._flag.set()

    async def wait(self) -> None:
        """Until the flag is up or the next delayed job is due, at most `NET_SECONDS`."""
        seconds = NET_SECONDS
        if self._next_due is not None:
            # A loop timer may fire a little early; a claim then would find nothing, and wait again.
            due_in = (self._next_due - self._clock.now()).total_seconds() + 0.001
            if due_in < NET_SECONDS:
                seconds, self._next_due = max(0.0, due_in), None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._flag.wait(), seconds)
