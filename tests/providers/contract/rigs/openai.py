"""The rig for `openai`: a GPT image model, which streams; addresses come from the model of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.openai import OpenAIProvider, OpenAISettings
from ferrotype.sim.hosted import HostedScript
from ferrotype.sim.openai import OPEN, OpenAISim
from tests.providers.contract.rig import KEY, HostedRig, picture


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    async with OpenAISim(HostedScript(key=KEY, picture_side=64, previews=1)) as sim:
        settings = OpenAISettings(api_key=KEY, base_url=f"{sim.url}/v1")
        yield HostedRig(
            sim=sim,
            make=lambda: OpenAIProvider(settings),
            base=AttemptRequest(
                attempt_id=new_id(),
                operation="generate",
                target="gpt-image-2.6-flare",
                model="openai/gpt-image-2.6-flare",
                prompt="a lighthouse",
                width=1024,
                height=640,
                seed=7,
                format="jpeg",
            ),
            route="POST /v1/images/generations",
            edit={"operation": "edit", "images": (picture(),)},
            lacks=frozenset({"seconds"}),
            url_outputs={
                "target": OPEN,
                "options": {"response_format": "url", "send": ["n", "size", "seed"]},
                "width": 256,
                "height": 256,
            },
        )
