"""Where prompts park until a test lets them go on."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from .script import Script


class Interrupted(Exception):
    """The prompt was asked to stop."""


class Gate:
    """One running prompt's permission to go on. `parked_before` is the step that it waits for: 0 for its
    first node, None while it runs."""

    def __init__(self, script: Script, changed: Callable[[], None]) -> None:
        self._script = script
        self._changed = changed
        self._upto: float | None = None
        self._poke = asyncio.Event()
        self.interrupted = False
        self.parked_before: int | None = None
        self._paced = time.monotonic()

    def release(self, upto: int | None = None) -> None:
        """Lets the prompt go on, until after step `upto` if one is given."""
        self._upto = math.inf if upto is None else max(upto, self._upto or 0)
        self._poke.set()

    def look(self) -> None:
        """Looks again: the script may have changed."""
        self._poke.set()

    def interrupt(self) -> None:
        """Asks the prompt to stop at its next look."""
        self.interrupted = True
        self._poke.set()

    def check(self) -> None:
        """Raises Interrupted, once, if the prompt was asked to stop."""
        if self.interrupted:
            self.interrupted = False
            raise Interrupted

    async def wait(self, step: int, *, deaf: bool = False) -> None:
        """Returns when `step` may run, or (unless deaf) when an interrupt came."""
        await self._park(step, lambda: step <= self._limit(), deaf)

    async def hang(self, step: int) -> None:
        """Stays at that step until released by hand, whatever else happens."""
        before = self._upto = -1.0
        await self._park(step, lambda: self._upto != before, deaf=True)

    async def pause(self, seconds: float, *, deaf: bool = False) -> None:
        """Lets time pass; an interrupt ends it early unless deaf. What the simulator itself did since the
        last pause counts: a prompt takes the time that its script gives it, on a slow machine too."""
        if seconds <= 0:
            return
        now = time.monotonic()
        begun = self._paced if now - self._paced < seconds else now
        self._paced = begun + seconds
        seconds = self._paced - now
        if deaf:
            await asyncio.sleep(seconds)
            return
        self._poke.clear()
        if self.interrupted:
            return
        try:
            await asyncio.wait_for(self._interruption(), seconds)
        except TimeoutError:
            return

    async def _interruption(self) -> None:
        while not self.interrupted:
            self._poke.clear()
            await self._poke.wait()

    async def _park(self, step: int, free: Callable[[], bool], deaf: bool) -> None:
        while not free() and (deaf or not self.interrupted):
            self._poke.clear()
            self.parked_before = step
            self._changed()
            await self._poke.wait()
        if self.parked_before is not None:
            self.parked_before = None
            self._changed()

    def _limit(self) -> float:
        if self._upto is not None:
            return self._upto
        hold = self._script.hold
        if hold is None:
            return math.inf
        return -1 if hold == "start" else hold
