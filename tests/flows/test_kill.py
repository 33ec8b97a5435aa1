"""kill -9 with 50 generations in flight: every one ends succeeded, and no provider call is made twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

from ferrotype.db import ledger
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.sim.comfyui import ComfySim, Script
from tests.flows.harness import free_port

COUNT = 50


class Server:
    """A real server process."""

    def __init__(self, data_dir: Path, comfyui: str) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._env = {
            **os.environ,
            "FERROTYPE_DATA_DIR": str(data_dir),
            "FERROTYPE_PORT": str(self.port),
            "FERROTYPE_CLASSES": "heavy=20",
            "FERROTYPE_LOG_LEVEL": "warning",
            "COMFYUI_URL": comfyui,
        }

    async def start(self, http: aiohttp.ClientSession) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ferrotype", "serve", env=self._env, stdout=asyncio.subprocess.DEVNULL
        )
        while True:
            assert self._process.returncode is None, "the server ended"
            try:
                async with http.get(f"{self.base}/readyz") as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0)  # it is still starting: ask again

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        self._process.send_signal(number)
        return await self._process.wait()


async def order(http: aiohttp.ClientSession, base: str, index: int) -> str:
    body = {
        "prompt": f"number {index}",
        "width": 256,
        "height": 256,
        "seed": index,
        "params": {"steps": 2},
        "num_images": 1,
    }
    headers = {"Prefer": "respond-async", "Idempotency-Key": f"order-{index}"}
    async with http.post(f"{base}/v1/generations", json=body, headers=headers) as reply:
        assert reply.status == 202, await reply.text()
        return str((await reply.json())["id"])


async def end(http: aiohttp.ClientSession, base: str, id: str) -> dict[str, Any]:
    """The generation once its stream has closed."""
    async with http.get(f"{base}/v1/generations/{id}/events") as reply:
        await reply.read()
    async with http.get(f"{base}/v1/generations/{id}") as reply:
        return dict(await reply.json())


async def test_nothing_is_lost_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        ComfySim(Script(hold=1, workers=10)) as sim,
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        server = Server(data_dir, sim.url)
        await server.start(http)
        ids = await asyncio.gather(*(order(http, server.base, index) for index in range(COUNT)))
        # Some run over there, some wait in its queue, some wait here for a seat.
        await sim.journal.wait("POST /prompt", 20)
        await sim.held(10)
        assert await server.kill() == -signal.SIGKILL
        sim.release()  # some end while nobody watches
        sim.script.hold = None
        sim.wake()
        await server.start(http)
        ended = await asyncio.gather(*(end(http, server.base, id) for id in ids))
        assert {generation["status"] for generation in ended} == {"succeeded"}, [
            generation["error"] for generation in ended if generation["error"]
        ]
        prompts = [entry.prompt_id for entry in sim.journal.entries if entry.route == "POST /prompt"]
        assert len(prompts) == COUNT
        assert len(set(prompts)) == COUNT
        for generation in ended:
            (asset,) = generation["output"]
            async with http.get(f"{server.base}/images/{asset['id']}") as reply:
                assert reply.status == 200
                assert (await reply.read())[:4] == b"\x89PNG"
        again = await asyncio.gather(*(order_again(http, server.base, index) for index in range(COUNT)))
        assert again == ids
        while any(asset["state"] != "ready" for asset in await assets(http, server.base, ids)):
            pass
        assert await server.kill(signal.SIGTERM) == 0
    await check_books(data_dir, COUNT)


async def order_again(http: aiohttp.ClientSession, base: str, index: int) -> str:
    """A client that never saw its reply asks again with the same key."""
    body = {
        "prompt": f"number {index}",
        "width": 256,
        "height": 256,
        "seed": index,
        "params": {"steps": 2},
        "num_images": 1,
    }
    async with http.post(
        f"{base}/v1/generations", json=body, headers={"Idempotency-Key": f"order-{index}"}
    ) as reply:
        assert reply.status == 201
        return str((await reply.json())["id"])


async def assets(http: aiohttp.ClientSession, base: str, ids: list[str]) -> list[dict[str, Any]]:
    """The assets of all of them, through the pages of the list."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        async with http.get(f"{base}/v1/generations?limit=100{cursor}") as reply:
            page = await reply.json()
        found += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert {generation["id"] for generation in found} == set(ids)
    return [asset for generation in found for asset in generation["output"]]


async def check_books(data_dir: Path, pictures: int) -> None:
    """Every picture spent, nothing held, and the entries add up."""
    database = SqliteDatabase(data_dir / "ferrotype.db")
    account = await database.read(lambda tx: ledger.account_named(tx, "default"))
    assert account is not None
    balance = await database.read(lambda tx: ledger.balance(tx, account))
    assert balance == await database.read(lambda tx: ledger.recount(tx, account))
    assert (balance.held, balance.spent) == (0, pictures)
    await database.close()
