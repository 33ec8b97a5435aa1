"""RunPod: what wakes a watch: webhooks and cancels."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    ProviderBusy,
    ProviderInterrupted,
)
from ferrotype.providers.base import Hooked
from ferrotype.sim.hosted import HostedScript
from ferrotype.sim.options import Failure
from tests.providers.contract.rig import watch
from tests.providers.runpod_support import (
    DEAF,
    RUN,
    STATUS,
    bench,
    order,
)

# Webhooks


async def test_webhooks_wake_the_watch() -> None:
    """The provider looks once an hour: only the webhook can tell it in time."""
    async with bench(HostedScript(hold="run"), pace=DEAF) as (sim, provider):
        assert isinstance(provider, Hooked)
        got: list[dict[str, Any]] = []

        async def take(request: web.Request) -> web.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            got.append(await request.json())
            await provider.hook(request.match_info["id"], headers, await request.read())
            return web.Response()

        app = web.Application()
        app.router.add_post("/hooks/{id}", take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            request = order()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/{request.attempt_id}"
            request = replace(request, webhook_url=url)
            request_id = await provider.submit(request)
            assert sim.journal.of(RUN)[0].body["webhook"] == url
            watching = asyncio.ensure_future(watch(provider, request, request_id))
            await sim.journal.wait(STATUS)
            sim.works.release()
            assert (await watching).outputs
            assert [job["status"] for job in got] == ["COMPLETED"]
        finally:
            await runner.cleanup()


async def test_what_a_webhook_says_is_not_believed() -> None:
    async with bench(HostedScript(hold="run"), pace=DEAF) as (sim, provider):
        request = replace(order(), webhook_url="http://127.0.0.1:9/never")
        request_id = await provider.submit(request)
        watching = asyncio.ensure_future(watch(provider, request, request_id))
        await sim.journal.wait(STATUS)
        lie = {
            "id": request_id,
            "status": "COMPLETED",
            "output": {"image_url": "https://evil.example.com/x.png"},
        }
        await provider.hook(request.attempt_id, {}, json.dumps(lie).encode())
        await sim.journal.wait(STATUS, 2)
        assert not watching.done()
        sim.works.release()
        await sim.works.idle()
        await provider.hook(request.attempt_id, {}, b"garbage")
        (output,) = (await watching).outputs
        assert output.data is not None
        await provider.hook(new_id(), {}, b"")  # nobody watches it


# Cancelling


async def test_cancel_is_seen_at_once() -> None:
    async with bench(HostedScript(hold="run"), pace=DEAF) as (sim, provider):
        request = order()
        request_id = await provider.submit(request)
        watching = asyncio.ensure_future(watch(provider, request, request_id))
        await sim.journal.wait(STATUS)
        await provider.cancel(request, request_id)
        with pytest.raises(ProviderInterrupted):
            await watching


@pytest.mark.parametrize("status", [400, 404])
async def test_jobs_that_cannot_be_canceled_any_more_are_no_error(status: int) -> None:
    script = HostedScript(failures=[Failure("POST /v2/{endpoint}/cancel/{id}", status)])
    async with bench(script) as (_, provider):
        await provider.cancel(order(), "comfyui/some-job-u1")
        await provider.cancel(order(), "comfyui/../../purge-queue/ ")


async def test_a_cancel_that_did_not_arrive_is_told() -> None:
    script = HostedScript(failures=[Failure("POST /v2/{endpoint}/cancel/{id}", 429)])
    async with bench(script) as (_, provider):
        with pytest.raises(ProviderBusy):
            await provider.cancel(order(), "comfyui/some-job-u1")
