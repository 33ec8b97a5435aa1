"""RunPod: a handler of one's own with progress; worker-comfyui for outputs inline and in a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.runpod import RunPodProvider, RunPodSettings
from ferrotype.sim.hosted import HostedScript
from ferrotype.sim.runpod import RunPodSim
from tests.providers.contract.rig import KEY, HostedRig, picture

INPUT = {
    "prompt": "{prompt}",
    "seed": "{seed}",
    "width": "{width}",
    "height": "{height}",
    "num_images": "{num_images}",
    "image": "{image}",
}
COMFY = {"workflow": "txt2img", "checkpoint": "sd_xl_base_1.0.safetensors"}


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    """The simulator, and a provider of its account."""
    async with RunPodSim(HostedScript(key=KEY)) as sim:
        settings = RunPodSettings(api_key=KEY, base_url=sim.base_url, endpoint="handler")
        pace = Pace(first=0.01, cap=0.02, patience=0.3)
        yield HostedRig(
            sim=sim,
            make=lambda: RunPodProvider(settings, SystemClock(), pace),
            base=AttemptRequest(
                attempt_id=new_id(),
                operation="generate",
                target="handler",
                prompt="a lighthouse",
                width=64,
                height=48,
                seed=7,
                options={"input": INPUT},
            ),
            route="POST /v2/{endpoint}/run",
            edit={"images": (picture(),)},
            url_outputs={"target": "comfyui-s3", "options": COMFY},
            inline_outputs={"target": "comfyui", "options": COMFY},
        )
