"""The port of the event bus: what happens now, to whoever watches now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Protocol

from ferrotype.domain.event import Event


class Closed(Exception):
    """The bus was closed: this process stops and tells no more."""


class Subscription(Protocol):
    """A bounded mailbox. When its reader is too slow, live events are dropped first; state events are
    never dropped silently: `lagged` is set and the reader reads the journal again."""

    lagged: bool

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def get(self) -> Event:
        """The next event; waits for it. Raises Closed once the bus is closed and all was handed out."""
        ...


class EventBus(Protocol):
    """Spreads events within (and, by another implementation, between) processes."""

    def publish(self, event: Event) -> None:
        """Hand `event` to everybody who watches one of its topics. Never blocks, never raises."""
        ...

    def subscribe(self, topic: str) -> AbstractContextManager[Subscription]:
        """Watch a generation, a batch or an account, by its id, from now on, until the context ends."""
        ...

    def close(self) -> None:
        """End every subscription, also later ones, behind the events that wait in it already."""
        ...
