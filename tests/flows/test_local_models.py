"""The models of the extra `[local]` through HTTP: upload, order, watch, look at the result."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pyvips

from ferrotype.providers.local import weights
from ferrotype.providers.local.styles import STYLES
from ferrotype.providers.local.weights import INSTALL
from tests.flows.harness import Client, running
from tests.providers.local_support import Watched, drawn, pixels, png, psnr


async def upload(client: Client, data: bytes) -> str:
    reply = await client.request("POST", "/v1/assets", data={"file": io.BytesIO(data)})
    assert reply.status == 201, reply.body
    return str(reply.json["id"])


async def picture(client: Client, generation: dict[str, Any]) -> Any:
    """(height, width, bands) of the only picture, as it is served."""
    assert generation["status"] == "succeeded", generation["error"]
    (asset,) = generation["output"]
    reply = await client.get(asset["url"])
    assert (reply.status, reply.headers["Content-Type"]) == (200, asset["content_type"])
    found = pixels(reply.body)
    assert (asset["width"], asset["height"]) == (found.shape[1], found.shape[0])
    return found


@pytest.fixture
async def seat_taken(client: Client) -> AsyncIterator[dict[str, Any]]:
    """An order that has the only seat, until it is canceled."""
    large = await upload(client, png(drawn(256, 256).resize(5)))
    long = await client.order_async(operation="upscale", model="local/upscale-photo", image=large)
    await client.until(long["id"], "started")
    yield long
    await client.request("POST", f"/v1/generations/{long['id']}/cancel")


async def test_an_upload_is_enlarged_with_progress_by_tile(
    client: Client, seat_taken: dict[str, Any]
) -> None:
    """Six tiles, watched from the queue to the end."""
    image = await upload(client, png(drawn(260, 140)))
    order = await client.order_async(
        operation="upscale", model="local/upscale-photo", image=image, params={"scale": 2}, format="png"
    )
    told, types = [], []
    async with aclosing(client.events(order["id"])) as events:
        async for _, kind, data in events:
            if kind == "snapshot":
                assert data["generation"]["status"] == "queued"
                stop = await client.request("POST", f"/v1/generations/{seat_taken['id']}/cancel")
                assert stop.status < 300, stop.body
            elif kind == "progress":
                told.append(data["progress"])
            types.append(kind)
    assert types[-1] == "succeeded"
    tiles = {round(fraction, 3) for fraction in told if 0.02 < fraction <= 0.95}
    # Of two that came at once only the later is told.
    assert tiles <= {0.175, 0.33, 0.485, 0.64, 0.795, 0.95}
    assert len(tiles) > 1
    assert told == sorted(told)
    ended = (await client.get(f"/v1/generations/{order['id']}")).json
    found = await picture(client, ended)
    assert found.shape == (280, 520, 3)
    assert psnr(found, pixels(png(drawn(260, 140).resize(2, kernel="cubic")))) > 22
    assert ended["cost"] == {"credits": 1, "usd": 0.0}
    assert ended["output"][0]["source_type"] == "compositeWithTrainedAlgorithmicMedia"
    assert (await client.get(f"/v1/generations/{seat_taken['id']}")).json["status"] == "canceled"


async def test_canceling_a_running_order_ends_its_process(client: Client, seat_taken: dict[str, Any]) -> None:
    async with aclosing(client.events(seat_taken["id"])) as events:
        async for _, kind, data in events:
            if kind == "progress" and data["progress"] > 0.02:
                break
    (pid,) = client.app.providers["local"]._models.workers.pids  # type: ignore[attr-defined]
    process = Watched(pid)
    stop = await client.request("POST", f"/v1/generations/{seat_taken['id']}/cancel")
    assert stop.status < 300, stop.body
    ended = await client.until(seat_taken["id"], "canceled")
    assert ended["status"] == "canceled"
    assert process.ended()
    assert (await client.balance())[1] == 0, "nothing is held any more"


async def test_a_photo_from_a_phone_is_enlarged_upright(client: Client) -> None:
    turned = drawn(48, 32).copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image = await upload(client, bytes(turned.jpegsave_buffer(Q=95)))
    reply = await client.order(
        operation="upscale", model="local/upscale-art", image=image, params={"scale": 4}
    )
    assert (await picture(client, reply.json)).shape == (192, 128, 3)


async def test_a_style_and_a_reference_picture(client: Client) -> None:
    image, manner = await upload(client, png(drawn(120, 90))), await upload(client, png(drawn(90, 120, 9)))
    order = {"operation": "restyle", "model": "local/restyle", "format": "png"}
    by_name = await picture(client, (await client.order(**order, image=image, params={"style": "wave"})).json)
    by_picture = await picture(client, (await client.order(**order, images=[image, manner])).json)
    original = pixels(png(drawn(120, 90)))
    assert by_name.shape == by_picture.shape == original.shape
    assert psnr(by_name, original) < 22
    assert psnr(by_picture, original) < 22
    assert psnr(by_name, by_picture) < 22


async def test_what_says_how_to_paint(client: Client) -> None:
    image = await upload(client, png(drawn(96, 80)))
    order = {"operation": "restyle", "model": "local/restyle"}
    neither = await client.order(**order, image=image)
    assert neither.status == 422, neither.body
    unknown = await client.order(**order, image=image, params={"style": "rembrandt"})
    assert (unknown.status, unknown.json["field"]) == (422, "params.style")
    assert unknown.json["limit"] == list(STYLES)
    both = await client.order(**order, images=[image, image], params={"style": "wave"})
    assert (both.status, both.json["status"]) == (201, "failed")
    assert both.json["error"]["code"] == "provider_rejected"
    assert (await client.balance())[1:] == (0, 0)


async def test_what_would_be_too_large_is_refused_with_the_limit(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_LOCAL_MAX_PIXELS="20000") as client:
        image = await upload(client, png(drawn(96, 80)))
        order = {"operation": "upscale", "model": "local/upscale-photo", "image": image}
        reply = await client.order(**order, params={"scale": 2})
        assert reply.json["status"] == "failed"
        error = reply.json["error"]
        assert (error["code"], error["limit"]) == ("provider_rejected", 20000)
        assert error["detail"] == "2x makes it 192 x 160; 20000 pixels are allowed."
        assert not client.app.providers["local"]._models.workers.pids  # type: ignore[attr-defined]
        assert (await client.balance())[1:] == (0, 0), "what was not done costs nothing"


async def test_without_the_packages_an_order_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = weights.find_spec
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == "ncnn" else there(name))
    async with running(tmp_path / "data") as client:
        image = await upload(client, png(drawn(48, 40)))
        for named in ({"model": "local/upscale-photo"}, {}):
            reply = await client.order(operation="upscale", image=image, **named)
            assert (reply.status, reply.json["code"]) == (503, "no_deployment")
            assert f"The package ncnn is not installed. Install it with {INSTALL}" in reply.json["detail"]
        models = {model["id"]: model for model in (await client.get("/v1/models")).json["data"]}
        assert models["local/upscale-photo"]["available"] is False
        assert models["local/restyle"]["available"] is True
        drawing = await client.order(prompt="a fox", width=256, height=256)
        assert (drawing.status, drawing.json["model"]) == (201, "local/illustrator")
