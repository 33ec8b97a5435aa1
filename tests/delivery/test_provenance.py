"""What pictures tell when they go out: no workflow, the source type, and a signature where it is wanted."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ferrotype.config import ConfigError
from ferrotype.db import generations
from ferrotype.domain.asset import Visibility
from ferrotype.domain.edition import is_signed, unsigned
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import InternalError
from ferrotype.domain.states import AssetState, GenerationState
from ferrotype.domain.transform import etag
from ferrotype.imaging.provenance.c2pa import Signing, open_signing
from ferrotype.imaging.provenance.containers import has_manifest
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.provenance.settings import ProvenanceSettings
from ferrotype.imaging.provenance.strip import stripped
from ferrotype.imaging.provenance.xmp import embedded
from ferrotype.imaging.sniff import HEAD
from ferrotype.services.labels import FAULT_SECONDS, MAX_BYTES
from ferrotype.services.originals import MOVES
from ferrotype.storage.arrival import ArrivalBroken
from ferrotype.storage.levels import Levels
from ferrotype.storage.variants import DiskVariants
from tests.delivery.assembly import Rules
from tests.delivery.conftest import OBJECT_BYTES, World
from tests.delivery.driver import Answer, Client
from tests.imaging.imaging_pictures import PICTURES, scene
from tests.imaging.provenance_tools import (
    TRAINED,
    check_pixels,
    jpeg_with_comment,
    read_manifest,
    save_animated_png,
    save_animated_webp,
    save_image,
)
from tests.storage.origin import ORIGIN

SECRETS = [word.encode(form) for word in ("secret", "Sampler") for form in ("utf-8", "utf-16-be")]
WORKFLOWS = {
    "png": save_image(),
    "animated png": save_animated_png(),
    "webp": save_animated_webp(),
    "jpeg": jpeg_with_comment(),
}
PNG = PICTURES["png"][0]
LARGE = scene(640, 480).pngsave_buffer()
CONFIGURED = "public, max-age=86400, stale-while-revalidate=604800"
FOREVER = "public, max-age=31536000, immutable"
AVIF = {"Accept": "image/avif,image/webp,*/*"}


def large(data: bytes) -> bytes:
    """The PNG with the texts of `data`, too large for the memory."""
    assert len(LARGE) > OBJECT_BYTES
    return LARGE[:33] + data[33 : data.index(b"IDAT") - 4] + LARGE[33:]


def leaks(*answers: Answer) -> bool:
    return any(secret in answer.body for answer in answers for secret in SECRETS)


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    found = open_signing(
        ProvenanceSettings(c2pa="development"), tmp_path_factory.mktemp("data"), datetime.now(UTC)
    )
    assert found is not None
    return found


def rules(signing: Signing | None = None, **settings: Any) -> Rules:
    told = ProvenanceSettings(c2pa="development" if signing else "off", **settings)
    return Rules(provenance=told, open_signing=lambda: signing)


@pytest.fixture
def signed(world: World, signing: Signing) -> Client:
    """A client of a server that signs."""
    return world.serve(rules(signing))


# Workflows in originals


@pytest.mark.parametrize(
    ("form", "place"),
    [
        (form, place)
        for form, data in WORKFLOWS.items()
        for place in ("stored", "spooled", "remembered")
        if place != "remembered" or len(data) <= OBJECT_BYTES
    ],
)
async def test_a_workflow_stays_here(world: World, client: Client, form: str, place: str) -> None:
    data = WORKFLOWS[form]
    asset_id = await getattr(world, place)(data)
    first = await client.get(f"/images/{asset_id}")
    clean = stripped(data)
    assert (first.status, first.body) == (200, clean)
    check_pixels(first.body, data)
    tag = etag(asset_id, "clean=1")
    assert (first.headers["etag"], first.headers["cache-control"]) == (tag, FOREVER)
    assert tag != etag(asset_id)
    assert "last-modified" not in first.headers
    reads = world.database.reads
    for path in ("", ".png", "?v=1", "?dl=fox"):
        again = await client.get(f"/images/{asset_id}{path}")
        assert (again.body, again.headers["etag"]) == (clean, tag)
    assert world.database.reads <= reads + 2  # for the spellings that are new
    kept = world.deliver.here(await world.deliver.find(asset_id))
    assert (kept.read_bytes() if isinstance(kept, Path) else kept) == data


async def test_the_second_time_it_is_ready_in_memory(world: World, client: Client) -> None:
    asset_id = await world.stored(WORKFLOWS["png"])
    first = await client.get(f"/images/{asset_id}")
    reads = world.database.reads
    again = await client.get(f"/images/{asset_id}")
    assert (again.headers["server-timing"], world.database.reads) == ("memory", reads)
    assert {**again.headers, "server-timing": ""} == {**first.headers, "server-timing": ""}
    tag = first.headers["etag"]
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": etag(asset_id)}, 200),
        ({"If-Match": tag}, 200),
        ({"If-Match": etag(asset_id)}, 412),
        ({"Range": "bytes=0-99"}, 206),
        ({"Range": "bytes=0-99", "If-Range": tag}, 206),
        ({"Range": "bytes=0-99", "If-Range": etag(asset_id)}, 200),
    ):
        answer = await client.get(f"/images/{asset_id}", headers=headers)
        assert answer.status == status, headers
        assert not leaks(answer)
        if status == 206:
            assert answer.body == first.body[:100]
    head = await client.request("HEAD", f"/images/{asset_id}")
    assert head.headers["content-length"] == str(len(first.body))


async def test_what_is_cleaned_takes_no_room_on_disk(world: World, tmp_path: Path) -> None:
    shelf = DiskVariants(tmp_path / "variants", 10_000_000, world.clock)
    await shelf.recover()
    world.levels = Levels(world.cache, world.clock, variants=shelf)
    world.deliver._levels = world.levels
    client = world.serve()
    asset_id = await world.stored(WORKFLOWS["png"], source_type=TRAINED)
    for query in ("", "?dl", "?w=40"):
        assert (await client.get(f"/images/{asset_id}{query}")).status == 200
    await world.levels.settled()
    names = ("clean=1", "clean=1&labelled=1", "w=40")
    assert [await shelf.get(asset_id, name) is not None for name in names] == [False, False, True]


async def test_a_large_one_is_cleaned_as_well(world: World, client: Client) -> None:
    data = large(WORKFLOWS["png"])
    asset_id = await world.stored(data, bytes=len(data), content_type="image/png")
    answers = [await client.get(f"/images/{asset_id}") for _ in range(2)]
    assert {answer.body for answer in answers} == {LARGE}
    parts = await client.get(f"/images/{asset_id}", headers={"Range": "bytes=100-199"})
    assert (parts.status, parts.body) == (206, LARGE[100:200])


async def test_five_hundred_ask_and_it_is_cleaned_once(world: World, client: Client) -> None:
    asset_id = await world.stored(WORKFLOWS["png"])
    answers = await asyncio.gather(*(client.get(f"/images/{asset_id}") for _ in range(500)))
    assert {answer.body for answer in answers} == {stripped(WORKFLOWS["png"])}
    assert world.telemetry.to_json()["operations"]["render"]["count"] == 1


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("form", [form for form in WORKFLOWS if form != "png"])
async def test_nothing_leaks_while_it_arrives(
    world: World, client: Client, form: str, announced: bool
) -> None:
    data = WORKFLOWS[form]
    asset_id = await world.asset()
    world.origin.length = len(data) if announced else None
    answer = Answer()
    request = asyncio.create_task(client.into(answer, "GET", f"/images/{asset_id}"))
    arrival = world.arrivals.start(asset_id, ORIGIN)
    fed, here = len(data) - 10, 0
    for at in range(0, fed, 2_000):
        world.origin.feed(data[at : min(at + 2_000, fed)])
    if fed >= HEAD:  # before that nobody is given anything
        async with aclosing(arrival.chunks()) as chunks:
            while here < fed:
                here += len(await anext(chunks))
    await asyncio.to_thread(lambda: None)  # everybody has had a turn
    assert (answer.status, request.done()) == (0, False)
    world.origin.feed(data[fed:])
    world.origin.end()
    await request
    assert (answer.status, answer.body) == (200, stripped(data))
    assert answer.headers["etag"] == etag(asset_id, "clean=1")
    assert answer.headers["content-length"] == str(len(answer.body))
    assert world.origin.fetches == 1


@pytest.mark.parametrize("announced", [True, False])
async def test_a_png_goes_on_while_it_arrives(world: World, client: Client, announced: bool) -> None:
    data = WORKFLOWS["png"]
    clean = stripped(data)
    asset_id = await world.asset()
    world.origin.length = len(data) if announced else None
    answer = Answer()
    request = asyncio.create_task(client.into(answer, "GET", f"/images/{asset_id}"))
    for at in range(0, len(data) - 10, 2_000):
        world.origin.feed(data[at : min(at + 2_000, len(data) - 10)])
    while not answer.body:
        await asyncio.to_thread(lambda: None)
    assert (answer.status, clean.startswith(answer.body)) == (200, True)
    assert answer.headers["etag"] == etag(asset_id, "clean=1")
    assert "content-length" not in answer.headers  # who knows what comes behind the pixels
    world.origin.feed(data[-10:])
    world.origin.end()
    await request
    assert answer.body == clean
    if arrival := world.arrivals.get(asset_id):
        await arrival.finished()
    again = await client.get(f"/images/{asset_id}")
    assert (again.body, again.headers["etag"]) == (clean, answer.headers["etag"])
    assert again.headers["content-length"] == str(len(clean))
    assert world.origin.fetches == 1


async def test_a_png_for_a_client_of_http_1_0_has_its_length(world: World, client: Client) -> None:
    data = WORKFLOWS["png"]
    asset_id = await world.asset()
    world.origin.serve(data)
    answer = await client.get(f"/images/{asset_id}", http_version="1.0")
    assert (answer.status, answer.body) == (200, stripped(data))
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_a_png_that_breaks_off_on_its_way_is_cut(world: World, client: Client) -> None:
    data = WORKFLOWS["png"]
    asset_id = await world.asset()
    world.origin.length = len(data)
    answer = Answer()
    request = asyncio.create_task(client.into(answer, "GET", f"/images/{asset_id}"))
    world.origin.feed(data[:-10])
    while not answer.body:
        await asyncio.to_thread(lambda: None)
    world.origin.fail(ConnectionResetError("gone"))
    with pytest.raises(ArrivalBroken):
        await request


@pytest.mark.parametrize("form", ["apng", "webp-animated", "metadata"])
async def test_what_was_held_back_for_nothing_is_the_original(
    world: World, client: Client, form: str
) -> None:
    data = embedded(PICTURES["webp"][0], packet(TRAINED)) if form == "metadata" else PICTURES[form][0]
    asset_id = await world.asset()
    world.origin.serve(data)
    for _ in range(2):
        answer = await client.get(f"/images/{asset_id}")
        assert (answer.status, answer.body) == (200, data)
        assert (answer.headers["etag"], answer.headers["cache-control"]) == (etag(asset_id), FOREVER)
    assert world.cache.stats().entries == 1


async def test_one_that_breaks_off_while_it_is_held_back_is_a_problem(world: World, client: Client) -> None:
    data = WORKFLOWS["png"]
    asset_id = await world.asset()
    world.origin.length = len(data)
    request = asyncio.create_task(client.get(f"/images/{asset_id}"))
    world.origin.feed(data[:5_000])
    world.origin.fail(ConnectionResetError("gone"))
    answer = await request
    assert answer.status in (500, 502)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_condition_is_answered_before_anything_arrived(world: World, client: Client) -> None:
    """Whichever it will turn out to be: who has one of the two needs nothing."""
    asset_id = await world.asset()
    for tag in (etag(asset_id), etag(asset_id, "clean=1")):
        answer = await client.get(f"/images/{asset_id}", headers={"If-None-Match": tag})
        assert (answer.status, answer.headers["etag"]) == (304, tag)
    assert world.origin.fetches == 0
    world.origin.serve(WORKFLOWS["png"])
    wrong = await client.get(f"/images/{asset_id}", headers={"If-Match": etag(asset_id)})
    assert wrong.status == 412
    right = await client.get(f"/images/{asset_id}", headers={"If-Match": etag(asset_id, "clean=1")})
    assert (right.status, right.body) == (200, stripped(WORKFLOWS["png"]))


async def test_a_private_studio_keeps_them(world: World) -> None:
    client = world.serve(rules(keep_workflows=True))
    asset_id = await world.stored(WORKFLOWS["png"])
    for _ in range(2):
        answer = await client.get(f"/images/{asset_id}")
        assert (answer.body, answer.headers["etag"]) == (WORKFLOWS["png"], etag(asset_id))


async def test_a_store_of_others_serves_only_what_tells_nothing(world: World, client: Client) -> None:
    world.store._public_base = "https://cdn.example"
    tells, does_not = await world.stored(WORKFLOWS["png"]), await world.stored(PNG)
    for _ in range(2):
        assert (await client.get(f"/images/{tells}")).body == stripped(WORKFLOWS["png"])
        assert (await client.get(f"/images/{does_not}")).status == 302


class Bucket:
    """The world's store as one that is elsewhere; its pictures come from the scripted origin."""

    local = False

    def __init__(self, world: World) -> None:
        self.name = world.store.name

    def local_path(self, key: str) -> None:
        return None

    async def public_url(self, key: str) -> str:
        return f"https://bucket.example/{key}"


@pytest.mark.parametrize("tells", [True, False])
async def test_a_bucket_serves_a_picture_after_it_was_looked_at(world: World, tells: bool) -> None:
    data = WORKFLOWS["png"] if tells else PNG
    asset_id = await world.stored(data)
    world.deliver._stores = {world.store.name: Bucket(world)}  # type: ignore[dict-item]
    client = world.serve()
    world.origin.serve(data)
    first = await client.get(f"/images/{asset_id}")
    assert (first.status, first.body) == (200, stripped(data))
    if arrival := world.arrivals.get(asset_id):
        await arrival.finished()
    second = await client.get(f"/images/{asset_id}")
    assert second.status == (200 if tells else 302)
    assert not leaks(first, second)


async def test_one_that_cannot_be_taken_apart_is_refused_if_it_may_tell(world: World, client: Client) -> None:
    data = WORKFLOWS["png"]
    cut = data[: data.rindex(b"IDAT")]
    answer = await client.get(f"/images/{await world.stored(cut)}")
    assert (answer.status, answer.json()["code"]) == (502, "broken_picture")
    harmless = PNG[:-20]
    assert (await client.get(f"/images/{await world.stored(harmless)}")).body == harmless


async def test_a_file_that_moves_meanwhile(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = await world.stored(WORKFLOWS["png"])
    path = world.store.local_path(f"2026/01/31/{asset_id}.png")
    assert path is not None
    gone, here = [path.with_name("gone")] * (MOVES - 1), world.deliver.here
    monkeypatch.setattr(world.deliver, "here", lambda found: gone.pop() if gone else here(found))
    answer = await client.get(f"/images/{asset_id}")
    assert (answer.status, answer.body) == (200, stripped(WORKFLOWS["png"]))


async def test_a_variant_that_keeps_its_frames_loses_its_workflow(world: World, client: Client) -> None:
    asset_id = await world.stored(WORKFLOWS["animated png"])
    for query in ("format=png", "strip=0&format=png", "w=20", "w=20&strip=0"):
        answer = await client.get(f"/images/{asset_id}?{query}")
        assert answer.status == 200
        assert not leaks(answer)


# Downloads


async def test_a_download_of_an_original_is_labelled(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, source_type=TRAINED, content_type="image/png")
    plain = await client.get(f"/images/{asset_id}")
    saved = await client.get(f"/images/{asset_id}?dl=fox")
    assert plain.body == PNG
    assert saved.body == embedded(PNG, packet(TRAINED))
    check_pixels(saved.body, PNG)
    assert saved.headers["content-length"] == str(len(saved.body))
    assert saved.headers["content-disposition"] == 'attachment; filename="fox.png"'
    assert saved.headers["etag"] == etag(asset_id, "clean=1&labelled=1") != plain.headers["etag"]
    assert "last-modified" not in saved.headers
    assert saved.headers["cache-control"] == FOREVER
    tag = saved.headers["etag"]
    assert (await client.get(f"/images/{asset_id}?dl", headers={"If-None-Match": tag})).status == 304
    part = await client.get(f"/images/{asset_id}?dl", headers={"Range": "bytes=9-", "If-Range": tag})
    assert (part.status, part.body) == (206, saved.body[9:])
    head = await client.request("HEAD", f"/images/{asset_id}?dl=fox")
    assert head.headers["content-length"] == saved.headers["content-length"]
    assert (await client.get(f"/images/{asset_id}")).body == PNG


async def test_a_download_tells_no_workflow(world: World, client: Client) -> None:
    data = WORKFLOWS["png"]
    asset_id = await world.stored(data, source_type=TRAINED)
    saved = await client.get(f"/images/{asset_id}?dl")
    assert saved.body == embedded(stripped(data), packet(TRAINED))
    keeping = world.serve(rules(keep_workflows=True))
    kept = await keeping.get(f"/images/{asset_id}?dl")
    assert kept.body == embedded(data, packet(TRAINED))
    assert kept.headers["etag"] != saved.headers["etag"]


@pytest.mark.parametrize("facts", [{}, {"source_type": TRAINED, "content_type": "image/gif"}])
async def test_a_download_that_has_nothing_to_tell(
    world: World, client: Client, facts: dict[str, Any]
) -> None:
    data = PICTURES["gif" if facts else "png"][0]
    asset_id = await world.stored(data, **facts)
    saved = await client.get(f"/images/{asset_id}?dl")
    assert (saved.body, saved.headers["etag"]) == (data, etag(asset_id))


async def test_a_download_waits_for_what_arrives(world: World, client: Client) -> None:
    asset_id = await world.asset(source_type=TRAINED)
    world.origin.serve(PNG)
    saved = await client.get(f"/images/{asset_id}?dl")
    assert saved.body == embedded(PNG, packet(TRAINED))


# Signatures


def facts_of(store: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    manifest = store["manifests"][store["active_manifest"]]
    (told,) = [each for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")]
    return [each["action"] for each in told["data"]["actions"]], manifest.get("ingredients", [])


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
async def test_every_variant_is_signed(world: World, signed: Client, tmp_path: Path, form: str) -> None:
    asset_id = await world.stored(PNG, source_type=TRAINED)
    url = f"/images/{asset_id}?w=40&format={form}"
    first = await signed.get(url)
    store = read_manifest(tmp_path / "file", first.body, f"image/{form}")
    assert store["validation_state"] == "Valid"
    assert facts_of(store) == (["c2pa.created", "c2pa.resized", "c2pa.transcoded"], [])
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    assert first.headers["cache-control"] == CONFIGURED
    for headers, status in (
        ({}, 200),
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": tag.removeprefix("W/")}, 304),
        ({"If-None-Match": f'"other", {tag}'}, 304),
        ({"If-Match": tag}, 412),
        ({"If-Match": "*"}, 200),
        ({"Range": "bytes=0-99"}, 206),
        ({"Range": "bytes=0-99", "If-Range": tag}, 200),
        ({"Range": "bytes=0-99", "If-Range": tag.removeprefix("W/")}, 200),
        ({"Range": f"bytes={len(first.body)}-"}, 416),
    ):
        again = await signed.get(url, headers=headers)
        assert again.status == status, headers
        if status != 412 and status != 416:
            assert again.headers["etag"] == tag
        if status == 200:
            assert (again.body, again.headers["server-timing"]) == (first.body, "memory")
        if status == 206:
            assert again.body == first.body[:100]
    assert (await signed.request("HEAD", url)).headers["content-length"] == str(len(first.body))


async def test_what_was_made_before_it_was_switched_on_is_made_again(
    world: World, client: Client, signing: Signing
) -> None:
    asset_id = await world.stored(PNG, source_type=TRAINED)
    url = f"/images/{asset_id}?w=40"
    before = await client.get(url)
    after = await world.serve(rules(signing)).get(url)
    assert (has_manifest(before.body), has_manifest(after.body)) == (False, True)
    assert after.headers["etag"] != before.headers["etag"]
    off_again = await client.get(url)
    assert (off_again.body, off_again.headers["etag"]) == (before.body, before.headers["etag"])


async def test_avif_behind_webp_and_both_signed(world: World, signed: Client) -> None:
    asset_id = await world.stored(PNG, source_type=TRAINED, animated=False, has_alpha=False)
    url = f"/images/{asset_id}?w=40&format=auto"
    meanwhile = await signed.get(url, headers=AVIF)
    assert (meanwhile.headers["content-type"], meanwhile.headers["cache-control"]) == (
        "image/webp",
        "public, max-age=10",
    )
    await world.pictures.variants.settled()
    best = await signed.get(url, headers=AVIF)
    assert (best.headers["content-type"], best.headers["cache-control"]) == ("image/avif", CONFIGURED)
    assert best.headers["vary"] == "Accept"
    assert has_manifest(meanwhile.body)
    assert has_manifest(best.body)
    assert meanwhile.headers["etag"] != best.headers["etag"]
    assert (await signed.get(url, headers={**AVIF, "If-None-Match": best.headers["etag"]})).status == 304


async def test_a_provider_s_manifest_is_kept_and_referred_to(
    world: World, signed: Client, signing: Signing, tmp_path: Path
) -> None:
    original = signing.signed(PNG, source_type=TRAINED)
    asset_id = await world.stored(original, source_type=TRAINED)
    for query in ("", "?dl"):
        assert (await signed.get(f"/images/{asset_id}{query}")).body == original
    variant = await signed.get(f"/images/{asset_id}?w=40&format=webp")
    store = read_manifest(tmp_path / "file", variant.body, "image/webp")
    assert (store["validation_state"], len(store["manifests"])) == ("Valid", 2)
    done, (parent,) = facts_of(store)
    assert done == ["c2pa.opened", "c2pa.resized", "c2pa.transcoded"]
    assert parent["active_manifest"] in store["manifests"]
    small = replace(signing, max_past_bytes=100)
    referring = await world.serve(rules(small, c2pa_max_past_bytes=100)).get(f"/images/{asset_id}?w=41")
    store = read_manifest(tmp_path / "file", referring.body, "image/png")
    assert (store["validation_state"], len(store["manifests"])) == ("Valid", 1)


async def generation(world: World, **told: Any) -> str:
    made = Generation(
        id=new_id(),
        account_id=world.account_id,
        status=GenerationState.SUCCEEDED,
        operation="edit",
        model="acme/fox-1",
        input=told,
        num_images=1,
        class_="light",
        credits_each=1,
        usd_each=0.0,
        created_at=world.clock.now(),
    )
    await world.database.write(lambda tx: generations.add(tx, made))
    return made.id


@pytest.mark.parametrize("case", ["a manifest", "none", "private", "deleted", "lost"])
async def test_an_edit_names_its_upload(
    world: World, signed: Client, signing: Signing, tmp_path: Path, case: str
) -> None:
    camera = PICTURES["jpeg"][0]
    camera = camera if case == "none" else signing.signed(camera, source_type="digitalCapture")
    facts: dict[str, Any] = {"content_type": "image/jpeg"}
    if case == "private":
        facts["visibility"] = Visibility.PRIVATE
    if case == "deleted":
        facts["deleted_at"] = world.clock.now()
    if case == "lost":
        upload = await world.asset(AssetState.READY, origin=False, **facts)
    else:
        upload = await world.stored(camera, **facts)
    term = "compositeWithTrainedAlgorithmicMedia"
    made_by = await generation(world, prompt="a fox", images=[upload])
    asset_id = await world.stored(PNG, source_type=term, generation_id=made_by, index=0)
    variant = await signed.get(f"/images/{asset_id}?w=40")
    store = read_manifest(tmp_path / "file", variant.body, "image/png")
    assert store["validation_state"] == "Valid"
    done, (parent,) = facts_of(store)
    assert done == ["c2pa.opened", "c2pa.edited", "c2pa.resized"]
    assert parent["format"] == "image/jpeg"
    assert ("active_manifest" in parent) is (case == "a manifest")
    again = await signed.get(f"/images/{asset_id}?w=41")
    assert has_manifest(again.body)


async def test_a_plain_upload_is_not_signed(world: World, signed: Client) -> None:
    asset_id = await world.stored(PNG)
    variant = await signed.get(f"/images/{asset_id}?w=40")
    assert not has_manifest(variant.body)
    assert (await signed.get(f"/images/{asset_id}?dl")).body == PNG


async def test_a_signed_download(world: World, signed: Client, tmp_path: Path) -> None:
    asset_id = await world.stored(PNG, source_type=TRAINED)
    saved = await signed.get(f"/images/{asset_id}?dl")
    check_pixels(saved.body, PNG)
    assert saved.headers["etag"].startswith("W/")
    assert saved.headers["cache-control"] == CONFIGURED
    store = read_manifest(tmp_path / "file", saved.body, "image/png")
    assert (store["validation_state"], facts_of(store)) == ("Valid", (["c2pa.created"], []))
    assert (await signed.get(f"/images/{asset_id}")).body == PNG


async def test_a_signature_that_fails_is_left_out_for_a_moment(world: World, signing: Signing) -> None:
    silent = replace(signing, timestamp_url="http://127.0.0.1:9/")
    client = world.serve(rules(silent))
    labels = world.pictures.labels
    asset_id = await world.stored(PNG, source_type=TRAINED)
    url = f"/images/{asset_id}?w=40"
    for _ in range(2):
        answer = await client.get(url)
        assert (answer.status, has_manifest(answer.body)) == (200, False)
        assert answer.headers["cache-control"] == "public, max-age=10"
        assert answer.headers["etag"] == etag(asset_id, "w=40")
        health = labels.health()
        assert health is not None
        assert not health["ok"]
        assert "could not be signed" in health["detail"]
    saved = await client.get(f"/images/{asset_id}?dl")
    assert saved.body == embedded(PNG, packet(TRAINED))
    labels._signing = signing  # the authority is back
    world.clock.advance(FAULT_SECONDS + 1)
    answer = await client.get(url)
    assert has_manifest(answer.body)
    assert (answer.headers["cache-control"], answer.headers["etag"][:2]) == (CONFIGURED, "W/")
    assert labels.health() == {
        "ok": True,
        "detail": f"signed as {signing.credential.name} until {signing.credential.ends:%Y-%m-%d}",
    }


class Picky(Signing):
    """Cannot sign one kind of picture, and can sign all others."""

    def signed(self, data: bytes, **told: Any) -> bytes:
        if data.startswith(b"RIFF"):
            raise InternalError("The picture could not be signed: it is odd")
        return super().signed(data, **told)


async def test_a_picture_that_cannot_be_signed_does_not_stop_the_others(
    world: World, signing: Signing
) -> None:
    client = world.serve(rules(Picky(signing.credential)))
    asset_id = await world.stored(PNG, source_type=TRAINED)
    odd = await client.get(f"/images/{asset_id}?w=40&format=webp")
    assert (odd.status, has_manifest(odd.body)) == (200, False)
    other = await client.get(f"/images/{asset_id}?w=40&format=jpeg")
    assert has_manifest(other.body)
    health = world.pictures.labels.health()
    assert health is not None
    assert health["ok"]


async def test_a_very_large_original_is_downloaded_as_it_is(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, source_type=TRAINED, bytes=MAX_BYTES + 1)
    assert (await client.get(f"/images/{asset_id}?dl")).body == PNG


async def test_a_certificate_that_ends_signs_no_more(world: World, signing: Signing) -> None:
    client = world.serve(rules(signing))
    asset_id = await world.stored(PNG, source_type=TRAINED)
    assert has_manifest((await client.get(f"/images/{asset_id}?w=40")).body)
    world.clock.advance((signing.credential.ends - world.clock.now()).total_seconds() + 1)
    late = await client.get(f"/images/{asset_id}?w=41")
    assert not has_manifest(late.body)
    assert (late.headers["etag"], late.headers["cache-control"]) == (etag(asset_id, "w=41"), CONFIGURED)
    health = world.pictures.labels.health()
    assert health is not None
    assert "the certificate ended on" in health["detail"]


@pytest.mark.parametrize("error", [ConfigError("FERROTYPE_C2PA_KEY: it is wrong."), PermissionError("c2pa")])
async def test_without_a_certificate_pictures_go_unsigned(world: World, error: Exception) -> None:
    def refuse() -> None:
        raise error

    told = ProvenanceSettings(c2pa="development")
    client = world.serve(Rules(provenance=told, open_signing=refuse))
    asset_id = await world.stored(PNG, source_type=TRAINED)
    answer = await client.get(f"/images/{asset_id}?w=40")
    assert (answer.status, has_manifest(answer.body)) == (200, False)
    health = world.pictures.labels.health()
    assert health == {"ok": False, "detail": f"pictures go unsigned: {error}"}


async def test_nobody_asked_for_signatures(world: World) -> None:
    assert world.pictures.labels.health() is None


# Prompts


async def test_a_prompt_is_written_only_where_that_is_wanted(world: World, client: Client) -> None:
    made_by = await generation(world, prompt="a red fox")
    asset_id = await world.stored(PNG, source_type=TRAINED, generation_id=made_by, index=0)
    upload = await world.stored(PNG)
    telling = world.serve(rules(embed_prompts=True))
    for query in ("w=40", "dl"):
        silent, told = [await each.get(f"/images/{asset_id}?{query}") for each in (client, telling)]
        assert (b"a red fox" in silent.body, b"a red fox" in told.body) == (False, True)
        assert b'AISystemUsed="acme/fox-1"' in told.body
        assert silent.headers["etag"] != told.headers["etag"]
        check_pixels(told.body, silent.body)
    assert (await telling.get(f"/images/{asset_id}")).body == PNG
    assert b"AIPrompt" not in (await telling.get(f"/images/{upload}?w=40")).body


def test_names_of_editions() -> None:
    assert is_signed("w=1&signed=0a1b2c3d")
    assert not is_signed("w=1&watermark=signed=1")
    assert not is_signed("")
    assert unsigned("w=1&prompt=1&signed=0a1b2c3d") == "w=1&prompt=1"
    assert unsigned("w=1") == "w=1"
    assert etag("id", "w=1&signed=a") not in (etag("id", "w=1&signed=b"), f"W/{etag('id', 'w=1')}")
