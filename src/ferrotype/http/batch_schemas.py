"""The batch's shapes, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ferrotype.domain.states import BatchState
from ferrotype.http.schemas import GenerationBody, ProblemBody


class CountsBody(BaseModel):
    """Items by how far they are; they add up to `num_items`."""

    waiting: int = Field(description="Accepted and paid for; their generation is still to be made.")
    queued: int
    running: int
    succeeded: int
    failed: int
    canceled: int
    refused: int = Field(description="Could not be ordered; each item's error says why.")


class ImagesBody(BaseModel):
    """Pictures."""

    ordered: int
    made: int


class BatchCostBody(BaseModel):
    """So far, and what was expected when it was ordered."""

    credits: int
    usd: float
    expected_credits: int
    expected_usd: float


class BatchUrlsBody(BaseModel):
    """Where to go on."""

    get: str
    items: str
    events: str
    cancel: str
    retry: str
    clone: str


class ItemBody(BaseModel):
    """One order of a batch."""

    index: int
    custom_id: str | None
    status: str = Field(description="Its generation's, or `waiting`, `refused` or `canceled` without one.")
    prompt: str | None
    generation: GenerationBody | None
    error: ProblemBody | None


class BatchBody(BaseModel):
    """The envelope of a batch."""

    id: str
    object: Literal["batch"]
    status: BatchState
    name: str | None
    num_items: int
    num_images: int
    counts: CountsBody
    images: ImagesBody
    progress: float = Field(description="0-1.")
    eta_s: float | None = Field(description="Seconds until it is expected to end; null where unknown.")
    cost: BatchCostBody
    error: ProblemBody | None = Field(description="What went wrong with some of its items, or with all.")
    metadata: dict[str, Any]
    cloned_from: str | None
    retry_of: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    urls: BatchUrlsBody
    items: list[ItemBody] = Field(description="The first 100; none in lists of batches.")


class BatchPage(BaseModel):
    """Newest first."""

    object: Literal["list"]
    data: list[BatchBody]
    next_cursor: str | None


class ItemPage(BaseModel):
    """In their order."""

    object: Literal["list"]
    data: list[ItemBody]
    next_cursor: str | None


class ExpansionBody(BaseModel):
    """What a batch would order."""

    object: Literal["expansion"]
    count: int
    items: list[dict[str, Any]] = Field(description="The first 100.")
    truncated: bool
