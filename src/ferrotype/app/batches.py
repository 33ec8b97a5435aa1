"""The stories of batches, put together."""

from __future__ import annotations

from dataclasses import dataclass

from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock
from ferrotype.engine.base import Engine
from ferrotype.events.base import EventBus
from ferrotype.services.admit import Admit
from ferrotype.services.admit_batch import AdmitBatch
from ferrotype.services.batch_again import BatchAgain
from ferrotype.services.batch_envelopes import BatchEnvelopes
from ferrotype.services.batch_eta import BatchEta
from ferrotype.services.batch_life import BatchLife
from ferrotype.services.cancel import Cancel
from ferrotype.services.cancel_batch import CancelBatch
from ferrotype.services.durations import Durations
from ferrotype.services.envelopes import Envelopes
from ferrotype.services.fan_out import FanOut
from ferrotype.services.journal import Journal
from ferrotype.services.waiting_for_batch import WaitingForBatch


@dataclass(frozen=True, slots=True)
class BatchStories:
    """One per process."""

    admit: AdmitBatch
    cancel: CancelBatch
    again: BatchAgain
    envelopes: BatchEnvelopes
    waiting: WaitingForBatch
    fan_out: FanOut


def batch_stories(
    database: Database,
    engine: Engine,
    admit: Admit,
    cancel: Cancel,
    envelopes: Envelopes,
    journal: Journal,
    bus: EventBus,
    durations: Durations,
    clock: Clock,
) -> BatchStories:
    """Build them; from here on batches hear of what happens to their generations."""
    life = BatchLife(journal, clock)
    life.follow()
    admit_batch = AdmitBatch(admit, engine, journal, life)
    batches = BatchEnvelopes(database, envelopes, journal, BatchEta(durations, engine, clock))
    return BatchStories(
        admit_batch,
        CancelBatch(database, engine, cancel, life, clock),
        BatchAgain(database),
        batches,
        WaitingForBatch(batches, bus),
        FanOut(database, engine, admit_batch, cancel, life, clock),
    )
