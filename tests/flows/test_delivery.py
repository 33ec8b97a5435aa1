"""Delivery through the whole server: what is ordered and uploaded, then loaded by those who may."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from PIL import Image

from tests.flows.harness import Client, running
from tests.imaging.imaging_pictures import scene
from tests.imaging.render_tools import encoded, opened
from tests.storage.valkey import running as valkey

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}
KEY = "a key of at least sixteen characters"
API_KEY = "an API key of our own"
PNG = scene(64, 48).pngsave_buffer()
EARLIER = "Sat, 01 Jan 2022 00:00:00 GMT"


async def fox(client: Client, **wishes: object) -> dict[str, object]:
    return dict((await client.order(**FOX, **wishes)).json["output"][0])


async def test_a_picture_in_the_size_and_format_that_is_wanted(client: Client) -> None:
    asset = await fox(client)
    answer = await client.get(f"{asset['url']}?w=128&format=webp")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    assert opened(answer.body).size == (128, 128)
    again = await client.get(f"{asset['url']}?w=128&format=webp")
    assert (again.body, again.headers["Server-Timing"]) == (answer.body, "memory")


@pytest.mark.parametrize("preset", ["thumb", "card", "full", "social-og"])
async def test_the_presets_that_come_with_it(client: Client, preset: str) -> None:
    asset = await fox(client)
    answer = await client.get(f"{asset['url']}?preset={preset}")
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("image/")


async def test_the_placeholder_is_told_by_every_road(client: Client) -> None:
    generation = (await client.order(**FOX)).json
    envelope = await client.until(generation["id"], "enriched")
    asset = envelope["output"][0]
    assert (asset["animated"], asset["has_alpha"]) == (False, False)
    placeholder = asset["placeholder"]
    assert placeholder.keys() == {"thumbhash", "color", "data_uri"}
    info = (await client.get(f"/images/{asset['id']}/info")).json
    assert (info["placeholder"], info["width"], info["height"]) == (placeholder, 256, 256)
    told = [data async for _, type, data in client.events(generation["id"], 0) if type == "snapshot"]
    assert told[0]["generation"]["output"][0]["placeholder"] == placeholder


async def test_a_private_order_and_its_signed_url(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_API_KEY=API_KEY, FERROTYPE_URL_KEYS=KEY) as client:
        asset = await fox(client, visibility="private")
        assert asset["visibility"] == "private"
        anonymous = {"Authorization": ""}
        assert (await client.get(str(asset["url"]), headers=anonymous)).status == 401
        assert (await client.get(str(asset["url"]))).status == 200
        wish = {"expires_in": 60, "transform": {"w": 128, "format": "webp"}}
        signed = (await client.request("POST", f"/v1/assets/{asset['id']}/sign", json=wish)).json
        opened_by_all = await client.get(signed["url"], headers=anonymous)
        assert opened(opened_by_all.body).size == (128, 128)
        assert opened_by_all.headers["Cache-Control"].startswith("private, max-age=")
        # The same by hand, as docs/DELIVERY.md has it.
        parts = urlsplit(signed["url"])
        pairs = [pair for pair in parse_qsl(parts.query) if pair[0] != "sig"]
        text = "\n".join([parts.path, *(f"{name}={value}" for name, value in sorted(pairs))])
        made = urlsafe_b64encode(hmac.digest(KEY.encode(), text.encode(), hashlib.sha256)).rstrip(b"=")
        assert dict(parse_qsl(parts.query))["sig"] == made.decode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": 10**9}, "expires_in"),
        ({"transform": {"w": 0}}, "w"),
        ({"transform": {"wide": 1}}, "wide"),
        ({"transform": {"w": [1]}}, None),
        ({"seconds": 1}, "seconds"),
    ],
)
async def test_what_cannot_be_signed(client: Client, body: dict[str, object], field: str | None) -> None:
    asset = await fox(client)
    reply = await client.request("POST", f"/v1/assets/{asset['id']}/sign", json=body)
    assert reply.status == 422
    assert field in (None, reply.json["field"])


async def test_keys_change_without_a_url_breaking(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    old, new = "the old key of sixteen and more", "the new key of sixteen and more"
    anonymous = {"Authorization": ""}
    async with running(folder, FERROTYPE_API_KEY=API_KEY, FERROTYPE_URL_KEYS=old) as client:
        asset = await fox(client, visibility="private")
        url = (await client.request("POST", f"/v1/assets/{asset['id']}/sign", json={})).json["url"]
    for keys, status in ((f"{new},{old}", 200), (new, 403)):
        async with running(folder, FERROTYPE_API_KEY=API_KEY, FERROTYPE_URL_KEYS=keys) as client:
            path = url[url.index("/images/") :]
            assert (await client.get(path, headers=anonymous)).status == status


async def test_the_servers_own_key_outlives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder, FERROTYPE_VISIBILITY="private", FERROTYPE_API_KEY=API_KEY) as client:
        asset = await fox(client)
        assert asset["visibility"] == "private"
        url = (await client.request("POST", f"/v1/assets/{asset['id']}/sign", json={})).json["url"]
    assert (folder / "secret.key").stat().st_mode & 0o777 == 0o600
    async with running(folder, FERROTYPE_API_KEY=API_KEY) as client:
        path = url[url.index("/images/") :]
        assert (await client.get(path, headers={"Authorization": ""})).status == 200


async def test_uploads_say_who_may_load_them(client: Client) -> None:
    bare = await client.request("POST", "/v1/assets?visibility=public", data=PNG)
    assert (bare.status, bare.json["visibility"]) == (201, "public")
    form = aiohttp.FormData()
    form.add_field("file", PNG, filename="fox.png")
    form.add_field("visibility", "private")
    posted = await client.request("POST", "/v1/assets", data=form)
    assert (posted.status, posted.json["visibility"]) == (201, "private")
    wrong = aiohttp.FormData()
    wrong.add_field("file", PNG, filename="fox.png")
    wrong.add_field("visibility", "secret")
    rows = await client.rows()
    for refused in (
        await client.request("POST", "/v1/assets", data=wrong),
        await client.request("POST", "/v1/assets?visibility=secret", data=PNG),
    ):
        assert (refused.status, refused.json["field"]) == (422, "visibility")
    assert await client.rows() == rows


async def test_an_asset_becomes_private_and_open_again(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_API_KEY=API_KEY) as client:
        asset = await fox(client)
        anonymous = {"Authorization": ""}
        for visibility, status in (("private", 401), ("public", 200), ("private", 401), ("unlisted", 200)):
            reply = await client.request(
                "PATCH", f"/v1/assets/{asset['id']}", json={"visibility": visibility}
            )
            assert (reply.status, reply.json["visibility"]) == (200, visibility)
            for _ in range(2):
                assert (await client.get(str(asset["url"]), headers=anonymous)).status == status
        unknown = await client.request("PATCH", f"/v1/assets/{asset['id']}", json={"seed": 1})
        assert (unknown.status, unknown.json["field"]) == (422, "seed")


async def test_a_deleted_asset_is_gone_everywhere(client: Client) -> None:
    generation = (await client.order(**FOX)).json
    await client.until(generation["id"], "stored")
    asset = generation["output"][0]
    assert (await client.get(f"{asset['url']}?w=64")).status == 200
    for _ in range(2):
        assert (await client.request("DELETE", f"/v1/assets/{asset['id']}")).status == 204
        for path in (asset["url"], f"{asset['url']}?w=64", f"{asset['url']}/info"):
            answer = await client.get(path)
            assert (answer.status, answer.json["code"]) == (410, "gone")
    shown = (await client.get(f"/v1/assets/{asset['id']}")).json
    assert shown["deleted_at"] is not None
    envelope = (await client.get(f"/v1/generations/{generation['id']}")).json
    assert envelope["output"][0]["deleted_at"] == shown["deleted_at"]
    for method, path in (("PATCH", ""), ("POST", "/sign")):
        reply = await client.request(method, f"/v1/assets/{asset['id']}{path}", json={"visibility": "public"})
        assert reply.status in (410, 422)


async def test_a_deleted_asset_is_no_input(edit_client: Client) -> None:
    uploaded = (await edit_client.request("POST", "/v1/assets", data=PNG)).json
    await edit_client.request("DELETE", f"/v1/assets/{uploaded['id']}")
    order = await edit_client.order(operation="variation", prompt="a fox", image=uploaded["id"])
    assert (order.status, order.json["field"]) == (422, "image")
    assert "deleted" in order.json["detail"]


async def test_only_an_own_asset_is_changed(client: Client) -> None:
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/sign")):
        for asset_id in ("01a1ff00-0000-7000-8000-000000000000", "nothing"):
            reply = await client.request(
                method, f"/v1/assets/{asset_id}{path}", json={"visibility": "public"} if not path else {}
            )
            assert reply.status == 404


async def test_nodes_share_what_they_made(tmp_path: Path) -> None:
    """A restart has an empty memory; its variants come from the shared cache, else from the disk."""
    with valkey(tmp_path) as server:
        environ = {"FERROTYPE_REDIS_URL": server.url}
        async with running(tmp_path / "data", **environ) as client:
            asset = await fox(client)
            path = f"/images/{asset['id']}?w=100&format=webp"
            made = await client.get(path)
            await client.app.levels.settled()
        async with running(tmp_path / "data", **environ) as client:
            shared = await client.get(path)
            assert (shared.body, shared.headers["Server-Timing"]) == (made.body, "shared")
            gauges = (await client.get("/metrics", headers={"Accept": "application/json"})).json["cache"]
            assert (gauges["shared_hits"], gauges["variants_misses"]) == (1, 0)
            await client.request("DELETE", f"/v1/assets/{asset['id']}")
            assert (await client.get(path)).status == 410
    async with running(tmp_path / "data") as client:
        assert (await client.get(path)).status == 410


async def test_variants_outlive_a_restart_on_disk(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as client:
        asset = await fox(client)
        path = f"/images/{asset['id']}?w=100&format=webp"
        made = await client.get(path)
        await client.app.levels.settled()
    async with running(tmp_path / "data") as client:
        kept = await client.get(path)
        assert (kept.body, kept.headers["Server-Timing"]) == (made.body, "variants")


async def test_a_watermark_of_the_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags: list[str] = []
    asset: dict[str, object] = {}
    for color in ("red", "blue"):
        (tmp_path / "mark.png").write_bytes(encoded(Image.new("RGB", (8, 8), color)))
        (tmp_path / "ferrotype.toml").write_text(
            '[watermarks.logo]\npicture = "mark.png"\nopacity = 1.0\ngravity = "southeast"\nmargin = 0.0\n'
            '[presets]\nmarked = "w=64&format=png&watermark=logo"\n'
        )
        async with running(tmp_path / "data", FERROTYPE_CONFIG=str(tmp_path / "ferrotype.toml")) as client:
            asset = asset or (await client.request("POST", "/v1/assets", data=PNG)).json
            url = f"/images/{asset['id']}"
            for query in ("preset=marked", "w=64&format=png&watermark=logo"):
                answer = await client.get(f"{url}?{query}")
                corner = opened(answer.body).convert("RGB").getpixel((63, 47))
                assert corner == {"red": (255, 0, 0), "blue": (0, 0, 255)}[color]
                assert "immutable" not in answer.headers["Cache-Control"]
            tags.append(answer.headers["ETag"])
    assert tags[0] != tags[1]


async def test_conditions_on_dates(client: Client) -> None:
    asset = await fox(client)
    whole = await client.get(str(asset["url"]))
    date = whole.headers["Last-Modified"]
    assert (await client.get(str(asset["url"]), headers={"If-Modified-Since": date})).status == 304
    assert (await client.get(str(asset["url"]), headers={"If-Modified-Since": EARLIER})).status == 200
    part = await client.get(str(asset["url"]), headers={"Range": "bytes=0-9", "If-Range": date})
    assert (part.status, part.body) == (206, whole.body[:10])
    other = await client.get(str(asset["url"]), headers={"Range": "bytes=0-9", "If-Range": EARLIER})
    assert other.status == 200


async def test_conditions_that_want_another_picture(client: Client) -> None:
    asset = await fox(client)
    whole = await client.get(str(asset["url"]))
    for _ in range(2):
        for headers, status in (
            ({"If-Match": whole.headers["ETag"]}, 200),
            ({"If-Match": '"other"'}, 412),
            ({"If-Unmodified-Since": whole.headers["Last-Modified"]}, 200),
            ({"If-Unmodified-Since": EARLIER}, 412),
            (
                {
                    "If-Modified-Since": EARLIER,
                    "If-None-Match": whole.headers["ETag"],
                },
                304,
            ),
        ):
            assert (await client.get(str(asset["url"]), headers=headers)).status == status, headers


async def test_input_pictures_of_a_private_order_are_private(tmp_path: Path) -> None:
    async with running(
        tmp_path / "data", COMFYUI_URL="http://127.0.0.1:9", FERROTYPE_API_KEY=API_KEY
    ) as client:
        uri = f"data:image/png;base64,{b64encode(PNG).decode()}"
        order = await client.order_async(
            operation="variation", prompt="a fox", image=uri, visibility="private"
        )
        kept = (await client.get(f"/v1/assets/{order['input']['images'][0]}")).json
        assert kept["visibility"] == "private"


async def test_where_the_store_keeps_a_picture_cannot_be_guessed(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_DISK_PUBLIC_URL="https://cdn.example/p") as client:
        generation = (await client.order(**FOX)).json
        await client.until(generation["id"], "stored")
        asset_id = generation["output"][0]["id"]
        answer = await client.get(f"/images/{asset_id}")
        assert answer.status == 302
        base, _, name = answer.headers["Location"].rpartition("/")
        assert base.startswith("https://cdn.example/p/20")
        digits = name.removeprefix(f"{asset_id}-").removesuffix(".webp")
        assert len(digits) == 24
        stored = next((tmp_path / "data" / "assets").rglob(f"*{digits}*"))
        assert stored.name == name
