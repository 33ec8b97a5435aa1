"""One call under way: its events as they come, its time, and how it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ferrotype.domain.generation import Attempt
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderInterrupted,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.domain.states import AttemptState
from ferrotype.engine.base import Lease
from ferrotype.providers.base import AttemptRequest, Finished, Output, Queued, Started, Traits, WatchEvent
from ferrotype.services import call as module
from ferrotype.services.call import Call, Stopped, batches, submit

#: Seconds: too long for any test, and as good as none.
LONG, SHORT = 60.0, 0.05
PICTURE = Output(0, data=b"a picture")
STOP = ProviderInterrupted("It was stopped.")

Script = Callable[["Scripted"], AsyncIterator[WatchEvent]]


class Scripted:
    """A provider that watches as its script says. `told` is set once it was told to stop."""

    name = "scripted"

    def __init__(self, script: Script, traits: Traits | None = None, unreachable: int = 0) -> None:
        self.traits = traits or Traits(cancel="yes")
        self.told = asyncio.Event()
        self.given_up = False
        self._script = script
        self._unreachable = unreachable

    async def submit(self, request: AttemptRequest) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up = True
        raise AssertionError

    def watch(self, request: AttemptRequest, request_id: str) -> AsyncIterator[WatchEvent]:
        return self._script(self)

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        if self._unreachable:
            self._unreachable -= 1
            raise ProviderUnavailable("It cannot be reached.")
        self.told.set()


def call_of(provider: Scripted, timeout: float = LONG) -> Call:
    now = datetime.now(UTC)
    request = AttemptRequest(new_id(), "generate", "t", "a fox", 64, 64, 1, timeout=timeout)
    attempt = Attempt(request.attempt_id, "j", "g", "scripted", "t", AttemptState.SUBMITTED, "r", now)
    lease = Lease("j", "generate", "light", "a", "g", {}, 1, 1, now)
    nothing = cast(Any, None)
    return Call(lease, nothing, nothing, nothing, cast(Any, provider), attempt, request)


async def follow(call: Call, grace: float = LONG, queue: float = LONG) -> list[WatchEvent]:
    async with aclosing(batches(call, grace, queue)) as events:
        return [event async for batch in events for event in batch]


async def stops(provider: Scripted) -> AsyncIterator[WatchEvent]:
    yield Started()
    await provider.told.wait()
    raise STOP


async def waits(provider: Scripted) -> AsyncIterator[WatchEvent]:
    yield Queued(2)
    await provider.told.wait()
    raise STOP


async def ends_all_the_same(provider: Scripted) -> AsyncIterator[WatchEvent]:
    yield Started()
    await provider.told.wait()
    yield PICTURE
    yield Finished()


async def hangs(provider: Scripted) -> AsyncIterator[WatchEvent]:
    yield Started()
    await asyncio.Event().wait()


async def test_a_call_that_takes_too_long_is_stopped() -> None:
    provider = Scripted(stops)
    with pytest.raises(ProviderTimeout, match=r"not done within 0\.05 s"):
        await follow(call_of(provider, SHORT))
    assert provider.told.is_set()


async def test_where_only_the_connection_was_closed_nobody_knows_what_came_of_it() -> None:
    with pytest.raises(OutcomeUnknown, match="connection was closed"):
        await follow(call_of(Scripted(stops, Traits(cancel="connection")), SHORT))


async def test_what_waits_there_has_the_time_of_those_that_wait() -> None:
    with pytest.raises(ProviderTimeout):
        await follow(call_of(Scripted(waits)), queue=SHORT)


async def test_waiting_does_not_count_as_working() -> None:
    """Its time begins when it does."""

    async def script(provider: Scripted) -> AsyncIterator[WatchEvent]:
        yield Queued(1)
        await asyncio.wait((asyncio.ensure_future(provider.told.wait()),), timeout=2 * SHORT)
        yield Started()
        yield PICTURE
        yield Finished()

    provider = Scripted(script)
    assert PICTURE in await follow(call_of(provider, SHORT))
    assert not provider.told.is_set()


async def test_a_picture_that_comes_after_the_time_is_taken() -> None:
    provider = Scripted(ends_all_the_same)
    events = await follow(call_of(provider, SHORT))
    assert provider.told.is_set()
    assert events[1:] == [PICTURE, Finished()]


async def test_one_that_does_not_stop_is_given_up() -> None:
    with pytest.raises(ProviderTimeout):
        await follow(call_of(Scripted(hangs), SHORT), grace=SHORT)


async def test_one_that_cannot_be_told_is_of_unknown_outcome() -> None:
    with pytest.raises(OutcomeUnknown, match="could not be told"):
        await follow(call_of(Scripted(hangs, unreachable=1_000), SHORT), grace=SHORT)


async def test_it_is_told_again_until_it_could_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TELL_AGAIN", 0.0)
    provider = Scripted(stops, unreachable=5)
    with pytest.raises(ProviderTimeout):
        await follow(call_of(provider, SHORT))
    assert provider.told.is_set()


async def test_a_canceled_call_is_interrupted_and_not_late() -> None:
    call = call_of(Scripted(stops))
    call.lease.canceled.set()
    with pytest.raises(ProviderInterrupted):
        await follow(call)


async def test_what_is_there_together_comes_together() -> None:
    async def script(provider: Scripted) -> AsyncIterator[WatchEvent]:
        yield Started()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        yield PICTURE
        yield Finished()

    async with aclosing(batches(call_of(Scripted(script)), LONG, LONG)) as events:
        assert [batch async for batch in events] == [[Started()], [PICTURE, Finished()]]


async def test_an_inline_call_that_is_not_answered_is_broken_off() -> None:
    provider = Scripted(hangs, Traits(cancel="connection", inline=True))
    with pytest.raises(OutcomeUnknown, match="connection was closed"):
        await submit(call_of(provider, SHORT))
    assert provider.given_up


async def test_an_inline_call_whose_end_is_asked_for_is_broken_off() -> None:
    provider = Scripted(hangs, Traits(cancel="connection", inline=True))
    call = call_of(provider)
    call.lease.canceled.set()
    with pytest.raises(Stopped):
        await submit(call)
    assert provider.given_up
