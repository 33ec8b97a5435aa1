"""When a batch is expected to end: by what its models took so far, the seats, and what is before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ferrotype.db import batches
from ferrotype.db.batches import QueuedCalls
from ferrotype.db.database import Transaction
from ferrotype.domain.batch import Batch
from ferrotype.domain.clock import Clock
from ferrotype.domain.states import BATCH
from ferrotype.engine.base import Engine
from ferrotype.services.durations import DIGITS, Durations, expected


@dataclass(frozen=True, slots=True)
class BatchEta:
    """Seconds until the end of batches."""

    durations: Durations
    engine: Engine
    clock: Clock

    def of(self, tx: Transaction, batch: Batch, waiting: int) -> float | None:
        """None when it has ended, and where a model was never measured. `waiting` items have no generation
        yet: they count as calls of the model that most of the others use."""
        if BATCH.is_terminal(batch.status):
            return None
        queued, running = batches.queued_calls(tx, batch.id), batches.running_since(tx, batch.id)
        if waiting and queued:
            most = max(queued, key=lambda each: each.calls)
            queued = [replace(each, calls=each.calls + waiting * (each is most)) for each in queued]
        ends = [self._queued(tx, each) for each in queued]
        now = self.clock.now()
        for model, since in running:
            duration = self.durations.of(tx, model)
            passed = (now - since).total_seconds()
            ends.append(None if duration is None else max(0.0, duration.p50_s - passed))
        known = [end for end in ends if end is not None]
        return round(max(known), DIGITS) if known and len(known) == len(ends) else None

    def _queued(self, tx: Transaction, calls: QueuedCalls) -> float | None:
        duration = self.durations.of(tx, calls.model)
        position = self.engine.position(tx, calls.first_job)
        if duration is None:
            return None
        seats = self.durations.seats(calls.class_)
        return expected(seats + (position or 1) - 1, calls.calls, seats, duration)[1]
