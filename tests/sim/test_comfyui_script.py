"""What the simulator can be told: latency, gates, faults, access, and the control routes."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pyvips

from ferrotype.sim import SIMULATORS, serve
from ferrotype.sim.comfyui import ComfySim, Failure, NodeError, Older, Script

TLS = Path(__file__).parent / "tls"


def text_to_image(prompt: str = "a fox", seed: int = 1, prefix: str = "t", **sampler: Any) -> dict[str, Any]:
    """The graph that every front end begins with."""
    settings = {
        "seed": seed,
        "steps": 3,
        "cfg": 7.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    return {
        "1": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"},
        },
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": prompt, "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 64, "batch_size": 1}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                **settings,
                **sampler,
                "model": ["1", 0],
                "positive": ["2", 0],
                "negative": ["3", 0],
                "latent_image": ["4", 0],
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": prefix}},
    }


class Client:
    """Just enough of a client."""

    def __init__(self, sim: ComfySim, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session

    async def submit(self, prompt: dict[str, Any], **more: Any) -> str:
        async with self.session.post(self.sim.url + "/prompt", json={"prompt": prompt, **more}) as reply:
            assert reply.status == 200, await reply.text()
            return str((await reply.json())["prompt_id"])

    async def upload(self, name: str, picture: pyvips.Image) -> None:
        form = aiohttp.FormData()
        form.add_field("image", picture.pngsave_buffer(), filename=name, content_type="image/png")
        async with self.session.post(self.sim.url + "/upload/image", data=form) as reply:
            assert (await reply.json())["name"] == name

    async def get(self, path: str, **more: Any) -> tuple[int, bytes]:
        async with self.session.get(self.sim.url + path, **more) as reply:
            return reply.status, await reply.read()

    async def history(self, prompt_id: str) -> dict[str, Any]:
        status, body = await self.get(f"/history/{prompt_id}")
        assert status == 200
        found: dict[str, Any] = json.loads(body).get(prompt_id, {})
        return found

    async def finished(self, prompt: dict[str, Any], **more: Any) -> dict[str, Any]:
        prompt_id = await self.submit(prompt, **more)
        await self.sim.journal.wait_mark("finished", prompt_id)
        return await self.history(prompt_id)

    async def picture(self, prompt: dict[str, Any]) -> pyvips.Image:
        entry = await self.finished(prompt)
        (image,) = entry["outputs"]["7"]["images"]
        status, body = await self.get(f"/view?filename={image['filename']}")
        assert status == 200
        return pyvips.Image.new_from_buffer(body, "")


@pytest.fixture
async def sim() -> AsyncIterator[ComfySim]:
    async with ComfySim() as simulator:
        yield simulator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
def client(sim: ComfySim, session: aiohttp.ClientSession) -> Client:
    return Client(sim, session)


async def until(ws: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The data of the next message of that kind."""
    while True:
        message = await ws.receive(timeout=20)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        if message.type is aiohttp.WSMsgType.TEXT:
            data = json.loads(message.data)
            if data["type"] == kind:
                found: dict[str, Any] = data["data"]
                return found


class TestPictures:
    async def test_size_and_determinism(self, client: Client) -> None:
        first = await client.picture(text_to_image())
        assert (first.width, first.height, first.bands) == (96, 64, 3)
        same = await client.picture(text_to_image(prefix="again"))
        assert same.write_to_memory() == first.write_to_memory()
        for other in (text_to_image(seed=2), text_to_image(prompt="a hare"), text_to_image(cfg=1.0)):
            assert (await client.picture(other)).write_to_memory() != first.write_to_memory()

    async def test_image_to_image_keeps_what_the_mask_keeps(self, client: Client) -> None:
        colour = [10, 200, 30]
        source = pyvips.Image.black(64, 64).new_from_image(colour).cast("uchar")
        half = pyvips.Image.black(32, 64)
        hole = half.join(half.invert(), "horizontal")
        upload = source.bandjoin(hole.invert()).copy(interpretation="srgb")
        form = aiohttp.FormData()
        form.add_field("image", upload.pngsave_buffer(), filename="in.png", content_type="image/png")
        async with client.session.post(client.sim.url + "/upload/image", data=form) as reply:
            name = (await reply.json())["name"]
        prompt = text_to_image()
        prompt["4"] = {
            "class_type": "VAEEncodeForInpaint",
            "inputs": {"pixels": ["8", 0], "vae": ["1", 2], "mask": ["8", 1], "grow_mask_by": 0},
        }
        prompt["8"] = {"class_type": "LoadImage", "inputs": {"image": name}}
        done = await client.picture(prompt)
        assert (done.width, done.height) == (64, 64)
        assert done(2, 30) == colour, "outside the mask"
        assert any(done(x, 30) != colour for x in range(34, 64)), "inside the mask"

    async def test_batch(self, client: Client) -> None:
        prompt = text_to_image()
        prompt["4"]["inputs"]["batch_size"] = 2
        entry = await client.finished(prompt)
        names = [image["filename"] for image in entry["outputs"]["7"]["images"]]
        assert names == ["t_00001_.png", "t_00002_.png"]
        bodies = [(await client.get(f"/view?filename={name}"))[1] for name in names]
        assert bodies[0] != bodies[1]

    async def test_a_mask_goes_through_a_picture_and_back_and_serves_every_picture(
        self, client: Client
    ) -> None:
        half = pyvips.Image.black(32, 64)
        await client.upload("mask.png", half.join(half.invert(), "horizontal"))
        colour = {"width": 64, "height": 64, "batch_size": 1}
        prompt = {
            "1": {"class_type": "LoadImageMask", "inputs": {"image": "mask.png", "channel": "red"}},
            "2": {"class_type": "MaskToImage", "inputs": {"mask": ["1", 0]}},
            "3": {"class_type": "ImageToMask", "inputs": {"image": ["2", 0], "channel": "green"}},
            "4": {"class_type": "EmptyImage", "inputs": {**colour, "color": 0x0A0B0C}},
            "5": {"class_type": "RepeatImageBatch", "inputs": {"image": ["4", 0], "amount": 3}},
            "6": {"class_type": "EmptyImage", "inputs": {**colour, "color": 0xC8C9CA}},
            "7": {
                "class_type": "ImageCompositeMasked",
                "inputs": {
                    "destination": ["5", 0],
                    "source": ["6", 0],
                    "x": 0,
                    "y": 0,
                    "resize_source": False,
                    "mask": ["3", 0],
                },
            },
            "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "m"}},
        }
        entry = await client.finished(prompt)
        names = [image["filename"] for image in entry["outputs"]["8"]["images"]]
        assert len(names) == 3
        for name in names:
            done = pyvips.Image.new_from_buffer((await client.get(f"/view?filename={name}"))[1], "")
            assert (done(2, 30), done(60, 30)) == ([10, 11, 12], [200, 201, 202])

    async def test_a_picture_without_alpha_has_no_alpha_mask(self, client: Client) -> None:
        prompt = {
            "1": {
                "class_type": "EmptyImage",
                "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
            },
            "2": {"class_type": "ImageToMask", "inputs": {"image": ["1", 0], "channel": "alpha"}},
            "3": {"class_type": "MaskToImage", "inputs": {"mask": ["2", 0]}},
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "a"}},
        }
        entry = await client.finished(prompt)
        assert entry["status"]["status_str"] == "error"

    @pytest.mark.parametrize(
        ("model", "factor"), [("RealESRGAN_x4plus.pth", 4), ("2x_fatal.pth", 2), ("own.safetensors", 4)]
    )
    async def test_an_upscale_model_enlarges_by_its_factor_tile_by_tile(
        self, client: Client, model: str, factor: int
    ) -> None:
        client.sim.script.upscale_models = [model]
        await client.upload("wide.png", pyvips.Image.black(1000, 20, bands=3))
        prompt = {
            "1": {"class_type": "LoadImage", "inputs": {"image": "wide.png"}},
            "2": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": model}},
            "3": {
                "class_type": "ImageUpscaleWithModel",
                "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]},
            },
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "u"}},
        }
        ws = await client.session.ws_connect(client.sim.url + "/ws?clientId=u")
        await client.submit(prompt, client_id="u")
        assert [(await until(ws, "progress"))["value"] for _ in range(3)] == [1, 2, 3]
        image = (await until(ws, "executed"))["output"]["images"][0]
        done = pyvips.Image.new_from_buffer((await client.get(f"/view?filename={image['filename']}"))[1], "")
        assert (done.width, done.height) == (1000 * factor, 20 * factor)
        await ws.close()
        assert json.loads((await client.get("/models/upscale_models"))[1]) == [model]

    async def test_every_node_is_described(self, client: Client) -> None:
        status, body = await client.get("/object_info/KSampler")
        info = json.loads(body)["KSampler"]
        assert status == 200
        assert info["output"] == ["LATENT"]
        assert info["input"]["required"]["steps"][0] == "INT"
        assert json.loads((await client.get("/object_info/NoSuch"))[1]) == {}


class TestGates:
    async def test_hold_at_a_step(self, client: Client) -> None:
        client.sim.script.hold = 1
        ws = await client.session.ws_connect(client.sim.url + "/ws?clientId=a")
        prompt_id = await client.submit(text_to_image(), client_id="a")
        assert await client.sim.held(step=2) == [prompt_id]
        assert await client.history(prompt_id) == {}
        client.sim.release(prompt_id, upto=2)
        assert await client.sim.held(step=3) == [prompt_id]
        client.sim.release()
        assert (await until(ws, "progress"))["value"] == 1
        assert (await until(ws, "execution_success"))["prompt_id"] == prompt_id
        await ws.close()

    async def test_hold_before_the_first_node(self, client: Client) -> None:
        client.sim.script.hold = "start"
        prompt_id = await client.submit(text_to_image())
        assert await client.sim.held(step=0) == [prompt_id]
        async with client.session.post(client.sim.url + "/interrupt", json={"prompt_id": prompt_id}):
            pass
        await client.sim.journal.wait_mark("finished", prompt_id)
        entry = await client.history(prompt_id)
        assert entry["status"]["messages"][-1][0] == "execution_interrupted"

    async def test_hang_is_deaf_to_interrupts(self, client: Client) -> None:
        client.sim.script.hang_at_step = 2
        prompt_id = await client.submit(text_to_image())
        assert await client.sim.held(step=2) == [prompt_id]
        async with client.session.post(client.sim.url + "/interrupt", json={"prompt_id": prompt_id}) as reply:
            assert reply.status == 200
        assert client.sim.parked() == [prompt_id]
        client.sim.release()
        await client.sim.journal.wait_mark("finished", prompt_id)
        assert (await client.history(prompt_id))["status"]["status_str"] == "error"

    async def test_workers_run_side_by_side(self, session: aiohttp.ClientSession) -> None:
        async with ComfySim(Script(workers=3, hold=0)) as sim:
            client = Client(sim, session)
            ids = [await client.submit(text_to_image(seed=seed)) for seed in range(4)]
            assert sorted(await sim.held(3)) == sorted(ids[:3])
            sim.script.hold = None
            sim.release()
            await sim.idle()
            names = {
                image["filename"]
                for i in ids
                for image in (await client.history(i))["outputs"]["7"]["images"]
            }
            assert names == {f"t_{number:05}_.png" for number in range(1, 5)}

    async def test_one_worker_runs_one_by_one(self, client: Client) -> None:
        client.sim.script.hold = 0
        first = await client.submit(text_to_image(seed=1))
        second = await client.submit(text_to_image(seed=2))
        assert await client.sim.held() == [first]
        queue = json.loads((await client.get("/queue"))[1])
        assert [item[1] for item in queue["queue_running"]] == [first]
        assert [item[1] for item in queue["queue_pending"]] == [second]


class TestFaults:
    async def test_refuse(self, client: Client) -> None:
        client.sim.script.refuse = 2
        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.session.post(client.sim.url + "/queue")  # a GET would be retried by the client
        assert (await client.get("/queue"))[0] == 200
        assert [entry.status for entry in client.sim.journal.entries] == [0, 0, 200]

    async def test_closed_door(self, client: Client) -> None:
        await client.sim.close_door()
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get("/queue")
        await client.sim.open_door()
        assert (await client.get("/queue"))[0] == 200

    async def test_failures_count_down(self, client: Client) -> None:
        client.sim.script.failures = [Failure("GET /queue", status=503, times=2, body="busy")]
        assert [(await client.get("/queue"))[0] for _ in range(3)] == [503, 503, 200]

    async def test_reply_lost_after_the_work(self, client: Client) -> None:
        client.sim.script.failures = [Failure("POST /prompt", status=0, after=True)]
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.submit(text_to_image(), prompt_id="11111111-1111-4111-8111-111111111111")
        await client.sim.journal.wait_mark("finished")
        assert (await client.history("11111111-1111-4111-8111-111111111111"))["status"]["completed"]
        assert client.sim.journal.count("POST /prompt", "11111111-1111-4111-8111-111111111111") == 1

    async def test_node_error(self, client: Client) -> None:
        client.sim.script.node_errors = [
            NodeError("KSampler", "CUDA out of memory", "torch.OutOfMemoryError")
        ]
        entry = await client.finished(text_to_image())
        kind, data = entry["status"]["messages"][-1]
        assert (kind, data["exception_type"]) == ("execution_error", "torch.OutOfMemoryError")
        assert data["exception_message"] == "CUDA out of memory\n"
        assert (await client.finished(text_to_image()))["status"]["completed"]

    async def test_dropped_socket_and_reconnect(self, client: Client) -> None:
        client.sim.script.drop_ws_at_step = 2
        client.sim.script.hold = 2
        ws = await client.session.ws_connect(client.sim.url + "/ws?clientId=a")
        prompt_id = await client.submit(text_to_image(), client_id="a")
        while (await ws.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert ws.close_code == 1006
        await client.sim.held(step=3)
        again = await client.session.ws_connect(client.sim.url + "/ws?clientId=a")
        assert await until(again, "executing") == {"node": "5"}
        client.sim.release()
        assert (await until(again, "execution_success"))["prompt_id"] == prompt_id
        await again.close()

    async def test_truncated_view(self, client: Client) -> None:
        await client.finished(text_to_image())
        client.sim.script.truncate_view, client.sim.script.truncate_times = 100, 1
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.get("/view?filename=t_00001_.png")
        status, body = await client.get("/view?filename=t_00001_.png")
        assert (status, body[:4]) == (200, b"\x89PNG")

    async def test_wrong_and_dripping_view(self, client: Client) -> None:
        await client.finished(text_to_image())
        _, whole = await client.get("/view?filename=t_00001_.png")
        client.sim.script.drip_bytes = 1000
        assert await client.get("/view?filename=t_00001_.png") == (200, whole)
        client.sim.script.wrong_view = "<html>"
        assert await client.get("/view?filename=t_00001_.png") == (200, b"<html>")

    async def test_history_comes_later(self, client: Client) -> None:
        client.sim.script.history_empty_polls = 2
        prompt_id = await client.submit(text_to_image())
        await client.sim.journal.wait_mark("finished", prompt_id)
        assert [bool(await client.history(prompt_id)) for _ in range(3)] == [False, False, True]

    async def test_restart_forgets(self, client: Client) -> None:
        await client.finished(text_to_image())
        client.sim.script.hold = 0
        lost = await client.submit(text_to_image(seed=9))
        await client.sim.held()
        ws = await client.session.ws_connect(client.sim.url + "/ws?clientId=a")
        await until(ws, "status")
        await client.sim.restart()
        assert (await ws.receive(timeout=20)).type is not aiohttp.WSMsgType.TEXT
        assert await client.history(lost) == {}
        assert json.loads((await client.get("/history"))[1]) == {}
        assert json.loads((await client.get("/prompt"))[1]) == {"exec_info": {"queue_remaining": 0}}
        assert (await client.get("/view?filename=t_00001_.png"))[0] == 200, "output files stay"

    async def test_a_prompt_that_kills_the_worker(self, client: Client) -> None:
        dead = await client.submit(text_to_image(), extra_data=None)
        await client.sim.worker_died()
        assert not client.sim.working
        queue = json.loads((await client.get("/queue"))[1])
        assert [item[1] for item in queue["queue_running"]] == [dead]

    async def test_older_files_push_the_numbers(self, session: aiohttp.ClientSession) -> None:
        async with ComfySim(Script(older=Older(33, prefix="t"))) as sim:
            entry = await Client(sim, session).finished(text_to_image())
            assert entry["outputs"]["7"]["images"][0]["filename"] == "t_00034_.png"
            assert len(list(sim.folders.output.iterdir())) == 34


class TestAccess:
    @pytest.mark.parametrize(
        ("auth", "header"),
        [
            ("bearer:s3cret", "Bearer s3cret"),
            ("basic:ann:pa:ss", "Basic " + base64.b64encode(b"ann:pa:ss").decode()),
        ],
    )
    async def test_auth(self, client: Client, auth: str, header: str) -> None:
        client.sim.script.auth = auth
        assert (await client.get("/queue"))[0] == 401
        assert (await client.get("/queue", headers={"Authorization": header + "x"}))[0] == 401
        assert (await client.get("/queue", headers={"Authorization": header}))[0] == 200
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.session.ws_connect(client.sim.url + "/ws")
        ws = await client.session.ws_connect(client.sim.url + "/ws", headers={"Authorization": header})
        await ws.close()

    async def test_base_path(self, session: aiohttp.ClientSession) -> None:
        async with ComfySim(Script(base_path="pod/abc/")) as sim:
            assert sim.url.endswith("/pod/abc")
            client = Client(sim, session)
            assert (await client.finished(text_to_image()))["status"]["completed"]
            assert (await client.get("/api/queue"))[0] == 200
            async with session.get(f"http://127.0.0.1:{sim.port}/queue") as reply:
                assert reply.status == 404
            assert sim.journal.count("GET /queue") == 2

    async def test_view_only(self, client: Client) -> None:
        client.sim.script.view_only = True
        assert (await client.get("/queue"))[0] == 404
        await client.submit(text_to_image())
        await client.sim.journal.wait_mark("finished")
        assert (await client.get("/view?filename=t_00001_.png"))[0] == 200

    async def test_tls(self, session: aiohttp.ClientSession) -> None:
        tls = (str(TLS / "cert.pem"), str(TLS / "key.pem"))
        trust = ssl.create_default_context(cafile=tls[0])
        async with ComfySim(tls=tls) as sim:
            assert sim.url.startswith("https://")
            assert (await Client(sim, session).get("/queue", ssl=trust))[0] == 200
            ws = await session.ws_connect(sim.url + "/ws?clientId=a", ssl=trust)
            await until(ws, "status")
            await ws.close()


class TestControl:
    async def test_script_over_http(self, client: Client) -> None:
        url = client.sim.url + "/_sim/script"
        async with client.session.patch(url, json={"steps": 2, "hold": "start"}) as reply:
            assert (await reply.json())["steps"] == 2
        prompt_id = await client.submit(text_to_image())
        await client.sim.held()
        async with client.session.get(client.sim.url + "/_sim/held") as reply:
            assert await reply.json() == {"prompt_ids": [prompt_id]}
        async with client.session.put(url, json={"older": {"count": 3}}) as reply:
            assert (await reply.json())["hold"] is None
        await client.sim.journal.wait_mark("finished", prompt_id)  # without a release: the hold is gone
        assert client.sim.script.older == Older(3)

    @pytest.mark.parametrize(
        "values",
        [
            {"stepz": 1},
            {"steps": "many"},
            {"preview": "GIF"},
            {"failures": [{"status": 500}]},
            {"view_only": 1},
            {"http_seconds": {"*": "slow"}},
        ],
    )
    async def test_wrong_script(self, client: Client, values: dict[str, Any]) -> None:
        before = client.sim.script.to_json()
        async with client.session.patch(client.sim.url + "/_sim/script", json=values) as reply:
            assert reply.status == 422
            assert next(iter(values)) in await reply.text()
        assert client.sim.script.to_json() == before

    async def test_journal_over_http(self, client: Client) -> None:
        prompt_id = await client.submit(text_to_image())
        await client.sim.journal.wait_mark("finished", prompt_id)
        await client.history(prompt_id)
        await client.get("/view?filename=t_00001_.png")
        journal = json.loads((await client.get("/_sim/journal"))[1])
        assert journal["counts"] == {
            "POST /prompt": 1,
            "GET /history/{prompt_id}": 1,
            "GET /view": 1,
        }
        assert journal["prompts"][prompt_id] == journal["counts"]
        assert [mark["what"] for mark in journal["marks"]] == ["queued", "started", "saved", "finished"]
        async with client.session.post(client.sim.url + "/_sim/reset") as reply:
            assert reply.status == 204
        assert json.loads((await client.get("/_sim/journal"))[1])["entries"] == []

    async def test_serve(self, session: aiohttp.ClientSession) -> None:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        options = {"step_seconds": "0", "older": "2", "loras": '["a", "b"]'}
        task = asyncio.create_task(serve("comfyui", options=options, ready=ready.set_result))
        url = await ready
        async with session.get(url + "/models/loras") as reply:
            assert await reply.json() == ["a", "b"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url + "/queue")

    async def test_serve_refuses_what_it_does_not_know(self) -> None:
        assert "comfyui" in SIMULATORS
        with pytest.raises(ValueError, match="comfyui"):
            await serve("nothing")
        with pytest.raises(ValueError, match="stepz"):
            await serve("comfyui", options={"stepz": 1})
        with pytest.raises(ValueError, match="tls_key"):
            await serve("comfyui", options={"tls_cert": "x"})


class TestPromptIds:
    """What servers before and after the recorded one make of the client's prompt_id."""

    async def test_an_older_server_chooses_its_own(self, client: Client) -> None:
        client.sim.script.own_prompt_ids = True
        wanted = "0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5b"
        given = await client.submit(text_to_image(), prompt_id=wanted, extra_data={"mark": wanted})
        assert given != wanted
        await client.sim.idle()
        assert (await client.history(given))["prompt"][3]["mark"] == wanted
        assert await client.history(wanted) == {}

    @pytest.mark.parametrize(
        "prompt_id",
        [
            "mine",
            "",
            7,
            "0190A3C4-5B6D-7E8F-8A9B-0C1D2E3F4A5B",
            "0190a3c45b6d7e8f8a9b0c1d2e3f4a5b",
            "{0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5b}",
        ],
    )
    async def test_a_newer_one_wants_a_canonical_uuid(self, client: Client, prompt_id: object) -> None:
        order = {"prompt": text_to_image(), "prompt_id": prompt_id}
        client.sim.script.strict_prompt_ids = True
        async with client.session.post(client.sim.url + "/prompt", json=order) as reply:
            assert reply.status == 400
            said = await reply.json()
        assert (said["error"]["type"], said["node_errors"]) == ("invalid_prompt_id", {})
        assert json.loads((await client.get("/queue"))[1]) == {"queue_running": [], "queue_pending": []}
        client.sim.script.strict_prompt_ids = False  # the recorded one takes anything
        assert await client.submit(text_to_image(), prompt_id=prompt_id) == str(prompt_id)

    async def test_a_newer_one_makes_an_id_where_none_came(self, client: Client) -> None:
        client.sim.script.strict_prompt_ids = True
        wanted = "0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5b"
        assert await client.submit(text_to_image(), prompt_id=wanted) == wanted
        made = await client.submit(text_to_image(), prompt_id=None)
        assert uuid.UUID(made).version == 4
