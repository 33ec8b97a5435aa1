"""Keys, addresses, health, settings."""

from __future__ import annotations

import pytest

from ferrotype.config import ConfigError, load
from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import (
    ProviderFailed,
)
from ferrotype.providers.replicate import ReplicateProvider, ReplicateSettings
from ferrotype.sim.replicate import ReplicateSim
from tests.providers.contract.rig import KEY, HostedRig, bytes_of, call
from tests.providers.replicate.support import connected

# Fetching, health, settings


async def test_only_files_of_the_api_are_shown_the_key(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    told = await call(provider, rig.order())
    assert await bytes_of(provider, told.outputs[0])
    assert sim.journal.of("GET /outputs/{work}/{name}")[0].headers["authorization"] == f"Bearer {KEY}"
    for url in (
        "https://replicate.delivery/xezq/abc/out-0.webp",
        f"http://localhost:{sim.port}/outputs/a/0.png",
        f"https://127.0.0.1:{sim.port}/outputs/a/0.png",
        f"http://127.0.0.1:{sim.port}@evil.example.com/x.png",
    ):
        wanted = provider.fetch_request(Origin(provider="replicate", url=url))
        assert (dict(wanted.headers), wanted.trusted) == ({}, False), url
    with pytest.raises(ProviderFailed):
        provider.fetch_request(Origin(provider="other", url="https://replicate.delivery/a.png"))


async def test_health_tells_a_wrong_key_from_a_closed_door(
    sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    assert (await provider.health()).detail == "Replicate account acme"
    sim.script.key = "another"
    assert "refused our key (401)" in (await provider.health()).detail
    await sim.close_door()
    assert "cannot be reached" in (await provider.health()).detail


def test_settings() -> None:
    assert not load(ReplicateSettings, {}).configured
    settings = load(
        ReplicateSettings,
        {
            "REPLICATE_API_TOKEN": "r8_x",
            "REPLICATE_BASE_URL": "https://proxy.example.com/replicate",
            "REPLICATE_WAIT": "0",
            "REPLICATE_CA_FILE": "/etc/ca.pem",
        },
    )
    assert settings.configured
    assert (settings.base_url, settings.wait) == ("https://proxy.example.com/replicate", 0)
    for wait in ("61", "-1", "1.5"):
        with pytest.raises(ConfigError, match="REPLICATE_WAIT"):
            load(ReplicateSettings, {"REPLICATE_WAIT": wait})
    with pytest.raises(ConfigError):
        ReplicateProvider(ReplicateSettings(token="x", base_url="replicate"), "replicate", SystemClock())


async def test_a_base_address_with_the_version_is_understood(rig: HostedRig, sim: ReplicateSim) -> None:
    async with connected(sim, base_url=f"{sim.url}/v1/") as provider:
        assert (await call(provider, rig.order())).outputs
