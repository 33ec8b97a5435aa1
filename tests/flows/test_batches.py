"""Batches through HTTP: many orders at once, their counts, money, ends, and what becomes of bad ones."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ferrotype.db import journal
from ferrotype.domain.event import Event
from ferrotype.events.base import Closed
from ferrotype.services.admit_batch import CHUNK
from ferrotype.sim.hosted import Fault
from tests.flows.harness import Client, Reply
from tests.flows.test_routing import deployments, model, shop
from tests.imaging.imaging_pictures import scene

PAINTER = model("me/painter", deployments("a"))
SMALL: dict[str, Any] = {"width": 256, "height": 256}
LINES = {"Content-Type": "application/jsonl"}
ASYNC = {"Prefer": "respond-async"}


async def batch(client: Client, *items: dict[str, Any], **more: Any) -> Reply:
    headers = more.pop("headers", {})
    return await client.request("POST", "/v1/batches", json={"items": items, **more}, headers=headers)


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"fox number {index}"} for index in range(count)]


async def ended(client: Client, batch_id: str) -> dict[str, Any]:
    """The envelope once the batch has ended."""
    with client.app.bus.subscribe(batch_id) as subscription:
        while True:
            envelope = dict((await client.get(f"/v1/batches/{batch_id}")).json)
            if envelope["completed_at"] is not None:
                return envelope
            while True:
                event = await subscription.get()
                if event.terminal and event.generation_id is None:
                    break


async def settled(client: Client, envelope: dict[str, Any]) -> tuple[int, int, int]:
    """The balance once every picture of the batch is paid for."""
    with client.app.bus.subscribe(envelope["id"]) as subscription:
        while True:
            balance = await client.balance()
            if balance[1] == 0:
                return balance
            try:
                await subscription.get()
            except Closed:
                pytest.fail("the server stopped")


async def events_of(client: Client, batch_id: str) -> list[Event]:
    return await client.app.database.read(lambda tx: journal.after(tx, batch_id, 0, topic="batch"))


async def test_ten_at_once(client: Client) -> None:
    before = (await client.balance())[0]
    reply = await batch(client, *numbered(10), name="foxes", defaults=SMALL, metadata={"campaign": 7})
    assert reply.status == 201, reply.body
    envelope = reply.json
    assert reply.headers["Location"] == f"/v1/batches/{envelope['id']}"
    assert (envelope["object"], envelope["status"], envelope["name"]) == ("batch", "succeeded", "foxes")
    assert (envelope["num_items"], envelope["num_images"]) == (10, 10)
    assert envelope["counts"]["succeeded"] == sum(envelope["counts"].values()) == 10
    assert envelope["images"] == {"ordered": 10, "made": 10}
    assert (envelope["progress"], envelope["error"], envelope["metadata"]) == (1.0, None, {"campaign": 7})
    assert envelope["started_at"] is not None
    for index, item in enumerate(envelope["items"]):
        made = item["generation"]
        assert (item["index"], item["status"], item["error"]) == (index, "succeeded", None)
        assert item["prompt"] == made["input"]["prompt"] == f"fox number {index}"
        assert (made["batch_id"], made["batch_index"]) == (envelope["id"], index)
        assert (made["input"]["width"], made["output"][0]["width"]) == (256, 256)
        assert (await client.get(made["output"][0]["url"])).status == 200
    price = envelope["cost"]["expected_credits"]
    assert await settled(client, envelope) == (before - price, 0, price)
    again = (await client.get(f"/v1/batches/{envelope['id']}")).json
    assert again["cost"]["credits"] == price
    listed = (await client.get("/v1/batches")).json
    assert [each["id"] for each in listed["data"]] == [envelope["id"]]
    assert listed["data"][0]["items"] == []


async def test_what_an_item_says_goes_before_the_defaults(client: Client) -> None:
    defaults = {**SMALL, "prompt": "a fox", "tags": ["all"], "metadata": {"a": 1}}
    reply = await batch(
        client,
        {},
        {"prompt": "a cat", "aspect_ratio": "1:1", "metadata": {"b": 2}, "custom_id": "cat"},
        defaults=defaults,
    )
    first, second = reply.json["items"]
    assert first["generation"]["input"]["prompt"] == "a fox"
    assert (first["custom_id"], second["custom_id"]) == (None, "cat")
    made = second["generation"]
    assert (made["input"]["prompt"], made["input"]["aspect_ratio"]) == ("a cat", "1:1")
    assert (made["tags"], made["metadata"]) == (["all"], {"a": 1, "b": 2})


async def test_all_of_them_run_side_by_side_and_each_is_announced(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=10") as it:
        sim = it.sims["a"]
        sim.script.hold = "end"
        reply = await batch(it.client, *numbered(10), defaults={"model": "me/painter"}, headers=ASYNC)
        assert reply.status == 202
        assert reply.headers["Retry-After"] == "1"
        held = await sim.works.held(10)  # all ten are at the provider at the same time
        running = (await it.client.get(f"/v1/batches/{reply.json['id']}")).json
        assert (running["status"], running["counts"]["running"]) == ("running", 10)
        with it.client.app.bus.subscribe(reply.json["id"]) as subscription:
            sim.works.release(held[3])
            told = [await subscription.get()]
            while told[-1].type != "output":
                told.append(await subscription.get())
        assert told[-1].batch_id == reply.json["id"]
        first = (await it.client.get(f"/v1/batches/{reply.json['id']}")).json
        assert (first["status"], first["images"]["made"], first["counts"]["running"]) != ("succeeded", 10, 0)
        sim.works.release()
        sim.script.hold = None
        done = await ended(it.client, reply.json["id"])
        assert (done["status"], done["counts"]["succeeded"]) == ("succeeded", 10)
        types = [event.type for event in await events_of(it.client, done["id"]) if not event.generation_id]
        assert types == ["queued", "started", "succeeded"]


async def test_some_fail_and_that_is_told(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        it.sims["a"].script.faults.append(Fault("refusal", "NSFW content detected", times=2))
        reply = await batch(it.client, *numbered(5), defaults={"model": "me/painter"})
        envelope = reply.json
        assert (reply.status, envelope["status"]) == (201, "succeeded")
        assert (envelope["counts"]["succeeded"], envelope["counts"]["failed"]) == (3, 2)
        assert envelope["images"] == {"ordered": 5, "made": 3}
        failed = [item for item in envelope["items"] if item["status"] == "failed"]
        assert {item["error"]["code"] for item in failed} == {"provider_refused"}
        assert envelope["error"]["code"] == "provider_refused"
        assert [each["row"] for each in envelope["error"]["errors"]] == [item["index"] for item in failed]
        assert (await settled(it.client, envelope))[1:] == (0, 9)
        # Once more, and only those.
        again = await it.client.request("POST", f"/v1/batches/{envelope['id']}/retry")
        assert (again.status, again.json["status"], again.json["retry_of"]) == (
            201,
            "succeeded",
            envelope["id"],
        )
        assert [item["prompt"] for item in again.json["items"]] == [item["prompt"] for item in failed]
        assert (await settled(it.client, again.json))[1:] == (0, 15)
        nothing = await it.client.request("POST", f"/v1/batches/{again.json['id']}/retry")
        assert (nothing.status, nothing.json["code"]) == (409, "nothing_to_retry")


async def test_when_all_fail_so_does_the_batch(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        it.sims["a"].script.faults.append(Fault("refusal", "NSFW content detected", times=3))
        envelope = (await batch(it.client, *numbered(3), defaults={"model": "me/painter"})).json
        assert (envelope["status"], envelope["counts"]["failed"]) == ("failed", 3)
        assert envelope["error"]["detail"].startswith("Item 0 and others failed.")
        assert (await it.client.balance())[1:] == (0, 0)


BAD = [
    ({"prompt": ""}, "prompt", "invalid_field"),
    ({"prompt": "a", "sede": 1}, "sede", "invalid_field"),
    ({"prompt": "a", "num_images": 11}, "num_images", "invalid_field"),
    ({"prompt": "a", "model": "no/such"}, "model", "unknown_model"),
    ({"prompt": "a", "width": 17, "height": 256}, "width", "unsupported_by_model"),
    ({"prompt": "a", "custom_id": ""}, "custom_id", "invalid_field"),
    ({"prompt": "a", "custom_id": 5}, "custom_id", "invalid_field"),
    ({"prompt": "a", "image": "no reference"}, "image", None),
    ({"prompt": "a", "params": {"nope": 1}}, "params.nope", None),
]


@pytest.mark.parametrize(("bad", "field", "code"), BAD)
async def test_one_bad_item_refuses_the_batch_before_money_moves(
    client: Client, bad: dict[str, Any], field: str, code: str | None
) -> None:
    before, rows = await client.balance(), await client.rows()
    reply = await batch(client, {"prompt": "a fox"}, {"prompt": "a cat"}, bad, defaults=SMALL)
    assert reply.status == 422, reply.body
    assert reply.json["field"].startswith(f"items[2].{field.split('.')[0]}")
    assert "Item 2" in reply.json["detail"]
    (told,) = reply.json["errors"]
    assert (told["row"], told["code"]) == (2, code or reply.json["code"])
    assert await client.balance() == before
    assert await client.rows() == rows


async def test_what_can_be_ordered_is_when_partial_is_wanted(client: Client) -> None:
    reply = await batch(
        client, {"prompt": "a fox"}, {"prompt": ""}, {"prompt": "a cat"}, defaults=SMALL, partial=True
    )
    envelope = reply.json
    assert (reply.status, envelope["status"]) == (201, "succeeded")
    assert (envelope["counts"]["refused"], envelope["counts"]["succeeded"]) == (1, 2)
    assert (envelope["num_items"], envelope["num_images"]) == (3, 2)
    refused = envelope["items"][1]
    assert (refused["status"], refused["generation"], refused["error"]["field"]) == (
        "refused",
        None,
        "prompt",
    )
    nothing = await batch(client, {"prompt": ""}, {"prompt": ""}, partial=True)
    assert (nothing.status, len(nothing.json["errors"])) == (422, 2)


async def test_too_many_are_refused_by_their_count(client: Client) -> None:
    reply = await batch(client, *numbered(11))
    assert (reply.status, reply.json["field"], reply.json["limit"]) == (422, "items", 10)
    million = {f: list(range(100)) for f in ("seed", "width", "height")}
    reply = await batch(client, {"prompt": "a fox"}, matrix=million, headers=ASYNC)
    assert (reply.status, reply.json["limit"]) == (422, 10_000)
    assert "1,000,000" in reply.json["detail"]
    dynamic = " ".join(["{1..100}"] * 20)
    reply = await batch(client, {"prompt": dynamic}, expand=True, headers=ASYNC)
    assert (reply.status, reply.json["limit"]) == (422, 10_000)
    assert (await batch(client)).json["field"] == "items"
    assert (await client.balance())[1:] == (0, 0)


async def test_not_enough_credits_for_all_of_it(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_INITIAL_CREDITS="8") as it:
        reply = await batch(it.client, *numbered(3), defaults={"model": "me/painter"})
        assert (reply.status, reply.json["code"], reply.json["limit"]) == (402, "insufficient_credits", 8)
        assert it.paid() == {"a": 0}
        assert await it.client.balance() == (8, 0, 0)


async def test_prompts_are_expanded_only_where_it_is_wanted(client: Client) -> None:
    order = {"items": [{"prompt": "{red|blue} fox", "custom_id": "f"}], "defaults": SMALL}
    seen = await client.request("POST", "/v1/batches/expand", json={**order, "expand": True})
    assert (seen.json["count"], seen.json["truncated"]) == (2, False)
    assert [item["prompt"] for item in seen.json["items"]] == ["red fox", "blue fox"]
    reply = await client.request("POST", "/v1/batches", json={**order, "expand": True})
    assert [item["prompt"] for item in reply.json["items"]] == ["red fox", "blue fox"]
    assert [item["custom_id"] for item in reply.json["items"]] == ["f-1", "f-2"]
    as_it_is = await client.request("POST", "/v1/batches", json=order)
    assert [item["prompt"] for item in as_it_is.json["items"]] == ["{red|blue} fox"]
    many = {"items": [{"prompt": "{1..1000} fox"}], "expand": True}
    seen = await client.request("POST", "/v1/batches/expand", json=many)
    assert (seen.json["count"], len(seen.json["items"]), seen.json["truncated"]) == (1000, 100, True)


async def test_a_matrix(client: Client) -> None:
    reply = await batch(
        client,
        {"prompt": "a fox"},
        defaults={**SMALL, "model": "local/illustrator"},
        matrix={"style": ["realistic", "3d"], "seed": [1, 2]},
    )
    found = [
        (g["input"]["style"], g["input"]["seed"]) for g in (i["generation"] for i in reply.json["items"])
    ]
    assert found == [("realistic", 1), ("realistic", 2), ("3d", 1), ("3d", 2)]


async def test_the_same_key_gives_the_same_batch(client: Client) -> None:
    key = {"Idempotency-Key": "one"}
    first = await batch(client, *numbered(2), defaults=SMALL, headers=key)
    again = await batch(client, *numbered(2), defaults=SMALL, headers=key)
    assert (again.status, again.json["id"]) == (201, first.json["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await batch(client, *numbered(3), defaults=SMALL, headers=key)
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    single = await client.order(prompt="a fox", headers=key)
    assert (single.status, single.json["code"]) == (409, "idempotency_conflict")
    assert (await client.rows())["generations"] == 2


async def test_two_at_once_with_the_same_key_are_one(client: Client) -> None:
    key = {"Idempotency-Key": "one"}
    replies = await asyncio.gather(
        *(batch(client, *numbered(3), defaults=SMALL, headers=key) for _ in range(5))
    )
    assert {reply.status for reply in replies} == {201}
    assert len({reply.json["id"] for reply in replies}) == 1
    assert (await client.rows())["generations"] == 3


async def test_a_large_one_as_lines(tmp_path: Path) -> None:
    count = 3 * CHUNK + 5
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=20") as it:
        before = (await it.client.balance())[0]
        body = "\n".join(json.dumps({"model": "me/painter", **each}) for each in numbered(count)) + "\n\n"
        reply = await it.client.request("POST", "/v1/batches?name=many", data=body, headers=LINES)
        assert reply.status == 202, reply.body
        envelope = reply.json
        assert (envelope["num_items"], envelope["name"], len(envelope["items"])) == (count, "many", count)
        assert (await it.client.balance())[0] == before - 3 * count  # all of it is held, made or not
        done = await ended(it.client, envelope["id"])
        assert (done["status"], done["counts"]["succeeded"]) == ("succeeded", count)
        assert await settled(it.client, done) == (before - 3 * count, 0, 3 * count)
        assert it.paid() == {"a": count}
        pages, cursor = [], ""
        while True:
            page = (await it.client.get(f"/v1/batches/{done['id']}/items?limit=30{cursor}")).json
            pages.append(page["data"])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        found = [item for page in pages for item in page]
        assert [item["index"] for item in found] == list(range(count))
        assert [item["prompt"] for item in found] == [each["prompt"] for each in numbered(count)]


async def test_a_file_in_a_form(client: Client) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b'{"prompt": "a fox"}\n{"prompt": "a cat"}', filename="prompts.jsonl")
    form.add_field("defaults", json.dumps(SMALL))
    form.add_field("name", "from a file")
    reply = await client.request("POST", "/v1/batches", data=form)
    assert reply.status == 202, reply.body
    done = await ended(client, reply.json["id"])
    assert (done["name"], done["counts"]["succeeded"]) == ("from a file", 2)


LINE_FAULTS = [
    (b'{"prompt": "a"}\n{"prompt": ', "malformed_request", "line 2"),
    (b'{"prompt": "a"}\n[1]', "invalid_field", "line 2"),
    (b"\n\n", "invalid_field", "items"),
]


@pytest.mark.parametrize(("body", "code", "field"), LINE_FAULTS)
async def test_bad_lines_are_told_by_number(client: Client, body: bytes, code: str, field: str) -> None:
    reply = await client.request("POST", "/v1/batches", data=body, headers=LINES)
    assert (reply.json["code"], reply.json["field"]) == (code, field)
    assert (await client.rows())["generations"] == 0


async def test_canceled_while_it_runs(tmp_path: Path) -> None:
    count = 2 * CHUNK + 3
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=2") as it:
        sim = it.sims["a"]
        before = (await it.client.balance())[0]
        body = "\n".join(json.dumps({"model": "me/painter", **each}) for each in numbered(count))
        sim.script.hold = "run"
        envelope = (await it.client.request("POST", "/v1/batches", data=body, headers=LINES)).json
        await sim.works.held(2)
        reply = await it.client.request("POST", f"/v1/batches/{envelope['id']}/cancel")
        assert reply.status == 200
        done = await ended(it.client, envelope["id"])
        assert (done["status"], done["counts"]["canceled"]) == ("canceled", count)
        assert await settled(it.client, done) == (before, 0, 0)
        assert it.paid() == {"a": 2}
        again = await it.client.request("POST", f"/v1/batches/{envelope['id']}/cancel")
        assert (again.status, again.json["status"]) == (200, "canceled")


async def test_what_was_made_before_the_cancel_stays(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=1") as it:
        sim = it.sims["a"]
        sim.script.hold = "run"
        reply = await batch(it.client, *numbered(4), defaults={"model": "me/painter"}, headers=ASYNC)
        (first,) = await sim.works.held(1)
        sim.works.release(first)
        await sim.works.accepted(2)
        await it.client.request("POST", f"/v1/batches/{reply.json['id']}/cancel")
        done = await ended(it.client, reply.json["id"])
        assert (done["status"], done["counts"]["succeeded"], done["counts"]["canceled"]) == (
            "succeeded",
            1,
            3,
        )
        assert (await settled(it.client, done))[1:] == (0, 3)


async def test_a_clone_is_ordered_anew(client: Client) -> None:
    first = (await batch(client, *numbered(2), defaults=SMALL, name="two")).json
    reply = await client.request("POST", f"/v1/batches/{first['id']}/clone")
    clone = reply.json
    assert (reply.status, clone["cloned_from"], clone["name"]) == (201, first["id"], "two")
    assert [item["prompt"] for item in clone["items"]] == [item["prompt"] for item in first["items"]]
    ours = {item["generation"]["output"][0]["id"] for item in first["items"]}
    assert not ours & {item["generation"]["output"][0]["id"] for item in clone["items"]}


async def test_an_input_for_all_is_kept_once(edit_client: Client) -> None:
    png = scene(300, 200).write_to_buffer(".png")
    picture = "data:image/png;base64," + base64.b64encode(png).decode()
    reply = await batch(
        edit_client,
        *({"prompt": f"make it {colour}"} for colour in ("red", "blue", "green")),
        defaults={"operation": "edit", "image": picture},
        headers=ASYNC,
    )
    assert reply.status == 202, reply.body
    used = {item["generation"]["input"]["images"][0] for item in reply.json["items"]}
    assert len(used) == 1
    assert (await edit_client.rows())["assets"] == 1
    await edit_client.request("POST", f"/v1/batches/{reply.json['id']}/cancel")


async def test_a_batch_of_known_orders_ends_at_once(client: Client) -> None:
    items = [{"prompt": "a fox", "seed": seed} for seed in (1, 2)]
    first = (await batch(client, *items, defaults=SMALL)).json
    again = await batch(client, *items, defaults=SMALL, headers=ASYNC)
    assert (again.status, again.json["status"], again.json["images"]["made"]) == (201, "succeeded", 2)
    assert {item["generation"]["reused_from"] for item in again.json["items"]} == {
        item["generation"]["id"] for item in first["items"]
    }
    types = [event.type for event in await events_of(client, again.json["id"]) if not event.generation_id]
    assert types == ["queued", "succeeded"]
    assert (await settled(client, again.json))[2] == first["cost"]["expected_credits"]


@pytest.mark.parametrize("path", ["", "/items", "/events"])
async def test_an_unknown_batch(client: Client, path: str) -> None:
    for batch_id in ("01a2010a-ac4c-7e1c-8c54-b0031f1edb34", "no-id"):
        reply = await client.get(f"/v1/batches/{batch_id}{path}")
        assert (reply.status, reply.json["code"]) == (404, "not_found")


async def test_one_batch_does_not_make_another_order_wait(tmp_path: Path) -> None:
    """A single order of the same account goes before what a large batch has not begun."""
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=1") as it:
        sim = it.sims["a"]
        sim.script.hold = "run"
        body = "\n".join(json.dumps({"model": "me/painter", **each}) for each in numbered(20))
        envelope = (await it.client.request("POST", "/v1/batches", data=body, headers=LINES)).json
        (first,) = await sim.works.held(1)
        single = await it.client.order_async(prompt="the single one", model="me/painter")
        sim.works.release(first)
        await sim.works.accepted(2)
        assert (await it.client.get(f"/v1/generations/{single['id']}")).json["status"] == "running"
        await it.client.request("POST", f"/v1/batches/{envelope['id']}/cancel")
        await ended(it.client, envelope["id"])


async def test_when_it_will_end_follows_from_what_was_measured(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=2") as it:
        sim = it.sims["a"]
        sim.script.hold = "run"
        unmeasured = await batch(it.client, *numbered(5), defaults={"model": "me/painter"}, headers=ASYNC)
        assert unmeasured.json["eta_s"] is None
        sim.works.release()
        sim.script.hold = None
        done = await ended(it.client, unmeasured.json["id"])
        assert done["eta_s"] is None
        it.client.app.durations._kept.clear()  # as after some seconds
        sim.script.hold = "run"
        reply = await batch(it.client, *numbered(5), defaults={"model": "me/painter"}, headers=ASYNC)
        calls = [item["generation"]["eta_s"] for item in reply.json["items"]]
        assert all(eta is not None for eta in calls)
        assert reply.json["eta_s"] == pytest.approx(max(calls), rel=0.5)
        await it.client.request("POST", f"/v1/batches/{reply.json['id']}/cancel")


async def test_its_pictures_as_one_archive(client: Client) -> None:

    envelope = (await batch(client, *numbered(3), defaults=SMALL, name="three foxes")).json
    reply = await client.get(f"/v1/batches/{envelope['id']}/download.zip")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/zip")
    assert "three foxes" in reply.headers["Content-Disposition"]
    names = zipfile.ZipFile(io.BytesIO(reply.body)).namelist()
    assert len([name for name in names if name != "manifest.json"]) == 3
