"""Who may load what: visibility, signatures, deletion, and policies of the operator."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ferrotype.db import assets
from ferrotype.db.database import Story, T
from ferrotype.domain.asset import Placeholder, Visibility
from ferrotype.domain.transform import Transform, etag
from ferrotype.domain.transform_query import Vocabulary
from ferrotype.http.settings import HttpSettings
from ferrotype.services.cdn import Uncache
from ferrotype.services.lifecycle import Lifecycle
from tests.delivery.assembly import Rules
from tests.delivery.conftest import World
from tests.delivery.driver import Answer, Client
from tests.imaging.imaging_pictures import scene

PNG = scene(80, 60).pngsave_buffer()
API_KEY = "an API key of our own"
BEARER = {"Authorization": f"Bearer {API_KEY}"}
WITH_KEY = Rules(http=HttpSettings(api_key=API_KEY))
PLACEHOLDER = {
    "thumbhash": "1QcSHQ",
    "color": "#123456",
    "data_uri": "data:image/webp;base64,AA",
}
READY = {"placeholder": Placeholder(**PLACEHOLDER)}
PRIVATE = {"visibility": Visibility.PRIVATE}
SCHEMES = ("", "?w=40&format=webp", "?w=40&format=auto", "/info")


def signed(world: World, asset_id: str, query: str = "", seconds: int = 600) -> str:
    pairs = [tuple(pair.split("=")) for pair in query.split("&") if pair]
    return world.pictures.signer.signed(f"/images/{asset_id}", pairs, seconds)[0]  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "spool", "store"])
async def private(request: pytest.FixtureRequest, world: World) -> str:
    """A private picture, wherever its bytes are."""
    put = {"memory": world.remembered, "spool": world.spooled, "store": world.stored}[request.param]
    return await put(PNG, **PRIVATE)


@pytest.mark.parametrize("what", SCHEMES)
async def test_a_private_picture_needs_the_key(world: World, private: str, what: str) -> None:
    client = world.serve(WITH_KEY)
    for _ in range(2):
        refused = await client.get(f"/images/{private}{what}")
        assert (refused.status, refused.json()["code"]) == (401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
        wrong = await client.get(f"/images/{private}{what}", headers={"Authorization": "Bearer nothing"})
        assert wrong.status == 401
        answer = await client.get(f"/images/{private}{what}", headers=BEARER)
        assert answer.status == 200
        assert answer.headers["cache-control"].startswith("private, ")
    cached = await client.get(f"/images/{private}{what}", headers={"If-None-Match": "*"})
    assert cached.status == 401


async def test_without_a_key_a_private_picture_is_for_this_machine(world: World, private: str) -> None:
    client = world.serve()
    assert (await client.get(f"/images/{private}", headers={"Host": "127.0.0.1:8700"})).body == PNG
    assert (await client.get(f"/images/{private}", headers={"Host": "evil.example"})).status == 403
    cross = {"Host": "127.0.0.1:8700", "Origin": "https://evil.example"}
    assert (await client.get(f"/images/{private}", headers=cross)).status == 403


@pytest.mark.parametrize("query", ["", "w=40&format=webp", "w=40&format=auto"])
async def test_a_signed_url_opens_a_private_picture_until_it_expires(
    world: World, private: str, query: str
) -> None:
    client = world.serve(WITH_KEY)
    url = signed(world, private, query)
    answer = await client.get(url)
    assert answer.status == 200
    assert answer.headers["cache-control"] in ("private, max-age=600", "private, max-age=10")
    world.clock.advance(400)
    later = await client.get(url)
    assert later.headers["cache-control"] in ("private, max-age=200", "private, max-age=10")
    world.clock.advance(200)
    expired = await client.get(url)
    assert (expired.status, expired.json()["field"]) == (403, "exp")


async def test_a_signature_opens_nothing_else(world: World, private: str) -> None:
    client = world.serve(WITH_KEY)
    other = await world.spooled(PNG, **PRIVATE)
    url = signed(world, private, "w=40")
    for forged in (
        url.replace("w=40", "w=41"),
        url.replace(private, other),
        url.replace("w=40&", ""),
        url + "&h=40",
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.split("&sig=")[0],
        url.replace(private, f"{private}.png"),
    ):
        answer = await client.get(forged)
        assert (answer.status, answer.json()["code"]) == (403, "forbidden")
    assert (await client.get(url)).status == 200


async def test_a_signed_url_of_an_open_picture_is_not_kept_for_longer(world: World, client: Client) -> None:
    asset_id = await world.spooled(PNG)
    url = signed(world, asset_id, "w=40&format=webp")
    for level in ("render", "memory"):
        answer = await client.get(url)
        assert answer.headers["server-timing"].startswith(level)
        assert answer.headers["cache-control"] == "public, max-age=600"
    world.clock.advance(601)
    assert (await client.get(url)).status == 403


async def test_only_presets_and_signed_urls_transform(world: World) -> None:
    rules = Rules(
        Vocabulary(presets={"thumb": Transform(w=64)}),
        http=HttpSettings(api_key=API_KEY),
        transforms="signed",
    )
    client = world.serve(rules)
    asset_id = await world.spooled(PNG)
    assert (await client.get(f"/images/{asset_id}")).status == 200
    assert (await client.get(f"/images/{asset_id}?preset=thumb")).status == 200
    assert (await client.get(f"/images/{asset_id}?rotate=0")).status == 200
    refused = await client.get(f"/images/{asset_id}?w=40")
    assert (refused.status, refused.json()["field"]) == (403, "sig")
    assert (await client.get(signed(world, asset_id, "w=40"))).status == 200
    assert (await client.get(f"/images/{asset_id}?w=40")).status == 403
    by_key = await client.get(f"/images/{asset_id}?w=40", headers=BEARER)
    assert by_key.status == 200
    assert by_key.headers["cache-control"] == "private, max-age=3600"  # a CDN must not hand it to others
    assert (await client.get(f"/images/{asset_id}?w=40")).status == 403


async def lifecycle(world: World) -> Lifecycle:
    from ferrotype.engine.sqlite import SqliteEngine

    engine = SqliteEngine(
        world.database, world.clock, {}, owner="test", lease_seconds=30, on_failed=lambda *_: None
    )
    uncache = Uncache(world.database, engine, world.levels, None)
    return Lifecycle(world.database, engine, world.levels, uncache, world.clock)


@pytest.mark.parametrize("what", SCHEMES)
async def test_a_picture_that_becomes_private_is_private_at_once(world: World, what: str) -> None:
    client = world.serve(WITH_KEY)
    asset_id = await world.spooled(PNG)
    for _ in range(2):
        assert (await client.get(f"/images/{asset_id}{what}")).status == 200
    story = await lifecycle(world)
    await story.show_to(asset_id, world.account_id, Visibility.PRIVATE)
    for _ in range(2):
        assert (await client.get(f"/images/{asset_id}{what}")).status == 401
    await story.show_to(asset_id, world.account_id, Visibility.UNLISTED)
    assert (await client.get(f"/images/{asset_id}{what}")).status == 200


@pytest.mark.parametrize("what", SCHEMES)
async def test_a_deleted_picture_is_gone_in_every_size(world: World, what: str) -> None:
    client = world.serve()
    asset_id = await world.stored(PNG)
    for _ in range(2):
        assert (await client.get(f"/images/{asset_id}{what}")).status == 200
    story = await lifecycle(world)
    deleted_at = await story.delete(asset_id, world.account_id)
    world.clock.advance(60)
    assert await story.delete(asset_id, world.account_id) == deleted_at
    for _ in range(2):
        answer = await client.get(f"/images/{asset_id}{what}", headers={"If-None-Match": etag(asset_id)})
        assert (answer.status, answer.json()["code"]) == (410, "gone")
    world.clock.advance(timedelta(hours=1).total_seconds())
    assert (await client.get(f"/images/{asset_id}{what}")).status == 410
    assert world.cache.get(asset_id) is None


async def test_what_was_being_prepared_meanwhile_is_not_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The asset becomes private between the look at it and its preparation in memory."""
    client = world.serve(WITH_KEY)
    asset_id = await world.spooled(PNG)
    story = await lifecycle(world)
    opening = world.deliver.open

    async def slowly(found: object) -> object:
        await story.show_to(asset_id, world.account_id, Visibility.PRIVATE)
        return await opening(found)  # type: ignore[arg-type]

    monkeypatch.setattr(world.deliver, "open", slowly)
    assert (await client.get(f"/images/{asset_id}")).status == 200  # it was open when the request came
    assert (await client.get(f"/images/{asset_id}")).status == 401


async def test_a_store_that_serves_by_itself_is_named(world: World) -> None:
    world.store._public_base = "https://cdn.example/pictures/"
    client = world.serve(WITH_KEY)
    stored, waiting = await world.stored(PNG), await world.spooled(PNG)
    hidden = await world.stored(PNG, **PRIVATE)
    for method in ("GET", "HEAD"):
        answer = await client.request(method, f"/images/{stored}.png", headers={"Range": "bytes=0-9"})
        assert (answer.status, answer.body) == (302, b"")
        assert answer.headers["location"] == f"https://cdn.example/pictures/2026/01/31/{stored}.png"
        assert answer.headers["cache-control"] == "public, max-age=30"
        assert answer.headers["access-control-allow-origin"] == "*"
    assert (await client.get(f"/images/{waiting}")).body == PNG
    assert (await client.get(f"/images/{hidden}", headers=BEARER)).body == PNG
    assert (await client.get(f"/images/{stored}?w=40")).status == 200
    saved = await client.get(f"/images/{stored}?dl=fox")  # another host would not know the name
    assert (saved.status, saved.body) == (200, PNG)


def info_of(answer: Answer) -> dict[str, object]:
    import json

    assert answer.headers["content-type"] == "application/json"
    return dict(json.loads(answer.body))


async def test_what_a_picture_tells_of_itself(world: World, client: Client) -> None:
    asset_id = await world.spooled(PNG, width=80, height=60, content_type="image/png", bytes=len(PNG))
    first = await client.get(f"/images/{asset_id}/info")
    assert first.headers["cache-control"] == "no-store"
    told = info_of(first)
    assert (told["id"], told["width"], told["height"], told["placeholder"]) == (asset_id, 80, 60, None)
    assert told.keys().isdisjoint({"account_id", "generation_id", "seed", "origin", "prompt"})
    await world.database.write(lambda tx: assets.learn(tx, asset_id, placeholder=PLACEHOLDER))
    complete = await client.get(f"/images/{asset_id}/info")
    assert info_of(complete)["placeholder"] == PLACEHOLDER
    assert complete.headers["cache-control"] == "public, max-age=86400"
    same = await client.get(f"/images/{asset_id}/info", headers={"If-None-Match": complete.headers["etag"]})
    assert (same.status, same.body) == (304, b"")
    head = await client.request("HEAD", f"/images/{asset_id}/info")
    assert (head.status, head.body) == (200, b"")


async def test_preflights_are_answered(world: World, client: Client) -> None:
    asset_id = await world.spooled(PNG)
    answer = await client.request(
        "OPTIONS", f"/images/{asset_id}?w=40", headers={"Origin": "https://app.example"}
    )
    assert answer.status == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"


async def test_a_reading_from_before_is_not_for_those_who_ask_after(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = world.serve(WITH_KEY)
    asset_id = await world.spooled(PNG)
    story = await lifecycle(world)
    looking, changed = asyncio.Event(), asyncio.Event()
    reading = world.database.read

    async def slowly(story: Story[T]) -> T:
        found = await reading(story)
        looking.set()
        await changed.wait()
        return found

    monkeypatch.setattr(world.database, "read", slowly)
    before = asyncio.create_task(client.get(f"/images/{asset_id}"))
    await looking.wait()
    monkeypatch.setattr(world.database, "read", reading)
    await story.show_to(asset_id, world.account_id, Visibility.PRIVATE)
    after = asyncio.create_task(client.get(f"/images/{asset_id}"))
    assert (await after).status == 401
    changed.set()
    await before
    assert (await client.get(f"/images/{asset_id}")).status == 401


async def test_nothing_that_a_signature_opened_is_kept_for_longer(world: World) -> None:
    asset_id = await world.stored(PNG, content_type="image/png", **READY)
    client = world.serve(WITH_KEY)
    info = f"/images/{asset_id}/info"
    url = world.pictures.signer.signed(info, [], 5)[0]
    assert (await client.get(url)).headers["cache-control"] == "public, max-age=5"
    world.store._public_base = "https://cdn.example"
    answer = await client.get(signed(world, asset_id, seconds=5))
    assert (answer.status, answer.headers["cache-control"]) == (302, "public, max-age=5")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_parameter_is_given_once(world: World, client: Client) -> None:
    asset_id = await world.spooled(PNG)
    for query in ("dl=a&dl=b", "v=1&v=2", "w=1&w=1", "sig=a&sig=b"):
        answer = await client.get(f"/images/{asset_id}?{query}")
        assert (answer.status, answer.json()["field"]) == (422, query.partition("=")[0])
