"""The event bus of a single process."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from ferrotype.domain.event import LIVE_EVENTS, Event

#: Events that wait for one slow reader at most.
MAILBOX: Final = 256


class Mailbox:
    """One reader's waiting events."""

    def __init__(self, limit: int = MAILBOX) -> None:
        self.lagged = False
        self._limit = limit
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add an event; a newer live event takes the place of an older one of its type."""
        if event.type in LIVE_EVENTS:
            for index, waiting in enumerate(self._events):
                if waiting.type == event.type:
                    del self._events[index]
                    break
        if len(self._events) >= self._limit:
            self.lagged = True
            self._events.popleft()
        self._events.append(event)
        self._arrived.set()

    async def get(self) -> Event:
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            yield await self.get()


class MemoryEventBus:
    """An `EventBus` for one process and one event loop."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, set[Mailbox]] = defaultdict(set)

    def publish(self, event: Event) -> None:
        for mailbox in self._mailboxes.get(event.generation_id, ()):
            mailbox.put(event)

    @contextmanager
    def subscribe(self, generation_id: str) -> Iterator[Mailbox]:
        mailbox = Mailbox()
        self._mailboxes[generation_id].add(mailbox)
        try:
            yield mailbox
        finally:
            watching = self._mailboxes[generation_id]
            watching.discard(mailbox)
            if not watching:
                del self._mailboxes[generation_id]

    @property
    def watchers(self) -> int:
        """How many subscriptions are open."""
        return sum(len(mailboxes) for mailboxes in self._mailboxes.values())
