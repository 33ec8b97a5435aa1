"""The shapes of what streams tell, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from ferrotype.http.batch_schemas import BatchBody
from ferrotype.http.schemas import AssetBody, GenerationBody, ProblemBody


class InlineBody(BaseModel):
    """A picture in an event."""

    kind: Literal["placeholder", "preview", "output"]
    content_type: str
    width: int | None = Field(description="Pixels of this picture, which may be smaller than the asset.")
    height: int | None
    data_uri: str


class _Event(BaseModel):
    """What every event has."""

    model_config = ConfigDict(extra="forbid")

    object: Literal["event"]
    id: int | None = Field(description="Its number; null for what cannot be resumed after.")
    at: str = Field(description="RFC 3339, UTC.")
    generation_id: str | None
    batch_id: str | None
    subscription: str = Field("", description="On WebSockets: the client's name for what it follows.")


class SnapshotEvent(_Event):
    """How everything is now: one of a generation, a batch, or an account's open ones."""

    id: int = Field(description="A stream that breaks behind it is resumed after this number.")
    type: Literal["snapshot"]
    generation: GenerationBody | None = None
    batch: BatchBody | None = None
    generations: list[GenerationBody] | None = Field(None, description="The newest 100 that have not ended.")
    batches: list[BatchBody] | None = Field(None, description="The newest 100 that have not ended.")


class LaggedEvent(_Event):
    """The client was too slow."""

    type: Literal["lagged"]
    dropped: int = Field(description="Live events that are gone.")
    replayed: int = Field(description="State events that were too many to wait, and follow from the journal.")
    skipped: int = Field(description="State events that are left out; a snapshot stands for them.")


class QueuedEvent(_Event):
    """Accepted."""

    type: Literal["queued"]
    position: int | None = Field(None, description="Of a generation: its place among those that wait.")
    eta_s: float | None = Field(None, description="Of a generation: seconds until it is expected to end.")
    items: int | None = Field(None, description="Of a batch.")


class StartedEvent(_Event):
    """It runs."""

    type: Literal["started"]


class ProgressEvent(_Event):
    """How far a generation is."""

    type: Literal["progress"]
    progress: float = Field(description="0-1.")
    job_id: str


class PreviewEvent(_Event):
    """An unfinished picture."""

    type: Literal["preview"]
    index: int
    data_uri: str


class _AssetEvent(_Event):
    asset_id: str
    asset: AssetBody | None = Field(None, description="Absent when it was deleted meanwhile.")


class OutputEvent(_AssetEvent):
    """A picture exists; its URL is valid."""

    type: Literal["output"]
    index: int
    inline: InlineBody | None = None


class ReadyEvent(_AssetEvent):
    """All its bytes are here."""

    type: Literal["ready"]
    index: int
    inline: InlineBody | None = None


class EnrichedEvent(_AssetEvent):
    """Its size and placeholder are known."""

    type: Literal["enriched"]
    inline: InlineBody | None = None


class StoredEvent(_AssetEvent):
    """A durable store has it."""

    type: Literal["stored"]
    store: str


class SettledEvent(_AssetEvent):
    """Its credits were charged."""

    type: Literal["settled"]
    credits: int


class SucceededEvent(_Event):
    """Pictures were delivered."""

    type: Literal["succeeded"]
    images: int | None = None
    generation: GenerationBody | None = None
    batch: BatchBody | None = None


class FailedEvent(_Event):
    """There are none; with an asset id, that one never arrived."""

    type: Literal["failed"]
    error: ProblemBody | None = None
    asset_id: str | None = None
    asset: AssetBody | None = None
    generation: GenerationBody | None = None
    batch: BatchBody | None = None


class CanceledEvent(_Event):
    """Ended on request."""

    type: Literal["canceled"]
    generation: GenerationBody | None = None
    batch: BatchBody | None = None


AnyEvent = (
    SnapshotEvent
    | LaggedEvent
    | QueuedEvent
    | StartedEvent
    | ProgressEvent
    | PreviewEvent
    | OutputEvent
    | ReadyEvent
    | EnrichedEvent
    | StoredEvent
    | SettledEvent
    | SucceededEvent
    | FailedEvent
    | CanceledEvent
)


class EventBody(RootModel[Annotated[AnyEvent, Field(discriminator="type")]]):
    """The `data` of a server-sent event, and a WebSocket's message."""


class SubscribedMessage(BaseModel):
    """A subscription begins; its snapshot follows."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["subscribed"]
    subscription: str
    id: int = Field(description="The number that its events follow.")


class UnsubscribedMessage(BaseModel):
    """It is over."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["unsubscribed"]
    subscription: str


class ProblemMessage(BaseModel):
    """A message of the client's could not be followed."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["problem"]
    subscription: str | None = None
    problem: ProblemBody


class PulseMessage(BaseModel):
    """A sign of life, and the answer to the client's."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["ping", "pong"]


SocketMessage = EventBody | SubscribedMessage | UnsubscribedMessage | ProblemMessage | PulseMessage
#: The 200 of every route with events, for OpenAPI. FastAPI takes what is no JSON for a text.
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventBody,
        "description": "A stream; `data` of each event is this",
        "content": {"text/event-stream": {"schema": {"type": "object"}}},
    }
}
