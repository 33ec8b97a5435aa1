"""Orders through HTTP to a ComfyUI server (the simulator, which is held against recordings of a real one)."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pyvips

from ferrotype.sim.comfyui import ComfySim, Failure, NodeError, Older, Script
from tests.flows.harness import Client, running

ORDER = {"prompt": "a fox", "width": 256, "height": 256, "seed": 7, "params": {"steps": 4}}


@pytest.fixture
async def sim() -> AsyncIterator[ComfySim]:
    async with ComfySim(Script(older=Older(count=33))) as sim:
        yield sim


@pytest.fixture
async def comfy(tmp_path: Path, sim: ComfySim) -> AsyncIterator[Client]:
    async with running(tmp_path / "data", COMFYUI_URL=sim.url) as client:
        yield client


async def test_a_picture_costs_one_submit_one_history_and_one_view(comfy: Client, sim: ComfySim) -> None:
    sim.journal.clear()
    generation = (await comfy.order(**ORDER)).json
    assert (generation["status"], generation["model"]) == ("succeeded", "comfyui/txt2img")
    (asset,) = generation["output"]
    assert asset["source_type"] == "trainedAlgorithmicMedia"
    await comfy.until(generation["id"], "stored")
    picture = await comfy.get(asset["url"])
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/png")
    assert pyvips.Image.new_from_buffer(picture.body, "").width == 256
    counts = {route: n for route, n in sim.journal.counts().items() if route != "GET /ws"}
    assert counts == {"POST /prompt": 1, "GET /history/{prompt_id}": 1, "GET /view": 1}
    assert (await comfy.balance())[1:] == (0, 1)


async def test_the_url_serves_before_the_bytes_have_arrived(comfy: Client, sim: ComfySim) -> None:
    sim.script.drip_bytes, sim.script.drip_seconds = 2_000, 0.002
    generation = (await comfy.order(**ORDER)).json
    (asset,) = generation["output"]
    replies = await asyncio.gather(*(comfy.get(asset["url"]) for _ in range(5)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    await comfy.until(generation["id"], "stored")
    assert sim.journal.count("GET /view") == 1


async def test_ten_pictures_run_within_the_seats_of_their_class(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start", workers=10)) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CLASSES="heavy=4") as client,
    ):
        accepted = await client.order_async(**ORDER, num_images=10)
        released: set[str] = set()
        for submitted in (4, 8, 10):
            await sim.journal.wait("POST /prompt", submitted)
            parked = set(await sim.held(1)) - released
            while len(parked) < submitted - len(released):
                await asyncio.sleep(0)
                parked = set(sim.parked()) - released
            assert sim.journal.count("POST /prompt") == submitted
            # The last two start while two of the four before them may still be ending.
            assert len(parked) <= (await client.app.engine.depths())["heavy"][1] <= 4
            for prompt_id in parked:
                sim.release(prompt_id)
            released |= parked
        generation = await client.until(accepted["id"], "ready", count=10)
        assert sim.journal.count("POST /prompt") == 10
        assert sorted(asset["index"] for asset in generation["output"]) == list(range(10))


async def test_progress_and_previews_come_through(comfy: Client, sim: ComfySim) -> None:
    sim.script.preview = "JPEG"
    sim.script.hold = "start"
    accepted = await comfy.order_async(**ORDER)
    await sim.held(1)
    events = comfy.events(accepted["id"])
    assert (await anext(events))[1] == "snapshot"
    sim.release()
    seen = [(type, data) async for _, type, data in events]
    fractions = [data["progress"] for type, data in seen if type == "progress"]
    assert fractions == sorted(fractions)
    assert any(0 < fraction < 1 for fraction in fractions)
    assert any(type == "preview" and data["data_uri"].startswith("data:image/jpeg") for type, data in seen)


async def test_cancel_of_a_running_one_stops_it_there_and_charges_nothing(
    comfy: Client, sim: ComfySim
) -> None:
    sim.script.hold = 1
    accepted = await comfy.order_async(**ORDER)
    await sim.held(1)
    reply = await comfy.request("POST", f"/v1/generations/{accepted['id']}/cancel")
    assert reply.status == 200
    generation = await comfy.until(accepted["id"], "canceled")
    assert (generation["status"], generation["output"], generation["cost"]["credits"]) == ("canceled", [], 0)
    assert sim.journal.count("POST /interrupt") == 1
    assert (await comfy.balance())[1:] == (0, 0)
    again = await comfy.request("POST", f"/v1/generations/{accepted['id']}/cancel")
    assert (again.status, again.json["status"]) == (200, "canceled")


async def test_cancel_of_a_queued_one_ends_it_here(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CLASSES="heavy=1") as client,
    ):
        first = await client.order_async(**ORDER)
        await sim.held(1)
        second = await client.order_async(**ORDER, reuse="never")
        assert second["queue_position"] == 1
        reply = await client.request("POST", f"/v1/generations/{second['id']}/cancel")
        assert reply.json["status"] == "canceled"
        sim.release()
        assert (await client.until(first["id"], "ready"))["status"] == "succeeded"
        assert sim.journal.count("POST /prompt") == 1
        assert (await client.balance())[1:] == (0, 1)


async def test_a_failing_node_is_a_failed_generation_that_costs_nothing(comfy: Client, sim: ComfySim) -> None:
    sim.script.node_errors = [NodeError(node="KSampler", message="out of memory")]
    reply = await comfy.order(**ORDER)
    assert reply.status == 201
    generation = reply.json
    assert (generation["status"], generation["error"]["code"]) == ("failed", "provider_failed")
    assert "out of memory" in generation["error"]["detail"]
    assert generation["cost"] == {"credits": 0, "usd": 0.0}
    assert (await comfy.balance())[1:] == (0, 0)
    assert sim.journal.count("POST /prompt") == 1


async def test_some_of_several_fail_and_the_truth_is_told(comfy: Client, sim: ComfySim) -> None:
    sim.script.node_errors = [NodeError(node="KSampler", message="boom", times=1)]
    generation = (await comfy.order(**ORDER, num_images=3)).json
    assert generation["status"] == "succeeded"
    assert len(generation["output"]) == 2
    assert "2 of 3" in generation["error"]["detail"]
    assert generation["cost"]["credits"] == 2
    for asset in generation["output"]:
        assert (await comfy.get(asset["url"])).status == 200
    await comfy.until(generation["id"], "stored", count=2)
    assert (await comfy.balance())[1:] == (0, 2)


async def test_a_server_that_is_away_is_waited_for(comfy: Client, sim: ComfySim) -> None:
    await sim.close_door()
    accepted = await comfy.order_async(**ORDER)
    await comfy.until(accepted["id"], "started")
    await sim.open_door()
    assert (await comfy.until(accepted["id"], "ready"))["status"] == "succeeded"
    assert sim.journal.count("POST /prompt") == 1


async def test_a_lost_reply_is_looked_up_and_never_repeated(comfy: Client, sim: ComfySim) -> None:
    sim.script.failures = [Failure(route="POST /prompt", status=0, after=True, times=1)]
    generation = (await comfy.order(**ORDER)).json
    assert generation["status"] == "succeeded", generation["error"]
    assert sim.journal.count("POST /prompt") == 1


async def test_a_restart_over_there_that_forgets_everything_is_run_again(
    comfy: Client, sim: ComfySim
) -> None:
    sim.script.hold = "start"
    accepted = await comfy.order_async(**ORDER)
    await sim.held(1)
    sim.script.hold = None
    await sim.restart()
    assert (await comfy.until(accepted["id"], "ready"))["status"] == "succeeded"
    assert (await comfy.balance())[1:] == (0, 1)


async def test_bytes_that_never_come_fail_the_asset_and_give_the_money_back(tmp_path: Path) -> None:
    script = Script(failures=[Failure(route="GET /view", status=404, times=-1)])
    async with (
        ComfySim(script) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url) as client,
    ):
        generation = (await client.order(**ORDER)).json
        (asset,) = generation["output"]
        assert (await client.get(asset["url"])).status == 502
        late = await client.until(generation["id"], "failed")
        assert (late["status"], late["output"][0]["state"]) == ("failed", "failed")
        assert late["error"]["code"] == "origin_unavailable"
        assert (await client.balance())[1:] == (0, 0)


async def test_an_upload_is_edited(comfy: Client, sim: ComfySim) -> None:
    noise = pyvips.Image.gaussnoise(300, 200, mean=128, sigma=60, seed=1).cast("uchar")
    data = noise.bandjoin([noise, noise]).copy(interpretation="srgb").write_to_buffer(".png")
    upload = await comfy.request("POST", "/v1/assets", data={"file": io.BytesIO(data)})
    assert upload.status == 201, upload.body
    asset = upload.json
    assert (asset["width"], asset["height"], asset["content_type"]) == (300, 200, "image/png")
    assert asset["source_type"] is None
    assert (await comfy.get(asset["url"])).body == data
    for reference in (asset["id"], "data:image/png;base64," + base64.b64encode(data).decode()):
        reply = await comfy.order(**ORDER, operation="edit", image=reference)
        assert reply.json["status"] == "succeeded", reply.body
        assert reply.json["model"] == "comfyui/img2img"
    assert sim.journal.count("POST /upload/image") >= 1
