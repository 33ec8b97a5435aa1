"""The answers' shapes, for the OpenAPI document; the replies themselves are written straight as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from ferrotype.domain.asset import Credit, Placeholder, Visibility
from ferrotype.domain.states import AssetState, GenerationState

#: What people call something: one line.
Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
]


class ProblemBody(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    charged: Literal["yes", "unknown"] | None = None
    field: str | None = Field(None, description="The input at fault.")
    limit: Any = Field(None, description="The bound that it broke.")
    retry_after: float | None = Field(None, description="Seconds.")
    errors: list[dict[str, Any]] | None = None


class AssetBody(BaseModel):
    """An asset; what is not known yet is null."""

    id: str
    object: Literal["asset"]
    state: AssetState
    url: str = Field(description="Permanent; valid from the first state on.")
    generation_id: str | None
    index: int | None
    seed: int | None
    width: int | None
    height: int | None
    content_type: str | None
    animated: bool | None = Field(description="Whether it moves.")
    has_alpha: bool | None = Field(description="Whether it can be transparent.")
    bytes: int | None
    sha256: str | None
    placeholder: Placeholder | None
    stored: bool = Field(description="Whether a durable store has confirmed its copy.")
    source_type: str | None = Field(description="IPTC DigitalSourceType.")
    credit: Credit | None
    visibility: Visibility
    favourite: bool
    created_at: str
    expires_at: str | None = Field(description="When it will be deleted.")
    deleted_at: str | None = Field(description="It can be restored until its bytes are gone.")
    purged_at: str | None = Field(description="When its bytes were removed from every place.")


class MetricsBody(BaseModel):
    """Seconds."""

    queued_s: float | None
    provider_s: float | None
    total_s: float | None


class CostBody(BaseModel):
    """Of the pictures that were delivered, or of all while they are being made."""

    credits: int
    usd: float


class UrlsBody(BaseModel):
    """Where to go on."""

    get: str
    events: str
    cancel: str
    fresh: str | None = Field(description="POST here for pictures of its own, where they are another's.")


class GenerationBody(BaseModel):
    """The envelope."""

    id: str
    object: Literal["generation"]
    status: GenerationState
    operation: str
    model: str
    input: dict[str, Any]
    output: list[AssetBody]
    error: ProblemBody | None
    progress: float | None
    queue_position: int | None
    eta_s: float | None = Field(description="Seconds until it is expected to end, by measured durations.")
    metrics: MetricsBody
    cost: CostBody
    reused_from: str | None = Field(description="The generation whose pictures these are.")
    similarity: float | None = Field(description="Of the prompts (0-1), where they are not the same.")
    batch_id: str | None
    batch_index: int | None = Field(description="Its place in the batch, from 0.")
    tags: list[str]
    metadata: dict[str, Any]
    created_at: str
    started_at: str | None
    completed_at: str | None
    urls: UrlsBody


class GenerationPage(BaseModel):
    """Newest first."""

    object: Literal["list"]
    data: list[GenerationBody]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last.")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the problems that a route may answer."""
    return {
        status: {"model": ProblemBody, "content": {"application/problem+json": {}}, "description": "Problem"}
        for status in statuses
    }
