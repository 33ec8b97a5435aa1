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
from typing import Any, Protocol

from ferrotype.domain.asset import Credit, Origin
from ferrotype.domain.problems import Problem


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture that goes to the provider; its bytes are read only when they are sent."""

    asset_id: str
    content_type: str
    sha256: str
    read: Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """Everything that one call asks of a provider, in Ferrotype's words.

    `attempt_id` is a canonical lowercase UUID: providers that accept an id from the client get this
    one. `target` is the provider's own model, version or workflow; `options` come from the deployment.
    `width` and `height` are pixels; `seed` is the first picture's, further ones of the same call count
    on from it; `params` were checked against the model's capabilities and carry its defaults.
    """

    attempt_id: str
    operation: str
    target: str
    prompt: str
    width: int
    height: int
    seed: int
    num_images: int = 1
    negative_prompt: str = ""
    style: str | None = None
    format: str | None = None
    images: tuple[InputImage, ...] = ()
    mask: InputImage | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


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
    provider's own measure of its work."""

    problem: Problem | None = None
    seconds: float | None = None


WatchEvent = Queued | Started | Progress | Preview | Output | Finished


class Lookup(Enum):
    """What a provider answers about a call whose reply we never saw."""

    FOUND = "found"  # it has it: watch it by id
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


class Provider(Protocol):
    """One service that makes pictures."""

    name: str

    async def submit(self, request: AttemptRequest) -> str:
        """Hand the call over; the provider's request id.

        Raises ProviderUnavailable or ProviderBusy when it surely was not accepted, ProviderRejected
        or ProviderRefused when it never will be, OutcomeUnknown when no answer came and it may have
        been accepted (the caller then asks `lookup`).
        """
        ...

    def watch(self, request: AttemptRequest, request_id: str) -> AsyncIterator[WatchEvent]:
        """Follow a submitted call to its end; also after a restart, by id alone.

        Ends with Finished, or raises ProviderFailed, ProviderRefused, ProviderTimeout,
        ProviderInterrupted or AttemptLost. Reconnects by itself. Closing the iterator stops watching
        and not the work.
        """
        ...

    async def lookup(self, request: AttemptRequest) -> Lookup:
        """Whether the provider got the call that carries `request.attempt_id`.

        After FOUND, `attempt_id` is also the request id. Raises ProviderUnavailable when it cannot be
        asked now.
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
