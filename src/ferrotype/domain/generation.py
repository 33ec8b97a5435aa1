"""The generation: one accepted order for pictures, and the journal of its calls to providers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ferrotype.domain.asset import Visibility
from ferrotype.domain.states import AttemptState, GenerationState


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation as the database has it.

    `input` is the order with every choice made: model, size, seed, parameters with their defaults.
    `reused_from` is the generation whose pictures answer this one, a *follower*; `similarity` (0-1) says how
    near its prompt is where it is not the same. `reuse_key` is equal for identical orders; `retry_of` is the
    failed generation that this one, a follower until then, makes up for. `batch_index` counts from 0.
    """

    id: str
    account_id: str
    status: GenerationState
    operation: str
    model: str
    input: dict[str, Any]
    num_images: int
    class_: str
    credits_each: int
    usd_each: float
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error: dict[str, Any] | None = None
    reused_from: str | None = None
    reuse_key: str | None = None
    similarity: float | None = None
    retry_of: str | None = None
    batch_id: str | None = None
    batch_index: int | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    visibility: Visibility = Visibility.UNLISTED

    @property
    def leader_id(self) -> str:
        """Whose pictures these are: another generation's, or its own."""
        return self.reused_from or self.id

    def following(self, leader_id: str, similarity: float | None) -> Generation:
        """The same with the pictures of another."""
        return replace(self, reused_from=leader_id, similarity=similarity)

    def started(self, at: datetime) -> Generation:
        """The same once it runs."""
        return replace(self, status=GenerationState.RUNNING, started_at=at)

    def ended_well(self, at: datetime, credits_each: int) -> Generation:
        """The same once pictures that are not its own have answered it, at that price."""
        return replace(self, status=GenerationState.SUCCEEDED, completed_at=at, credits_each=credits_each)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to a provider; its id is the one that we give the provider, where it takes one.

    `seconds` and `usd` are what it took and cost, `notes` what later orders need to know of it.
    """

    id: str
    job_id: str
    generation_id: str
    provider: str
    target: str
    state: AttemptState
    request_id: str | None
    created_at: datetime
    submitted_at: datetime | None = None
    completed_at: datetime | None = None
    error: dict[str, Any] | None = None
    seconds: float | None = None
    usd: float | None = None
    notes: dict[str, Any] | None = None


def shares(num_images: int, max_per_call: int) -> list[tuple[int, int]]:
    """How an order fans out: one (first index, number of pictures) per provider call."""
    return [(first, min(max_per_call, num_images - first)) for first in range(0, num_images, max_per_call)]
