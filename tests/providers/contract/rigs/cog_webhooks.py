"""Cog with webhooks: whatever process of ours is there takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import Unauthorized
from ferrotype.providers.base import Provider
from ferrotype.providers.cog import CogProvider, CogSettings
from ferrotype.providers.hosted.polling import Pace
from ferrotype.sim.cog import CogScript, CogSim
from tests.providers.contract.rig import KEY, HostedRig
from tests.providers.contract.rigs.cog import BASE, rig_of

SECRET = "a long text of our own"


@asynccontextmanager
async def rig() -> AsyncIterator[HostedRig]:
    providers: list[CogProvider] = []

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        attempt_id = (await request.json())["id"]
        try:
            for provider in providers:
                await provider.hook(attempt_id, headers, body)
        except Unauthorized:
            return web.Response(status=401)
        return web.Response(status=204)

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/hooks/cog", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with CogSim(CogScript(slots=None, key=KEY, webhook_interval=0.0)) as sim:
        settings = CogSettings(url=sim.url, token=KEY, webhook_secret=SECRET)

        def make() -> Provider:
            providers.append(CogProvider(settings, SystemClock(), Pace(first=0.1, cap=0.1, patience=0.5)))
            return providers[-1]

        base = replace(BASE, webhook_url=f"http://127.0.0.1:{port}/hooks/cog")
        yield rig_of(sim, make=make, base=base)
    await runner.cleanup()
