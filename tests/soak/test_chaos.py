"""Killed again and again, while the provider breaks its connections: nothing is lost, nothing paid twice."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import aiohttp
import pytest

from ferrotype.sim.comfyui import ComfySim, Failure, Script
from tests.flows.test_kill import Server, assets, check_books, end, order

ROUNDS = 8
PER_ROUND = 25


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
async def test_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    timeout = aiohttp.ClientTimeout(total=None)
    script = Script(step_seconds=0.01, workers=4)
    async with (
        ComfySim(script) as sim,
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        server = Server(tmp_path / "data", sim.url)
        await server.start(http)
        ids: list[str] = []
        for number in range(ROUNDS):
            first = number * PER_ROUND
            ids += await asyncio.gather(
                *(order(http, server.base, index) for index in range(first, first + PER_ROUND))
            )
            # Replies that get lost after the work was accepted, pictures that break off, sockets that drop.
            sim.script.failures = [
                Failure(route="POST /prompt", status=0, after=True, times=dice.randrange(4)),
                Failure(route="GET /view", status=503, times=dice.randrange(6)),
            ]
            await sim.journal.wait("POST /prompt", first + dice.randrange(1, PER_ROUND))
            if dice.random() < 0.5:
                sim.drop_sockets()
            assert await server.kill() == -signal.SIGKILL
            await server.start(http)
        ended = await asyncio.gather(*(end(http, server.base, id) for id in ids))
        assert {generation["status"] for generation in ended} == {"succeeded"}
        prompts = [entry.prompt_id for entry in sim.journal.entries if entry.route == "POST /prompt"]
        assert len(prompts) == len(set(prompts)) == len(ids)
        while any(asset["state"] != "ready" for asset in await assets(http, server.base, ids)):
            pass
        assert await server.kill(signal.SIGTERM) == 0
    await check_books(tmp_path / "data", len(ids))
