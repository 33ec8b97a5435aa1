"""fal with webhooks and without its stream of states: whatever process of ours is there is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from aiohttp import web

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import Unauthorized
from ferrotype.providers.base import AttemptRequest, Provider
from ferrotype.providers.fal import FalProvider, FalSettings
from ferrotype.providers.hosted.polling import Pace
from ferrotype.sim.fal import FalScript, FalSim
from tests.providers.contract.rig import KEY, HostedRig
from tests.providers.contract.rigs.fal import rig_of

#: Asking would find the end late.
PACE = Pace(first=0.2, cap=0.2, patience=0.5)


@dataclass
class HookedRig(HostedRig):
    """Each order has an address for its own webhooks."""

    hooks: str = ""

    def order(self, **changes: Any) -> AttemptRequest:
        order = super().order(**changes)
        return replace(order, webhook_url=f"{self.hooks}/{order.attempt_id}")


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    providers: list[FalProvider] = []

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        try:
            for provider in providers:
                await provider.hook(request.match_info["attempt"], headers, body)
        except Unauthorized:
            return web.Response(status=401)
        return web.Response(status=204)

    # Like our own door it takes no body without end: what is larger is asked for.
    app = web.Application(client_max_size=1 << 21)
    app.router.add_post("/hooks/{attempt}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hooks = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    async with FalSim(FalScript(key=KEY, streams=False)) as sim:
        settings = FalSettings(api_key=KEY, base_url=sim.url, rest_url=sim.rest_url)

        def make() -> Provider:
            providers.append(FalProvider(settings, SystemClock(), PACE))
            return providers[-1]

        made = rig_of(sim)
        known = {item.name: getattr(made, item.name) for item in fields(HostedRig)}
        yield HookedRig(**(known | {"make": make}), hooks=hooks)
    await runner.cleanup()
