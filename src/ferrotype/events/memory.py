"""The event bus of a single process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ferrotype.domain.event import Event
from ferrotype.events.base import Closed, Losses

#: State events that wait for one slow reader at most.
MAILBOX: Final = 256
#: Live events that do, each the newest of its kind: a preview may have 90 KB, though readers share it.
LIVE_MAILBOX: Final = 64

Kind = tuple[str, str | None, object]


class Mailbox:
    """One reader's waiting events, in their order. Putting one in and taking one out cost the same however
    many wait. A newer live event takes the place of an older one of its kind."""

    __slots__ = (
        "_closed", "_count", "_dropped", "_limit", "_live", "_live_limit", "_missed", "_nudged", "_states",
        "_waiter", "_wants",
    )  # fmt: skip

    def __init__(
        self,
        limit: int = MAILBOX,
        live_limit: int = LIVE_MAILBOX,
        wants: Callable[[Event], bool] | None = None,
    ) -> None:
        self._limit = limit
        self._live_limit = live_limit
        self._wants = wants
        self._count = 0
        self._missed = self._dropped = 0
        self._closed = self._nudged = False
        #: Both with the number of their arrival, by which they are merged again.
        self._states: deque[tuple[int, Event]] | None = None
        self._live: OrderedDict[Kind, tuple[int, Event]] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, event: Event) -> None:
        """Add an event. In a full mailbox the oldest of its sort makes room."""
        if self._wants is not None and not self._wants(event):
            return
        self._count += 1
        if event.seq is None:
            live = self._live = OrderedDict() if self._live is None else self._live
            kind = _kind(event)
            if live.pop(kind, None) is None and len(live) >= self._live_limit:
                live.popitem(last=False)
                self._dropped += 1
            live[kind] = self._count, event
        else:
            states = self._states = deque() if self._states is None else self._states
            if len(states) >= self._limit:
                states.popleft()
                self._missed += 1
            states.append((self._count, event))
        self._wake()

    def take(self) -> Event | None:
        states, live = self._states, self._live
        if states and (not live or states[0][0] < next(iter(live.values()))[0]):
            return states.popleft()[1]
        if live:
            return live.popitem(last=False)[1][1]
        return None

    async def get(self) -> Event:
        while (event := self.take()) is None:
            if self._closed:
                raise Closed
            await self.wait()
        return event

    async def wait(self) -> None:
        if not (self._states or self._live or self._closed or self._nudged):
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._nudged = False

    def nudge(self) -> None:
        self._nudged = True
        self._wake()

    def losses(self) -> Losses:
        found = Losses(self._missed, self._dropped)
        self._missed = self._dropped = 0
        return found

    def close(self) -> None:
        self._closed = True
        self._wake()

    @property
    def closed(self) -> bool:
        return self._closed

    async def __aiter__(self) -> AsyncIterator[Event]:
        with suppress(Closed):
            while True:
                yield await self.get()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _kind(event: Event) -> Kind:
    """Progress and previews of different generations and pictures do not replace each other."""
    return event.type, event.generation_id, event.data.get("index")


class MemoryEventBus:
    """An `EventBus` for one process and one event loop."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, set[Mailbox]] = defaultdict(set)
        self._closed = False
        self._turn = 0

    def publish(self, event: Event) -> None:
        if event.seq is not None:
            self._turn += 1
        for topic in event.topics:
            for mailbox in self._mailboxes.get(topic, ()):
                mailbox.put(event)

    @contextmanager
    def subscribe(self, topic: str, wants: Callable[[Event], bool] | None = None) -> Iterator[Mailbox]:
        mailbox = Mailbox(wants=wants)
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

    def is_watched(self, event: Event) -> bool:
        return any(topic in self._mailboxes for topic in event.topics)

    @property
    def turn(self) -> int:
        return self._turn

    def close(self) -> None:
        self._closed = True
        for mailboxes in self._mailboxes.values():
            for mailbox in mailboxes:
                mailbox.close()

    @property
    def watchers(self) -> int:
        """How many subscriptions are open."""
        return sum(len(mailboxes) for mailboxes in self._mailboxes.values())
