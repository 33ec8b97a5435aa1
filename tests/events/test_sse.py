"""Server-sent events: whose, which, from where on, and how streams end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ferrotype.sim.comfyui import ComfySim, Script
from tests.events.talk import ORDER, listening, preview, talking, unread, until, when
from tests.flows.harness import Client, running

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def test_the_account_hears_of_everything(client: Client) -> None:
    async with listening(client, "/v1/events") as events:
        first = await anext(events)
        assert (first.type, first.data["generations"], first.data["batches"]) == ("snapshot", [], [])
        one = (await client.order(**ORDER)).json
        other = (await client.order(**ORDER | {"seed": 8})).json
        found = await until(events, "succeeded")
        found += await until(events, "succeeded")
    assert {each.data["generation_id"] for each in found} == {one["id"], other["id"]}
    for each in found:
        assert each.data["object"] == "event"
        assert each.data["type"] == each.type
        assert each.data["id"] in (each.number, None)
    numbers = [each.number for each in found]
    assert numbers == sorted(numbers)


async def test_the_account_s_snapshot_shows_what_has_not_ended(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url) as client,
    ):
        reply = await client.request(
            "POST", "/v1/batches", json={"items": [ORDER]}, headers={"Prefer": "respond-async"}
        )
        await sim.held(1)
        async with listening(client, "/v1/events") as events:
            snapshot = await anext(events)
            (batch,) = snapshot.data["batches"]
            (generation,) = snapshot.data["generations"]
            assert batch["id"] == generation["batch_id"] == reply.json["id"]
            assert generation["status"] == "running"
            sim.release()
            found = await until(events, "succeeded")
            found += await until(events, "succeeded")
        assert {each.data["batch_id"] for each in found} == {batch["id"]}


async def test_a_batch_s_stream_ends_with_the_batch(client: Client) -> None:
    items = [{"prompt": f"fox {index}"} for index in range(3)]
    reply = await client.request(
        "POST",
        "/v1/batches",
        json={"items": items, "defaults": {"width": 256, "height": 256}},
        headers={"Prefer": "respond-async"},
    )
    async with listening(client, f"/v1/batches/{reply.json['id']}/events") as stream:
        events = [event async for event in stream]
    assert events[0].data["batch"]["id"] == reply.json["id"]
    terminal = [each for each in events if each.type == "succeeded"]
    assert [each.data["generation_id"] is None for each in terminal] == [False, False, False, True]
    assert terminal[-1].data["batch"]["status"] == "succeeded"
    assert {each.data["batch_id"] for each in events} == {reply.json["id"]}

    async with listening(client, f"/v1/batches/{reply.json['id']}/events?last_event_id=0") as stream:
        again = [event async for event in stream]
    assert [each.number for each in again] == sorted({each.number for each in again})
    assert sum(each.type == "succeeded" for each in again) == 4


async def test_an_account_s_stream_is_resumed(client: Client) -> None:
    async with listening(client, "/v1/events") as events:
        await client.order(**ORDER)
        seen = (await until(events, "started"))[-1].number
    async with listening(client, "/v1/events", **{"Last-Event-ID": str(seen)}) as events:
        found = await until(events, "succeeded")
    assert found[0].number == seen
    assert found[1].number > seen
    async with listening(client, f"/v1/events?last_event_id={seen}") as events:
        again = await until(events, "succeeded")
    state = [each.number for each in found if each.data["id"] is not None]
    assert [each.number for each in again if each.data["id"] is not None] == state


async def test_types_and_previews_are_chosen(client: Client) -> None:
    accepted = await client.order_async(**ORDER)
    path = f"/v1/generations/{accepted['id']}/events?last_event_id=0&types=output,preview&previews=false"
    async with listening(client, path) as events:
        types = [event.type async for event in events]
    assert types == ["snapshot", "output", "succeeded"], "the event that ends a stream is always told"


@pytest.mark.parametrize(
    ("query", "field", "limit"),
    [
        ("types=outputs", "types", "output"),
        ("types=output,,ready", "types", "output"),
        ("types=snapshot", "types", "output"),
        ("inline=huge", "inline", "placeholder"),
        ("previews=perhaps", "previews", "true"),
        ("last_event_id=-4", "last_event_id", None),
        ("last_event_id=9999999999999999999", "last_event_id", None),
        ("last_event_id=%D9%A3", "last_event_id", None),
    ],
)
async def test_what_cannot_be_asked(client: Client, query: str, field: str, limit: str | None) -> None:
    reply = await client.get(f"/v1/events?{query}")
    assert (reply.status, reply.json["code"], reply.json["field"]) == (422, "invalid_field", field)
    assert limit is None or limit in reply.json["limit"]


async def test_a_number_in_the_header_is_checked_too(client: Client) -> None:
    reply = await client.get("/v1/events", headers={"Last-Event-ID": "x"})
    assert (reply.status, reply.json["field"]) == (422, "Last-Event-ID")


@pytest.mark.parametrize("what", ["generations", "batches"])
async def test_what_is_not_there_is_a_problem(client: Client, what: str) -> None:
    for id in (UNKNOWN, "no-id"):
        reply = await client.get(f"/v1/{what}/{id}/events")
        assert (reply.status, reply.json["code"]) == (404, "not_found")
    assert client.app.bus.watchers == 0


async def test_a_stream_needs_the_key(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_API_KEY="k" * 20) as client:
        async with aiohttp.ClientSession() as nobody, nobody.get(f"{client.base}/v1/events") as reply:
            assert reply.status == 401
        async with listening(client, "/v1/events") as events:
            assert (await anext(events)).type == "snapshot"


async def test_silence_is_broken_by_comments(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_KEEP_ALIVE="0.01") as client,
    ):
        accepted = await client.order_async(**ORDER)
        await sim.held(1)
        async with client.http.get(f"{client.base}/v1/generations/{accepted['id']}/events") as reply:
            while b": keep-alive" not in await reply.content.readuntil(b"\n\n"):
                pass
        sim.release()
        await client.until(accepted["id"], "succeeded")
        await alone(client)


async def alone(client: Client) -> None:
    """Return when nobody watches anything any more."""
    await when(lambda: not client.app.bus.watchers and not client.app.streams.lines)


async def test_a_client_that_goes_is_noticed_while_nothing_happens(client: Client) -> None:
    async with listening(client, "/v1/events") as one, listening(client, "/v1/events") as two:
        await anext(one)
        await anext(two)
        assert len(client.app.streams.lines) == 2
    await alone(client)
    assert client.app.front._open == 0


async def test_streams_end_with_the_server(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as client:
        reply = await client.http.get(f"{client.base}/v1/events")
        assert b"snapshot" in await reply.content.readuntil(b"\n\n")
        socket = await client.http.ws_connect(f"{client.base}/v1/ws")
        client.app.bus.close()
        client.app.streams.stop()
        assert await reply.content.read() == b"", "ended cleanly: a browser comes back"
        message = await socket.receive()
        # Not socket.close_code: it becomes 1006 where the line is gone before the client has answered.
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)


@pytest.mark.parametrize("road", ["sse", "websocket"])
async def test_a_client_that_stops_reading_hurts_nobody(tmp_path: Path, road: str) -> None:
    """It is cut off, and is counted; another one beside it has every event."""
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    head = {
        "sse": "GET /v1/events HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "websocket": "GET /v1/ws HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"{key}\r\n\r\n",
    }[road]
    async with (
        running(tmp_path / "data", FERROTYPE_STREAM_STALL_SECONDS="0.2") as client,
        unread(client, head) as dead,
        talking(client) as talk,
    ):
        loop = asyncio.get_running_loop()
        if road == "websocket":
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += await loop.sock_recv(dead, 1024)
            await loop.sock_sendall(dead, masked(b'{"type":"subscribe","subscription":"d","account":true}'))
        await talk.say(type="subscribe", subscription="me", account=True)
        await talk.until("snapshot")
        await when(lambda: client.app.bus.watchers == 2)
        told, heard = 0, asyncio.create_task(hear_all(talk))
        while client.app.bus.watchers == 2:
            client.app.bus.publish(preview(client, told))
            told += 1
            await asyncio.sleep(0.002)
        client.app.bus.publish(preview(client, -1))
        assert (await heard)[-1] == -1
        await when(lambda: "streams_stalled" in client.app.telemetry.to_json()["counters"])
        assert client.app.telemetry.to_json()["counters"]["streams_stalled"] == 1
        await gone(dead)
        await when(lambda: client.app.front._open == 1)
        assert len(client.app.streams.lines) == 1


async def gone(dead: socket.socket) -> None:
    """Return when its connection has ended, whatever was still on the way."""
    with suppress(ConnectionError):
        while await asyncio.get_running_loop().sock_recv(dead, 1 << 20):
            pass


async def hear_all(talk: Any) -> list[int]:
    found: list[int] = []
    while not found or found[-1] != -1:
        message = await talk.hear()
        if message["type"] == "preview":
            found.append(message["index"])
    return found


def masked(data: bytes) -> bytes:
    """A text frame of a client (RFC 6455, 5.2), with a mask that changes nothing."""
    assert len(data) < 126
    return bytes((0x81, 0x80 | len(data), 0, 0, 0, 0)) + data
