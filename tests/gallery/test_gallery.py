"""The gallery over HTTP, with pictures that were ordered there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pyvips

from ferrotype.db import assets
from ferrotype.http.gallery_query import PageQuery
from tests.flows.harness import Client
from tests.gallery.conftest import gallery, ordered, picture


def png(width: int = 40, height: int = 30, red: int = 9) -> bytes:
    return bytes(pyvips.Image.black(width, height, bands=3).copy_memory().linear(1, red).pngsave_buffer())


async def upload(client: Client, **shape: int) -> str:
    reply = await client.request("POST", "/v1/assets", data=png(**shape))
    assert reply.status == 201, reply.body
    return str(reply.json["id"])


async def test_a_picture_comes_with_what_made_it(client: Client) -> None:
    made = await ordered(
        client,
        "a fox in Görlitz",
        style="artistic",
        seed=70,
        num_images=2,
        tags=["spring"],
        negative_prompt=None,
    )
    for settled in ("stored", "enriched"):
        await client.until(made["id"], settled, count=2)
    reply = await client.get("/v1/gallery")
    assert reply.headers["Cache-Control"] == "no-store"
    assert (reply.json["object"], reply.json["next_cursor"]) == ("list", None)
    assert {each["id"] for each in reply.json["data"]} == {each["id"] for each in made["output"]}
    shown = reply.json["data"][0]
    alone = (await client.get(f"/v1/assets/{shown['id']}")).json
    assert alone["favourite"] is False
    assert {key: shown[key] for key in alone} == alone
    assert shown["generation"] == {
        "id": made["id"],
        "prompt": "a fox in Görlitz",
        "negative_prompt": None,
        "model": made["model"],
        "style": "artistic",
        "aspect_ratio": made["input"]["aspect_ratio"],
        "operation": "generate",
        "seed": 70,
        "params": made["input"]["params"],
        "batch_id": None,
        "num_images": 2,
        "created_at": made["created_at"],
    }


async def test_pages_are_whole_and_without_repetition(client: Client) -> None:
    for number in range(3):
        await ordered(client, f"fox {number}", num_images=3)
    whole = await gallery(client)
    assert whole == sorted(whole, reverse=True)
    assert len(set(whole)) == 9
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        reply = await client.get("/v1/gallery", params={"limit": 4} | cursor)
        found += [each["id"] for each in reply.json["data"]]
        if reply.json["next_cursor"] is None:
            break
        cursor = {"cursor": reply.json["next_cursor"]}
    assert found == whole


async def test_words_are_found_in_any_case_and_script(client: Client) -> None:
    fox = await picture(client, "Ein FÜCHSLEIN in der Straße")
    cat = await picture(client, "кот на крыше, 100% real_size C:\\x")
    decomposed = await picture(client, "cafe\u0301 by the sea")
    for words, expected in (
        ("füchslein", [fox]),
        ("STRASSE", [fox]),
        ("straße fÜchs", [fox]),
        ("КОТ", [cat]),
        ("крыше кот", [cat]),
        ("CAFÉ", [decomposed]),
        ("ｃａｆé", [decomposed]),
        ("in", [fox]),
        ("100%", [cat]),
        ("0%r", []),
        ("l_s", [cat]),
        ("e_l", []),
        ("c:\\x", [cat]),
        ("\\", [cat]),
        ("%", [cat]),
        ("_", [cat]),
        ("/", []),
        ("'", []),
        ("füchslein кот", []),
        ("   ", [decomposed, cat, fox]),
    ):
        assert await gallery(client, q=words) == expected, words


async def test_every_filter(client: Client) -> None:
    wide = await picture(client, "wide", aspect_ratio="16:9", width=None, height=None, seed=5)
    styled = await picture(client, "styled", style="3d", tags=["a", "b c"])
    plain = await picture(client, "plain", tags=['x"a"'])
    model = (await client.get("/v1/gallery")).json["data"][0]["generation"]["model"]
    for query, expected in (
        ({"model": model}, [plain, styled, wide]),
        ({"model": "no/body"}, []),
        ({"style": "3d"}, [styled]),
        ({"aspect_ratio": "16:9"}, [wide]),
        ({"operation": "generate", "q": "plain"}, [plain]),
        ({"operation": "upscale"}, []),
        ({"seed": 5}, [wide]),
        ({"seed": 2**63 - 1}, []),
        ({"tag": "a"}, [styled]),
        ({"tag": "b c"}, [styled]),
        ({"tag": "b"}, []),
        ({"tag": 'x"a"'}, [plain]),
        ({"status": "ready"}, [plain, styled, wide]),
        ({"status": "failed"}, []),
        ({"style": "3d", "q": "wide"}, []),
        ({"batch": wide}, []),
    ):
        assert await gallery(client, **query) == expected, query
        told = (await client.get("/v1/gallery/timeline", params=query)).json
        assert told["total"] == len(expected), query


async def test_uploads_are_apart_but_for_favourites_collections_and_the_bin(client: Client) -> None:
    made, own = await picture(client), await upload(client)
    assert await gallery(client) == [made]
    assert await gallery(client, uploads="true") == [own]
    assert await gallery(client, uploads="true", q="fox") == []
    shown = (await client.get("/v1/gallery", params={"uploads": "true"})).json["data"][0]
    assert shown["generation"] is None
    both = sorted((made, own), reverse=True)
    body = {"asset_ids": both, "favourite": True}
    assert (await client.request("POST", "/v1/assets/favourite", json=body)).json["data"] == both
    assert await gallery(client, favourite="true") == both
    assert await gallery(client, favourite="true", uploads="false") == [made]
    assert await gallery(client, favourite="false") == [made]
    for each in both:
        await client.request("DELETE", f"/v1/assets/{each}")
    assert await gallery(client) == await gallery(client, favourite="true") == []
    assert await gallery(client, deleted="true") == both
    assert await gallery(client, deleted="true", uploads="true") == [own]


async def test_what_cannot_be_restored_is_in_no_gallery(client: Client) -> None:
    kept, gone = await picture(client), await picture(client)
    for each in (kept, gone):
        await client.request("DELETE", f"/v1/assets/{each}")
    at = datetime.now(UTC)
    await client.app.database.write(lambda tx: assets.learn(tx, gone, purged_at=at))
    restored = await client.request("POST", "/v1/assets/restore", json={"asset_ids": [gone]})
    assert restored.json == {"object": "list", "data": [], "missing": [gone]}
    assert await gallery(client, deleted="true") == [kept]


async def test_a_follower_adds_no_picture(client: Client) -> None:
    first = await ordered(client, "a fox", seed=3, reuse="allow")
    second = await ordered(client, "a fox", seed=3, reuse="allow")
    assert second["reused_from"] == first["id"]
    reply = (await client.get("/v1/gallery")).json["data"]
    assert [(each["id"], each["generation"]["id"]) for each in reply] == [
        (first["output"][0]["id"], first["id"])
    ]


async def test_a_timeline_has_the_days_of_its_reader(client: Client) -> None:
    made = await ordered(client, "a fox", num_images=3)
    newest = max(each["id"] for each in made["output"])
    for tz in (-840, 0, 840):
        told = (await client.get("/v1/gallery/timeline", params={"tz": tz})).json
        now = datetime.fromtimestamp(int(newest[:8] + newest[9:13], 16) / 1000 + tz * 60, UTC)
        day = now.date().isoformat()
        assert told == {
            "object": "timeline",
            "total": 3,
            "newest": newest,
            "sections": [{"date": day, "count": 3, "ratios": [1.5, 1.5, 1.5]}],
        }
        assert len(await gallery(client, from_=day, to=day, tz=tz)) == 3
        assert len(await gallery(client, date=day, tz=tz)) == 3
    empty = (await client.get("/v1/gallery/timeline", params={"to": "2001-01-01"})).json
    assert (empty["total"], empty["newest"], empty["sections"]) == (0, None, [])


async def test_facets_count_with_every_filter_but_their_own(client: Client) -> None:
    await ordered(client, "a fox", style="3d", num_images=2)
    await ordered(client, "a fox", style="artistic")
    await ordered(client, "an owl", style="3d")
    model = (await client.get("/v1/gallery")).json["data"][0]["generation"]["model"]
    told = (await client.get("/v1/gallery/facets")).json
    assert told["models"] == [{"name": model, "count": 4}]
    assert told["styles"] == [{"name": "3d", "count": 3}, {"name": "artistic", "count": 1}]
    assert told["operations"] == [{"name": "generate", "count": 4}]
    told = (await client.get("/v1/gallery/facets", params={"style": "artistic"})).json
    assert told["models"] == [{"name": model, "count": 1}]
    assert told["styles"] == [{"name": "3d", "count": 3}, {"name": "artistic", "count": 1}]
    told = (await client.get("/v1/gallery/facets", params={"q": "owl"})).json
    assert told["styles"] == [{"name": "3d", "count": 1}]
    told = (await client.get("/v1/gallery/facets", params={"uploads": "true"})).json
    assert told == {"object": "facets", "models": [], "styles": [], "aspect_ratios": [], "operations": []}


BAD = (
    ({"from": "2026-02-30"}, "from", "YYYY-MM-DD"),
    ({"to": "yesterday"}, "to", "YYYY-MM-DD"),
    ({"to": "٢٠٢٦-٠١-٠١"}, "to", "YYYY-MM-DD"),
    ({"from": "2026-02-02", "to": "2026-02-01"}, "from", "2026-02-01"),
    ({"tz": "841"}, "tz", 840),
    ({"tz": "x"}, "tz", None),
    ({"seed": "-1"}, "seed", 0),
    ({"seed": str(2**63)}, "seed", 2**63 - 1),
    ({"status": "queued"}, "status", None),
    ({"q": "x" * 201}, "q", 200),
    ({"q": "a\x00b"}, "q", None),
    ({"tag": "\x00"}, "tag", None),
    ({"collection": "mine"}, "collection", None),
    ({"batch": "'"}, "batch", None),
    ({"favourite": "perhaps"}, "favourite", None),
    ({"colour": "red"}, "colour", None),
)
BAD_PAGES = (
    ({"limit": "201"}, "limit", 200),
    ({"limit": "0"}, "limit", 1),
    ({"cursor": "newest"}, "cursor", None),
    ({"until": "x"}, "until", None),
    ({"date": "2026-1-1"}, "date", "YYYY-MM-DD"),
    ({"offset": "3"}, "offset", None),
    ({"beyond": "true"}, "beyond", None),
    ({"date": "2026-01-01", "offset": "-1"}, "offset", 0),
    ({"date": "2026-01-01", "cursor": "0" * 8 + "-0000-7000-8000-000000000000"}, "cursor", None),
)


@pytest.mark.parametrize("path", ["", "/timeline", "/facets"])
async def test_a_bad_filter_is_named(client: Client, path: str) -> None:
    for query, field, limit in BAD + (BAD_PAGES if not path else ()):
        reply = await client.get(f"/v1/gallery{path}", params=query)
        assert (reply.status, reply.json["code"]) == (422, "invalid_field"), query
        assert reply.json["field"] == field, query
        if limit is not None:
            assert reply.json["limit"] == limit, query
    unknown = {"collection": "00000000-0000-7000-8000-000000000000"}
    reply = await client.get(f"/v1/gallery{path}", params=unknown)
    assert (reply.status, reply.json["field"]) == (404, "collection")


async def test_the_account(client: Client) -> None:
    before = (await client.get("/v1/account")).json
    assert (before["object"], before["name"]) == ("account", "default")
    assert before["credits"]["held"] == 0
    made = await ordered(client, "a fox", num_images=2)
    await client.until(made["id"], "settled", count=2)
    after = (await client.get("/v1/account")).json["credits"]
    assert (after["available"], after["held"], after["spent"]) == await client.balance()
    assert after["spent"] - before["credits"]["spent"] == made["cost"]["credits"]


def test_every_parameter_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "GALLERY.md").read_text(encoding="utf-8")
    for name, field in PageQuery.model_fields.items():
        assert re.search(rf"`{field.alias or name}[`=]", text), name
