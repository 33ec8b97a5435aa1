"""Of a stream that is over nothing stays in memory, however it ended and over whichever road."""

from __future__ import annotations

import gc

import pytest

from ferrotype.events.memory import Mailbox
from ferrotype.http.streams.feed import Feed
from ferrotype.http.streams.lines import Line
from ferrotype.http.streams.sse import EventStream, Hearing
from ferrotype.http.streams.websocket import Socket
from tests.events.talk import ORDER, listening, talking, when
from tests.flows.harness import Client

KINDS = (EventStream, Feed, Hearing, Line, Mailbox, Socket)


def left() -> list[str]:
    gc.collect()
    return [type(each).__name__ for each in gc.get_objects() if isinstance(each, KINDS)]


@pytest.mark.parametrize("road", ["goes", "ends", "socket goes", "socket unsubscribes"])
@pytest.mark.slow
async def test_nothing_stays(client: Client, road: str) -> None:
    generation = (await client.order(**ORDER)).json
    await client.until(generation["id"], "stored", "enriched", count=2)
    before = left()
    for _ in range(5):
        match road:
            case "goes":
                async with listening(client, "/v1/events") as events:
                    await anext(events)
            case "ends":
                path = f"/v1/generations/{generation['id']}/events?last_event_id=0"
                async with listening(client, path) as events:
                    assert [event.type async for event in events]
            case _:
                async with talking(client) as talk:
                    await talk.say(type="subscribe", subscription="s", account=True)
                    await talk.until("snapshot")
                    if road == "socket unsubscribes":
                        await talk.say(type="unsubscribe", subscription="s")
                        await talk.until("unsubscribed")
        await when(lambda: not client.app.bus.watchers and not client.app.front._open)
    await when(lambda: left() == before)
