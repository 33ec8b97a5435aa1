"""What the contract suite needs of each provider: a rig, whatever makes its pictures behind verbs that mean
the same for all.

A rig is a `Rig` in `rigs/<kind>.py` (`<kind>_<variant>.py` for a further one), yielded by its `rig()`. For a
hosted service it is a `HostedRig`: its simulator, how a provider is made for it, and what an order looks
like. What there truly is not stands in `lacks`, and only that is skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol
from unittest import mock

import pytest
import pyvips

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
#: Bytes of a huge output: more than `LONGEST`, which a provider reads then.
HUGE: Final = 4_000_000
LONGEST: Final = 2_000_000
#: What a rig may lack, and why that is.
LACKS: Final = {
    "service": "it works in our own process: there is no service to reach, to refuse or to break",
    "url outputs": "its pictures have no addresses",
    "foreign outputs": "its outputs name no host",
    "edits": "the extra that takes pictures is not installed",
    "refusal": "it has no content policy",
    "seconds": "it does not tell how long it worked",
}

Place = Literal["queue", "run", "end"]


def png(width: int = 64, height: int = 48, grey: int = 90) -> bytes:
    """A small true picture."""
    return bytes((pyvips.Image.black(width, height, bands=3) + grey).cast("uchar").pngsave_buffer())


def picture(data: bytes | None = None, content_type: str = "image/png") -> InputImage:
    """An input picture of those bytes."""
    body = png() if data is None else data

    async def read() -> bytes:
        return body

    return InputImage(new_id(), content_type, hashlib.sha256(body).hexdigest(), read)


class Rig(Protocol):
    """A provider, and what happens where its pictures are made. Verbs of what it lacks need not be there."""

    make: Callable[[], Provider]
    #: Changes of an order that make its outputs come by address, or inline.
    url_outputs: dict[str, Any]
    inline_outputs: dict[str, Any]
    #: Changes that make it an edit with one input picture.
    edit: dict[str, Any]
    #: Where a call parks whose submit is not answered before it goes on.
    unanswered: frozenset[Place]

    def needs(self, *words: str) -> None:
        """Skips the test where one of these is lacking."""
        ...

    def order(self, **changes: Any) -> AttemptRequest:
        """An order with an attempt id of its own."""
        ...

    # The work

    def paid(self) -> int:
        """How many calls were accepted."""
        ...

    def states(self) -> list[str]:
        """The state of each of them: queued, running, succeeded, failed or canceled."""
        ...

    def hold(self, place: Place = "run") -> None:
        """Work parks there: before it starts, after its first step, or before its last."""
        ...

    async def held(self) -> None:
        """Returns when a call is parked."""
        ...

    def release(self) -> None:
        """Lets everything go on."""
        ...

    def inputs(self) -> list[bytes]:
        """The input pictures that arrived."""
        ...

    # How it ends

    def fault(self, kind: str, message: str = "CUDA out of memory") -> None:
        """The next call ends with `error`, `refusal`, `canceled` (somebody else stopped it) or `empty`
        (success without a picture)."""
        ...

    def spoil(self, kind: str) -> None:
        """Pictures are `truncated`, `text`, `html`, `empty` or `huge`."""
        ...

    def oversized(self) -> AbstractContextManager[AttemptRequest]:
        """An order whose inline output is more than a provider reads in the block."""
        ...

    def deliver_elsewhere(self) -> None:
        """Output addresses are at a foreign host."""
        ...

    def expire(self) -> None:
        """Output addresses lead to nothing any more."""
        ...

    # What is answered

    def refuse(self, status: int, *, headers: dict[str, str] | None = None, body: str = "") -> None:
        """The next submit is answered with that status, and nothing is accepted."""
        ...

    def lose_reply(self) -> None:
        """The next submit is accepted, and its answer never arrives."""
        ...

    def garble(self, what: Literal["submit", "watch"]) -> None:
        """The next answer to a submit, or to a question while watching, breaks off in the middle."""
        ...

    def limit_rate(self, seconds: float) -> None:
        """From now on every answer is a 429 that asks for so many seconds."""
        ...

    def lift_limit(self) -> None:
        """No longer."""
        ...

    def turned_away(self) -> int:
        """How many requests were answered with a 429."""
        ...

    def change_key(self) -> None:
        """Another key is the right one from now on."""
        ...

    async def close_door(self) -> None:
        """Connections break and new ones are refused. Work goes on."""
        ...

    async def open_door(self) -> None:
        """It can be reached again."""
        ...

    async def outlast(self, watching: asyncio.Task[Any]) -> None:
        """Lets time pass until that watch has lost its patience."""
        ...


@dataclass(kw_only=True)
class Orders:
    """What every rig knows of its orders. `base` is one of them."""

    make: Callable[[], Provider]
    base: AttemptRequest
    edit: dict[str, Any] = field(default_factory=dict)
    url_outputs: dict[str, Any] = field(default_factory=dict)
    inline_outputs: dict[str, Any] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    unanswered: frozenset[Place] = frozenset()

    def __post_init__(self) -> None:
        assert self.lacks <= LACKS.keys()

    def needs(self, *words: str) -> None:
        for word in words:
            assert word in LACKS
            if word in self.lacks:
                pytest.skip(LACKS[word])

    def order(self, **changes: Any) -> AttemptRequest:
        return replace(self.base, attempt_id=new_id(), **changes)


@dataclass(kw_only=True)
class HostedRig(Orders):
    """A provider on its simulator. `route` is the simulator's route that starts work."""

    sim: HostedSim
    route: str

    def paid(self) -> int:
        return self.sim.works.created

    def states(self) -> list[str]:
        return [work.state for work in self.sim.works.items.values()]

    def hold(self, place: Place = "run") -> None:
        self.sim.script.hold = place

    async def held(self) -> None:
        await self.sim.works.held()

    def release(self) -> None:
        self.sim.release()

    def inputs(self) -> list[bytes]:
        return [work.source for work in self.sim.works.items.values() if work.source is not None]

    def fault(self, kind: str, message: str = "CUDA out of memory") -> None:
        self.sim.script.faults.append(Fault(kind, message))  # type: ignore[arg-type]

    def spoil(self, kind: str) -> None:
        self.sim.script.picture, self.sim.script.huge_bytes = kind, HUGE  # type: ignore[assignment]

    @contextmanager
    def oversized(self) -> Iterator[AttemptRequest]:
        self.spoil("huge")
        with mock.patch("ferrotype.providers.hosted.api.MAX_REPLY", LONGEST):
            yield self.order(**self.inline_outputs)

    def deliver_elsewhere(self) -> None:
        self.sim.script.output_host = "http://pictures.example.com"

    def expire(self) -> None:
        self.sim.script.gone = True

    def refuse(self, status: int, *, headers: dict[str, str] | None = None, body: str = "") -> None:
        self._fail(Failure(self.route, status, body=body, headers=headers or {}))

    def lose_reply(self) -> None:
        self._fail(Failure(self.route, 0, after=True))

    def garble(self, what: Literal["submit", "watch"]) -> None:
        self.sim.script.malformed = 1

    def limit_rate(self, seconds: float) -> None:
        self._fail(Failure("*", 429, times=-1, headers={"Retry-After": f"{seconds:g}"}))

    def lift_limit(self) -> None:
        self.sim.script.failures.pop()

    def turned_away(self) -> int:
        return sum(entry.status == 429 for entry in self.sim.journal.entries)

    def change_key(self) -> None:
        self.sim.script.key = "another-key"

    async def close_door(self) -> None:
        await self.sim.close_door()

    async def open_door(self) -> None:
        await self.sim.open_door()

    async def outlast(self, watching: asyncio.Task[Any]) -> None:
        await asyncio.wait((watching,))  # rigs make their providers impatient

    def _fail(self, failure: Failure) -> None:
        self.sim.script.failures.append(failure)


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


async def bytes_of(provider: Provider, output: Output, max_bytes: int | None = None) -> bytes:
    """An output's bytes, as the server gets them."""
    if output.data is not None:
        return output.data
    assert output.origin is not None
    wanted = provider.fetch_request(output.origin)
    http = Http(NetSettings(allow_private_fetch=["127.0.0.1"]))
    try:
        return await http.read(
            wanted.url, headers=wanted.headers, trusted=wanted.trusted, tls=wanted.tls, max_bytes=max_bytes
        )
    finally:
        await http.close()


@dataclass
class Watched:
    """A call that somebody watches."""

    request: AttemptRequest
    request_id: str
    watching: asyncio.Task[Told]


@asynccontextmanager
async def parked(rig: Rig, provider: Provider, place: Place = "run") -> AsyncIterator[Watched]:
    """A call that is watched, and parked there; its watch ends with the block."""
    rig.hold(place)
    request = rig.order()
    request_id = await provider.submit(request)
    watching = asyncio.create_task(watch(provider, request, request_id))
    try:
        await rig.held()
        yield Watched(request, request_id, watching)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
