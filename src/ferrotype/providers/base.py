"""The port to whatever makes pictures: one `Provider` per external or local service.

The life of an attempt::

    submit(request)  ->  request id, kept in the attempt row before anything else happens
    watch(request, request_id)  ->  Queued | Started | Progress | Preview | Output ... Finished
    lookup(request)  after a crash between the two: did the provider get it?

A provider raises only ProviderProblem subclasses; every foreign exception stops here.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol, runtime_checkable

from ferrotype.domain.asset import Credit, Origin
from ferrotype.domain.problems import Problem


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture that goes to the provider; its bytes are read only when they are sent.

    `content_type` is that of the bytes. `sha256` is a name for them: their hash, or where they are a copy
    that was made to fit the model, a hash of the original's and of what was made of it. `notes` are those
    of the attempt that made it, if one did (`Finished.notes`).
    """

    asset_id: str
    content_type: str
    sha256: str
    read: Callable[[], Awaitable[bytes]]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """Everything that one call asks of a provider, in Ferrotype's words.

    `model` is the catalogue's name, for details of problems.
    `attempt_id` is a canonical lowercase UUID: providers that accept an id from the client get this
    one. `target` is the provider's own model, version or workflow; `options` come from the deployment.
    `width` and `height` are pixels, `aspect_ratio` the catalogue's name of the nearest shape;
    `size_from_input` says that nobody named a size, so that these are the first input picture's; `seed` is
    the first picture's, further ones of the same call count on from it; `params` were
    checked against the model's capabilities and carry its defaults.
    `webhook_url` is where the provider may tell of changes (only a Hooked one is given it). `timeout` is in
    seconds, after which a call that still runs there is of no use to anybody: a provider tells its service so
    where it can, and whoever watches has the call stopped in any case.
    """

    attempt_id: str
    operation: str
    target: str
    prompt: str
    width: int
    height: int
    seed: int
    num_images: int = 1
    model: str = ""
    negative_prompt: str = ""
    style: str | None = None
    aspect_ratio: str = "1:1"
    format: str | None = None
    images: tuple[InputImage, ...] = ()
    mask: InputImage | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    timeout: float = 600.0
    size_from_input: bool = False


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits at the provider; `position` counts from 1, None when the provider does not tell."""

    position: int | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The provider works on it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`fraction` of the whole attempt, 0 to 1, never falling."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Preview:
    """An unfinished picture, small enough to be sent to everybody who watches."""

    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Output:
    """A finished picture: either `origin` (its bytes are fetched later) or `data` is given.

    `index` counts from 0 within the attempt. Sizes are told only where the provider states them.
    """

    index: int
    origin: Origin | None = None
    data: bytes | None = None
    content_type: str | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    credit: Credit | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. `problem` says what is missing although some pictures exist; `seconds` is the
    provider's own measure of its work, `usd` what it says that it charged for all of it. `notes` are facts
    that later orders need, kept with the attempt (Gemini's thought signatures)."""

    problem: Problem | None = None
    seconds: float | None = None
    usd: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


WatchEvent = Queued | Started | Progress | Preview | Output | Finished


@dataclass(frozen=True, slots=True)
class Found:
    """The provider has the call: it is watched by this id."""

    request_id: str


class Lookup(Enum):
    """What else a provider answers about a call whose reply we never saw."""

    ABSENT = "absent"  # it surely never accepted it, or forgot it at no cost: it may be submitted again
    UNKNOWN = "unknown"  # it cannot tell: never submit again


@dataclass(frozen=True, slots=True)
class Health:
    """A provider's answer to "are you there"; `detail` is for people."""

    ok: bool
    detail: str = ""
    queue_length: int | None = None


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """How an origin's bytes are fetched. `trusted` hosts were named by the operator and may be on a
    private network; any other address goes through the guard against request forgery. `tls` holds the
    certificate authorities to believe where they are not the system's."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Traits:
    """What a provider can do beyond making pictures; the table in docs/PROVIDERS.md is made from it.

    `cancel`: `yes` stops the work, `queued` only what waits, `connection` closes the connection and the
    service may work and charge on. `reattach`: a call is followed by its id after a restart. `lookup`: it can
    be asked about a call whose answer was lost. `idempotent`: the same call submitted twice runs once.
    `inline`: `submit` is answered only by the work itself, so there is nothing to follow by id.
    """

    progress: bool = False
    previews: bool = False
    cancel: Literal["yes", "queued", "connection", "no"] = "no"
    reattach: bool = False
    lookup: bool = False
    idempotent: bool = False
    webhooks: bool = False
    inline: bool = False


class Provider(Protocol):
    """One connection to a service that makes pictures. `name` is the connection's: `replicate`, or the one
    that the operator gave it."""

    name: str

    @property
    def traits(self) -> Traits:
        """What it can do; a constant of the class."""
        ...

    async def submit(self, request: AttemptRequest) -> str:
        """Hand the call over; the provider's request id.

        Raises ProviderUnavailable or ProviderBusy when it surely was not accepted, ProviderMisconfigured
        when it will not be with our settings, ProviderRejected or ProviderRefused when it never will be,
        OutcomeUnknown when no answer came and it may have been accepted (the caller then asks `lookup`).
        An `inline` provider answers when the head of the reply is here, and gives `attempt_id`; cancelling
        this call closes the connection.
        """
        ...

    def watch(self, request: AttemptRequest, request_id: str) -> AsyncIterator[WatchEvent]:
        """Follow a submitted call to its end; also after a restart, by id alone.

        Ends with Finished, or raises ProviderFailed, ProviderRejected, ProviderRefused, ProviderTimeout,
        ProviderInterrupted, AttemptLost (the provider forgot it and charges nothing) or OutcomeUnknown (an
        inline call of another process, say). ProviderUnavailable and ProviderBusy: it cannot be asked for
        long now; the caller comes back with the same id. Reconnects by itself before that. Closing the
        iterator stops watching and not the work, except for an inline call.
        """
        ...

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """Whether the provider got the call that carries `request.attempt_id`.

        Raises ProviderUnavailable when it cannot be asked now.
        """
        ...

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """Stop exactly this call, queued or running. Unknown or ended calls are no error."""
        ...

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """How to fetch one of this provider's outputs, credentials included."""
        ...

    async def health(self) -> Health:
        """Whether the service answers; never raises."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@runtime_checkable
class Hooked(Protocol):
    """A provider that tells of changes by webhook, at `AttemptRequest.webhook_url`."""

    async def hook(self, attempt_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take a webhook about that attempt; `headers` have lower-case names.

        Wakes the watch, which may use the body only where its signature was checked. Raises Unauthorized
        when a signature is due and wrong. An attempt that nobody watches is no error.
        """
        ...
