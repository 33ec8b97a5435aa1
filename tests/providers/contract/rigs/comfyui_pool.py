"""Two ComfyUI servers as one provider. Whatever happens, happens to both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ferrotype.providers.comfyui import ComfyUIPool
from ferrotype.sim.comfyui import ComfySim
from tests.providers.contract.rigs.comfyui import ComfyRig, rig_of, script


@asynccontextmanager
async def rig() -> AsyncIterator[ComfyRig]:
    async with (
        ComfySim(script()) as first,
        ComfySim(script()) as second,
        rig_of([first, second], ComfyUIPool) as made,
    ):
        yield made
