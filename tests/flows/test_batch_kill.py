"""kill -9 in the middle of a batch, while some of its items still wait for their generations."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import aiohttp

from ferrotype.services.admit_batch import CHUNK
from ferrotype.sim.comfyui import ComfySim, Script
from tests.flows.test_kill import Server, check_books

COUNT = 3 * CHUNK


async def look(http: aiohttp.ClientSession, base: str, batch_id: str, rest: str = "") -> dict[str, Any]:
    async with http.get(f"{base}/v1/batches/{batch_id}{rest}") as reply:
        assert reply.status == 200, await reply.text()
        return dict(await reply.json())


async def test_every_picture_arrives_and_none_is_paid_twice(tmp_path: Path) -> None:
    body = "\n".join(
        json.dumps({"prompt": f"number {n}", "width": 256, "height": 256, "params": {"steps": 2}})
        for n in range(COUNT)
    )
    headers = {"Content-Type": "application/jsonl", "Idempotency-Key": "the-batch"}
    async with (
        ComfySim(Script(hold=1, workers=10)) as sim,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http,
    ):
        server = Server(tmp_path / "data", sim.url)
        await server.start(http)

        async def order() -> tuple[int, dict[str, Any]]:
            async with http.post(f"{server.base}/v1/batches", data=body, headers=headers) as reply:
                return reply.status, await reply.json()

        status, accepted = await order()
        assert status == 202, accepted
        waiting = accepted["counts"]["waiting"]
        assert await server.kill() == -signal.SIGKILL
        assert waiting > 0
        sim.release()
        sim.script.hold = None
        sim.wake()
        await server.start(http)
        while (done := await look(http, server.base, accepted["id"]))["completed_at"] is None:
            pass
        assert (done["status"], done["counts"]["succeeded"]) == ("succeeded", COUNT)
        items = (await look(http, server.base, accepted["id"], "/items?limit=100"))["data"]
        assert [item["prompt"] for item in items] == [f"number {n}" for n in range(COUNT)]
        for item in items:
            (asset,) = item["generation"]["output"]
            async with http.get(f"{server.base}/images/{asset['id']}") as reply:
                assert reply.status == 200
        prompts = [entry.prompt_id for entry in sim.journal.entries if entry.route == "POST /prompt"]
        assert len(prompts) == len(set(prompts)) == COUNT
        assert (await order())[1]["id"] == accepted["id"]
        while (await look(http, server.base, accepted["id"]))["cost"]["credits"] < COUNT:
            pass
        assert await server.kill(signal.SIGTERM) == 0
    await check_books(tmp_path / "data", COUNT)
