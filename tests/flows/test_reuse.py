"""Identical orders through HTTP: made once, answered each; what follows what, money, failure, cancel."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from ferrotype.db import ledger
from ferrotype.domain.ledger import EntryKind
from ferrotype.sim.hosted import Fault
from tests.flows.harness import Client
from tests.flows.test_generations import FOX
from tests.flows.test_routing import Shop, deployments, model, shop
from tests.imaging.imaging_pictures import scene

PAINTER = model("me/painter", deployments("a"))
SAME: dict[str, Any] = {"prompt": "a fox", "model": "me/painter", "seed": 7}


async def calls(it: Shop) -> int:
    return it.paid()["a"]


async def moved(client: Client, generation: dict[str, Any]) -> dict[str, int]:
    found = await client.app.database.read(lambda tx: ledger.moved(tx, generation["id"]))
    return {str(kind): credits for kind, credits in found.items()}


def shown(generation: dict[str, Any]) -> dict[str, Any]:
    """The envelope without what jobs behind the answer find out: copies, placeholders."""
    return generation | {"output": [asset["id"] for asset in generation["output"]]}


async def held_call(it: Shop, **order: Any) -> tuple[dict[str, Any], str]:
    """A generation whose call has reached the provider and stays there, and the call's id."""
    it.sims["a"].script.hold = "run"
    leader = await it.client.order_async(**{**SAME, **order})
    await it.sims["a"].works.accepted(1)
    await it.sims["a"].works.held()
    (work,) = it.sims["a"].works.items.values()
    return leader, work.id


async def test_the_same_order_has_the_same_pictures_for_nothing(client: Client) -> None:
    first = (await client.order(**FOX, num_images=2)).json
    await client.until(first["id"], "settled", count=2)
    before = await client.balance()
    reply = await client.order(**FOX, num_images=2, tags=["b"], metadata={"n": 1})
    again = reply.json
    assert (reply.status, again["status"], again["reused_from"]) == (201, "succeeded", first["id"])
    assert again["id"] != first["id"]
    assert [asset["url"] for asset in again["output"]] == [asset["url"] for asset in first["output"]]
    assert again["cost"] == {"credits": 0, "usd": 0.0}
    assert (again["tags"], again["metadata"], again["progress"]) == (["b"], {"n": 1}, 1.0)
    assert again["similarity"] is None
    assert await client.balance() == before
    # It is a generation like any other: looked at, listed, followed.
    assert shown((await client.get(f"/v1/generations/{again['id']}")).json) == shown(again)
    listed = (await client.get("/v1/generations")).json["data"]
    assert [item["id"] for item in listed] == [again["id"], first["id"]]
    assert shown(listed[0]) == shown(again)
    events = [(type, data) async for _, type, data in client.events(again["id"], last_event_id=0)]
    told = [
        type for type, _ in events if type not in ("enriched", "stored")
    ]  # those come when they are there
    assert told == ["snapshot", "output", "output", "succeeded"]
    assert (await client.get(f"/v1/generations/{again['id']}/attempts")).json["data"] == []
    zipped = await client.get(f"/v1/generations/{again['id']}/download.zip")
    assert (zipped.status, zipped.headers["Content-Type"]) == (200, "application/zip")


async def test_an_answer_without_a_wait_has_them_too(client: Client) -> None:
    first = (await client.order(**FOX)).json
    reply = await client.order(**FOX, headers={"Prefer": "respond-async"})
    assert (reply.status, reply.json["status"], reply.json["reused_from"]) == (201, "succeeded", first["id"])
    assert [asset["id"] for asset in reply.json["output"]] == [asset["id"] for asset in first["output"]]


async def test_what_is_another_order_is_made(client: Client) -> None:
    first = (await client.order(**FOX)).json
    others = [
        {"prompt": "a fox under the moon "},
        {"seed": 8},
        {"seed": None},
        {"num_images": 2},
        {"width": 512},
        {"style": "realistic"},
        {"format": "png"},
        {"visibility": "public"},
        {"reuse": "never"},
    ]
    for other in others:
        made = (await client.order(**{**FOX, **other})).json
        assert (made["status"], made["reused_from"]) == ("succeeded", None), other
    for same in ({"width": 256.0}, {"mode": "durable"}, {"reuse": "allow"}, {"operation": "generate"}):
        made = (await client.order(**{**FOX, **same})).json
        assert made["reused_from"] is not None, same
    assert first["reused_from"] is None


async def test_without_a_seed_only_those_that_allow_it_share(client: Client) -> None:
    body = {name: value for name, value in FOX.items() if name != "seed"}
    first, second = [(await client.order(**body)).json for _ in range(2)]
    assert (first["reused_from"], second["reused_from"]) == (None, None)
    allowed = (await client.order(**body, reuse="allow")).json
    assert allowed["reused_from"] == second["id"]  # the newest
    assert allowed["output"][0]["id"] == second["output"][0]["id"]


async def test_an_idempotency_key_still_gives_the_same_generation(client: Client) -> None:
    await client.order(**FOX)
    headers = {"Idempotency-Key": "k"}
    one, other = [(await client.order(**FOX, headers=headers)) for _ in range(2)]
    assert shown(one.json) == shown(other.json)
    assert "Idempotency-Replayed" not in one.headers
    assert other.headers["Idempotency-Replayed"] == "true"


async def test_a_wrong_wish_is_told(client: Client) -> None:
    reply = await client.order(**FOX, reuse="sometimes")
    assert (reply.status, reply.json["field"]) == (422, "reuse")


async def test_pictures_that_do_not_stand_are_made_anew(client: Client) -> None:
    first = (await client.order(**FOX)).json
    await client.request("DELETE", f"/v1/assets/{first['output'][0]['id']}")
    second = (await client.order(**FOX)).json
    assert (second["reused_from"], second["output"][0]["state"]) == (None, "ready")
    changed = {"visibility": "private"}
    await client.request("PATCH", f"/v1/assets/{second['output'][0]['id']}", json=changed)
    third = (await client.order(**FOX)).json
    assert third["reused_from"] is None


async def test_a_fresh_one_is_offered(client: Client) -> None:
    order = {"prompt": "a fox", "aspect_ratio": "16:9", "style": "realistic", "seed": 3, "tags": ["t"]}
    first = (await client.order(**order)).json
    assert first["urls"]["fresh"] is None
    reused = (await client.order(**order, mode="durable")).json
    reply = await client.request("POST", reused["urls"]["fresh"], headers={"Idempotency-Key": "once"})
    fresh = reply.json
    assert (reply.status, fresh["status"], fresh["reused_from"]) == (201, "succeeded", None)
    assert fresh["input"] | {"seed": 3} == reused["input"]
    assert (fresh["tags"], fresh["output"][0]["id"] != first["output"][0]["id"]) == (["t"], True)
    again = await client.request("POST", reused["urls"]["fresh"], headers={"Idempotency-Key": "once"})
    assert again.json["id"] == fresh["id"]
    nothing = await client.request("POST", f"/v1/generations/{first['output'][0]['id']}/fresh")
    assert nothing.status == 404


async def test_a_deletion_reaches_every_generation_that_shows_it(client: Client) -> None:
    first, second = (await client.order(**FOX)).json, (await client.order(**FOX)).json
    assert second["reused_from"] == first["id"]
    asset_id = second["output"][0]["id"]
    assert (await client.request("DELETE", f"/v1/assets/{asset_id}")).status == 204
    assert (await client.get(f"/images/{asset_id}")).status == 410
    for generation in (first, second):
        seen = (await client.get(f"/v1/generations/{generation['id']}")).json
        assert seen["output"][0]["deleted_at"] is not None


async def test_switched_off_or_only_where_asked(tmp_path: Path) -> None:
    for value, allowed in (("off", None), ("asked", "x")):
        folder = tmp_path / value
        folder.mkdir()
        async with shop(folder, PAINTER, "a", FERROTYPE_REUSE=value) as it:
            for expected in (None, None):
                assert (await it.client.order(**SAME)).json["reused_from"] is expected
            asked = (await it.client.order(**SAME, reuse="allow")).json
            assert (asked["reused_from"] is not None) == (allowed is not None)


async def test_too_old_is_made_anew(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_REUSE_SECONDS="0") as it:
        for _ in range(2):
            assert (await it.client.order(**SAME)).json["reused_from"] is None
        assert await calls(it) == 2


async def test_the_same_order_at_once_is_one_call(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        replies = await asyncio.gather(*(it.client.order(**SAME) for _ in range(40)))
        generations = [reply.json for reply in replies]
        assert {reply.status for reply in replies} == {201}
        assert {each["status"] for each in generations} == {"succeeded"}
        assert len({each["id"] for each in generations}) == 40
        assert len({each["output"][0]["url"] for each in generations}) == 1
        assert await calls(it) == 1
        leaders = {each["id"] for each in generations if each["reused_from"] is None}
        assert len(leaders) == 1
        assert {each["reused_from"] for each in generations} == {None, *leaders}
        assert sum(each["cost"]["credits"] for each in generations) == 3
        (leader,) = [each for each in generations if each["reused_from"] is None]
        await it.books(leader)
        metrics = (await it.client.get("/metrics", headers={"Accept": "application/json"})).json["counters"]
        reused = metrics.get("generations_joined", 0) + metrics.get("generations_reused", 0)
        assert reused == 39
        assert metrics["reuse_missed"] == 1
        assert metrics["reuse_saved_usd"] == pytest.approx(39 * 0.04)


async def test_who_joins_sees_what_the_leader_does(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        leader, call = await held_call(it)
        follower = await it.client.order_async(**SAME)
        assert (follower["reused_from"], follower["status"]) == (leader["id"], "running")
        assert follower["cost"]["credits"] == 3  # held: it may have to make the picture itself
        assert (await it.client.balance())[1] == 6
        told = it.client.events(follower["id"])
        _, type, snapshot = await anext(told)
        assert (type, snapshot["generation"]["id"]) == ("snapshot", follower["id"])
        it.sims["a"].works.release(call)
        seen = [type async for _, type, _ in told]
        assert seen[-1] == "succeeded"
        assert "output" in seen
        assert (await it.client.until(leader["id"], "settled"))["status"] == "succeeded"
        ended = (await it.client.get(f"/v1/generations/{follower['id']}")).json
        assert (ended["status"], ended["cost"]) == ("succeeded", {"credits": 0, "usd": 0.0})
        assert await it.client.balance() == (1_000_000 - 3, 0, 3)
        assert await moved(it.client, ended) == {EntryKind.HOLD: 3, EntryKind.RELEASE: 3}
        # And behind the end: the copy in the store, for those who wait for it.
        assert (await it.client.until(follower["id"], "stored"))["output"][0]["stored"] is True


async def test_a_durable_wait_ends_for_followers_too(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        _, call = await held_call(it)
        async with it.client.http.post(
            f"{it.client.base}/v1/generations", json={**SAME, "mode": "durable"}, headers={"Prefer": "wait=1"}
        ) as early:
            assert early.status == 202
        waiting = asyncio.create_task(it.client.order(**SAME, mode="durable"))
        it.sims["a"].works.release(call)
        reply = await waiting
        assert (reply.status, reply.json["output"][0]["stored"]) == (201, True)


async def test_when_the_leader_fails_exactly_one_makes_it_again(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        it.sims["a"].script.faults.append(Fault("error", "out of memory"))
        leader, call = await held_call(it)
        others = [await it.client.order_async(**SAME) for _ in range(5)]
        it.sims["a"].script.hold = None
        it.sims["a"].works.release(call)
        ended = [await it.client.until(other["id"], "succeeded") for other in others]
        assert (await it.client.get(f"/v1/generations/{leader['id']}")).json["status"] == "failed"
        assert await calls(it) == 2
        assert [each["reused_from"] for each in ended] == [None] + [others[0]["id"]] * 4
        assert [each["cost"]["credits"] for each in ended] == [3, 0, 0, 0, 0]
        assert len({each["output"][0]["id"] for each in ended}) == 1
        await it.books(ended[0])
        assert await moved(it.client, leader) == {EntryKind.HOLD: 3, EntryKind.RELEASE: 3}


async def test_when_that_fails_too_all_have_failed(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        it.sims["a"].script.faults += [Fault("refusal", "NSFW content detected", 5)]
        _, call = await held_call(it)
        others = [await it.client.order_async(**SAME) for _ in range(4)]
        it.sims["a"].script.hold = None
        it.sims["a"].works.release(call)
        ended = [await it.client.until(other["id"], "failed") for other in others]
        assert {each["error"]["code"] for each in ended} == {"provider_refused"}
        assert {len(each["output"]) for each in ended} == {0}
        assert await calls(it) == 2
        assert (await it.client.balance()) == (1_000_000, 0, 0)
        # A failure answers nobody: the next order is tried.
        it.sims["a"].script.faults.clear()
        again = (await it.client.order(**SAME)).json
        assert (again["status"], again["reused_from"]) == ("succeeded", None)


async def test_a_canceled_leader_leaves_its_followers_their_pictures(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        leader, _ = await held_call(it)
        others = [await it.client.order_async(**SAME) for _ in range(2)]
        it.sims["a"].script.hold = None
        await it.client.request("POST", f"/v1/generations/{leader['id']}/cancel")
        ended = [await it.client.until(other["id"], "succeeded") for other in others]
        assert (await it.client.get(f"/v1/generations/{leader['id']}")).json["status"] == "canceled"
        assert [each["reused_from"] for each in ended] == [None, others[0]["id"]]
        await it.books(ended[0])


async def test_a_canceled_follower_leaves_its_leader_alone(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        leader, call = await held_call(it)
        follower = await it.client.order_async(**SAME)
        canceled = await it.client.request("POST", f"/v1/generations/{follower['id']}/cancel")
        assert (canceled.json["status"], canceled.json["output"]) == ("canceled", [])
        assert (await it.client.balance())[1] == 3
        it.sims["a"].works.release(call)
        await it.client.until(leader["id"], "settled")
        ended = await it.client.until(leader["id"], "succeeded")
        seen = (await it.client.get(f"/v1/generations/{follower['id']}")).json
        assert (seen["status"], seen["output"]) == ("canceled", [])
        await it.books(ended)


async def test_a_reuse_may_have_a_price(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_REUSE_PRICE="0.5") as it:
        leader, call = await held_call(it)
        joined = await it.client.order_async(**SAME)
        it.sims["a"].works.release(call)
        joined = await it.client.until(joined["id"], "settled")
        await it.client.until(leader["id"], "settled")
        reused = (await it.client.order(**SAME)).json
        for follower in (joined, reused):
            assert follower["cost"] == {"credits": 2, "usd": 0.0}
        assert await moved(it.client, joined) == {"hold": 3, "settle": 2, "release": 1}
        assert await moved(it.client, reused) == {"hold": 2, "settle": 2}
        assert await it.client.balance() == (1_000_000 - 7, 0, 7)


async def test_who_cannot_pay_joins_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_INITIAL_CREDITS="4") as it:
        leader, call = await held_call(it)
        before = await it.client.rows()
        refused = await it.client.order(**SAME)
        assert (refused.status, refused.json["code"]) == (402, "insufficient_credits")
        assert await it.client.rows() == before
        it.sims["a"].works.release(call)
        await it.client.until(leader["id"], "succeeded")
        assert (await it.client.order(**SAME)).json["cost"]["credits"] == 0  # nothing to hold


async def test_followers_outlive_the_process(tmp_path: Path) -> None:
    """What follows what is in the database: a new process ends both."""
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_DRAIN_SECONDS="0") as it:
        leader, call = await held_call(it)
        follower = await it.client.order_async(**SAME)
        sim = it.sims["a"]
        app = it.client.app
        await app.drain(0)
        sim.works.release(call)
        assert leader["id"] == follower["reused_from"]
        settings = app.settings
        await app.close()
        from ferrotype.app.compose import Ferrotype

        other = Ferrotype(settings)
        await other.start()
        try:
            with other.bus.subscribe(follower["id"]) as subscription:
                envelope = await other.envelopes.generation(follower["id"], other.account_id, "")
                while envelope["status"] not in ("succeeded", "failed"):
                    await subscription.get()
                    envelope = await other.envelopes.generation(follower["id"], other.account_id, "")
            assert envelope["status"] == "succeeded"
            assert sim.works.created == 1
        finally:
            await other.drain(0)
            await other.close()


async def test_the_same_input_is_kept_once_and_its_edit_made_once(tmp_path: Path) -> None:
    catalogue = """
[[models]]
name = "me/editor"
operations = ["edit"]
price = { credits = 3 }
[models.capabilities]
size = "input"
min_images = 1
max_images = 2
styles = false
[[models.deployments]]
provider = "a"
target = "black-forest-labs/flux-kontext-pro"
[models.deployments.options.input]
prompt = "{prompt}"
input_image = "{image}"
"""
    uris = [
        "data:image/png;base64," + base64.b64encode(scene(256, 256, alpha=alpha).pngsave_buffer()).decode()
        for alpha in (False, True)
    ]
    edit = {"operation": "edit", "model": "me/editor", "prompt": "make it night"}
    async with shop(tmp_path, catalogue, "a") as it:
        first = (await it.client.order(**edit, image=uris[0])).json
        assert first["status"] == "succeeded", first["error"]
        second = (await it.client.order(**edit, image=uris[0])).json
        assert second["reused_from"] == first["id"]
        assert second["input"]["images"] == first["input"]["images"]
        by_id = (await it.client.order(**edit, image=first["input"]["images"][0])).json
        assert by_id["reused_from"] == first["id"]
        other = (await it.client.order(**edit, image=uris[1])).json
        assert other["reused_from"] is None
        never = (await it.client.order(**edit, image=uris[0], reuse="never")).json
        assert never["reused_from"] is None
        assert await calls(it) == 3
        # The same bytes as another asset are the same content.
        data = base64.b64decode(uris[0].partition(",")[2])
        uploaded = await it.client.request("POST", "/v1/assets", data={"file": data})
        assert uploaded.status == 201, uploaded.body
        assert uploaded.json["id"] != first["input"]["images"][0]
        same = (await it.client.order(**edit, image=uploaded.json["id"])).json
        assert same["reused_from"] is not None
