"""The batch: many orders that were given at once, each with a generation of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ferrotype.domain.states import BatchState


class ItemState(StrEnum):
    """Of one order in a batch."""

    WAITING = "waiting"  # its generation is still to be made
    ORDERED = "ordered"  # it has a generation, which tells the rest
    REFUSED = "refused"  # it could not be ordered; its error says why
    CANCELED = "canceled"  # the batch was canceled before its turn came


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the database has it.

    `num_images` and `credits` are those of every item that was not refused at once; `usd` is what they are
    expected to cost. `retry_of` is the batch whose failed items these are, `cloned_from` the one whose items
    were ordered once more.
    """

    id: str
    account_id: str
    status: BatchState
    num_items: int
    num_images: int
    credits: int
    usd: float
    priority: int
    created_at: datetime
    name: str | None = None
    error: dict[str, Any] | None = None
    cloned_from: str | None = None
    retry_of: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    cancel_requested: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One order of a batch, counted from 0. `order` is what was asked, with its inputs as asset ids;
    `custom_id` is the caller's own name for it."""

    batch_id: str
    index: int
    state: ItemState
    order: dict[str, Any]
    num_images: int
    credits: int
    custom_id: str | None = None
    generation_id: str | None = None
    error: dict[str, Any] | None = None
