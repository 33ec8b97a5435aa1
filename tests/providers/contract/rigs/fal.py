"""fal, followed by its stream of states."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.fal import FalProvider, FalSettings
from ferrotype.providers.hosted.polling import Pace
from ferrotype.sim.fal import FalScript, FalSim
from tests.providers.contract.rig import KEY, HostedRig, picture

SIZE: Final = {"width": "{width}", "height": "{height}"}
INPUT: Final[dict[str, Any]] = {
    "prompt": "{prompt}",
    "image_size": SIZE,
    "seed": "{seed}",
    "num_images": "{num_images}",
    "num_inference_steps": "{params.steps}",
    "output_format": "png",
}
EDIT: Final[dict[str, Any]] = {
    "operation": "edit",
    "target": "fal-ai/flux/dev/image-to-image",
    "options": {
        "input": {name: value for name, value in INPUT.items() if name != "image_size"}
        | {"image_url": "{image}", "strength": 0.8, "num_inference_steps": 10}
    },
}
BASE: Final = AttemptRequest(
    attempt_id=new_id(),
    operation="generate",
    target="fal-ai/flux/schnell",
    model="flux/schnell",
    prompt="a red fox",
    width=64,
    height=48,
    seed=7,
    params={"steps": 4},
    options={"input": INPUT},
)
PACE: Final = Pace(first=0.01, cap=0.02, patience=0.4)


def rig_of(sim: FalSim, **settings: Any) -> HostedRig:
    """The rig of that simulator; `settings` are further ones of the provider."""
    known = FalSettings(api_key=KEY, base_url=sim.url, rest_url=sim.rest_url, **settings)
    return HostedRig(
        sim=sim,
        make=lambda: FalProvider(known, SystemClock(), PACE),
        base=BASE,
        route="POST /{endpoint}",
        edit=EDIT | {"images": (picture(),)},
        inline_outputs={"options": {"input": INPUT | {"sync_mode": True}}},
    )


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    async with FalSim(FalScript(key=KEY)) as sim:
        yield rig_of(sim)
