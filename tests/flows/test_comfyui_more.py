"""Orders whose size follows their input, inputs made smaller, and a server behind TLS and a proxy."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pyvips

from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.config import ConfigError
from ferrotype.domain.model import Capabilities
from ferrotype.domain.problems import Overloaded
from ferrotype.imaging.prescale import prescale
from ferrotype.imaging.provenance.strip import stripped
from ferrotype.services.check import size_like
from ferrotype.sim.comfyui import ComfySim, NodeError, Script
from tests.flows.harness import Client, running

TLS = Path(__file__).parent.parent / "sim" / "tls"
CATALOGUE = """
[[models]]
name = "studio/small"
operations = ["edit"]
capabilities = { size = "input", min_images = 1, max_images = 1, mask = true, params = PARAMS, LIMITS }
defaults = { checkpoint = "sd_xl_base_1.0.safetensors", steps = 2 }
deployments = [{ provider = "comfyui", target = "TARGET" }]
""".replace("PARAMS", '{ checkpoint = { type = "string" }, steps = { type = "integer" } }')


@pytest.fixture
async def sim() -> AsyncIterator[ComfySim]:
    async with ComfySim() as sim:
        yield sim


@pytest.fixture
async def comfy(tmp_path: Path, sim: ComfySim) -> AsyncIterator[Client]:
    async with running(tmp_path / "data", COMFYUI_URL=sim.url) as client:
        yield client


def noise(width: int, height: int) -> pyvips.Image:
    band = pyvips.Image.gaussnoise(width, height, mean=128, sigma=40, seed=1).cast("uchar")
    return band.bandjoin([band, band]).copy(interpretation="srgb")


async def upload(client: Client, data: bytes) -> dict[str, Any]:
    reply = await client.request("POST", "/v1/assets", data={"file": io.BytesIO(data)})
    assert reply.status == 201, reply.body
    return dict(reply.json)


def sent(sim: ComfySim) -> list[bytes]:
    """What was uploaded, largest first."""
    found = [path.read_bytes() for path in sim.folders.input.glob("ferrotype_*")]
    return sorted(found, key=len, reverse=True)


def size(data: bytes) -> tuple[int, int]:
    image = pyvips.Image.new_from_buffer(data, "")
    return image.width, image.height


# Upscaling


@pytest.mark.parametrize("words", [{}, {"prompt": ""}])
async def test_an_upscale_needs_no_prompt_and_tells_the_true_size(
    comfy: Client, words: dict[str, str]
) -> None:
    source = await upload(comfy, noise(300, 200).pngsave_buffer())
    reply = await comfy.order(operation="upscale", image=source["id"], **words)
    assert reply.status == 201, reply.body
    generation = reply.json
    assert (generation["status"], generation["model"]) == ("succeeded", "comfyui/upscale")
    assert (generation["input"]["width"], generation["input"]["height"]) == (300, 200)
    done = await comfy.until(generation["id"], "ready")
    (asset,) = done["output"]
    assert (asset["width"], asset["height"]) == (1200, 800)
    assert size((await comfy.get(asset["url"])).body) == (1200, 800)
    assert (await comfy.balance())[1:] == (0, 1)


@pytest.mark.parametrize(("scale", "expected"), [(2, (600, 400)), (4, (1200, 800))])
async def test_an_upscale_is_as_large_as_the_scale_says(
    comfy: Client, scale: int, expected: tuple[int, int]
) -> None:
    source = await upload(comfy, noise(300, 200).pngsave_buffer())
    reply = await comfy.order(operation="upscale", image=source["id"], params={"scale": scale})
    assert reply.json["status"] == "succeeded", reply.json["error"]
    (asset,) = reply.json["output"]
    assert (asset["width"], asset["height"]) == expected, "known before the bytes are here"
    assert size((await comfy.get(asset["url"])).body) == expected
    reply = await comfy.order(operation="upscale", image=source["id"], params={"scale": scale + 1})
    assert (reply.status, reply.json["field"], reply.json["limit"]) == (422, "params.scale", [2, 4])


async def test_a_variation_and_an_inpainting_go_to_the_models_that_make_them(comfy: Client) -> None:
    source = await upload(comfy, noise(256, 256).pngsave_buffer())
    reply = await comfy.order(operation="variation", image=source["id"], params={"strength": 0.3})
    assert (reply.json["status"], reply.json["model"]) == ("succeeded", "comfyui/variation")
    assert reply.json["input"]["params"]["strength"] == 0.3
    reply = await comfy.order(
        operation="inpaint", prompt="a hat", image=source["id"], mask=source["id"], params={"steps": 2}
    )
    assert (reply.json["status"], reply.json["model"]) == ("succeeded", "comfyui/inpaint")


async def test_an_upscale_by_another_model(comfy: Client, sim: ComfySim) -> None:
    sim.script.upscale_models.append("RealESRGAN_x2plus.pth")
    source = await upload(comfy, noise(64, 48).pngsave_buffer())
    params = {"upscale_model": "RealESRGAN_x2plus.pth"}
    generation = (await comfy.order(operation="upscale", image=source["id"], params=params)).json
    (asset,) = (await comfy.until(generation["id"], "ready"))["output"]
    assert (asset["width"], asset["height"]) == (128, 96)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"width": 512, "height": 512}, "width"),
        ({"width": 512}, "width"),
        ({"height": 512}, "height"),
        ({"aspect_ratio": "16:9"}, "aspect_ratio"),
        ({"seed": 7}, "seed"),
        ({"style": "3d"}, "style"),
        ({"prompt": "a caption"}, "prompt"),
        ({"negative_prompt": "blur"}, "negative_prompt"),
        ({"mask": "self"}, "mask"),
        ({"images": ["self"]}, "images"),
    ],
)
async def test_an_upscale_refuses_what_it_would_ignore(
    comfy: Client, sim: ComfySim, wish: dict[str, Any], field: str
) -> None:
    source = await upload(comfy, noise(64, 48).pngsave_buffer())
    wish = {
        k: source["id"] if v == "self" else [source["id"]] if v == ["self"] else v for k, v in wish.items()
    }
    before = await comfy.rows()
    reply = await comfy.order(operation="upscale", image=source["id"], **wish)
    assert (reply.status, reply.json["code"], reply.json["field"]) == (422, "unsupported_by_model", field)
    assert await comfy.rows() == before
    assert sim.journal.count("POST /prompt") == 0


async def test_an_upscale_without_a_picture_is_refused(comfy: Client) -> None:
    reply = await comfy.order(operation="upscale")
    assert (reply.status, reply.json["field"]) == (422, "images")


async def test_a_failed_upscale_costs_nothing(comfy: Client, sim: ComfySim) -> None:
    sim.script.node_errors = [NodeError(node="ImageUpscaleWithModel", message="out of memory")]
    source = await upload(comfy, noise(64, 48).pngsave_buffer())
    generation = (await comfy.order(operation="upscale", image=source["id"])).json
    assert (generation["status"], generation["error"]["code"]) == ("failed", "provider_failed")
    assert (await comfy.balance())[1:] == (0, 0)


# The size of an edit


async def test_an_edit_is_as_large_as_its_picture_unless_the_order_says_otherwise(comfy: Client) -> None:
    source = await upload(comfy, noise(500, 300).pngsave_buffer())
    for wish, expected in (
        ({}, (496, 296)),
        ({"width": 256, "height": 384}, (256, 384)),
        ({"aspect_ratio": "16:9"}, (1792, 1024)),
    ):
        generation = (
            await comfy.order(
                operation="edit", prompt="a fox", image=source["id"], params={"steps": 1}, **wish
            )
        ).json
        assert generation["status"] == "succeeded", generation["error"]
        assert (generation["input"]["width"], generation["input"]["height"]) == expected
        (asset,) = (await comfy.until(generation["id"], "ready"))["output"]
        assert (asset["width"], asset["height"]) == expected


async def test_inpainting_redraws_under_the_mask(comfy: Client, sim: ComfySim) -> None:
    flat = (
        pyvips.Image.black(320, 256).new_from_image([10, 200, 30]).cast("uchar").copy(interpretation="srgb")
    )
    half = pyvips.Image.black(160, 256)
    source = await upload(comfy, flat.pngsave_buffer())
    mask = await upload(comfy, half.join(half.invert(), "horizontal").pngsave_buffer())
    generation = (
        await comfy.order(
            operation="edit",
            prompt="a fox",
            image=source["id"],
            mask=mask["id"],
            params={"steps": 1},
        )
    ).json
    assert generation["status"] == "succeeded", generation["error"]
    assert generation["model"] == "comfyui/inpaint"  # the one for `edit` that takes a mask
    assert (generation["input"]["images"], generation["input"]["mask"]) == ([source["id"]], mask["id"])
    done = await comfy.until(generation["id"], "ready")
    picture = pyvips.Image.new_from_buffer((await comfy.get(done["output"][0]["url"])).body, "")
    assert (picture.width, picture.height) == (320, 256)
    assert picture(10, 100) == [10, 200, 30]
    assert any(picture(x, 100) != [10, 200, 30] for x in range(200, 320))
    assert len(sent(sim)) == 2


async def test_inpainting_without_a_mask_is_refused(comfy: Client, sim: ComfySim) -> None:
    source = await upload(comfy, noise(320, 256).pngsave_buffer())
    before = await comfy.rows()
    order = {"operation": "edit", "model": "comfyui/inpaint", "prompt": "a fox", "image": source["id"]}
    reply = await comfy.order(**order)
    assert (reply.status, reply.json["code"], reply.json["field"]) == (422, "unsupported_by_model", "mask")
    assert await comfy.rows() == before
    assert sim.journal.count("POST /prompt") == 0


@pytest.mark.parametrize(
    ("width", "height", "can", "expected"),
    [
        (1024, 768, {}, (1024, 768)),
        (1001, 777, {}, (1000, 776)),
        (8000, 4000, {}, (2048, 1024)),
        (8000, 8000, {"max_pixels": 1_048_576}, (1024, 1024)),
        (100, 50, {}, (512, 256)),
        (4000, 10, {}, (2048, 256)),
        (10, 4000, {}, (256, 2048)),
        (1, 1, {"min_side": 100, "multiple": 64}, (128, 128)),
        (3000, 1000, {"sizes": [(1024, 1024), (1536, 1024), (1024, 1536)]}, (1536, 1024)),
        (8000, 4001, {"size": "derived", "min_images": 1}, (8000, 4001)),
    ],
)
def test_a_size_that_follows_the_input_is_one_that_the_model_makes(
    width: int, height: int, can: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert size_like(width, height, Capabilities(**{"size": "input", "min_images": 1} | can)) == expected


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('"input", min_images = 1', '"derived", min_images = 0', "min_images"),
        ("mask = true", "mask = false, needs_mask = true", "needs_mask"),
    ],
)
def test_capabilities_that_contradict_each_other_are_named(
    tmp_path: Path, was: str, now: str, said: str
) -> None:
    path = tmp_path / "models.toml"
    path.write_text(CATALOGUE.replace(was, now).replace(", LIMITS", "").replace("TARGET", "img2img"))
    with pytest.raises(ConfigError, match=rf"studio/small.*{said}"):
        load_catalogue(CatalogueSettings(catalogue=str(path)))


# Inputs that are larger than the model reads


@pytest.mark.parametrize(
    ("limits", "form", "expected"),
    [
        ("inputs = { max_side = 400 }", "png", (400, 300)),
        ("inputs = { max_pixels = 30000 }", "jpeg", (200, 150)),
        ("inputs = { max_pixels = 30000, max_side = 100 }", "webp", (100, 75)),
        ("inputs = { max_side = 400 }", "gif", (400, 300)),
        ("inputs = { max_side = 800 }", "gif", (800, 600)),
        ("inputs = { max_pixels = 480000 }", "jpeg", (800, 600)),
    ],
)
async def test_a_large_input_reaches_the_provider_within_the_limits(
    tmp_path: Path, sim: ComfySim, limits: str, form: str, expected: tuple[int, int]
) -> None:
    path = tmp_path / "models.toml"
    path.write_text(CATALOGUE.replace("LIMITS", limits).replace("TARGET", "img2img"))
    data = noise(800, 600).write_to_buffer(f".{form}")
    async with running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CATALOGUE=str(path)) as client:
        source = await upload(client, data)
        for _ in range(2):
            reply = await client.order(
                operation="edit", model="studio/small", prompt="a fox", image=source["id"]
            )
            generation = reply.json
            assert generation["status"] == "succeeded", generation["error"]
            # The picture that comes back is as large as the one that was given.
            assert (generation["input"]["width"], generation["input"]["height"]) == (800, 600)
        assert (await client.get(source["url"])).body == data, "the asset stays as it is"
    (got,) = sent(sim)
    assert size(got) == expected
    (name,) = (path.name for path in sim.folders.input.glob("ferrotype_*"))
    if expected == (800, 600) and form != "gif":  # which is nothing that models read
        assert got == data
    else:
        kind = {"jpeg": "jpg", "gif": "png"}.get(form, form)
        kinds = {"jpg": "jpegload_buffer", "png": "pngload_buffer", "webp": "webpload_buffer"}
        assert pyvips.Image.new_from_buffer(got, "").get("vips-loader") == kinds[kind]
        assert name.endswith(f".{kind}")


async def test_a_turned_photo_is_sent_upright_and_a_mask_within_the_limits_too(
    tmp_path: Path, sim: ComfySim
) -> None:
    path = tmp_path / "models.toml"
    path.write_text(CATALOGUE.replace("LIMITS", "inputs = { max_side = 400 }").replace("TARGET", "inpaint"))
    photo = noise(800, 600).copy()
    photo.set_type(pyvips.GValue.gint_type, "orientation", 6)
    async with running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CATALOGUE=str(path)) as client:
        source = await upload(client, photo.jpegsave_buffer())
        mask = await upload(client, pyvips.Image.black(1200, 1600).invert().pngsave_buffer())
        generation = (
            await client.order(
                operation="edit", model="studio/small", prompt="a fox", image=source["id"], mask=mask["id"]
            )
        ).json
        assert generation["status"] == "succeeded", generation["error"]
        assert (generation["input"]["width"], generation["input"]["height"]) == (600, 800)
    assert [size(data) for data in sent(sim)] == [(300, 400), (300, 400)]


async def test_an_accepted_order_waits_while_the_imaging_pool_is_full(
    tmp_path: Path, sim: ComfySim, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "models.toml"
    path.write_text(CATALOGUE.replace("LIMITS", "inputs = { max_side = 100 }").replace("TARGET", "img2img"))
    refusals = 3

    async with running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CATALOGUE=str(path)) as client:
        source = await upload(client, noise(400, 300).pngsave_buffer())
        run = client.app.pool.run

        async def full(call: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal refusals
            if call is prescale and refusals:
                refusals -= 1
                raise Overloaded("full", limit=1, retry_after=0.001)
            return await run(call, *args, **kwargs)

        monkeypatch.setattr(client.app.pool, "run", full)
        reply = await client.order(operation="edit", model="studio/small", prompt="a", image=source["id"])
        assert reply.json["status"] == "succeeded", reply.json["error"]
    assert refusals == 0
    assert [size(data) for data in sent(sim)] == [(100, 75)]


# A server behind a proxy


async def test_tls_a_base_path_and_a_token_on_every_road(tmp_path: Path) -> None:
    script = Script(base_path="/pod/abc-8188", auth="bearer:s3cr3t", preview="JPEG")
    certificate = TLS / "cert.pem"
    async with (
        ComfySim(script, tls=(str(certificate), str(TLS / "key.pem"))) as sim,
        running(
            tmp_path / "data", COMFYUI_URL=sim.url, COMFYUI_TOKEN="s3cr3t", COMFYUI_CA_FILE=str(certificate)
        ) as client,
    ):
        assert sim.url.startswith("https://")
        assert sim.url.endswith("/pod/abc-8188")
        reply = await client.order(prompt="a fox", width=256, height=256, params={"steps": 2})
        generation = reply.json
        assert (reply.status, generation["status"]) == (201, "succeeded"), generation["error"]
        (asset,) = generation["output"]
        picture = await client.get(asset["url"])
        assert (picture.status, size(picture.body)) == (200, (256, 256))
        (stored,) = (await client.until(generation["id"], "stored"))["output"]
        (kept,) = (path.read_bytes() for path in (tmp_path / "data" / "assets").rglob(f"{asset['id']}*"))
        assert (stored["state"], stored["stored"], stored["bytes"]) == ("ready", True, len(kept))
        assert picture.body == stripped(kept) != kept
        edit = await client.order(operation="edit", prompt="a hare", image=asset["id"], params={"steps": 2})
        assert edit.json["status"] == "succeeded", edit.json["error"]
        answered = {entry.status for entry in sim.journal.entries if entry.status is not None}
        assert answered <= {101, 200}
        assert sim.journal.count("GET /view") == 2
