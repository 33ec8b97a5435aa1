"""Replicate behind the contract's verbs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.replicate import ReplicateProvider, ReplicateSettings
from ferrotype.sim.replicate import ReplicateSim
from ferrotype.sim.replicate.models import MODELS
from tests.providers.contract.rig import KEY, HostedRig, picture

#: Inputs as the catalogue sends them to FLUX schnell and dev.
INPUT = {
    "prompt": "{prompt}",
    "seed": "{seed}",
    "aspect_ratio": "{aspect_ratio}",
    "num_outputs": "{num_images}",
    "output_format": "{format}",
    "megapixels": "0.25",
}
EDIT = {"prompt": "{prompt}", "seed": "{seed}", "image": "{image}", "prompt_strength": 0.5}

PACE = Pace(first=0.005, cap=0.02, patience=0.3)


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    """A rig whose submits do not wait for pictures: what is held could not be seen before."""
    async with ReplicateSim() as sim:
        sim.script.key = KEY
        settings = ReplicateSettings(token=KEY, base_url=sim.url, wait=0)
        yield HostedRig(
            sim=sim,
            make=lambda: ReplicateProvider(settings, "replicate", SystemClock(), PACE),
            base=AttemptRequest(
                attempt_id=new_id(),
                operation="generate",
                model="black-forest-labs/flux-schnell",
                target="black-forest-labs/flux-schnell",
                prompt="a fox in the snow",
                width=512,
                height=512,
                seed=7,
                options={"input": INPUT},
            ),
            route="POST /v1/models/{owner}/{name}/predictions",
            edit={
                "operation": "variation",
                "target": "black-forest-labs/flux-dev",
                "images": (picture(),),
                "options": {"input": EDIT},
            },
            inline_outputs={"target": f"acme/inline:{MODELS['acme/inline'].version}"},
        )
