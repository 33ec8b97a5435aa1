"""Events from the stories' side: recorded with the facts they tell of, spread once those are durable."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from ferrotype.db import generations, journal
from ferrotype.db.database import Transaction
from ferrotype.domain.batch import Batch
from ferrotype.domain.clock import Clock
from ferrotype.domain.event import Event
from ferrotype.domain.generation import Generation
from ferrotype.events.base import EventBus
from ferrotype.services.previews import Previews


class Journal:
    """Writes state events into transactions, sends live ones straight to the bus, and remembers how far
    the running generations of this process are. `previews` bounds those; without it they are told as they
    come."""

    def __init__(self, bus: EventBus, clock: Clock, previews: Previews | None = None) -> None:
        self._bus = bus
        self._clock = clock
        self._previews = previews
        self._fractions: dict[str, dict[str, tuple[float, float]]] = {}
        self._followers: dict[str, dict[str, Generation]] = {}
        self._then: dict[str, list[Callable[[Transaction, Event], None]]] = {}

    def then(self, type: str, write: Callable[[Transaction, Event], None]) -> None:
        """What else is written with each event of a type, in its transaction."""
        self._then.setdefault(type, []).append(write)

    def record(self, tx: Transaction, type: str, generation_id: str, **data: Any) -> None:
        """A state event: a row in this transaction, published by its commit."""
        event = journal.append(tx, Event(type, generation_id, self._clock.now(), data))
        tx.on_commit(lambda: self._publish(event))
        for write in self._then.get(type, ()):
            write(tx, event)

    def spread(self, tx: Transaction, type: str, generation_id: str, **data: Any) -> None:
        """A state event of a generation and of all that have their pictures from it."""
        self.record(tx, type, generation_id, **data)
        for follower_id in generations.follower_ids(tx, generation_id):
            self.record(tx, type, follower_id, **data)

    def record_of_batch(self, tx: Transaction, type: str, batch: Batch, **data: Any) -> None:
        """A state event of a batch as a whole."""
        told = Event(type, None, self._clock.now(), data, account_id=batch.account_id, batch_id=batch.id)
        event = journal.append_of_batch(tx, told)
        tx.on_commit(lambda: self._publish(event))

    def follow(self, tx: Transaction, follower: Generation, leader_id: str) -> None:
        """Once this is committed, live events of the leader are told to those who watch the follower too."""
        tx.on_commit(lambda: self._followers.setdefault(leader_id, {}).update({follower.id: follower}))

    def progress(self, generation: Generation, job_id: str, fraction: float, share: float) -> None:
        """One job's progress (0-1); `share` is its part of the generation's pictures (0-1)."""
        jobs = self._fractions.setdefault(generation.id, {})
        jobs[job_id] = (fraction, share)
        overall = self.progress_of(generation.id)
        self._show("progress", generation, {"progress": overall, "job_id": job_id})

    def progress_of(self, generation_id: str) -> float | None:
        """How far a generation is (0-1), None when nothing is known here."""
        jobs = self._fractions.get(generation_id)
        return round(sum(done * share for done, share in jobs.values()), 4) if jobs else None

    def preview(self, generation: Generation, index: int, content_type: str, data: bytes) -> None:
        """An unfinished picture of that index, for those who watch now."""
        now = self._clock.now()
        if not any(map(self._bus.is_watched, self._live("preview", generation, {}, now))):
            return

        def show(content_type: str, data: bytes) -> None:
            uri = f"data:{content_type};base64,{b64encode(data).decode()}"
            self._show("preview", generation, {"index": index, "data_uri": uri})

        if self._previews is None:
            show(content_type, data)
        else:
            self._previews.offer(generation.id, index, data, content_type, show)

    def _show(self, type: str, generation: Generation, data: dict[str, Any]) -> None:
        for event in self._live(type, generation, data, self._clock.now()):
            self._bus.publish(event)

    def _live(
        self, type: str, generation: Generation, data: dict[str, Any], now: datetime
    ) -> Iterator[Event]:
        """The same for a generation and for all that have their pictures from it."""
        for watched in (generation, *self._followers.get(generation.id, {}).values()):
            yield Event(type, watched.id, now, data, account_id=watched.account_id, batch_id=watched.batch_id)

    def _publish(self, event: Event) -> None:
        if event.generation_id is not None:
            if event.terminal:
                self._fractions.pop(event.generation_id, None)
                self._followers.pop(event.generation_id, None)
            if self._previews is not None and (event.terminal or event.type == "output"):
                self._previews.forget(event.generation_id, None if event.terminal else event.data["index"])
        self._bus.publish(event)
