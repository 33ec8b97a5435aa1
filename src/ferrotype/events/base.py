"""The port of the event bus: what happens now, to whoever watches now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ferrotype.domain.event import Event


class Closed(Exception):
    """The bus was closed: this process stops and tells no more."""


class Losses(NamedTuple):
    """What a reader that was too slow has not been told: `missed` state events, which the journal still has,
    and `dropped` live ones, which are gone."""

    missed: int
    dropped: int


class Subscription(Protocol):
    """A bounded mailbox with one reader. When that is too slow, live events are dropped and state events are
    left to the journal; neither silently: `losses` tells how many."""

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def get(self) -> Event:
        """The next event; waits for it. Raises Closed once the bus is closed and all was handed out."""
        ...

    def take(self) -> Event | None:
        """The next event, if one waits."""
        ...

    async def wait(self) -> None:
        """Return when an event waits, when it was nudged, or when no more will come."""
        ...

    def nudge(self) -> None:
        """Make `wait` return once though there is nothing new."""
        ...

    def losses(self) -> Losses:
        """What was lost since this was last asked."""
        ...

    def close(self) -> None:
        """No more events shall come; those that wait may still be taken."""
        ...

    @property
    def closed(self) -> bool:
        """Whether no more events will come."""
        ...


class EventBus(Protocol):
    """Spreads events within (and, by another implementation, between) processes."""

    def publish(self, event: Event) -> None:
        """Hand `event` to everybody who watches one of its topics. Never blocks, never raises."""
        ...

    def subscribe(
        self, topic: str, wants: Callable[[Event], bool] | None = None
    ) -> AbstractContextManager[Subscription]:
        """Watch a generation, a batch or an account, by its id, from now on, until the context ends. Events
        that the reader does not want take no room."""
        ...

    def is_watched(self, event: Event) -> bool:
        """Whether anybody would be handed it."""
        ...

    @property
    def turn(self) -> int:
        """Rises with every state event: what was read in a turn is true until it is over."""
        ...

    def close(self) -> None:
        """End every subscription, also later ones, behind the events that wait in it already."""
        ...
