"""Cog without webhooks: the request itself is kept open for the result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.cog import CogProvider, CogSettings
from ferrotype.providers.hosted.polling import Pace
from ferrotype.sim.cog import CogScript, CogSim
from tests.providers.contract.rig import KEY, HostedRig, picture

INPUT: Final[dict[str, Any]] = {
    "prompt": "{prompt}",
    "width": "{width}",
    "height": "{height}",
    "seed": "{seed}",
    "num_outputs": "{num_images}",
    "image": "{image}",
}
BASE: Final = AttemptRequest(
    attempt_id=new_id(),
    operation="generate",
    target="painter",
    model="me/painter",
    prompt="a red fox",
    width=64,
    height=48,
    seed=7,
    options={"input": INPUT},
)
#: The first look comes late enough for refusals to be here.
PACE: Final = Pace(first=0.25, cap=0.25, patience=0.4)


def rig_of(sim: CogSim, **changes: Any) -> HostedRig:
    """The rig of that simulator; `changes` are further fields."""
    settings = CogSettings(url=sim.url, token=KEY)
    fields: dict[str, Any] = {
        "make": lambda: CogProvider(settings, SystemClock(), PACE),
        "base": BASE,
        "edit": {"operation": "edit", "images": (picture(),)},
        "url_outputs": {"options": {"input": INPUT | {"deliver": "address"}}},
    }
    return HostedRig(sim=sim, route="PUT /predictions/{id}", **(fields | changes))


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    async with CogSim(CogScript(slots=None, key=KEY)) as sim:
        yield rig_of(sim)
