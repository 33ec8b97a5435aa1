"""When to look again: a pace that backs off, and a bell that a webhook rings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between looks at a call: from `first`, longer by `factor` each time, up to `cap`; `jitter` is
    the share by which each differs at random. With webhooks, looks only make up for lost ones: `cap` from
    the start on. `patience` is how long a service may be out of reach before the watch gives up."""

    first: float = 0.25
    factor: float = 1.3
    cap: float = 5.0
    jitter: float = 0.1
    patience: float = 30.0

    def seconds(self, *, hooked: bool = False, random: Random | None = None) -> Iterator[float]:
        """The pauses, without end."""
        pause = self.cap if hooked else self.first
        chance = random or Random()
        while True:
            yield pause * chance.uniform(1 - self.jitter, 1 + self.jitter)
            pause = min(self.cap, pause * self.factor)


class Bell:
    """Wakes one watch; a ring before it listens is not lost. `word` is what the last ring brought."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.word: object = None

    def ring(self, word: object = None) -> None:
        """Wake the watch."""
        self.word = word if word is not None else self.word
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Return after a ring (True), or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Bells:
    """The bells of the calls under way, by attempt."""

    def __init__(self) -> None:
        self._bells: dict[str, Bell] = {}

    @contextmanager
    def of(self, attempt_id: str) -> Iterator[Bell]:
        """The attempt's bell while the block lasts."""
        bell = self._bells.setdefault(attempt_id, Bell())
        try:
            yield bell
        finally:
            self._bells.pop(attempt_id, None)

    def expect(self, attempt_id: str) -> None:
        """Keep rings that come before the watch does."""
        self._bells.setdefault(attempt_id, Bell())
        while len(self._bells) > 10_000:
            self._bells.pop(next(iter(self._bells)))

    def ring(self, attempt_id: str, word: object = None) -> None:
        """Ring it, if anybody expects to be told."""
        if attempt_id in self._bells:
            self._bells[attempt_id].ring(word)
