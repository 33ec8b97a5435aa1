"""Many subscriptions on one WebSocket, and what becomes of messages that cannot be followed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ferrotype.sim.comfyui import ComfySim, Script
from tests.events.talk import ORDER, listening, talking, when
from tests.flows.harness import Client, running

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def test_one_socket_follows_many_things(client: Client) -> None:
    async with talking(client) as talk:
        await talk.say(type="subscribe", subscription="all", account=True)
        subscribed, snapshot = await talk.until("snapshot")
        assert subscribed == {"type": "subscribed", "subscription": "all", "id": 0}
        assert (snapshot["subscription"], snapshot["id"], snapshot["generations"]) == ("all", 0, [])
        accepted = await client.order_async(**ORDER)
        await talk.say(type="subscribe", subscription="it", generation_id=accepted["id"], after=0)
        heard = await talk.until("unsubscribed")
        mine = [each for each in heard if each["subscription"] == "it"]
        assert [mine[0]["type"], mine[1]["type"]] == ["subscribed", "snapshot"]
        assert [mine[-2]["type"], mine[-1]["type"]] == ["succeeded", "unsubscribed"]
        assert mine[-2]["generation"]["id"] == accepted["id"]
        numbers = [each["id"] for each in mine[2:-1] if each["id"] is not None]
        assert numbers == sorted(set(numbers))
        assert any(each["subscription"] == "all" and each["type"] == "queued" for each in heard)

        await talk.say(type="unsubscribe", subscription="all")
        assert (await talk.until("unsubscribed"))[-1]["subscription"] == "all"
        assert client.app.bus.watchers == 0
        await talk.say(type="ping")
        assert await talk.hear() == {"type": "pong"}


async def test_the_same_events_as_over_sse(client: Client) -> None:
    generation = (await client.order(**ORDER)).json
    await client.until(generation["id"], "stored", "enriched", count=2)
    path = f"/v1/generations/{generation['id']}/events?last_event_id=0"
    async with listening(client, path) as events:
        sent = [event.data async for event in events]
    async with talking(client) as talk:
        await talk.say(type="subscribe", subscription="x", generation_id=generation["id"], after=0)
        heard = (await talk.until("unsubscribed"))[1:-1]
    for event in heard:
        assert event.pop("subscription") == "x"
    assert len(sent) == len(heard)
    assert [{**each, "at": None} for each in sent[1:]] == [{**each, "at": None} for each in heard[1:]]


async def test_a_batch_and_its_end(client: Client) -> None:
    items = [{"prompt": f"fox {index}"} for index in range(2)]
    reply = await client.request(
        "POST",
        "/v1/batches",
        json={"items": items, "defaults": {"width": 256, "height": 256}},
        headers={"Prefer": "respond-async"},
    )
    async with talking(client) as talk:
        await talk.say(
            type="subscribe", subscription="b", batch_id=reply.json["id"], after=0, types=["output"]
        )
        heard = await talk.until("unsubscribed")
    assert [each["type"] for each in heard] == [
        "subscribed", "snapshot", "output", "output", "succeeded", "unsubscribed",
    ]  # fmt: skip
    assert heard[-2]["batch"]["status"] == "succeeded"


SUBSCRIBE: dict[str, Any] = {"type": "subscribe", "subscription": "s", "account": True}


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("{", "malformed_request", "message"),
        ("[" * 5000, "malformed_request", "message"),
        ("[1]", "malformed_request", "message"),
        ('"subscribe"', "malformed_request", "message"),
        ("{}", "invalid_field", "type"),
        ('{"type": "follow"}', "invalid_field", "type"),
        ('{"type": ["subscribe"]}', "invalid_field", "type"),
        ('{"type": "ping", "more": 1}', "invalid_field", "more"),
        ('{"type": "subscribe", "account": true}', "invalid_field", "subscription"),
        ('{"type": "unsubscribe", "subscription": "none"}', "invalid_field", "subscription"),
    ],
)
async def test_what_cannot_be_read(client: Client, text: str, code: str, field: str) -> None:
    async with talking(client) as talk:
        await talk.socket.send_str(text)
        heard = await talk.hear()
        assert (heard["type"], heard["problem"]["code"], heard["problem"]["field"]) == (
            "problem",
            code,
            field,
        )
        await talk.say(type="ping")  # and the socket goes on
        assert await talk.hear() == {"type": "pong"}


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"subscription": ""}, "invalid_field", "subscription"),
        ({"subscription": "x" * 65}, "invalid_field", "subscription"),
        ({"account": False}, "invalid_field", "generation_id"),
        ({"batch_id": UNKNOWN}, "invalid_field", "account"),
        ({"after": -1}, "invalid_field", "after"),
        ({"after": "4"}, "invalid_field", "after"),
        ({"types": ["outputs"]}, "invalid_field", "types"),
        ({"inline": "huge"}, "invalid_field", "inline"),
        ({"previews": "no"}, "invalid_field", "previews"),
        ({"colour": "red"}, "invalid_field", "colour"),
        ({"account": False, "generation_id": UNKNOWN}, "not_found", None),
        ({"account": False, "batch_id": "../etc"}, "not_found", None),
    ],
)
async def test_what_cannot_be_followed(
    client: Client, change: dict[str, Any], code: str, field: str | None
) -> None:
    async with talking(client) as talk:
        await talk.say(**SUBSCRIBE | change)
        heard = await talk.hear()
        problem = heard["problem"]
        assert (heard["type"], problem["code"], problem.get("field")) == ("problem", code, field)
        if len(change.get("subscription", "s")) == 1:
            assert heard["subscription"] == "s"
        await talk.say(**SUBSCRIBE)  # the name is free
        assert (await talk.hear())["type"] == "subscribed"


async def test_binary_messages_are_refused(client: Client) -> None:
    async with talking(client) as talk:
        await talk.socket.send_bytes(b"\x00\xff")
        assert (await talk.hear())["problem"]["code"] == "unsupported_media"


async def test_a_message_too_large_closes(client: Client) -> None:
    async with talking(client) as talk:
        await talk.socket.send_str("x" * 20_000)
        assert await talk.closed() == 1009


async def test_subscriptions_are_bounded(tmp_path: Path) -> None:
    async with (
        running(tmp_path / "data", FERROTYPE_SOCKET_SUBSCRIPTIONS="2") as client,
        talking(client) as talk,
    ):
        for name in ("a", "b"):
            await talk.say(type="subscribe", subscription=name, account=True)
            await talk.until("snapshot")
        await talk.say(type="subscribe", subscription="a", account=True)
        assert (await talk.hear())["problem"]["detail"] == "That subscription is there already."
        await talk.say(type="subscribe", subscription="c", account=True)
        refused = await talk.hear()
        assert (refused["subscription"], refused["problem"]["limit"]) == ("c", 2)
        await talk.say(type="unsubscribe", subscription="a")
        await talk.until("unsubscribed")
        await talk.say(type="subscribe", subscription="c", account=True)
        assert (await talk.hear())["type"] == "subscribed"


async def test_silence_is_broken_by_pings(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_KEEP_ALIVE="0.01") as client, talking(client) as talk:
        assert await talk.hear() == {"type": "ping"}
        await talk.say(type="pong")
        assert await talk.hear() == {"type": "ping"}


async def test_a_client_that_goes_is_forgotten(client: Client) -> None:
    async with talking(client) as talk:
        await talk.say(**SUBSCRIBE)
        await talk.until("snapshot")
        assert client.app.bus.watchers == 1
    await when(lambda: not client.app.bus.watchers and not client.app.front._open)
    assert len(client.app.streams.lines) == 0


async def refused(client: Client, http: aiohttp.ClientSession, path: str = "/v1/ws", **headers: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await http.ws_connect(client.base + path, headers=headers)
    return error.value.status


async def test_who_may_open_one_on_loopback(client: Client) -> None:
    assert await refused(client, client.http, Origin="https://evil.example") == 403
    assert await refused(client, client.http, Host="evil.example") == 403
    assert await refused(client, client.http, "/v1/sockets") == 404
    async with talking(client, Origin=client.base) as talk:
        await talk.say(type="ping")
        assert await talk.hear() == {"type": "pong"}
    assert client.app.bus.watchers == 0


async def test_who_may_open_one_with_a_key(tmp_path: Path) -> None:
    key = "k" * 20
    async with running(tmp_path / "data", FERROTYPE_API_KEY=key) as client:
        async with aiohttp.ClientSession() as nobody:
            assert await refused(client, nobody) == 401
            reply = await nobody.post(
                f"{client.base}/studio/session", json={"key": key}, headers={"Origin": client.base}
            )
            assert reply.status == 204
            cookie = f"ferrotype_session={reply.cookies['ferrotype_session'].value}"
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as page:
            assert await refused(client, page, Cookie=cookie, Origin="https://evil.example") == 403
            assert await refused(client, page, Cookie=cookie, **{"Sec-Fetch-Site": "cross-site"}) == 403
            headers = {"Cookie": cookie, "Origin": client.base}
            async with page.ws_connect(f"{client.base}/v1/ws", headers=headers) as socket:
                await socket.send_str('{"type":"ping"}')
                assert await socket.receive_json() == {"type": "pong"}
        async with talking(client) as talk:
            await talk.say(type="ping")
            assert await talk.hear() == {"type": "pong"}


async def test_plain_http_is_told_to_upgrade(client: Client) -> None:
    reply = await client.get("/v1/ws")
    assert (reply.status, reply.json["code"]) == (426, "upgrade_required")


async def test_a_stop_tells_what_waits_and_closes(tmp_path: Path) -> None:
    async with (
        ComfySim(Script(hold="start")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_DRAIN_SECONDS="0") as client,
    ):
        accepted = await client.order_async(**ORDER)
        await sim.held(1)
        socket = await client.http.ws_connect(f"{client.base}/v1/ws")
        await socket.send_json({"type": "subscribe", "subscription": "s", "generation_id": accepted["id"]})
        for type in ("subscribed", "snapshot"):
            assert (await socket.receive_json())["type"] == type
        stopping = asyncio.create_task(client.app.drain(0))
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            assert '"subscription":"s"' in message.data
        assert socket.close_code == 1012
        await stopping
        assert await refused(client, client.http) == 503
        sim.release()
