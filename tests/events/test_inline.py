"""Pictures in the events themselves."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from ferrotype.imaging.inspect import inspect
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.services.inline import MAX_PREVIEW, SIDE
from tests.events.talk import ORDER, listening, talking
from tests.flows.harness import Client, running

LIMITS = ImagingSettings()


async def told(client: Client, inline: str, order: dict[str, Any] = ORDER) -> list[dict[str, Any]]:
    """Every event of a finished generation with a picture in it, or with none where one was asked for."""
    generation = (await client.order(**order)).json
    await client.until(generation["id"], "stored", "enriched", count=2)
    path = f"/v1/generations/{generation['id']}/events?last_event_id=0&inline={inline}"
    async with listening(client, path) as events:
        return [event.data async for event in events if "inline" in event.data]


def picture(inline: dict[str, Any]) -> bytes:
    head, _, encoded = inline["data_uri"].partition(",")
    assert head == f"data:{inline['content_type']};base64"
    data = b64decode(encoded)
    info = inspect(data, LIMITS)
    assert (info.content_type, info.width, info.height) == (
        inline["content_type"],
        inline["width"],
        inline["height"],
    )
    return data


async def test_a_placeholder(client: Client) -> None:
    found = await told(client, "placeholder")
    assert {event["type"] for event in found} == {"output", "ready", "enriched"}
    for event in found:
        assert event["inline"]["kind"] == "placeholder"
        assert event["inline"]["data_uri"] == event["asset"]["placeholder"]["data_uri"]
        picture(event["inline"])


async def test_a_preview(client: Client) -> None:
    found = await told(client, "preview", ORDER | {"width": 1024, "height": 512})
    assert {event["type"] for event in found} == {"output", "ready"}
    for event in found:
        inline = event["inline"]
        assert (inline["kind"], inline["content_type"]) == ("preview", "image/webp")
        assert (inline["width"], inline["height"]) == (SIDE, SIDE // 2)
        assert len(picture(inline)) <= MAX_PREVIEW


async def test_the_output_itself_if_it_is_small_enough(client: Client) -> None:
    found = await told(client, "output")
    for event in found:
        assert event["inline"]["kind"] == "output"
        assert picture(event["inline"]) == (await client.get(event["asset"]["url"])).body


async def test_a_large_output_comes_as_a_preview(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_EVENT_INLINE_BYTES="1000") as client:
        found = await told(client, "output")
        assert {event["inline"]["kind"] for event in found} == {"preview"}


async def test_without_asking_there_is_none(client: Client) -> None:
    generation = (await client.order(**ORDER)).json
    await client.until(generation["id"], "stored", "enriched", count=2)
    async with listening(client, f"/v1/generations/{generation['id']}/events?last_event_id=0") as events:
        assert not [event async for event in events if "inline" in event.data]


async def test_it_is_made_once_for_all(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = (await client.order(**ORDER)).json
    await client.until(generation["id"], "stored", "enriched", count=2)
    asset_id = generation["output"][0]["id"]
    inline = client.app.inline
    made = await asyncio.gather(*(inline.get(asset_id, "preview") for _ in range(50)))
    assert all(each is made[0] for each in made)
    assert await inline.get(asset_id, "preview") is made[0]
    assert client.app.telemetry.to_json()["operations"]["render"]["count"] == 1


async def test_a_picture_that_is_gone_is_null(client: Client) -> None:
    assert await client.app.inline.get("01890000-0000-7000-8000-000000000000", "preview") is None


async def test_live_over_a_websocket(client: Client) -> None:
    async with talking(client) as talk:
        await talk.say(type="subscribe", subscription="s", account=True, inline="preview", types=["ready"])
        await talk.until("snapshot")
        await client.order(**ORDER)
        (ready,) = await talk.until("ready")
    assert ready["inline"]["kind"] == "preview"
