"""Contract: what is known of a call before it is watched, and what was surely not accepted."""

from __future__ import annotations

import pytest

from ferrotype.domain.problems import OutcomeUnknown, ProviderBusy, ProviderFailed, ProviderUnavailable
from ferrotype.providers.base import Found, Lookup, Provider
from tests.providers.contract.rig import Rig, call, parked, watch


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_service_surely_did_nothing(rig: Rig, provider: Provider, status: int) -> None:
    rig.needs("service")
    rig.refuse(status, headers={"Retry-After": "7"})
    with pytest.raises(ProviderBusy) as caught:
        await provider.submit(rig.order())
    assert caught.value.retry_after == 7
    assert rig.paid() == 0
    assert (await call(provider, rig.order())).outputs


async def test_no_connection_is_surely_nothing(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    await rig.close_door()
    with pytest.raises(ProviderUnavailable):
        await provider.submit(rig.order())
    await rig.open_door()
    assert rig.paid() == 0


async def test_a_lost_answer_is_looked_up(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    rig.lose_reply()
    request = rig.order()
    with pytest.raises(OutcomeUnknown):
        await provider.submit(request)
    assert rig.paid() == 1
    found = await provider.lookup(request)
    if not provider.traits.lookup:
        assert found is Lookup.UNKNOWN
        return
    assert isinstance(found, Found)
    assert (await watch(provider, request, found.request_id)).outputs
    assert rig.paid() == 1


async def test_a_call_that_was_never_made_is_not_found(rig: Rig, provider: Provider) -> None:
    found = await provider.lookup(rig.order())
    assert found in ((Lookup.ABSENT, Lookup.UNKNOWN) if provider.traits.lookup else (Lookup.UNKNOWN,))


async def test_the_same_call_twice_runs_once_where_that_is_promised(rig: Rig, provider: Provider) -> None:
    if not provider.traits.idempotent:
        pytest.skip("it does not promise that")
    async with parked(rig, provider) as held:
        again = await provider.submit(held.request)
        rig.release()
        assert again == held.request_id
        assert (await held.watching).outputs
    assert rig.paid() == 1


async def test_a_failing_gateway_leaves_the_outcome_open(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    rig.refuse(502, body="<html><body><h1>502 Bad Gateway</h1></body></html>")
    with pytest.raises((OutcomeUnknown, ProviderUnavailable)) as caught:
        await provider.submit(rig.order())
    if isinstance(caught.value, ProviderUnavailable):
        assert provider.traits.idempotent  # only then may it simply be made again
    assert "<" not in caught.value.detail


async def test_a_malformed_answer_leaves_the_outcome_open(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    rig.garble("submit")
    try:
        told = await call(provider, rig.order())
    except (OutcomeUnknown, ProviderFailed):
        assert rig.paid() == 1
        return
    except ProviderUnavailable:
        assert provider.traits.idempotent
        return
    assert told.outputs  # it asked again by id
    assert rig.paid() == 1
