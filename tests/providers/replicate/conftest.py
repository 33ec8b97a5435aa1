"""A rig, its simulator, and a provider on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ferrotype.providers.replicate import ReplicateProvider
from ferrotype.sim.replicate import ReplicateSim
from tests.providers.contract.rig import HostedRig
from tests.providers.contract.rigs.replicate import rig as make_rig
from tests.providers.replicate.support import connected


@pytest.fixture
async def rig() -> AsyncIterator[HostedRig]:
    async with make_rig() as made:
        yield made


@pytest.fixture
def sim(rig: HostedRig) -> ReplicateSim:
    assert isinstance(rig.sim, ReplicateSim)
    return rig.sim


@pytest.fixture
async def provider(sim: ReplicateSim) -> AsyncIterator[ReplicateProvider]:
    async with connected(sim) as made:
        yield made
