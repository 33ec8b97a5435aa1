"""What RunPod's SDK does not ask the simulator: retries of jobs and webhooks, bounds, its command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ferrotype.sim import serve
from ferrotype.sim.hosted import Fault
from ferrotype.sim.runpod import RunPodSim

#: A week: seconds are short here.
ASK: dict[str, Any] = {
    "input": {"prompt": "a boat", "width": 64, "height": 48},
    "policy": {"executionTimeout": 604_800_000, "ttl": 604_800_000},
}


@pytest.fixture
async def sim() -> AsyncIterator[RunPodSim]:
    async with RunPodSim() as made:
        made.second = 0.001
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def post(session: aiohttp.ClientSession, url: str, body: Any = None) -> tuple[int, Any]:
    async with session.post(url, json=body) as reply:
        return reply.status, await reply.json()


async def test_a_failed_job_can_be_retried_under_its_id(
    sim: RunPodSim, session: aiohttp.ClientSession
) -> None:
    sim.script.faults.append(Fault())
    base = f"{sim.base_url}/handler"
    _, job = await post(session, f"{base}/runsync", ASK)
    assert job["status"] == "FAILED"
    status, again = await post(session, f"{base}/retry/{job['id']}")
    assert (status, again) == (200, {"id": job["id"], "status": "IN_QUEUE"})
    await sim.works.idle()
    async with session.get(f"{base}/status/{job['id']}") as reply:
        assert (await reply.json())["status"] == "COMPLETED"
    assert (await post(session, f"{base}/retry/{job['id']}"))[0] == 400
    async with session.get(f"{base}/health") as reply:
        assert (await reply.json())["jobs"]["retried"] == 1


async def test_webhooks_are_sent_until_they_are_taken(sim: RunPodSim, session: aiohttp.ClientSession) -> None:
    got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    answers = iter([500, 503, 200, 200])

    async def take(request: web.Request) -> web.Response:
        got.put_nowait(await request.json())
        return web.Response(status=next(answers))

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        hook = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        _, job = await post(session, f"{sim.base_url}/handler/run", {**ASK, "webhook": hook})
        told = [await got.get() for _ in range(3)]
        assert [each["id"] for each in told] == [job["id"]] * 3
        assert {each["status"] for each in told} == {"COMPLETED"}
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"input": {}},
        {"input": "text"},
        {**ASK, "policy": []},
        {**ASK, "policy": {"executionTimeout": 4_999}},
        {**ASK, "policy": {"executionTimeout": 604_800_001}},
        {**ASK, "policy": {"ttl": 9_999}},
        {**ASK, "policy": {"ttl": "1h"}},
        {**ASK, "policy": {"lowPriority": "yes"}},
        {**ASK, "webhook": 7},
    ],
)
async def test_bodies_that_are_not_taken(sim: RunPodSim, session: aiohttp.ClientSession, body: Any) -> None:
    assert (await post(session, f"{sim.base_url}/handler/run", body))[0] == 400
    assert sim.works.created == 0


@pytest.mark.parametrize("wait", ["999", "300001", "soon"])
async def test_waits_out_of_bounds(sim: RunPodSim, session: aiohttp.ClientSession, wait: str) -> None:
    assert (await post(session, f"{sim.base_url}/handler/runsync?wait={wait}", ASK))[0] == 400
    assert sim.works.created == 0


async def test_runsync_answers_when_its_time_is_over(sim: RunPodSim, session: aiohttp.ClientSession) -> None:
    sim.script.hold = "queue"
    _, job = await post(session, f"{sim.base_url}/handler/runsync?wait=1000", ASK)
    assert (job["status"], job.get("output")) == ("IN_QUEUE", None)
    sim.time_out(job["id"])
    async with session.get(f"{sim.base_url}/handler/status/{job['id']}") as reply:
        assert (await reply.json())["status"] == "TIMED_OUT"


async def test_the_command_runs_it() -> None:
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve("runpod", options={"key": "k"}, ready=ready.set_result))
    url = await ready
    async with aiohttp.ClientSession() as session:
        for key, status in (("Bearer k", 200), ("k", 200), ("Bearer x", 401)):
            headers = {"Authorization": key}
            async with session.get(f"{url}/v2/comfyui/health", headers=headers) as reply:
                assert reply.status == status
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
