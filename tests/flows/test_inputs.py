"""Input pictures through HTTP: what a provider is sent of them, what the generation tells, what is kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageOps

from ferrotype.domain.model import InputLimits
from ferrotype.imaging.prescale import prescale
from ferrotype.services.copies import Copies
from ferrotype.sim.comfyui import ComfySim
from ferrotype.sim.hosted import HostedScript
from ferrotype.sim.openai import OpenAISim
from tests.flows.harness import Client, running

KEY = "sk-of-the-tests"
CATALOGUE = """
[[models]]
name = "studio/small"
operations = ["edit"]
defaults = { checkpoint = "sd_xl_base_1.0.safetensors", steps = 2 }
deployments = [{ provider = "comfyui", target = "inpaint" }]
[models.capabilities]
size = "input"
min_images = 1
max_images = 1
mask = true
params = { checkpoint = { type = "string" }, steps = { type = "integer" } }
inputs = { max_side = 400, formats = ["jpeg", "png"], quality = 80, alpha = false }
"""


@pytest.fixture
async def sim() -> AsyncIterator[ComfySim]:
    async with ComfySim() as sim:
        yield sim


@pytest.fixture
async def client(tmp_path: Path, sim: ComfySim) -> AsyncIterator[Client]:
    path = tmp_path / "models.toml"
    path.write_text(CATALOGUE)
    async with running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CATALOGUE=str(path)) as client:
        yield client


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def disc(size: tuple[int, int], *, mode: str = "RGB", at: tuple[float, float] = (0.7, 0.3)) -> Image.Image:
    """White on black, so that it may be a mask as well."""
    image = Image.new(mode, size)
    x, y, r = size[0] * at[0], size[1] * at[1], min(size) * 0.25
    ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), fill="white")
    return image


def photo(size: tuple[int, int], orientation: int) -> bytes:
    """A JPEG as a telephone writes it, with the place where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[1] = "SECRET"
    return encoded(disc(size), "JPEG", quality=95, exif=exif)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


async def upload(client: Client, data: bytes) -> str:
    reply = await client.request("POST", "/v1/assets", data={"file": io.BytesIO(data)})
    assert reply.status == 201, reply.body
    return str(reply.json["id"])


async def edit(client: Client, **body: Any) -> dict[str, Any]:
    reply = await client.order(operation="edit", model="studio/small", prompt="a fox", **body)
    assert (reply.status, reply.json["status"]) == (201, "succeeded"), reply.body
    return dict(reply.json)


def sent(sim: ComfySim, mode: str) -> bytes:
    """The bytes that were uploaded as a picture (RGB) or as a mask (L)."""
    found = [path.read_bytes() for path in sim.folders.input.glob("ferrotype_*")]
    (data,) = (data for data in found if opened(data).mode == mode)
    return data


async def test_a_photo_is_sent_small_and_upright_and_kept_as_it_was(client: Client, sim: ComfySim) -> None:
    original = photo((1003, 777), 6)
    asset_id = await upload(client, original)
    mask = disc((259, 334), mode="L", at=(0.7, 0.7))  # smaller than the limits
    uri = "data:image/png;base64," + base64.b64encode(encoded(mask, "PNG")).decode()
    generation = await edit(client, image=asset_id, mask=uri)
    picture, over = sent(sim, "RGB"), sent(sim, "L")
    mask_id = generation["input"]["mask"]
    both = {"sent_width": 309, "sent_height": 400, "rewritten": True}
    of_picture = {"role": "image", "width": 777, "height": 1003, "sent_content_type": "image/jpeg"}
    of_mask = {"role": "mask", "width": 259, "height": 334, "sent_content_type": "image/png"}
    assert generation["input"]["inputs"] == [
        {"asset_id": asset_id, **of_picture, **both},
        {"asset_id": mask_id, **of_mask, **both},
    ]
    assert (generation["input"]["width"], generation["input"]["height"]) == (776, 1000)
    small = opened(picture)
    assert (small.size, opened(over).size) == ((309, 400), (309, 400))
    assert b"SECRET" not in picture
    # Both show the same disc in the same place.
    upright = ImageOps.exif_transpose(opened(original)).resize((309, 400))
    place, *places = [
        image.convert("L").point(lambda value: 255 * (value > 127)).getbbox()
        for image in (upright, small, opened(over))
    ]
    assert place is not None
    for found in places:
        assert found is not None
        assert all(abs(a - b) <= 2 for a, b in zip(found, place, strict=True)), (found, place)
    # The order names the originals, and they are what they were.
    assert generation["input"]["images"] == [asset_id]
    assert (await client.get(f"/images/{asset_id}")).body == original
    assert (await client.get(f"/images/{mask_id}")).body == encoded(mask, "PNG")
    asset = (await client.get(f"/v1/assets/{asset_id}")).json
    assert (asset["width"], asset["height"], asset["bytes"]) == (777, 1003, len(original))
    # The same on every road.
    assert (await client.get(f"/v1/generations/{generation['id']}")).json["input"] == generation["input"]


async def test_a_picture_that_needs_nothing_is_sent_byte_for_byte(client: Client, sim: ComfySim) -> None:
    data, mask = encoded(disc((400, 300)), "PNG"), encoded(disc((400, 300), mode="L"), "PNG")
    asset_id, mask_id = await upload(client, data), await upload(client, mask)
    generation = await edit(client, image=asset_id, mask=mask_id)
    assert sorted(path.read_bytes() for path in sim.folders.input.glob("ferrotype_*")) == sorted([data, mask])
    same = {"width": 400, "height": 300, "sent_width": 400, "sent_height": 300, "rewritten": False}
    assert generation["input"]["inputs"] == [
        {"asset_id": asset_id, "role": "image", "sent_content_type": "image/png", **same},
        {"asset_id": mask_id, "role": "mask", "sent_content_type": "image/png", **same},
    ]
    names = {path.name for path in sim.folders.input.glob("ferrotype_*")}
    assert names == {f"ferrotype_{hashlib.sha256(each).hexdigest()[:40]}.png" for each in (data, mask)}


async def test_a_cutout_goes_on_white_to_a_model_without_alpha(client: Client, sim: ComfySim) -> None:
    cutout = Image.new("RGBA", (200, 100))
    cutout.paste((200, 30, 90, 255), (0, 0, 100, 100))
    mask = await upload(client, encoded(disc((200, 100), mode="L"), "PNG"))
    generation = await edit(client, image=await upload(client, encoded(cutout, "PNG")), mask=mask)
    picture = opened(sent(sim, "RGB"))
    assert (picture.get_format_mimetype(), picture.size) == ("image/png", (200, 100))
    assert (picture.getpixel((20, 50)), picture.getpixel((180, 50))) == ((200, 30, 90), (255, 255, 255))
    assert generation["input"]["inputs"][0]["rewritten"] is True


async def test_the_calls_of_one_generation_share_one_copy(
    client: Client, sim: ComfySim, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, made = client.app.pool.run, Counter[str]()

    async def counted(call: Any, *args: Any, **kwargs: Any) -> Any:
        made["prescale"] += call is prescale
        return await run(call, *args, **kwargs)

    monkeypatch.setattr(client.app.pool, "run", counted)
    asset_id = await upload(client, photo((1000, 800), 1))
    mask_id = await upload(client, encoded(disc((1000, 800), mode="L"), "PNG"))
    generation = await edit(client, image=asset_id, mask=mask_id, num_images=4)
    assert len(generation["output"]) == 4
    assert sim.journal.count("POST /prompt") == 4
    assert made["prescale"] == 2
    assert len(list(sim.folders.input.glob("ferrotype_*"))) == 2


async def test_what_was_told_of_an_input_holds_when_the_catalogue_changed(client: Client) -> None:
    generation = await edit(
        client,
        image=await upload(client, photo((1000, 800), 1)),
        mask=await upload(client, encoded(disc((1000, 800), mode="L"), "PNG")),
    )
    stated = generation["input"]["inputs"]
    # Other limits now: what was told when the order was accepted holds.
    (picture,), mask = await client.app.inputs.open(stated, InputLimits(max_side=16, formats=["webp"]))
    assert mask is not None
    assert (picture.content_type, mask.content_type) == ("image/jpeg", "image/png")
    assert [opened(await image.read()).size for image in (picture, mask)] == [(400, 320), (400, 320)]
    (again,), _ = await client.app.inputs.open(stated, InputLimits(max_side=16, formats=["webp"]))
    (other,), _ = await client.app.inputs.open(stated, InputLimits(quality=70))
    assert again.sha256 == picture.sha256 != other.sha256, "a name for the bytes"
    assert len(await other.read()) < len(await picture.read())


async def test_a_copy_beyond_the_room_there_is_is_made_each_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferrotype.imaging.prescale import plan

    data = photo((1000, 800), 1)
    asset_id = await upload(client, data)
    how = plan(data, InputLimits(max_side=400))
    length = len(prescale(data, how))
    for room, expected in ((length - 1, 3), (length, 1)):
        copies, made = Copies(client.app.originals, client.app.pool, room), Counter[str]()
        make = copies._make

        async def counted(*args: Any, make: Any = make, made: Counter[str] = made) -> bytes:
            made["all"] += 1
            return bytes(await make(*args))

        monkeypatch.setattr(copies, "_make", counted)
        found = await asyncio.gather(*(copies.read(asset_id, "x", how) for _ in range(3)))
        assert ({len(copy) for copy in found}, made["all"]) == ({length}, expected)


async def test_an_order_without_pictures_tells_of_none(client: Client) -> None:
    reply = await client.order(prompt="a fox", model="local/illustrator", width=256, height=256)
    assert (reply.status, reply.json["input"]["inputs"]) == (201, [])


async def test_a_picture_whose_bytes_are_gone_is_refused_before_anything_is_paid(client: Client) -> None:
    asset_id = await upload(client, photo((100, 80), 1))
    mask = encoded(disc((100, 80), mode="L"), "PNG")
    uri = "data:image/png;base64," + base64.b64encode(mask).decode()
    # Else the copy to the store comes after us.
    while not (await client.get(f"/v1/assets/{asset_id}")).json["stored"]:  # noqa: ASYNC110
        await asyncio.sleep(0)
    while (path := await client.app.originals.path(asset_id)) is not None:
        path.unlink()
    before = await client.rows()
    reply = await client.order(
        operation="edit", model="studio/small", prompt="a fox", image=asset_id, mask=uri
    )
    assert (reply.status, reply.json["code"], reply.json["field"]) == (422, "invalid_field", "image")
    assert await client.rows() == before


async def test_a_hosted_model_is_sent_what_its_entry_says(tmp_path: Path) -> None:
    async with (
        OpenAISim(HostedScript(key=KEY)) as sim,
        running(
            tmp_path / "data",
            OPENAI_API_KEY=KEY,
            OPENAI_BASE_URL=f"{sim.url}/v1",
            FERROTYPE_CLASSES="light=1",
        ) as client,
    ):
        original = photo((3000, 2000), 8)
        asset_id = await upload(client, original)
        mask_id = await upload(client, encoded(disc((2000, 3000), mode="L"), "PNG"))
        reply = await client.order(
            operation="inpaint",
            model="openai/gpt-image-2.5-flare",
            prompt="a hat",
            image=asset_id,
            mask=mask_id,
        )
        assert (reply.status, reply.json["status"]) == (201, "succeeded"), reply.body
        told = [(one["sent_width"], one["sent_height"]) for one in reply.json["input"]["inputs"]]
        assert told == [(836, 1254), (836, 1254)]
        (work,) = sim.works.items.values()
        assert work.source is not None
        assert opened(work.source).size == (836, 1254)
        assert b"SECRET" not in work.source
        assert (await client.get(f"/images/{asset_id}")).body == original
