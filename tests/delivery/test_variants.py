"""Variants: made once, kept in every level, and told truthfully when they cannot be made."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from ferrotype.db import assets
from ferrotype.domain.asset import Placeholder
from ferrotype.domain.transform import Transform, etag
from ferrotype.domain.transform_query import Vocabulary
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.services.deliver import Found
from ferrotype.storage.arrivals import Arrived
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache
from ferrotype.storage.variants import DiskVariants
from tests.delivery.assembly import Rules
from tests.delivery.conftest import World
from tests.delivery.driver import Answer, Client
from tests.imaging.imaging_pictures import apng, scene
from tests.imaging.render_tools import opened

PNG = scene(320, 240).pngsave_buffer()
#: Larger than what the memory takes, so that it is read from its file.
LARGE = scene(640, 480).pngsave_buffer()
FOREVER = "public, max-age=31536000, immutable"
CONFIGURED = "public, max-age=86400, stale-while-revalidate=604800"


def renders(world: World) -> int:
    """How many pictures were transformed."""
    return int(world.telemetry.to_json()["operations"].get("render", {"count": 0})["count"])


def size(answer: Answer) -> tuple[int, int]:
    return opened(answer.body).size


@pytest.mark.parametrize("body", [PNG, LARGE], ids=["in memory", "on disk"])
async def test_a_variant(world: World, client: Client, body: bytes) -> None:
    asset_id = await world.stored(body)
    answer = await client.get(f"/images/{asset_id}?w=100&format=webp")
    assert (answer.status, answer.headers["content-type"], size(answer)) == (200, "image/webp", (100, 75))
    assert answer.headers["etag"] == etag(asset_id, "w=100&format=webp")
    assert answer.headers["cache-control"] == FOREVER
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["content-disposition"] == f'inline; filename="{asset_id}.webp"'
    assert answer.headers["server-timing"].startswith("render;dur=")
    assert "vary" not in answer.headers
    assert "last-modified" not in answer.headers


async def test_the_second_time_it_comes_from_memory(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG)
    first = await client.get(f"/images/{asset_id}?w=100&q=80&format=webp")
    reads = world.database.reads
    for path, query in (
        ("", "w=100&q=80&format=webp"),
        (".png", "w=100&q=80&format=webp"),
        ("", "w=50&dpr=2&q=80&format=webp"),
    ):
        again = await client.get(f"/images/{asset_id}{path}?{query}")
        assert again.body == first.body
        assert again.headers["server-timing"] == "memory"
        assert {**again.headers, "server-timing": ""} == {**first.headers, "server-timing": ""}
    assert renders(world) == 1
    assert world.database.reads <= reads + 1  # for the other spelling


async def test_every_spelling_is_one_picture(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG)
    urls = [
        "w=100&h=100",
        "h=100&w=100",
        "w=100&h=100&fit=cover",
        "w=50&h=50&dpr=2",
        "w=100&h=100&gravity=center",
    ]
    answers = [await client.get(f"/images/{asset_id}?format=webp&{url}") for url in urls]
    assert len({(answer.body, answer.headers["etag"]) for answer in answers}) == 1
    assert renders(world) == 1


async def test_two_hundred_cold_requests_are_one_computation(world: World, client: Client) -> None:
    asset_id = await world.stored(LARGE)
    answers = await asyncio.gather(*(client.get(f"/images/{asset_id}?w=64&format=webp") for _ in range(200)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert renders(world) == 1


async def test_parts_and_heads_of_a_variant(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG)
    url = f"/images/{asset_id}?w=100"
    head = await client.request("HEAD", url)
    whole = await client.get(url)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))
    part = await client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, whole.body[10:20])
    kept = await client.get(url, headers={"Range": "bytes=10-19", "If-Range": whole.headers["etag"]})
    assert kept.status == 206


async def test_a_copy_that_is_current_is_not_made(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG)
    tag = etag(asset_id, "w=100")
    answer = await client.get(f"/images/{asset_id}?w=100", headers={"If-None-Match": tag})
    assert (answer.status, answer.headers["etag"], answer.headers["cache-control"]) == (304, tag, FOREVER)
    assert renders(world) == 0
    assert (await client.get(f"/images/{asset_id}?w=99", headers={"If-None-Match": tag})).status == 200
    await client.get(f"/images/{asset_id}?w=100")
    from_memory = await client.get(f"/images/{asset_id}?w=100", headers={"If-None-Match": tag})
    assert (from_memory.status, from_memory.headers) == (304, answer.headers)


async def test_a_variant_of_a_picture_that_is_still_arriving(world: World, client: Client) -> None:
    asset_id = await world.asset()
    world.origin.length = len(PNG)
    waiting = asyncio.create_task(client.get(f"/images/{asset_id}?w=100"))
    world.origin.feed(PNG[:100])
    world.origin.feed(PNG[100:])
    world.origin.end()
    assert size(await waiting) == (100, 75)
    assert world.origin.fetches == 1


async def test_a_downloaded_variant_has_the_name_that_was_asked_for(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG)
    answer = await client.get(f"/images/{asset_id}?w=100&format=webp&dl=fox%20at%20night.png")
    assert answer.headers["content-disposition"] == 'attachment; filename="fox at night.webp"'
    assert (await client.get(f"/images/{asset_id}?dl&w=100&format=webp")).headers[
        "content-disposition"
    ] == f'attachment; filename="{asset_id}.webp"'
    shown = await client.get(f"/images/{asset_id}?w=100&format=webp")
    assert shown.headers["content-disposition"].startswith("inline")


@pytest.mark.parametrize(
    ("query", "field", "limit"),
    [
        ("w=0", "w", [1, 8192]),
        ("w=1000000000", "w", [1, 8192]),
        ("w=100&w=200", "w", None),
        ("wide=100", "wide", None),
        ("preset=thumb&w=100", "preset", None),
        ("preset=poster", "preset", ["thumb"]),
        ("format=bmp", "format", ["auto", "avif", "webp", "jpeg", "png", "gif"]),
        ("crop=300,0,100,100", "crop", [320, 240]),
        ("w=9000&h=9000", "w", [1, 8192]),
        ("w=8000&h=8000", "w", 40_000_000),
    ],
)
async def test_what_cannot_be_is_refused(world: World, query: str, field: str, limit: object) -> None:
    client = world.serve(Rules(Vocabulary(presets={"thumb": Transform(w=64)})))
    asset_id = await world.stored(PNG)
    problem = (await client.get(f"/images/{asset_id}?{query}")).json()
    assert (problem["status"], problem["code"], problem["field"]) == (422, "invalid_field", field)
    assert problem.get("limit") == limit


async def test_a_broken_picture_is_told_and_not_tried_again_at_once(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG[: len(PNG) // 2])
    for _ in range(3):
        answer = await client.get(f"/images/{asset_id}?w=100")
        assert (answer.status, answer.json()["code"]) == (502, "broken_picture")
        assert answer.headers["cache-control"] == "no-store"
    other = await client.get(f"/images/{asset_id}?w=200")
    assert other.json()["code"] == "broken_picture"
    world.clock.advance(5)
    assert (await client.get(f"/images/{asset_id}?w=100")).status == 502
    assert world.cache.get(f"{asset_id}?w=100") is None


async def test_no_more_wait_than_may(world: World) -> None:
    client = world.serve(Rules(imaging=ImagingSettings(imaging_threads=1, imaging_queue=2)))
    asset_id = await world.stored(LARGE)
    answers = await asyncio.gather(
        *(client.get(f"/images/{asset_id}?w={width}") for width in range(300, 320))
    )
    counts = Counter(answer.status for answer in answers)
    assert counts == {200: 3, 503: 17}
    refused = next(answer for answer in answers if answer.status == 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["code"] == "overloaded"


async def test_a_picture_without_that_step_is_the_original(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG)
    for query in ("rotate=0", "strip=0", "dpr=1", "v=7"):
        answer = await client.get(f"/images/{asset_id}?{query}")
        assert (answer.body, answer.headers["etag"]) == (PNG, etag(asset_id))


async def test_an_animated_png_passes_through(world: World, client: Client) -> None:
    body = apng()
    asset_id = await world.stored(body)
    assert (await client.get(f"/images/{asset_id}?format=png")).body == body


async def test_sides_snap_to_those_that_are_made(world: World) -> None:
    client = world.serve(Rules(Vocabulary(sides=(64, 128, 256))))
    asset_id = await world.stored(PNG)
    answer = await client.get(f"/images/{asset_id}?w=100")
    assert size(answer)[0] == 128
    # Another list of sides would give the same URL other bytes.
    assert answer.headers["cache-control"] == CONFIGURED


async def test_a_preset_may_come_to_mean_something_else(world: World) -> None:
    asset_id = await world.stored(PNG)
    answers = []
    for width in (64, 65):
        client = world.serve(Rules(Vocabulary(presets={"thumb": Transform(w=width, format="webp")})))
        answer = await client.get(f"/images/{asset_id}?preset=thumb")
        assert answer.headers["cache-control"] == CONFIGURED
        answers.append(answer)
    assert [size(answer)[0] for answer in answers] == [64, 65]
    assert answers[0].headers["etag"] != answers[1].headers["etag"]


async def test_a_picture_that_moves_to_its_store_while_it_is_read(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = await world.stored(LARGE)
    spooled = world.spool.path
    gone = [world.spool._path(asset_id)]  # what the first look finds, and what is not there any more
    monkeypatch.setattr(world.spool, "path", lambda name: gone.pop() if gone else spooled(name))
    assert size(await client.get(f"/images/{asset_id}?w=100")) == (100, 75)


async def test_another_process_finds_it_in_the_variant_store(world: World) -> None:
    asset_id = await world.stored(PNG)
    shelf = DiskVariants(world.spool._root / "variants", 10_000_000, world.clock)
    await shelf.recover()
    answers = []
    for _ in range(2):
        world.cache = MemoryCache(1_000_000, 20_000)
        world.levels = Levels(world.cache, world.clock, variants=shelf)
        client = world.serve()
        answers.append(await client.get(f"/images/{asset_id}?w=100"))
        await world.levels.settled()
    assert answers[0].body == answers[1].body
    assert answers[1].headers["server-timing"] == "variants"
    assert renders(world) == 1
    shelf.close()


async def test_what_was_fetched_is_whole(world: World, client: Client) -> None:
    """A variant is never made of a picture that broke off."""
    asset_id = await world.asset()
    arrival = world.arrivals.start(asset_id, (await world.deliver.find(asset_id)).asset.origin)  # type: ignore[arg-type]
    world.origin.serve(PNG)
    assert isinstance(await arrival.finished(), Arrived)
    assert size(await client.get(f"/images/{asset_id}?w=10&h=10")) == (10, 10)


async def test_not_too_many_wait_for_a_picture_that_arrives(world: World) -> None:
    client = world.serve(Rules(imaging=ImagingSettings(imaging_threads=1, imaging_queue=2)))
    asset_id = await world.asset()
    world.origin.length = len(PNG)
    requests = [asyncio.create_task(client.get(f"/images/{asset_id}?w={width}")) for width in range(10, 30)]
    refused = [await each for each in itertools.islice(asyncio.as_completed(requests), 17)]
    assert {answer.status for answer in refused} == {503}
    waiting = [task for task in requests if not task.done()]
    assert len(waiting) == 3
    world.origin.feed(PNG)
    world.origin.end()
    assert {(await task).status for task in waiting} == {200}


@pytest.mark.parametrize("query", ["", "?w=64&format=webp"])
async def test_a_picture_that_was_stored_since_its_row_was_read(
    world: World, client: Client, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of its copies are from before: no place has it, and it is not fetched again."""
    asset_id = await world.spooled(LARGE)
    opening, source = world.deliver.open, world.deliver.source

    async def store() -> None:
        path = world.spool.path(asset_id)
        if path is None:
            return
        key = f"2026/01/31/{asset_id}.png"
        await world.store.put(key, path, content_type="image/png", sha256=sha256(LARGE).hexdigest())
        await world.database.write(
            lambda tx: assets.add_copy(tx, asset_id, world.store.name, key, world.clock.now())
        )
        await world.spool.remove(asset_id)

    async def after(call: Any, found: Found) -> Any:
        await store()
        return await call(found)

    monkeypatch.setattr(world.deliver, "open", partial(after, opening))
    monkeypatch.setattr(world.deliver, "source", partial(after, source))
    answer = await client.get(f"/images/{asset_id}{query}")
    assert answer.status == 200
    assert (answer.body == LARGE) is (not query)
    assert world.origin.fetches == 0


async def test_nothing_is_read_for_those_who_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = world.serve(Rules(imaging=ImagingSettings(imaging_threads=1, imaging_queue=0)))
    ids = [await world.stored(PNG) for _ in range(10)]
    read: list[str] = []
    source = world.deliver.source

    async def counted(found: Found) -> Any:
        read.append(found.asset.id)
        return await source(found)

    monkeypatch.setattr(world.deliver, "source", counted)
    answers = await asyncio.gather(*(client.get(f"/images/{each}?w=64") for each in ids))
    assert Counter(answer.status for answer in answers) == {200: 1, 503: 9}
    assert len(read) == 1
    assert world.cache.stats().entries <= 1  # the variant; no original was brought into memory for it


async def test_a_server_that_stops_says_so(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG)
    world.pictures.pool.close()
    answer = await client.get(f"/images/{asset_id}?w=64")
    assert (answer.status, answer.json()["code"]) == (503, "overloaded")


async def test_an_asset_of_which_all_is_known_is_read_once(world: World, client: Client) -> None:
    made = Placeholder(thumbhash="1QcSHQ", color="#123456", data_uri="data:image/webp;base64,AA")
    facts: dict[str, Any] = {"animated": False, "has_alpha": False, "placeholder": made}
    settled, growing = await world.stored(PNG, **facts), await world.spooled(PNG, **facts)
    for asset_id, reads in ((settled, 1), (growing, 3)):
        before = world.database.reads
        for width in (20, 30, 40):
            assert (await client.get(f"/images/{asset_id}?w={width}&format=webp")).status == 200
        assert world.database.reads == before + reads
