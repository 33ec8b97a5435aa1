"""Shares: the API, and the page as a stranger's browser and a chat app see it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import pyvips
from sqlalchemy import update

from ferrotype.db.schema import assets, shares
from tests.flows.harness import Client, Reply, running
from tests.gallery.conftest import ordered, picture
from tests.gallery.test_gallery import png

KEY = "correct-horse-battery"
STRANGER = {"Authorization": ""}
UNKNOWN = "00000000-0000-7000-8000-000000000000"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)> & \'"</style>'


class Page(HTMLParser):
    """What a page is made of: its elements, its card and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.card: dict[str, str] = {}
        self.text: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        self._open = tag
        if tag == "meta" and (name := given.get("property") or given.get("name")):
            self.card[name] = given["content"]

    def handle_data(self, data: str) -> None:
        self.text[self._open] = self.text.get(self._open, "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [given for name, given in self.elements if name == tag]


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with a key; its client sends it unless a request says otherwise."""
    async with running(tmp_path / "data", FERROTYPE_API_KEY=KEY) as client:
        yield client


async def shared(client: Client, *ids: str, **more: Any) -> dict[str, Any]:
    reply = await client.request("POST", "/v1/shares", json={"asset_ids": list(ids)} | more)
    assert reply.status == 201, reply.body
    assert reply.headers["Location"] == f"/v1/shares/{reply.json['id']}"
    return dict(reply.json)


async def opened(client: Client, share: dict[str, Any], method: str = "GET") -> Reply:
    return await client.request(method, share["url"], headers=STRANGER)


def images(page: Page) -> list[list[tuple[str, int]]]:
    """(path, width) of each picture's variants; the pages name them from their own place."""
    found = []
    for image in page.all("img"):
        variants = [part.rsplit(" ", 1) for part in image["srcset"].split(", ")]
        assert all(url.startswith("../images/") for url, _ in variants)
        found.append([(url.removeprefix(".."), int(width.removesuffix("w"))) for url, width in variants])
    return found


async def test_a_stranger_sees_the_pictures(keyed: Client) -> None:
    one, two = await picture(keyed, width=1280, height=720), await picture(keyed)
    share = await shared(keyed, two, one, two)
    assert (share["object"], share["title"], share["asset_ids"]) == ("share", "2 pictures", [two, one])
    assert share["url"] == f"{keyed.base}/s/{share['id']}"
    assert (share["expires_at"], share["revoked_at"], share["show_prompt"]) == (None, None, False)
    reply = await opened(keyed, share)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    page = Page(reply.body.decode())
    small, large = images(page)
    assert [width for _, width in small] == [320, 384]
    assert [width for _, width in large] == [320, 480, 640, 960, 1280]
    for path, width in small + large:
        variant = await keyed.get(path, headers=STRANGER | {"Accept": "image/webp"})
        assert (variant.status, variant.headers["Content-Type"]) == (200, "image/webp")
        assert pyvips.Image.new_from_buffer(variant.body, "").width == width
    assert [(each["width"], each["height"]) for each in page.all("img")] == [("384", "256"), ("1280", "720")]
    assert [each["alt"] for each in page.all("img")] == ["Picture 1 of 2", "Picture 2 of 2"]
    assert not page.all("script")
    assert page.all("main") == [{"class": "many"}]


async def test_without_a_key_only_the_page_is_open(keyed: Client) -> None:
    share = await shared(keyed, await picture(keyed))
    for path in ("/v1/shares", f"/v1/shares/{share['id']}", "/v1/gallery", "/v1/collections", "/v1/account"):
        assert (await keyed.get(path, headers=STRANGER)).status == 401, path
    reply = await keyed.request("DELETE", f"/v1/shares/{share['id']}", headers=STRANGER)
    assert reply.status == 401
    reply = await keyed.request("POST", f"/s/{share['id']}", headers=STRANGER)
    assert reply.status == 405
    for path in ("/s/../v1/gallery", "/s/x/../../v1/gallery", "/s//v1/gallery"):
        assert (await keyed.get(path, headers=STRANGER)).status in (401, 404), path
    elsewhere = STRANGER | {"Host": "pictures.example"}
    assert (await keyed.get(f"/s/{share['id']}", headers=elsewhere)).status == 200


async def test_the_policy_lets_in_nothing_but_its_own(client: Client) -> None:
    share = await shared(client, await picture(client))
    reply = await opened(client, share)
    style = Page(reply.body.decode()).text["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "img-src": "'self' data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert 'style="' not in reply.body.decode(), "the policy would not allow it"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "noindex" in reply.headers["X-Robots-Tag"]
    assert reply.headers["Cache-Control"] == "private, max-age=60"
    head = await opened(client, share, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == reply.headers["Content-Length"] == str(len(reply.body))
    assert head.headers["Content-Security-Policy"] == reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("width", "height"), [(1600, 900), (512, 1024), (384, 256), (1001, 333)])
async def test_the_card(client: Client, width: int, height: int) -> None:
    uploaded = await client.request("POST", "/v1/assets", data=png(width=width, height=height))
    share = await shared(client, uploaded.json["id"], title="Spring & autumn")
    card = Page((await opened(client, share)).body.decode()).card
    assert card["og:title"] == card["twitter:title"] == "Spring & autumn"
    assert card["og:description"] == "A picture, shared with Ferrotype"
    assert card["og:url"] == share["url"]
    assert (card["og:type"], card["twitter:card"]) == ("website", "summary_large_image")
    assert "noindex" in card["robots"]
    assert card["og:image"] == card["twitter:image"]
    assert card["og:image"].startswith(f"{client.base}/images/")
    reply = await client.get(card["og:image"], headers={"Accept": "*/*"})
    assert (reply.status, reply.headers["Content-Type"]) == (200, card["og:image:type"])
    image = pyvips.Image.new_from_buffer(reply.body, "")
    assert (str(image.width), str(image.height)) == (card["og:image:width"], card["og:image:height"])
    assert image.width <= 1200


async def test_prompts_are_told_only_where_that_was_said(client: Client) -> None:
    one = await picture(client, "a secret fox")
    page = (await opened(client, await shared(client, one))).body.decode()
    assert "secret" not in page
    page = (await opened(client, await shared(client, one, show_prompt=True))).body.decode()
    assert Page(page).card["og:description"] == "a secret fox"
    assert Page(page).text["figcaption"] == "a secret fox"


async def test_nothing_that_people_write_is_markup(client: Client) -> None:
    one, two = await picture(client, EVIL), await picture(client, "two")
    share = await shared(client, one, two, title=EVIL, show_prompt=True)
    text = (await opened(client, share)).body.decode()
    page = Page(text)
    assert not page.all("script")
    assert "<script" not in text
    assert all(set(each) <= KNOWN for each in page.all("img"))
    assert len(page.all("img")) == 2
    assert page.text["h1"] == page.card["og:title"] == EVIL
    assert page.text["title"] == f"{EVIL} · Ferrotype"
    assert EVIL in page.text["figcaption"]
    alone = Page((await opened(client, await shared(client, one, show_prompt=True))).body.decode())
    assert alone.card["og:description"] == alone.card["og:image:alt"] == EVIL
    reply = await client.get(f"/s/{share['id']}", headers={"Host": 'x"><script>alert(1)</script>'})
    assert b"<script" not in reply.body


KNOWN = {"src", "srcset", "sizes", "width", "height", "alt", "decoding", "loading", "fetchpriority"}


async def test_private_pictures_are_signed(keyed: Client) -> None:
    one = await picture(keyed, visibility="private")
    assert (await keyed.get(f"/images/{one}", headers=STRANGER)).status == 401
    share = await shared(keyed, one)
    reply = await opened(keyed, share)
    page = Page(reply.body.decode())
    now = keyed.app.clock.now().timestamp()
    for path, _ in images(page)[0]:
        assert (await keyed.get(path, headers=STRANGER)).status == 200
        expires = int(path.split("exp=")[1].split("&")[0])
        assert now < expires <= now + 86_400
        assert (await keyed.get(path.replace("w=", "w=1"), headers=STRANGER)).status == 403
    assert (await keyed.get(page.card["og:image"], headers=STRANGER)).status == 200
    assert (await opened(keyed, share)).body == reply.body, "what a browser keeps it can use again"
    short = Page((await opened(keyed, await shared(keyed, one, expires_in=600))).body.decode())
    expires = int(images(short)[0][0][0].split("exp=")[1].split("&")[0])
    assert expires <= now + 600 + 60


async def test_where_only_signed_urls_transform(tmp_path: Path) -> None:
    async with running(
        tmp_path / "data",
        FERROTYPE_API_KEY=KEY,
        FERROTYPE_TRANSFORMS="signed",
        FERROTYPE_MAX_VARIANT_SIDE="400",
    ) as client:
        one = await picture(client, width=640, height=640)
        assert (await client.get(f"/images/{one}?w=320&format=auto", headers=STRANGER)).status == 403
        share = await shared(client, one)
        page = Page((await opened(client, share)).body.decode())
        assert [width for _, width in images(page)[0]] == [320, 400]
        for path, _ in images(page)[0]:
            assert (await client.get(path, headers=STRANGER)).status == 200
        assert (await client.get(page.card["og:image"], headers=STRANGER)).status == 200
        assert (page.card["og:image:width"], page.card["og:image:height"]) == ("400", "400")


async def test_the_end_of_a_share(client: Client) -> None:
    made = await ordered(client, "a fox", num_images=2)
    one, two = (each["id"] for each in made["output"])
    share = await shared(client, one, two)
    await client.request("DELETE", f"/v1/assets/{one}")
    page = Page((await opened(client, share)).body.decode())
    assert [path.split("?")[0] for path, _ in (each[0] for each in images(page))] == [f"/images/{two}"]
    await client.request("DELETE", f"/v1/assets/{two}")
    await is_gone(await opened(client, share), b"deleted")
    await client.request("POST", "/v1/assets/restore", json={"asset_ids": [one, two]})
    assert (await opened(client, share)).status == 200
    path = f"/v1/shares/{share['id']}"
    for _ in range(2):
        assert (await client.request("DELETE", path)).status == 204
    await is_gone(await opened(client, share), b"taken the page back")
    assert (await client.get(path)).json["revoked_at"] is not None
    other = await shared(client, two, expires_in=60)
    assert (await opened(client, other)).status == 200
    past = client.app.clock.now() - timedelta(seconds=1)
    statement = update(shares).where(shares.c.id == other["id"]).values(expires_at=past)
    await client.app.database.write(lambda tx: tx.execute(statement))
    await is_gone(await opened(client, other), b"over")
    failed = update(assets).where(assets.c.id == two).values(state="failed")
    await client.app.database.write(lambda tx: tx.execute(failed))
    await is_gone(await opened(client, await shared(client, two)), b"deleted")


async def is_gone(reply: Reply, why: bytes) -> None:
    assert reply.status == 410
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert b"no longer here" in reply.body
    assert why in reply.body


@pytest.mark.parametrize("name", [UNKNOWN, "nothing", "%3Cscript%3E", "a" * 400])
async def test_an_unknown_page(client: Client, name: str) -> None:
    for method in ("GET", "HEAD"):
        reply = await client.request(method, f"/s/{name}")
        assert (reply.status, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert b"<script" not in reply.body
    reply = await client.get(f"/v1/shares/{name}")
    assert (reply.status, reply.headers["Content-Type"]) == (404, "application/problem+json")


async def test_the_list_has_pages(client: Client) -> None:
    one = await picture(client)
    made = [(await shared(client, one, title=f"number {number}"))["id"] for number in range(5)]
    await client.request("DELETE", f"/v1/shares/{made[2]}")
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        reply = (await client.get("/v1/shares", params={"limit": "2"} | cursor)).json
        found += [each["id"] for each in reply["data"]]
        if reply["next_cursor"] is None:
            break
        cursor = {"cursor": reply["next_cursor"]}
    assert found == sorted(made, reverse=True)


async def test_bad_shares_are_named(client: Client) -> None:
    one, gone = await picture(client), await picture(client)
    await client.request("DELETE", f"/v1/assets/{gone}")
    for body, status, field, limit in (
        ({}, 422, "asset_ids", None),
        ({"asset_ids": []}, 422, "asset_ids", 1),
        ({"asset_ids": [one] * 201}, 422, "asset_ids", 200),
        ({"asset_ids": [one, UNKNOWN]}, 404, "asset_ids[1]", None),
        ({"asset_ids": [one, "x"]}, 404, "asset_ids[1]", None),
        ({"asset_ids": [gone]}, 410, "asset_ids[0]", None),
        ({"asset_ids": [one], "expires_in": 59}, 422, "expires_in", 60),
        ({"asset_ids": [one], "expires_in": 315_360_001}, 422, "expires_in", 315_360_000),
        ({"asset_ids": [one], "title": ""}, 422, "title", 1),
        ({"asset_ids": [one], "title": "x" * 201}, 422, "title", 200),
        ({"asset_ids": [one], "title": "a\nb"}, 422, "title", None),
        ({"asset_ids": [one], "show_prompt": "maybe"}, 422, "show_prompt", None),
        ({"asset_ids": [one], "public": True}, 422, "public", None),
    ):
        reply = await client.request("POST", "/v1/shares", json=body)
        assert (reply.status, reply.json["field"]) == (status, field), body
        if limit is not None:
            assert reply.json["limit"] == limit, body
    assert (await client.get("/v1/shares")).json["data"] == []
