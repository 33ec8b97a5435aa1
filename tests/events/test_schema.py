"""Every event of real runs, over both roads, is what the OpenAPI document says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from ferrotype.domain.event import EVENT_TYPES
from ferrotype.http.streams.schemas import EventBody, SocketMessage
from ferrotype.sim.comfyui import ComfySim, Script
from ferrotype.sim.comfyui.script import NodeError
from tests.events.talk import ORDER, Talk, listening, talking
from tests.flows.harness import Client, running

MESSAGE: TypeAdapter[Any] = TypeAdapter(SocketMessage)
ASYNC = {"Prefer": "respond-async"}
Story = Callable[[Client, ComfySim], Awaitable[None]]


async def succeeds(client: Client, sim: ComfySim) -> None:
    generation = (await client.order(**ORDER, num_images=2)).json
    assert generation["status"] == "succeeded"
    await client.until(generation["id"], "ready", count=2)


async def fails(client: Client, sim: ComfySim) -> None:
    sim.script.node_errors = [NodeError(node="sampler", message="out of memory")]
    assert (await client.order(**ORDER)).json["status"] == "failed"


async def is_canceled(client: Client, sim: ComfySim) -> None:
    sim.script.hold = "start"
    accepted = await client.order_async(**ORDER)
    await sim.held(1)
    canceling = asyncio.create_task(client.request("POST", f"/v1/generations/{accepted['id']}/cancel"))
    sim.release()
    await canceling
    await client.until(accepted["id"], "canceled", "succeeded")


async def is_reused(client: Client, sim: ComfySim) -> None:
    """One that follows another while that runs, and one that finds its pictures."""
    sim.script.hold = "start"
    leader = await client.order_async(**ORDER)
    await sim.held(1)
    follower = await client.order_async(**ORDER)
    assert follower["reused_from"] == leader["id"]
    sim.release()
    await client.until(follower["id"], "ready")
    assert (await client.order(**ORDER)).json["reused_from"] is not None


async def is_a_batch(client: Client, sim: ComfySim) -> None:
    items = [{"prompt": f"fox {index}"} for index in range(3)]
    body = {"items": items, "defaults": {"width": 256, "height": 256}}
    reply = await client.request("POST", "/v1/batches", json=body, headers={"Prefer": "wait=30"})
    assert reply.json["status"] == "succeeded"


async def is_a_batch_that_fails(client: Client, sim: ComfySim) -> None:
    sim.script.node_errors = [NodeError(node="sampler", message="out of memory")]
    body = {"items": [{"prompt": "a fox"}], "defaults": {"width": 256, "height": 256}}
    reply = await client.request("POST", "/v1/batches", json=body, headers={"Prefer": "wait=30"})
    assert reply.json["status"] == "failed"


@pytest.mark.parametrize("inline", [None, "placeholder", "preview", "output"])
@pytest.mark.parametrize(
    ("story", "types"),
    [
        (succeeds, {"queued", "started", "output", "ready", "succeeded", "snapshot", "progress"}),
        (fails, {"queued", "started", "failed", "snapshot"}),
        (is_canceled, {"queued", "snapshot"}),
        (is_reused, {"queued", "output", "ready", "succeeded", "snapshot"}),
        (is_a_batch, {"queued", "started", "succeeded", "snapshot"}),
        (is_a_batch_that_fails, {"queued", "started", "failed", "snapshot"}),
    ],
)
async def test_events_are_what_the_schema_says(
    tmp_path: Path, story: Story, types: set[str], inline: str | None
) -> None:
    asked = f"?inline={inline}" if inline else ""
    async with (
        ComfySim(Script(preview="JPEG")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_MAX_ATTEMPTS="1") as client,
        talking(client) as talk,
        listening(client, f"/v1/events{asked}") as events,
    ):
        await talk.say(type="subscribe", subscription="s", account=True, inline=inline)
        heard = await talk.until("snapshot")
        snapshot = await anext(events)
        await story(client, sim)
        last = await newest(client)
        sent = [snapshot]
        while sent[-1].number < last:
            sent.append(await anext(events))
        while (heard[-1].get("id") or 0) < last:
            heard.append(await talk.hear())
    for event in sent:
        EventBody.model_validate(event.data, strict=False)
    for message in heard:
        MESSAGE.validate_python(message)
    found = {event.type for event in sent}
    assert types <= found <= set(EVENT_TYPES)
    assert types <= {message["type"] for message in heard}


async def newest(client: Client) -> int:
    from ferrotype.db import journal

    account = client.app.account_id
    return await client.app.database.read(lambda tx: journal.last_seq(tx, account, topic="account"))


async def test_what_a_socket_says_besides(client: Client) -> None:
    async with talking(client) as talk:
        heard = await said(talk)
    for message in heard:
        MESSAGE.validate_python(message)
    assert [message["type"] for message in heard] == [
        "problem",
        "pong",
        "subscribed",
        "snapshot",
        "unsubscribed",
    ]


async def said(talk: Talk) -> list[dict[str, Any]]:
    await talk.say(type="what")
    heard = [await talk.hear()]
    await talk.say(type="ping")
    heard.append(await talk.hear())
    await talk.say(type="subscribe", subscription="s", account=True)
    heard += await talk.until("snapshot")
    await talk.say(type="unsubscribe", subscription="s")
    return heard + await talk.until("unsubscribed")


async def test_the_schema_is_in_the_openapi_document(client: Client) -> None:
    document = (await client.get("/openapi.json")).json
    for path in ("/v1/events", "/v1/batches/{batch_id}/events", "/v1/generations/{generation_id}/events"):
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        assert content["text/event-stream"]["schema"] == {
            "type": "object",
            "$ref": "#/components/schemas/EventBody",
        }
    mapping = document["components"]["schemas"]["EventBody"]["discriminator"]["mapping"]
    assert set(mapping) == set(EVENT_TYPES)
