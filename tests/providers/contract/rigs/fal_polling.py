"""fal without its stream of states, which it calls experimental: its queue is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferrotype.sim.fal import FalScript, FalSim
from tests.providers.contract.rig import KEY, HostedRig
from tests.providers.contract.rigs.fal import rig_of


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    async with FalSim(FalScript(key=KEY, streams=False)) as sim:
        yield rig_of(sim)
