"""`/v1/status`: how the server does, for people and for the studio's status page."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ferrotype.http.context import Context, context_of

router = APIRouter(prefix="/v1", tags=["system"])

Ctx = Annotated[Context, Depends(context_of)]


class ClassBody(BaseModel):
    """A class of jobs, and its seats."""

    name: str
    seats: int
    running: int
    queued: int


class DeploymentBody(BaseModel):
    """Where a provider makes pictures for models."""

    target: str
    state: Literal["closed", "busy", "half-open", "open", "misconfigured"] = Field(
        description="The circuit breaker's: `closed` takes calls, `open` is left alone, `half-open` is being "
        "tried. `busy` waits for a place or a rate limit; `misconfigured` turned our key or settings away."
    )
    models: list[str]


class LastErrorBody(BaseModel):
    """How the last bad call of the hour ended."""

    at: str | None
    target: str
    code: str | None
    detail: str


class ProviderBody(BaseModel):
    """Figures are of the last hour."""

    name: str
    configured: bool
    state: str | None = Field(
        description="Its worst deployment's; null where it has none that is configured."
    )
    deployments: list[DeploymentBody]
    calls: int
    failures: int
    p50_s: float | None = Field(description="Seconds that calls took which ended well.")
    p95_s: float | None
    last_error: LastErrorBody | None


class CacheBody(BaseModel):
    """A level, since the start."""

    name: str
    hits: int
    misses: int
    bytes: int | None
    max_bytes: int | None


class OperationBody(BaseModel):
    """Generations that succeeded in the last hour: seconds from the order to the end."""

    name: str
    count: int
    p50_s: float | None
    p95_s: float | None


class MinuteBody(BaseModel):
    """A minute."""

    at: str
    made: int
    failed: int


class ErrorBody(BaseModel):
    """A generation that failed; with `asset_id` a picture whose bytes never came."""

    at: str
    code: str | None
    detail: str
    model: str
    provider: str | None
    generation_id: str
    asset_id: str | None


class JobsBody(BaseModel):
    """Of all classes."""

    queued: int
    running: int


class StatusBody(BaseModel):
    """How the server does."""

    object: Literal["status"]
    version: str
    started_at: str
    at: str
    classes: list[ClassBody]
    providers: list[ProviderBody]
    caches: list[CacheBody] = Field(description="Nearest first.")
    operations: list[OperationBody]
    pictures: list[MinuteBody] = Field(description="The last 60 minutes, the current one last.")
    recent_errors: list[ErrorBody] = Field(description="Newest first.")
    spool_bytes: int
    jobs: JobsBody


@router.get("/status", summary="How the server does", response_model=StatusBody)
async def status(context: Ctx) -> JSONResponse:
    """Seats, queue, providers, caches, the last hour's pictures and times, and what went wrong of late."""
    return JSONResponse(await context.status.read(), headers={"Cache-Control": "no-store"})
