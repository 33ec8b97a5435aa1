"""Providers on the simulated Replicate, and the names of its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ferrotype.domain.clock import SystemClock
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.replicate import ReplicateProvider, ReplicateSettings
from ferrotype.sim.replicate import ReplicateSim
from ferrotype.sim.replicate.models import MODELS
from tests.providers.contract.rig import KEY
from tests.providers.contract.rigs.replicate import PACE

TLS = Path(__file__).parents[2] / "sim" / "tls"
BY_MODEL = "POST /v1/models/{owner}/{name}/predictions"
BY_VERSION = "POST /v1/predictions"
GET = "GET /v1/predictions/{id}"
LIST = "GET /v1/predictions"
PORTRAITS = MODELS["acme/portraits"].version


@asynccontextmanager
async def connected(
    sim: ReplicateSim, clock: Any = None, pace: Pace = PACE, **settings: Any
) -> AsyncIterator[ReplicateProvider]:
    """A provider on the simulator, by default one that does not wait for its answers."""
    values = {"token": KEY, "base_url": sim.url, "wait": 0, **settings}
    made = ReplicateProvider(ReplicateSettings(**values), "replicate", clock or SystemClock(), pace)
    try:
        yield made
    finally:
        await made.close()
