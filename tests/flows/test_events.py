"""The event stream: snapshot first, numbered, resumable, closed by the terminal event."""

from __future__ import annotations

from typing import Any

from tests.flows.harness import Client

FOX = {"prompt": "a fox under the moon", "width": 512, "height": 512, "seed": 7}


async def collect(client: Client, id: str, last: int | None = None) -> list[tuple[int, str, dict[str, Any]]]:
    return [event async for event in client.events(id, last)]


async def test_a_stream_tells_the_whole_story(client: Client) -> None:
    accepted = await client.order_async(**FOX)
    events = await collect(client, accepted["id"])
    types = [type for _, type, _ in events]
    assert types[0] == "snapshot"
    assert events[0][2]["generation"]["id"] == accepted["id"]
    assert types[-1] == "succeeded"
    assert events[-1][2]["generation"]["status"] == "succeeded"
    assert types.index("output") < types.index("succeeded")
    assert "progress" in types
    assert "preview" in types
    fractions = [data["progress"] for _, type, data in events if type == "progress"]
    assert fractions == sorted(fractions)
    preview = next(data for _, type, data in events if type == "preview")
    assert preview["data_uri"].startswith("data:image/jpeg;base64,")
    output = next(data for _, type, data in events if type == "output")
    assert (await client.get(output["asset"]["url"])).status == 200
    numbers = [number for number, _, _ in events]
    assert numbers == sorted(numbers)
    for _, type, data in events[1:]:
        assert data["type"] == type
        assert data["generation_id"] == accepted["id"]


async def test_resume_after_any_number_misses_nothing_and_repeats_nothing(client: Client) -> None:
    generation = (await client.order(**FOX, num_images=2)).json
    await client.until(generation["id"], "stored", "enriched", count=4)
    everything = await collect(client, generation["id"], 0)
    state = [(number, type) for number, type, _ in everything[1:]]
    assert [type for _, type in state].count("output") == 2
    assert {type for _, type in state} == {
        *("queued", "started", "output", "ready", "settled", "stored", "enriched", "succeeded"),
    }
    for number, _ in state:
        resumed = await collect(client, generation["id"], number)
        assert resumed[0][0] == number
        assert [(n, type) for n, type, _ in resumed[1:]] == [entry for entry in state if entry[0] > number]


async def test_a_finished_generation_is_a_snapshot_and_closes(client: Client) -> None:
    generation = (await client.order(**FOX)).json
    await client.until(generation["id"], "stored")
    (event,) = await collect(client, generation["id"])
    assert event[1] == "snapshot"
    assert event[2]["generation"]["status"] == "succeeded"


async def test_a_number_from_the_future_is_no_harm(client: Client) -> None:
    generation = (await client.order(**FOX)).json
    await client.until(generation["id"], "stored")
    assert [type for _, type, _ in await collect(client, generation["id"], 10**12)] == ["snapshot"]


async def test_an_unknown_generation_is_a_problem(client: Client) -> None:
    reply = await client.get("/v1/generations/01890000-0000-7000-8000-000000000000/events")
    assert (reply.status, reply.json["code"]) == (404, "not_found")
