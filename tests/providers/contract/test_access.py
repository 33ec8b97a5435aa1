"""Contract: keys, health, and whom an address is believed."""

from __future__ import annotations

import logging

import pytest

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import Forbidden, Problem, ProviderMisconfigured, ProviderRejected
from ferrotype.providers.base import Provider
from tests.providers.contract.rig import KEY, Rig, call


async def test_a_wrong_key_is_a_fault_of_configuration(
    rig: Rig, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    rig.needs("service")
    caplog.set_level(logging.DEBUG)
    rig.change_key()
    with pytest.raises(ProviderMisconfigured) as caught:
        await call(provider, rig.order())
    assert provider.name in caught.value.detail.casefold()
    assert KEY not in repr(caught.value.to_json())
    health = await provider.health()
    assert not health.ok
    assert KEY not in health.detail
    assert KEY not in caplog.text
    assert rig.paid() == 0


async def test_a_key_in_a_service_s_own_words_is_cut_out(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    rig.refuse(400, headers={"Content-Type": "application/json"}, body=f'{{"detail": "bad token {KEY}"}}')
    with pytest.raises((ProviderRejected, ProviderMisconfigured)) as caught:
        await provider.submit(rig.order())
    assert KEY not in caught.value.detail


async def test_health_costs_nothing(rig: Rig, provider: Provider) -> None:
    assert (await provider.health()).ok
    assert rig.paid() == 0


async def test_health_tells_that_the_service_is_out_of_reach(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    await rig.close_door()
    assert not (await provider.health()).ok


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/x.png", "file:///etc/passwd"]
)
async def test_foreign_origins_are_not_fetched_with_our_key(rig: Rig, provider: Provider, url: str) -> None:
    try:
        wanted = provider.fetch_request(Origin(provider=provider.name, url=url))
    except (Problem, Forbidden):
        return
    assert not wanted.trusted
    assert KEY not in repr(dict(wanted.headers))
