"""One reader's events: a snapshot, what it missed, then what happens; each once and in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ferrotype.db import journal
from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock, rfc3339
from ferrotype.domain.event import Event
from ferrotype.events.base import EventBus, Losses, Subscription
from ferrotype.http.streams.envelope import Told, Writer, dumps
from ferrotype.http.streams.scopes import Options, Scope
from ferrotype.http.streams.snapshots import Snapshot, Snapshots

#: Events that are read from the journal at once.
PAGE: Final = 500


class Desk(Protocol):
    """What all feeds share."""

    database: Database
    bus: EventBus
    clock: Clock
    writer: Writer
    snapshots: Snapshots
    account_id: str
    max_replay: int

    def lagged(self) -> None:
        """A reader was told that it lost something."""
        ...


@dataclass(frozen=True, slots=True)
class Beginning:
    """`seen` is the number from which on everything follows; `skipped` how many events were left out since
    the client's own number, because they were too many."""

    snapshot: Snapshot
    seen: int
    skipped: int = 0


class Feed:
    """Made by `begin`, which also finds out that there is no such thing; then `follow` it."""

    def __init__(
        self, desk: Desk, scope: Scope, options: Options, base_url: str, beginning: Beginning
    ) -> None:
        self._desk = desk
        self.scope = scope
        self._options = options
        self._base_url = base_url
        self._beginning = beginning
        #: After this event a client would resume.
        self.seen = beginning.seen

    @classmethod
    async def begin(
        cls, desk: Desk, scope: Scope, options: Options, base_url: str, after: int | None
    ) -> Feed:
        """`after` is the number of the last event that the client has seen, None for a new one.

        Nothing is held meanwhile: what happens until it is followed is read from the journal. Raises
        NotFound.
        """
        snapshot = await desk.snapshots.get(scope, desk.account_id, base_url)
        seen = snapshot.seq if after is None else min(after, snapshot.seq)
        skipped = await _behind(desk, scope, seen) if seen < snapshot.seq else 0
        if skipped <= desk.max_replay:
            return cls(desk, scope, options, base_url, Beginning(snapshot, seen))
        return cls(desk, scope, options, base_url, Beginning(snapshot, snapshot.seq, skipped))

    def wants(self, event: Event) -> bool:
        """Whether it is told; the event that ends the stream always is."""
        return self._options.wants(event) or self.scope.ends_with(event)

    async def follow(self, mailbox: Subscription) -> AsyncGenerator[Told | None, None]:
        """The events; None each time when the mailbox was nudged and there is nothing to tell. Ends with
        the event that ends its scope, or when the mailbox is closed and empty. `mailbox` is a subscription to
        the scope that was opened before, for what `wants` says."""
        beginning = self._beginning
        yield self._snapshot(beginning)
        if beginning.skipped:
            yield self._lagged(Losses(0, 0), skipped=beginning.skipped)
        ended = beginning.snapshot.ended
        if ended and beginning.seen == beginning.snapshot.seq:
            return
        async for event in self._replay():
            yield await self._told(event)
            ended = ended or self.scope.ends_with(event)
        while not ended:
            losses = mailbox.losses()
            if losses.missed or losses.dropped:
                async for item in self._catch_up(losses):
                    if isinstance(item, Told):
                        yield item
                    else:
                        yield await self._told(item)
                        ended = ended or self.scope.ends_with(item)
                ended = ended or self._beginning.snapshot.ended
                continue
            waiting = mailbox.take()
            if waiting is None:
                if mailbox.closed:
                    return
                await mailbox.wait()
                waiting = mailbox.take()
                if waiting is None:
                    if not mailbox.closed:
                        yield None
                    continue
            if waiting.seq is not None:
                if waiting.seq <= self.seen:
                    continue
                self.seen = waiting.seq
            yield await self._told(waiting)
            ended = self.scope.ends_with(waiting)

    async def _catch_up(self, losses: Losses) -> AsyncIterator[Told | Event]:
        """What a mailbox that ran over could not hold, told before; a snapshot where it is too much."""
        behind = await _behind(self._desk, self.scope, self.seen) if losses.missed else 0
        if behind <= self._desk.max_replay:
            yield self._lagged(losses, replayed=behind)
            if behind:
                async for event in self._replay():
                    yield event
            return
        yield self._lagged(losses, skipped=behind)
        snapshot = await self._desk.snapshots.get(self.scope, self._desk.account_id, self._base_url)
        self._beginning = Beginning(snapshot, max(self.seen, snapshot.seq))
        self.seen = self._beginning.seen
        yield self._snapshot(self._beginning)
        async for event in self._replay():
            yield event

    async def _replay(self) -> AsyncIterator[Event]:
        """State events since `seen` that are wanted, from the journal."""
        desk, scope = self._desk, self.scope
        while True:
            page = await desk.database.read(
                lambda tx: journal.after(tx, scope.id, self.seen, PAGE, topic=scope.kind)
            )
            for event in page:
                assert event.seq is not None
                self.seen = event.seq
                if self.wants(event):
                    yield event
            if len(page) < PAGE:
                return

    async def _told(self, event: Event) -> Told:
        return await self._desk.writer.write(event, self._base_url, self._options.inline)

    def _snapshot(self, beginning: Beginning) -> Told:
        return Told("snapshot", beginning.seen, beginning.snapshot.text(beginning.seen))

    def _lagged(self, losses: Losses, *, replayed: int = 0, skipped: int = 0) -> Told:
        self._desk.lagged()
        body: dict[str, Any] = {
            "object": "event",
            "id": None,
            "type": "lagged",
            "at": rfc3339(self._desk.clock.now()),
            "generation_id": self.scope.id if self.scope.kind == "generation" else None,
            "batch_id": self.scope.id if self.scope.kind == "batch" else None,
            "dropped": losses.dropped,
            "replayed": replayed,
            "skipped": skipped,
        }
        return Told("lagged", None, dumps(body))


async def _behind(desk: Desk, scope: Scope, seen: int) -> int:
    """State events since `seen`; counted up to one more than may be replayed."""
    return await desk.database.read(
        lambda tx: journal.count_after(tx, scope.id, seen, desk.max_replay + 1, topic=scope.kind)
    )
