"""`format=auto`: what a client says it reads decides, and nothing else."""

from __future__ import annotations

import pytest
from PIL import Image

from ferrotype.http.negotiation import read_accept
from tests.delivery.conftest import World
from tests.delivery.driver import Answer, Client
from tests.imaging.imaging_pictures import animation, apng, scene
from tests.imaging.render_tools import encoded, opened

STILL = {"animated": False, "has_alpha": False, "content_type": "image/png"}
PNG = scene(160, 120).pngsave_buffer()
#: As browsers send it for `<img>`.
CHROMIUM = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
FIREFOX_OLD = "image/webp,*/*"
SAFARI_13 = "image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"
NEGOTIATED = "public, max-age=86400, stale-while-revalidate=604800"


@pytest.mark.parametrize(
    ("header", "formats"),
    [
        (CHROMIUM, {"avif", "webp"}),
        (FIREFOX_OLD, {"webp"}),
        (SAFARI_13, set()),
        ("*/*", set()),
        ("image/*", set()),
        ("", set()),
        ("IMAGE/AVIF", {"avif"}),
        ("image/avif;q=0, image/webp", {"webp"}),
        ("image/avif;q=0.0,image/webp;q=0.000", set()),
        ("image/avif;q=0.1", {"avif"}),
        ("image/webp ; q=0.5 , image/avif", {"webp", "avif"}),
        ("image/avifx, ximage/webp", set()),
        (", , image/webp,", {"webp"}),
    ],
)
def test_what_a_client_reads(header: str, formats: set[str]) -> None:
    assert read_accept(header.encode()) == formats


async def get(client: Client, asset_id: str, accept: str | None, query: str = "w=80&format=auto") -> Answer:
    headers = {} if accept is None else {"Accept": accept}
    return await client.get(f"/images/{asset_id}?{query}", headers=headers)


async def test_a_cold_avif_is_webp_first(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, **STILL)
    first = await get(client, asset_id, CHROMIUM)
    assert first.headers["content-type"] == "image/webp"
    assert first.headers["cache-control"] == "public, max-age=10"
    assert first.headers["vary"] == "Accept"
    await world.pictures.variants.settled()
    second = await get(client, asset_id, CHROMIUM)
    assert second.headers["content-type"] == "image/avif"
    assert second.headers["cache-control"] == NEGOTIATED
    assert second.headers["etag"] != first.headers["etag"]
    third = await get(client, asset_id, CHROMIUM)
    assert (third.body, third.headers["server-timing"]) == (second.body, "memory")
    assert third.headers["vary"] == "Accept"
    stale = await client.get(
        f"/images/{asset_id}?w=80&format=auto",
        headers={"Accept": CHROMIUM, "If-None-Match": first.headers["etag"]},
    )
    assert (stale.status, stale.body) == (200, second.body)
    same = await client.get(
        f"/images/{asset_id}?w=80&format=auto",
        headers={"Accept": CHROMIUM, "If-None-Match": second.headers["etag"]},
    )
    assert (same.status, same.headers["vary"], same.headers["cache-control"]) == (304, "Accept", NEGOTIATED)


async def test_each_client_gets_its_own(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, **STILL)
    for _ in range(2):
        for accept, kind in (
            (FIREFOX_OLD, "image/webp"),
            (SAFARI_13, "image/jpeg"),
            ("*/*", "image/jpeg"),
            (None, "image/jpeg"),
        ):
            answer = await get(client, asset_id, accept)
            assert (answer.status, answer.headers["content-type"]) == (200, kind)
            assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Accept", NEGOTIATED)


async def test_a_client_that_reads_avif_and_no_webp_waits_for_it(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, **STILL)
    answer = await get(client, asset_id, "image/avif")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/avif", NEGOTIATED)


async def test_a_named_format_does_not_vary(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, **STILL)
    answer = await get(client, asset_id, CHROMIUM, "w=80&format=webp")
    assert "vary" not in answer.headers


async def test_transparency_stays(world: World, client: Client) -> None:
    body = scene(160, 120, alpha=True).pngsave_buffer()
    asset_id = await world.stored(body, **{**STILL, "has_alpha": True})
    assert (await get(client, asset_id, SAFARI_13)).headers["content-type"] == "image/png"


@pytest.mark.parametrize("known", [True, None])
async def test_what_moves_never_becomes_avif(world: World, client: Client, known: bool | None) -> None:
    asset_id = await world.stored(animation().gifsave_buffer(), content_type="image/gif", animated=known)
    assert (await get(client, asset_id, CHROMIUM)).headers["content-type"] == "image/webp"
    assert (await get(client, asset_id, SAFARI_13)).headers["content-type"] == "image/gif"
    await world.pictures.variants.settled()
    assert (await get(client, asset_id, CHROMIUM)).headers["content-type"] == "image/webp"


async def test_an_animated_png_stays_as_it_is(world: World, client: Client) -> None:
    body = apng()
    asset_id = await world.stored(body, content_type="image/apng", animated=True, has_alpha=False)
    for accept in (CHROMIUM, SAFARI_13):
        assert (await get(client, asset_id, accept, "format=auto")).body == body


async def test_an_original_in_that_format_is_written_anew(world: World, client: Client) -> None:
    """What it tells of itself must not depend on what the client reads."""
    photo = Image.new("CMYK", (60, 40), (0, 255, 255, 0))
    exif = photo.getexif()
    exif[0x0112] = 6  # turned
    exif[0x010E] = "where it was taken"
    body = encoded(photo, "JPEG", exif=exif)
    asset_id = await world.stored(body, content_type="image/jpeg", animated=False, has_alpha=False)
    for accept in (SAFARI_13, FIREFOX_OLD, CHROMIUM):
        answer = await get(client, asset_id, accept, "format=auto")
        shown = opened(answer.body)
        assert (shown.mode, shown.size) == ("RGB", (40, 60))
        assert b"where" not in answer.body


async def test_what_is_not_known_yet_is_said_for_a_moment_only(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, content_type="image/png")
    answer = await get(client, asset_id, FIREFOX_OLD)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == (
        "image/webp",
        "public, max-age=10",
    )


async def test_an_avif_that_cannot_be_made_is_asked_for_once(world: World, client: Client) -> None:
    """AVIF takes 10 million pixels here; WebP more."""
    body = scene(3800, 2800).jpegsave_buffer()
    asset_id = await world.stored(body, content_type="image/jpeg", animated=False, has_alpha=False)
    first = await get(client, asset_id, CHROMIUM, "format=auto")
    assert (first.headers["content-type"], first.headers["cache-control"]) == (
        "image/webp",
        "public, max-age=10",
    )
    await world.pictures.variants.settled()
    second = await get(client, asset_id, CHROMIUM, "format=auto")
    assert (second.headers["content-type"], second.headers["cache-control"]) == ("image/webp", NEGOTIATED)


async def test_a_moments_damage_does_not_rule_avif_out(world: World, client: Client) -> None:
    asset_id = await world.stored(PNG, **STILL)
    path = world.store.local_path(f"2026/01/31/{asset_id}.png")
    assert path is not None
    path.write_bytes(PNG[: len(PNG) // 2])
    assert (await get(client, asset_id, CHROMIUM)).status == 502
    await world.pictures.variants.settled()
    path.write_bytes(PNG)
    world.levels.forget_in_memory(asset_id)
    world.clock.advance(60)
    await get(client, asset_id, CHROMIUM)
    await world.pictures.variants.settled()
    assert (await get(client, asset_id, CHROMIUM)).headers["content-type"] == "image/avif"


async def test_an_avif_that_nothing_keeps_is_made_once(world: World, client: Client) -> None:
    """There is no variant store here, and the memory takes 20,000 bytes."""
    asset_id = await world.stored(scene(640, 480).pngsave_buffer(), **STILL)
    kinds = []
    for _ in range(3):
        answer = await get(client, asset_id, CHROMIUM, "format=auto&q=95")
        kinds.append((answer.headers["content-type"], answer.headers["cache-control"]))
        await world.pictures.variants.settled()
    assert kinds == 3 * [("image/webp", "public, max-age=10")]
    renders = world.telemetry.to_json()["operations"]["render"]["count"]
    assert renders == 3 + 1  # WebP is not kept either; AVIF is tried again after a while
