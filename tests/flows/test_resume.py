"""kill -9 between any two states: after the restart all is well, and no provider call was made twice."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ferrotype.db import ledger
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.sim.comfyui import ComfySim, Failure, Script
from tests.flows.commands import Serve, serving
from tests.flows.test_kill import end

ORDER = {"prompt": "a fox", "width": 256, "height": 256, "seed": 7, "params": {"steps": 2}}
KEY = {"Idempotency-Key": "one", "Prefer": "respond-async"}


async def order(http: aiohttp.ClientSession, base: str) -> dict[str, Any]:
    async with http.post(f"{base}/v1/generations", json=ORDER, headers=KEY) as reply:
        assert reply.status in (201, 202), await reply.text()
        return dict(await reply.json())


async def killed(server: Serve) -> None:
    server.signal(signal.SIGKILL)
    await server.ended()


async def journal(http: aiohttp.ClientSession, base: str, id: str, type: str) -> None:
    """Return once the generation's journal has an event of that type, also one behind the terminal event."""
    while True:
        headers = {"Last-Event-ID": "0"}
        async with http.get(f"{base}/v1/generations/{id}/events", headers=headers) as stream:
            if f"event: {type}\n" in (await stream.read()).decode():
                return


async def check_end(http: aiohttp.ClientSession, server: Serve, sim: ComfySim, folder: Path, id: str) -> None:
    """Succeeded, stored, served, paid once, and the same key still gives the same generation."""
    generation = await end(http, server.base, id)
    assert generation["status"] == "succeeded", generation["error"]
    await journal(http, server.base, id, "stored")
    (asset,) = generation["output"]
    async with http.get(f"{server.base}/images/{asset['id']}") as reply:
        assert reply.status == 200
        assert (await reply.read())[:4] == b"\x89PNG"
    assert (await order(http, server.base))["id"] == id
    assert (await server.stop()).code == 0
    database = SqliteDatabase(folder / "data" / "ferrotype.db")
    account = await database.read(lambda tx: ledger.account_named(tx, "default"))
    assert account is not None
    balance = await database.read(lambda tx: ledger.balance(tx, account))
    assert balance == await database.read(lambda tx: ledger.recount(tx, account))
    assert (balance.held, balance.spent) == (0, 1)
    await database.close()


@pytest.mark.slow
async def test_before_the_reply_to_the_submit(tmp_path: Path) -> None:
    # The prompt is accepted, its reply breaks off, and the look-up that follows gets no answer.
    lost = Failure(route="POST /prompt", status=0, after=True, times=1)
    script = Script(failures=[lost], http_seconds={"GET /queue": 3600, "GET /history/{prompt_id}": 3600})
    async with ComfySim(script) as sim, serving(tmp_path, COMFYUI_URL=sim.url) as (server, http):
        id = (await order(http, server.base))["id"]
        await sim.journal.wait_mark("finished")
        await killed(server)
        sim.script.http_seconds = {}
        await server.up(http)
        await check_end(http, server, sim, tmp_path, id)
        assert sim.journal.count("POST /prompt") == 1


@pytest.mark.slow
async def test_after_the_submit_was_accepted_and_before_its_end(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold=1)) as sim,
        serving(tmp_path, COMFYUI_URL=sim.url) as (server, http),
    ):
        id = (await order(http, server.base))["id"]
        await sim.held(1)
        await killed(server)
        sim.release()
        await sim.idle()  # it ended while nobody watched
        await server.up(http)
        await check_end(http, server, sim, tmp_path, id)
        assert sim.journal.count("POST /prompt") == 1


async def test_while_the_bytes_arrive(tmp_path: Path) -> None:
    script = Script(drip_bytes=4096, drip_seconds=3600)
    async with ComfySim(script) as sim, serving(tmp_path, COMFYUI_URL=sim.url) as (server, http):
        id = (await order(http, server.base))["id"]
        generation = await end(http, server.base, id)
        assert (generation["status"], generation["output"][0]["state"]) == ("succeeded", "arriving")
        async with http.get(generation["output"][0]["url"]) as reply:
            assert await reply.content.readexactly(4) == b"\x89PNG"
            await killed(server)
        sim.script.drip_bytes = None
        await server.up(http)
        await check_end(http, server, sim, tmp_path, id)
        assert sim.journal.count("POST /prompt") == 1
        assert sim.journal.count("GET /view") == 2


@pytest.mark.slow
async def test_between_the_bytes_and_the_store(tmp_path: Path) -> None:
    """The disk store cannot be written to: a file stands where its folder goes."""
    async with ComfySim() as sim, serving(tmp_path, COMFYUI_URL=sim.url) as (server, http):
        assets = tmp_path / "data" / "assets"
        if assets.is_dir():
            assets.rmdir()
        assets.write_text("in the way")
        id = (await order(http, server.base))["id"]
        await end(http, server.base, id)
        await journal(http, server.base, id, "settled")
        await killed(server)
        assets.unlink()
        await server.up(http)
        await check_end(http, server, sim, tmp_path, id)
        assert (sim.journal.count("POST /prompt"), sim.journal.count("GET /view")) == (1, 1)


@pytest.mark.slow
async def test_both_die_and_the_other_side_forgets(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold=1)) as sim,
        serving(tmp_path, COMFYUI_URL=sim.url) as (server, http),
    ):
        id = (await order(http, server.base))["id"]
        await sim.held(1)
        await killed(server)
        sim.script.hold = None
        await sim.restart()
        await server.up(http)
        await check_end(http, server, sim, tmp_path, id)
        assert sim.journal.count("POST /prompt") == 2


@pytest.mark.slow
async def test_a_second_server_on_the_folder_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, http):
        second = Serve(tmp_path)
        await second.start()
        ran = await second.ended()
        assert ran.code == 2
        assert server.base in ran.err
        assert str(server.process.pid) in ran.err
        await killed(server)
        await second.up(http)
        assert (await second.stop()).code == 0


async def test_an_order_that_waits_survives_the_clients_own_death(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold=1)) as sim,
        serving(tmp_path, COMFYUI_URL=sim.url) as (server, http),
    ):
        headers = {"Idempotency-Key": "one"}
        waiting = asyncio.create_task(
            http.post(f"{server.base}/v1/generations", json=ORDER, headers=headers).__aenter__()
        )
        await sim.held(1)
        waiting.cancel()
        await asyncio.wait((waiting,))
        id = (await order(http, server.base))["id"]
        sim.release()
        await check_end(http, server, sim, tmp_path, id)
        assert sim.journal.count("POST /prompt") == 1
