"""Orders and a bench for the tests of RunPod."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.runpod import RunPodProvider, RunPodSettings
from ferrotype.sim.hosted import HostedScript, Work
from ferrotype.sim.runpod import RunPodSim
from ferrotype.sim.runpod.workers import Complaint
from tests.providers.contract.rig import KEY, Told, call, closing, png

RUN = "POST /v2/{endpoint}/run"
RUNSYNC = "POST /v2/{endpoint}/runsync"
STATUS = "GET /v2/{endpoint}/status/{id}"
QUICK = Pace(first=0.005, cap=0.01, patience=0.2)
#: Nobody looks a second time unless a bell rings.
DEAF = Pace(first=3_600.0, cap=3_600.0, patience=0.2)

CHECKPOINT = {"checkpoint": "sd_xl_base_1.0.safetensors"}
INPUT = {"prompt": "{prompt}", "seed": "{seed}", "width": "{width}", "height": "{height}", "image": "{image}"}


def order(target: str = "comfyui", **changes: Any) -> AttemptRequest:
    """An order for worker-comfyui unless changed."""
    made = AttemptRequest(
        attempt_id=new_id(),
        operation="generate",
        model="acme/lighthouse",
        target=target,
        prompt="a lighthouse",
        width=64,
        height=48,
        seed=7,
        options={"workflow": "txt2img", **CHECKPOINT},
    )
    return replace(made, **changes)


def handled(**changes: Any) -> AttemptRequest:
    """An order for the simulated handler."""
    return order("handler", **({"options": {"input": INPUT}} | changes))


@asynccontextmanager
async def bench(
    script: HostedScript | None = None, pace: Pace = QUICK, **settings: Any
) -> AsyncIterator[tuple[RunPodSim, RunPodProvider]]:
    async with RunPodSim(script or HostedScript(key=KEY)) as sim:
        made = RunPodSettings(**({"api_key": KEY, "base_url": sim.base_url} | settings))
        async with closing(RunPodProvider(made, SystemClock(), pace)) as provider:
            assert isinstance(provider, RunPodProvider)
            yield sim, provider


@dataclass
class Fixed:
    """A worker whose handler returns the same, whatever was asked."""

    output: Any = None
    error: Any = None
    told: list[Any] = field(default_factory=list)

    def read(self, given: Mapping[str, Any], work: Work) -> None:
        work.count = 0

    def result(self, work: Work, address: Any) -> Any:
        if self.error is not None:
            raise Complaint(self.error)
        return self.output

    def progress(self, work: Work) -> Any:
        return self.told[min(work.step, len(self.told) - 1)] if self.told else None


async def returned(output: Any = None, *, error: Any = None, **changes: Any) -> Told:
    """What is told of a job whose handler returned `output`."""
    async with bench() as (sim, provider):
        sim.endpoints["odd"] = Fixed(output, error)
        return await call(
            provider, order("odd", **({"options": {"input": {"prompt": "{prompt}"}}} | changes))
        )


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PICTURE = b64(png())
