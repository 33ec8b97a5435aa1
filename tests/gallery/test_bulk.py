"""Many assets at once, and favourites."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import accounts, assets, jobs
from ferrotype.domain.ids import new_id
from tests.flows.harness import Client, Reply
from tests.gallery.conftest import gallery, ordered, picture
from tests.gallery.many import fill

UNKNOWN = "00000000-0000-7000-8000-000000000000"


async def bulk(client: Client, what: str, ids: list[str], **more: Any) -> Reply:
    return await client.request("POST", f"/v1/assets/{what}", json={"asset_ids": ids} | more)


async def test_deleted_and_restored_together(client: Client) -> None:
    made = await ordered(client, "a fox", num_images=4)
    ids = sorted((each["id"] for each in made["output"]), reverse=True)
    await client.until(made["id"], "enriched", count=4)
    balance = await client.balance()
    some = [ids[2], UNKNOWN, ids[0], "no-id", ids[2]]
    reply = await bulk(client, "delete", some)
    expected = {"object": "list", "data": [ids[2], ids[0]], "missing": [UNKNOWN, "no-id"]}
    assert (reply.status, reply.json) == (200, expected)
    assert await gallery(client) == [ids[1], ids[3]]
    for each in (ids[0], ids[2]):
        assert (await client.get(f"/images/{each}")).status == 410
    assert (await client.get(f"/images/{ids[1]}")).status == 200
    again = await bulk(client, "delete", [ids[0]])
    assert again.json["data"] == [ids[0]]
    statement = select(jobs.c.payload).where(jobs.c.kind == "forget")
    told = await client.app.database.read(lambda tx: tx.execute(statement).all())
    assert sorted(row.payload["asset_id"] for row in told) == sorted((ids[0], ids[2]))
    reply = await bulk(client, "restore", [*ids, UNKNOWN])
    assert reply.json == {"object": "list", "data": ids, "missing": [UNKNOWN]}
    assert await gallery(client) == ids
    for each in ids:
        assert (await client.get(f"/images/{each}")).status == 200
    assert await client.balance() == balance


async def test_a_thousand_at_once(client: Client) -> None:
    ids = await fill(client.app.database, client.app.account_id, 1_200)
    reply = await bulk(client, "delete", ids[:1_000])
    assert (reply.json["data"], reply.json["missing"]) == (ids[:1_000], [])
    assert (await client.get("/v1/gallery/timeline")).json["total"] == 200
    reply = await bulk(client, "restore", ids[:1_000])
    assert reply.json["data"] == ids[:1_000]
    reply = await bulk(client, "favourite", ids[:1_000], favourite=True)
    assert reply.json["data"] == ids[:1_000]
    assert (await client.get("/v1/gallery/timeline", params={"favourite": "true"})).json["total"] == 1_000
    reply = await bulk(client, "delete", ids[:1_001])
    assert (reply.status, reply.json["field"], reply.json["limit"]) == (422, "asset_ids", 1_000)
    assert (await client.get("/v1/gallery/timeline")).json["total"] == 1_200


async def test_a_favourite(client: Client) -> None:
    one, other = await picture(client), await picture(client)
    reply = await client.request("PATCH", f"/v1/assets/{one}", json={"favourite": True})
    assert (reply.status, reply.json["favourite"], reply.json["visibility"]) == (200, True, "unlisted")
    assert await gallery(client, favourite="true") == [one]
    shown = (await client.get("/v1/gallery", params={"favourite": "true"})).json["data"]
    assert [each["favourite"] for each in shown] == [True]
    both = {"favourite": False, "visibility": "private"}
    reply = await client.request("PATCH", f"/v1/assets/{one}", json=both)
    assert (reply.json["favourite"], reply.json["visibility"]) == (False, "private")
    reply = await bulk(client, "favourite", [one, other, UNKNOWN], favourite=True)
    assert (reply.json["data"], reply.json["missing"]) == ([one, other], [UNKNOWN])
    await client.request("DELETE", f"/v1/assets/{one}")
    reply = await client.request("PATCH", f"/v1/assets/{one}", json={"favourite": False})
    assert (reply.status, reply.json["code"]) == (410, "gone")
    reply = await bulk(client, "favourite", [one, other], favourite=False)
    assert (reply.json["data"], reply.json["missing"]) == ([other], [one])
    await client.request("POST", f"/v1/assets/{one}/restore")
    assert await gallery(client, favourite="true") == [one], "a restored favourite is one still"


async def test_the_account_of_others_is_out_of_reach(client: Client) -> None:
    def story(tx: Transaction) -> str:
        at, other, theirs = client.app.clock.now(), new_id(), new_id()
        tx.execute(insert(accounts).values(id=other, name="eve", created_at=at))
        tx.execute(insert(assets).values(id=theirs, account_id=other, state="ready", created_at=at))
        return theirs

    theirs = await client.app.database.write(story)
    for what, more in (("delete", {}), ("restore", {}), ("favourite", {"favourite": True})):
        assert (await bulk(client, what, [theirs], **more)).json["missing"] == [theirs], what
    reply = await client.request("POST", "/v1/shares", json={"asset_ids": [theirs]})
    assert (reply.status, reply.json["field"]) == (404, "asset_ids[0]")
    made = (await client.request("POST", "/v1/collections", json={"name": "mine"})).json
    reply = await client.request("POST", f"/v1/collections/{made['id']}/assets", json={"asset_ids": [theirs]})
    assert reply.json["missing"] == [theirs]


@pytest.mark.parametrize("what", ["delete", "restore", "favourite"])
async def test_bad_bodies_are_named(client: Client, what: str) -> None:
    more: dict[str, Any] = {"favourite": True} if what == "favourite" else {}
    for body, field in (
        ({}, "asset_ids"),
        ({"asset_ids": []}, "asset_ids"),
        ({"asset_ids": "x"}, "asset_ids"),
        ({"asset_ids": ["x" * 65]}, "asset_ids.0"),
        ({"asset_ids": ["a", "\ud800"]}, "asset_ids.1"),
        ({"asset_ids": [UNKNOWN], "purge": True}, "purge"),
    ):
        reply = await client.request("POST", f"/v1/assets/{what}", json=more | body)
        assert (reply.status, reply.json["field"]) == (422, field), body
    if more:
        reply = await bulk(client, what, [UNKNOWN])
        assert (reply.status, reply.json["field"]) == (422, "favourite")
    reply = await client.request("PATCH", f"/v1/assets/{UNKNOWN}", json={})
    assert (reply.status, reply.json["field"]) == (422, "visibility")
