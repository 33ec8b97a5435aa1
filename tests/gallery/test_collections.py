"""Collections over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.harness import Client, Reply
from tests.gallery.conftest import gallery, picture
from tests.gallery.test_gallery import upload

UNKNOWN = "00000000-0000-7000-8000-000000000000"


async def made(client: Client, name: str) -> dict[str, Any]:
    reply = await client.request("POST", "/v1/collections", json={"name": name})
    assert reply.status == 201, reply.body
    assert reply.headers["Location"] == f"/v1/collections/{reply.json['id']}"
    return dict(reply.json)


async def put(client: Client, collection: dict[str, Any], *ids: str, more: str = "") -> Reply:
    path = f"/v1/collections/{collection['id']}/assets{more}"
    return await client.request("POST", path, json={"asset_ids": list(ids)})


async def test_the_life_of_a_collection(client: Client) -> None:
    foxes = await made(client, "  Foxes & owls 🦊 ")
    assert (foxes["object"], foxes["name"], foxes["count"]) == ("collection", "Foxes & owls 🦊", 0)
    assert foxes["cover"] is None
    one, two, own = await picture(client), await picture(client), await upload(client)
    reply = await put(client, foxes, two, one, own, UNKNOWN, two)
    assert reply.json == {"object": "list", "data": [two, one, own], "missing": [UNKNOWN]}
    shown = (await client.get(f"/v1/collections/{foxes['id']}")).json
    assert (shown["count"], shown["cover"]["id"]) == (3, own)
    assert await gallery(client, collection=foxes["id"]) == [own, two, one]
    assert await gallery(client, collection=foxes["id"], q="fox") == [two, one]
    reply = await put(client, foxes, one)
    assert reply.json["data"] == [one], "again is no error"
    reply = await put(client, foxes, own, UNKNOWN, more="/remove")
    assert reply.json == {"object": "list", "data": [own], "missing": [UNKNOWN]}
    reply = await put(client, foxes, own, more="/remove")
    assert reply.json["missing"] == [own]
    await client.request("DELETE", f"/v1/assets/{two}")
    shown = (await client.get(f"/v1/collections/{foxes['id']}")).json
    assert (shown["count"], shown["cover"]["id"]) == (1, one)
    assert (await put(client, foxes, two)).json["missing"] == [two], "a deleted one cannot be put in"
    await client.request("POST", f"/v1/assets/{two}/restore")
    assert await gallery(client, collection=foxes["id"]) == [two, one], "it comes back to where it was"
    path = f"/v1/collections/{foxes['id']}"
    reply = await client.request("PATCH", path, json={"name": "Füchse"})
    assert (reply.status, reply.json["name"], reply.json["count"]) == (200, "Füchse", 2)
    assert (await client.request("DELETE", path)).status == 204
    for method, more in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/assets")):
        body = {"name": "x"} if method == "PATCH" else {"asset_ids": [one]} if method == "POST" else None
        reply = await client.request(method, path + more, json=body)
        assert (reply.status, reply.json["code"]) == (404, "not_found"), method
    assert await gallery(client) == [two, one], "pictures stay"


async def test_names_are_taken_once(client: Client) -> None:
    first, second = await made(client, "Foxes"), await made(client, "foxes")
    reply = await client.request("POST", "/v1/collections", json={"name": "Foxes "})
    assert (reply.status, reply.json["code"], reply.json["field"]) == (409, "name_taken", "name")
    path = f"/v1/collections/{second['id']}"
    reply = await client.request("PATCH", path, json={"name": "Foxes"})
    assert (reply.status, reply.json["code"]) == (409, "name_taken")
    assert (await client.get(path)).json["name"] == "foxes"
    reply = await client.request("PATCH", f"/v1/collections/{first['id']}", json={"name": "Foxes"})
    assert reply.status == 200, "its own name is no other's"


async def test_the_list_has_pages(client: Client) -> None:
    names = [f"number {number}" for number in range(5)]
    for name in names:
        await made(client, name)
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        reply = (await client.get("/v1/collections", params={"limit": "2"} | cursor)).json
        found += [each["name"] for each in reply["data"]]
        if reply["next_cursor"] is None:
            break
        cursor = {"cursor": reply["next_cursor"]}
    assert found == names[::-1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": 3}, "name"),
        ({"name": "a", "cover": "b"}, "cover"),
    ],
)
async def test_a_bad_name_is_named(client: Client, body: dict[str, Any], field: str) -> None:
    reply = await client.request("POST", "/v1/collections", json=body)
    assert (reply.status, reply.json["field"]) == (422, field)
    assert (await client.get("/v1/collections")).json["data"] == []
    assert (await client.get("/v1/collections/nothing")).status == 404
    assert (await client.get("/v1/collections?cursor=x")).json["field"] == "cursor"
