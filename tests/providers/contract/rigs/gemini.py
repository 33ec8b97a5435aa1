"""Gemini: one answer that is the work itself, streamed, with the picture inline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.gemini import GeminiProvider, GeminiSettings
from ferrotype.sim.gemini import GeminiScript, GeminiSim
from tests.providers.contract.rig import KEY, HostedRig, picture


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    """The simulator, and a provider of its account."""
    async with GeminiSim(GeminiScript(key=KEY, picture_side=64)) as sim:
        settings = GeminiSettings(api_key=KEY, base_url=sim.url)
        yield HostedRig(
            sim=sim,
            make=lambda: GeminiProvider(settings),
            base=AttemptRequest(
                attempt_id=new_id(),
                operation="generate",
                model="google/gemini-3.1-flash-image",
                target="gemini-3.1-flash-image",
                prompt="a lighthouse",
                width=512,
                height=512,
                seed=7,
                options={"resolutions": ["512", "1K"]},
            ),
            route="POST /{version}/models/{model}:streamGenerateContent",
            edit={"operation": "edit", "images": (picture(),)},
            lacks=frozenset({"url outputs", "seconds"}),
            unanswered=frozenset({"queue"}),
        )
