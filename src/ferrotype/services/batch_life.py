"""What the lives of its generations make of a batch, written in their own transactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ferrotype.db import batches
from ferrotype.db.database import Transaction
from ferrotype.domain.batch import Batch, ItemState
from ferrotype.domain.clock import Clock
from ferrotype.domain.event import TERMINAL_EVENTS, Event
from ferrotype.domain.problems import NotFound, from_json
from ferrotype.domain.states import BATCH, BatchState, GenerationState
from ferrotype.services.journal import Journal

#: Items whose problems a batch repeats.
MAX_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class BatchLife:
    """Starts and ends batches."""

    journal: Journal
    clock: Clock

    def follow(self) -> None:
        """Hear of what happens to generations."""
        self.journal.then("started", self.started)
        for type in TERMINAL_EVENTS:
            self.journal.then(type, self.ended)

    def started(self, tx: Transaction, event: Event) -> None:
        """A generation runs: so does its batch."""
        if event.batch_id is None or not batches.start(tx, event.batch_id, self.clock.now()):
            return
        batch = batches.get(tx, event.batch_id)
        assert batch is not None
        self.journal.record_of_batch(tx, "started", batch)

    def ended(self, tx: Transaction, event: Event) -> None:
        """A generation has ended, or is about to be written so: so has its batch, if it was the last."""
        if event.batch_id is None or event.generation_id is None or not event.terminal:
            return
        if batches.is_open(tx, event.batch_id, event.generation_id):
            return
        self._end(tx, event.batch_id, GenerationState(event.type))

    def check(self, tx: Transaction, batch_id: str) -> None:
        """End a batch in which nothing is left to come: its last items were refused, canceled or answered."""
        if not batches.is_open(tx, batch_id, ""):
            self._end(tx, batch_id, None)

    def _end(self, tx: Transaction, batch_id: str, last: GenerationState | None) -> None:
        """`last` is the ending of a generation whose row may not say so yet."""
        batch = batches.get(tx, batch_id, lock=True)
        if batch is None or BATCH.is_terminal(batch.status):
            return
        ending = _ending(batch, set(batches.statuses(tx, batch_id)) | ({last} if last else set()))
        error = _error(batches.errors(tx, batch_id, MAX_TOLD), batches.states(tx, batch_id))
        batches.end(tx, batch, ending, self.clock.now(), error)
        self.journal.record_of_batch(tx, ending.value, batch)


def own_batch(tx: Transaction, batch_id: str, account_id: str, *, lock: bool = False) -> Batch:
    """The account's batch. Raises NotFound."""
    batch = batches.get(tx, batch_id, lock=lock)
    if batch is None or batch.account_id != account_id:
        raise NotFound(f"There is no batch {batch_id}.")
    return batch


def _ending(batch: Batch, statuses: set[str]) -> BatchState:
    if GenerationState.SUCCEEDED in statuses:
        return BatchState.SUCCEEDED
    if batch.cancel_requested:
        return BatchState.CANCELED
    if GenerationState.FAILED not in statuses and GenerationState.CANCELED in statuses:
        return BatchState.CANCELED
    return BatchState.FAILED


def _error(errors: list[tuple[int, dict[str, Any]]], states: dict[str, int]) -> dict[str, Any] | None:
    """What went wrong, the first item's problem in front; None when nothing did."""
    if not errors:
        return None
    first = from_json(errors[0][1])
    rest = "" if len(errors) == 1 else " and others"
    refused = states.get(ItemState.REFUSED, 0)
    why = "was refused" if refused and len(errors) == refused == 1 else "failed"
    told = type(first)(
        f"Item {errors[0][0]}{rest} {why}. {first.detail}", field=first.field, limit=first.limit
    )
    return told.to_json() | {
        "errors": [{"row": index, "code": each["code"], "detail": each["detail"]} for index, each in errors]
    }
