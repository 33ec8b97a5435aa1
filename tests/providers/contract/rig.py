"""What the contract suite needs of each provider: a rig, its simulator behind verbs that mean the same.

A rig for a hosted service is a `HostedRig` in `rigs/<kind>.py`, with its simulator, how a provider is made
for it, and what an order looks like. Where its service cannot do something, the rig says so in `lacks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyvips

from ferrotype.config import ConfigError
from ferrotype.domain.ids import new_id
from ferrotype.net.http import Http
from ferrotype.net.settings import NetSettings
from ferrotype.providers.base import (
    AttemptRequest,
    Finished,
    InputImage,
    Output,
    Preview,
    Progress,
    Provider,
    WatchEvent,
)
from ferrotype.sim.hosted import Fault, HostedSim
from ferrotype.sim.options import Failure

KEY = "test-key-5f2c9a"


def png(width: int = 64, height: int = 48, grey: int = 90) -> bytes:
    """A small true picture."""
    return bytes((pyvips.Image.black(width, height, bands=3) + grey).cast("uchar").pngsave_buffer())


def picture(data: bytes | None = None, content_type: str = "image/png") -> InputImage:
    """An input picture of those bytes."""
    body = png() if data is None else data

    async def read() -> bytes:
        return body

    return InputImage(new_id(), content_type, hashlib.sha256(body).hexdigest(), read)


@dataclass
class HostedRig:
    """A provider on its simulator. `route` is the simulator's route that starts work.

    `lacks` names what the service itself cannot do, one of: `url outputs`, `inline outputs`, `refusal`,
    `progress`, `previews`, `seconds`.
    """

    sim: HostedSim
    make: Callable[[], Provider]
    base: AttemptRequest
    route: str
    #: Changes of `base` that make it an edit with one input picture; None where the service has none.
    edit: dict[str, Any] | None = None
    lacks: frozenset[str] = frozenset()
    #: A change of the script or the request that makes outputs come by address, or inline.
    url_outputs: dict[str, Any] = field(default_factory=dict)
    inline_outputs: dict[str, Any] = field(default_factory=dict)

    def order(self, **changes: Any) -> AttemptRequest:
        """An order with an attempt id of its own."""
        return replace(self.base, attempt_id=new_id(), **changes)

    # What happens over there

    def paid(self) -> int:
        """How many calls the service accepted."""
        return self.sim.works.created

    def hold(self, place: str = "run") -> None:
        """Work parks there: `queue`, `run` or `end`."""
        self.sim.script.hold = place  # type: ignore[assignment]

    async def held(self, count: int = 1) -> None:
        """Returns when so much work is parked."""
        await self.sim.works.held(count)

    def release(self) -> None:
        """Lets it go on."""
        self.sim.script.hold = None
        self.sim.works.release()

    def states(self) -> list[str]:
        """The state of each piece of work."""
        return [work.state for work in self.sim.works.items.values()]

    def fault(self, kind: str, message: str = "CUDA out of memory") -> None:
        """The next piece of work ends like that."""
        self.sim.script.faults.append(Fault(kind, message))  # type: ignore[arg-type]

    def refuse(
        self, status: int, *, headers: dict[str, str] | None = None, body: str = "", times: int = 1
    ) -> None:
        """The next submit is answered with that status, and nothing is accepted."""
        self.sim.script.failures.append(Failure(self.route, status, times, body, headers=headers or {}))

    def lose_reply(self) -> None:
        """The next submit is accepted, and its answer never arrives."""
        self.sim.script.failures.append(Failure(self.route, 0, after=True))

    def spoil(self, kind: str, times: int = -1) -> None:
        """Pictures are `truncated`, `text`, `html`, `empty` or `huge`."""
        self.sim.script.picture, self.sim.script.picture_times = kind, times  # type: ignore[assignment]


class RigMaker(Protocol):
    """`rig` of a module in `rigs`: an async context manager."""

    def __call__(self) -> Any: ...


@asynccontextmanager
async def closing(provider: Provider) -> AsyncIterator[Provider]:
    try:
        yield provider
    finally:
        await provider.close()


@dataclass
class Told:
    """Everything that a watch told."""

    events: list[WatchEvent]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def outputs(self) -> list[Output]:
        return self.of(Output)

    @property
    def progress(self) -> list[float]:
        return [event.fraction for event in self.of(Progress)]

    @property
    def previews(self) -> list[Preview]:
        return self.of(Preview)

    @property
    def finished(self) -> Finished:
        assert isinstance(self.events[-1], Finished)
        return self.events[-1]


async def watch(provider: Provider, request: AttemptRequest, request_id: str) -> Told:
    """The whole watch."""
    async with aclosing(provider.watch(request, request_id)) as watching:  # type: ignore[type-var]
        return Told([event async for event in watching])


async def call(provider: Provider, request: AttemptRequest) -> Told:
    """Submit and watch."""
    return await watch(provider, request, await provider.submit(request))


async def bytes_of(provider: Provider, output: Output) -> bytes:
    """An output's bytes, as the server gets them."""
    if output.data is not None:
        return output.data
    assert output.origin is not None
    wanted = provider.fetch_request(output.origin)
    http = Http(NetSettings(allow_private_fetch=["127.0.0.1"]))
    try:
        return await http.read(wanted.url, headers=wanted.headers, trusted=wanted.trusted, tls=wanted.tls)
    finally:
        await http.close()


def texts(value: Iterable[object]) -> str:
    """Everything in one string, to look for keys in."""
    return " ".join(repr(item) for item in value)


__all__ = [
    "KEY",
    "ConfigError",
    "HostedRig",
    "Told",
    "bytes_of",
    "call",
    "closing",
    "picture",
    "png",
    "watch",
]
