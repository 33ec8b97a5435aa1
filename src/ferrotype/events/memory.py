"""The event bus of a single process."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ferrotype.domain.event import LIVE_EVENTS, Event
from ferrotype.events.base import Closed

#: Events that wait for one slow reader at most.
MAILBOX: Final = 256


class Mailbox:
    """One reader's waiting events."""

    def __init__(self, limit: int = MAILBOX) -> None:
        self.lagged = False
        self._closed = False
        self._limit = limit
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add an event; a newer live event takes the place of an older one of its kind. In a full mailbox
        the oldest live event makes room, else the oldest of all, which the journal still has."""
        if event.type in LIVE_EVENTS:
            self._drop(lambda waiting: _kind(waiting) == _kind(event))
        if len(self._events) >= self._limit and not self._drop(lambda waiting: waiting.type in LIVE_EVENTS):
            if event.type in LIVE_EVENTS:
                return
            self.lagged = True
            self._events.popleft()
        self._events.append(event)
        self._arrived.set()

    def close(self) -> None:
        """No more events will come."""
        self._closed = True
        self._arrived.set()

    async def get(self) -> Event:
        while not self._events:
            if self._closed:
                raise Closed
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    async def __aiter__(self) -> AsyncIterator[Event]:
        with suppress(Closed):
            while True:
                yield await self.get()

    def _drop(self, fits: Callable[[Event], bool]) -> bool:
        for index, waiting in enumerate(self._events):
            if fits(waiting):
                del self._events[index]
                return True
        return False


def _kind(event: Event) -> tuple[str, str | None, object]:
    """Progress and previews of different generations and pictures do not replace each other."""
    return event.type, event.generation_id, event.data.get("index")


class MemoryEventBus:
    """An `EventBus` for one process and one event loop."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, set[Mailbox]] = defaultdict(set)
        self._closed = False

    def publish(self, event: Event) -> None:
        for topic in event.topics:
            for mailbox in self._mailboxes.get(topic, ()):
                mailbox.put(event)

    @contextmanager
    def subscribe(self, topic: str) -> Iterator[Mailbox]:
        mailbox = Mailbox()
        if self._closed:
            mailbox.close()
        self._mailboxes[topic].add(mailbox)
        try:
            yield mailbox
        finally:
            watching = self._mailboxes[topic]
            watching.discard(mailbox)
            if not watching:
                del self._mailboxes[topic]

    def close(self) -> None:
        self._closed = True
        for mailboxes in self._mailboxes.values():
            for mailbox in mailboxes:
                mailbox.close()

    @property
    def watchers(self) -> int:
        """How many subscriptions are open."""
        return sum(len(mailboxes) for mailboxes in self._mailboxes.values())
