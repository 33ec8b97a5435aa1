"""SIGTERM: what ends in time is answered, what does not is handed back, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ferrotype.sim.comfyui import ComfySim, Script
from tests.flows.commands import Serve, serving
from tests.flows.test_kill import end

ORDER = {
    "prompt": "a fox", "width": 256, "height": 256, "seed": 7, "params": {"steps": 4}, "reuse": "never",
}  # fmt: skip
SLOW = {"headers": {"Prefer": "respond-async"}, "json": ORDER}


async def post(http: aiohttp.ClientSession, base: str, **options: Any) -> tuple[int, dict[str, Any]]:
    async with http.post(f"{base}/v1/generations", **{"json": ORDER, **options}) as reply:
        return reply.status, dict(await reply.json(content_type=None))


async def refuses_orders(http: aiohttp.ClientSession, base: str) -> None:
    """Return once the server has begun to stop; anything that it takes before is canceled."""
    while True:
        async with http.get(f"{base}/readyz") as reply:
            if reply.status == 503:
                assert (await reply.json(content_type=None))["code"] == "overloaded"
                return


async def test_what_ends_in_time_is_answered(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold=1, workers=2)) as sim,
        serving(tmp_path, COMFYUI_URL=sim.url, FERROTYPE_DRAIN_SECONDS="60") as (server, http),
    ):
        waiting = [asyncio.create_task(post(http, server.base)) for _ in range(2)]
        await sim.held(2)
        server.signal(signal.SIGTERM)
        await refuses_orders(http, server.base)
        for path in ("generations", "batches", "generations/1/fresh", "batches/1/retry", "batches/1/clone"):
            async with http.post(f"{server.base}/v1/{path}", json=ORDER) as reply:
                assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
                assert (await reply.json(content_type=None))["code"] == "overloaded"
        async with http.get(f"{server.base}/v1/generations") as reply:
            data = (await reply.json())["data"]
        assert [generation["status"] for generation in data] == ["running", "running"]
        sim.release()
        for status, generation in await asyncio.gather(*waiting):
            assert (status, generation["status"]) == (201, "succeeded")
        ran = await server.ended()
        assert ran.code == 0
        assert ran.quiet, ran.err
        assert sim.journal.count("POST /prompt") == 2


async def test_what_does_not_is_handed_back_and_finished_later(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold=1)) as sim,
        serving(tmp_path, COMFYUI_URL=sim.url, FERROTYPE_DRAIN_SECONDS="0") as (server, http),
    ):
        waiting = asyncio.create_task(post(http, server.base))
        await sim.held(1)
        _, second = await post(http, server.base, **SLOW)  # it waits over there
        await sim.journal.wait("POST /prompt", 2)
        stream = await http.get(f"{server.base}/v1/generations/{second['id']}/events")
        ran = await server.stop()
        assert ran.code == 0
        assert ran.quiet, ran.err
        # The waiting client has its 202, the stream ended without a terminal event.
        status, first = await waiting
        assert (status, first["status"]) == (202, "running")
        told = (await stream.read()).decode()
        assert "event: snapshot" in told
        assert "event: succeeded" not in told
        assert sim.journal.count("POST /interrupt") == 0
        sim.release()
        sim.script.hold = None
        sim.wake()
        await server.up(http)
        for id in (first["id"], second["id"]):
            assert (await end(http, server.base, id))["status"] == "succeeded"
        assert sim.journal.count("POST /prompt") == 2
        assert (await server.stop()).code == 0


@pytest.mark.slow
async def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold=1)) as sim,
        serving(tmp_path, COMFYUI_URL=sim.url, FERROTYPE_DRAIN_SECONDS="3600") as (server, http),
    ):
        _, generation = await post(http, server.base, **SLOW)
        await sim.held(1)
        server.signal(signal.SIGTERM)
        await refuses_orders(http, server.base)
        ran = await server.stop()  # an hour would break the test's own limit
        assert ran.code == 0
        assert ran.quiet, ran.err
        sim.release()
        await server.up(http)
        assert (await end(http, server.base, generation["id"]))["status"] == "succeeded"
        assert sim.journal.count("POST /prompt") == 1


async def test_a_signal_while_it_starts_is_heard(tmp_path: Path) -> None:
    server = Serve(tmp_path, FERROTYPE_LOG_LEVEL="debug")
    await server.start()
    stderr = server.process.stderr
    assert stderr is not None
    await stderr.readline()  # the first line: signals are ours by then, the door is not open yet
    ran = await server.stop()
    assert ran.code == 0
    assert ran.quiet, ran.err
