"""Contract: how calls end that do not end well, and how they are stopped."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from ferrotype.domain.generation import Attempt
from ferrotype.domain.problems import (
    OutcomeUnknown,
    Problem,
    ProviderFailed,
    ProviderInterrupted,
    ProviderRefused,
    ProviderTimeout,
)
from ferrotype.domain.states import AttemptState
from ferrotype.engine.base import Lease
from ferrotype.providers.base import AttemptRequest, Provider
from ferrotype.services.call import Call, batches, submit
from tests.providers.contract.rig import Place, Rig, call, parked, watch

#: Seconds that a call may take which is to take too long, and that a provider has to stop it.
SHORT: Final = 0.2
GRACE: Final = 30.0


async def refusal(provider: Provider, rig: Rig) -> Problem:
    """The problem that an order ends with, from submit, from watch, or told at the end."""
    try:
        told = await call(provider, rig.order())
    except Problem as problem:
        return problem
    assert told.finished.problem is not None
    assert not told.outputs
    return told.finished.problem


async def test_a_failure_says_why(rig: Rig, provider: Provider) -> None:
    rig.fault("error", "CUDA out of memory at layer 7")
    problem = await refusal(provider, rig)
    assert isinstance(problem, ProviderFailed)
    assert "CUDA out of memory" in problem.detail
    assert rig.paid() == 1


async def test_a_refusal_is_a_refusal(rig: Rig, provider: Provider) -> None:
    rig.needs("refusal")
    rig.fault("refusal", "The prompt was flagged as sensitive")
    assert isinstance(await refusal(provider, rig), ProviderRefused)


async def test_html_of_a_failure_never_reaches_the_caller(rig: Rig, provider: Provider) -> None:
    rig.fault("error", "<html><script>alert(1)</script><body>Internal</body></html>")
    problem = await refusal(provider, rig)
    assert "<" not in problem.detail


async def test_a_long_text_is_trimmed(rig: Rig, provider: Provider) -> None:
    rig.fault("error", "boom " * 5_000)
    problem = await refusal(provider, rig)
    assert len(problem.detail) < 600


async def test_a_call_stopped_over_there(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    rig.fault("canceled", "stopped by its operator")
    problem = await refusal(provider, rig)
    assert isinstance(problem, ProviderInterrupted | ProviderFailed | ProviderTimeout)


# Canceling


@pytest.mark.parametrize("place", ["queue", "run", "end"])
async def test_cancel(rig: Rig, provider: Provider, place: Place) -> None:
    if provider.traits.cancel == "no" or (provider.traits.cancel == "queued" and place != "queue"):
        pytest.skip("the service cannot be told")
    if place in rig.unanswered:
        await cancel_unanswered(rig, provider, place)
        return
    async with parked(rig, provider, place) as held:
        await provider.cancel(held.request, held.request_id)
        try:
            told = await held.watching
        except (ProviderInterrupted, ProviderFailed):
            pass
        else:
            assert not told.outputs
        rig.release()
    if provider.traits.cancel == "yes":
        assert set(rig.states()) <= {"canceled"}
    assert rig.paid() == 1


async def cancel_unanswered(rig: Rig, provider: Provider, place: Place) -> None:
    """A call without an id is stopped by giving up its submit."""
    rig.hold(place)
    submitting = asyncio.create_task(provider.submit(rig.order()))
    await rig.held()
    assert not submitting.done()
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    rig.release()


async def test_cancel_of_an_ended_or_unknown_call_is_no_error(rig: Rig, provider: Provider) -> None:
    request = rig.order()
    request_id = await provider.submit(request)
    await watch(provider, request, request_id)
    await provider.cancel(request, request_id)
    other = rig.order()
    await provider.cancel(other, other.attempt_id)


# Time-out


@pytest.mark.parametrize("place", ["queue", "run", "end"])
async def test_a_call_that_hangs_is_stopped_when_its_time_is_over(
    rig: Rig, provider: Provider, place: Place
) -> None:
    """As the server follows calls: that holds for every provider, whether or not it minds the time itself."""
    stops = provider.traits.cancel not in ("no", "queued") or place == "queue"
    rig.hold(place)
    with pytest.raises((ProviderTimeout, OutcomeUnknown)) as caught:
        await followed(provider, rig.order(timeout=SHORT), GRACE if stops else SHORT)
    # Where only a connection can be closed, nobody knows what came of it.
    closed = provider.traits.cancel == "connection"
    assert isinstance(caught.value, OutcomeUnknown if closed else ProviderTimeout)
    rig.release()
    if provider.traits.cancel == "yes":
        assert set(rig.states()) <= {"canceled"}
    assert rig.paid() <= 1


async def followed(provider: Provider, request: AttemptRequest, grace: float) -> None:
    """Submit and watch like `services.run`, with little time for what waits over there."""
    now = datetime.now(UTC)
    nothing = cast(Any, None)
    attempt = Attempt(request.attempt_id, "", "", provider.name, "", AttemptState.SUBMITTING, None, now)
    lease = Lease("", "generate", "light", "", None, {}, 1, 1, now)
    under_way = Call(lease, nothing, nothing, nothing, provider, attempt, request)
    under_way.attempt = replace(attempt, request_id=await submit(under_way))
    async with aclosing(batches(under_way, grace, SHORT)) as events:
        async for _ in events:
            pass
