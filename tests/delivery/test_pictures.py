"""What a client sees of a picture that is here, from memory and from disk alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from ferrotype.domain.transform import etag
from tests.delivery.conftest import OBJECT_BYTES, World
from tests.delivery.driver import Client
from tests.storage.origin import picture

Place = Callable[[], Awaitable[tuple[str, bytes]]]
SMALL, LARGE = OBJECT_BYTES // 2, OBJECT_BYTES * 2


@pytest.fixture(params=["memory", "spool", "store", "large in the spool", "large in the store"])
def place(request: pytest.FixtureRequest, world: World) -> Place:
    """Puts a picture somewhere; its id and bytes."""

    async def put() -> tuple[str, bytes]:
        body = picture(LARGE if "large" in request.param else SMALL)
        if request.param == "memory":
            return await world.remembered(body), body
        return await (world.stored(body) if "store" in request.param else world.spooled(body)), body

    return put


async def test_the_whole_picture(client: Client, place: Place) -> None:
    asset_id, body = await place()
    for _ in range(3):
        answer = await client.get(f"/images/{asset_id}")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-length"] == str(len(body))
        assert answer.headers["etag"] == etag(asset_id)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_head_is_get_without_the_body(client: Client, place: Place) -> None:
    asset_id, _ = await place()
    get = await client.get(f"/images/{asset_id}")
    head = await client.request("HEAD", f"/images/{asset_id}")
    assert (head.status, head.body) == (200, b"")
    # Where it came from may differ: the first look brings it into memory.
    assert {**head.headers, "server-timing": ""} == {**get.headers, "server-timing": ""}


async def test_a_copy_that_is_current_is_not_sent_again(client: Client, place: Place) -> None:
    asset_id, _ = await place()
    tag = etag(asset_id)
    for value in (tag, f"W/{tag}", f'"a", {tag}', "*"):
        for method in ("GET", "HEAD"):
            answer = await client.request(
                method, f"/images/{asset_id}", headers={"If-None-Match": value, "Range": "bytes=0-1"}
            )
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["etag"] == tag
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert "content-type" not in answer.headers
    two_lines = [("If-None-Match", '"a"'), ("If-None-Match", tag)]
    assert (await client.get(f"/images/{asset_id}", headers=two_lines)).status == 304
    assert (await client.get(f"/images/{asset_id}", headers={"If-None-Match": '"a"'})).status == 200


@pytest.mark.parametrize(("header", "start", "stop"), [("0-0", 0, 1), ("100-", 100, None), ("-7", -7, None)])
async def test_a_part(client: Client, place: Place, header: str, start: int, stop: int | None) -> None:
    asset_id, body = await place()
    part = body[start:stop]
    answer = await client.get(f"/images/{asset_id}", headers={"Range": f"bytes={header}"})
    assert (answer.status, answer.body) == (206, part)
    first = body.index(part) if start >= 0 else len(body) + start
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(body)}"
    assert answer.headers["content-length"] == str(len(part))
    assert answer.headers["etag"] == etag(asset_id)


async def test_parts_make_the_whole(client: Client, place: Place) -> None:
    asset_id, body = await place()
    step = 7_777
    parts = [
        (await client.get(f"/images/{asset_id}", headers={"Range": f"bytes={at}-{at + step - 1}"})).body
        for at in range(0, len(body), step)
    ]
    assert b"".join(parts) == body


async def test_a_part_outside(client: Client, place: Place) -> None:
    asset_id, body = await place()
    answer = await client.get(f"/images/{asset_id}", headers={"Range": f"bytes={len(body)}-"})
    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{len(body)}"
    assert answer.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize("header", ["bytes=5-4", "bytes=0-1,5-6", "chapters=1-2", "bytes=x"])
async def test_a_bad_range_is_ignored(client: Client, place: Place, header: str) -> None:
    asset_id, body = await place()
    answer = await client.get(f"/images/{asset_id}", headers={"Range": header})
    assert (answer.status, answer.body) == (200, body)


async def test_a_range_holds_only_while_the_picture_is_the_same(client: Client, place: Place) -> None:
    asset_id, body = await place()
    for validator, status in ((etag(asset_id), 206), ('"other"', 200), (f"W/{etag(asset_id)}", 200)):
        answer = await client.get(
            f"/images/{asset_id}", headers={"Range": "bytes=0-9", "If-Range": validator}
        )
        assert answer.status == status
        assert answer.body == (body[:10] if status == 206 else body)


async def test_a_range_is_for_get_only(client: Client, place: Place) -> None:
    asset_id, body = await place()
    answer = await client.request("HEAD", f"/images/{asset_id}", headers={"Range": "bytes=0-1"})
    assert (answer.status, answer.headers["content-length"]) == (200, str(len(body)))


@pytest.mark.parametrize("extension", ["png", "jpg", "jpeg", "webp", "avif", "gif", "tif"])
async def test_an_extension_never_changes_the_answer(client: Client, place: Place, extension: str) -> None:
    asset_id, body = await place()
    answer = await client.get(f"/images/{asset_id}.{extension}")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "image/png", body)


async def test_a_download_has_a_name(client: Client, place: Place) -> None:
    asset_id, body = await place()
    answer = await client.get(f"/images/{asset_id}?dl&v=3")
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["content-disposition"] == f'attachment; filename="{asset_id}.png"'


@pytest.mark.parametrize("query", ["width=200", "v=1&fmt=webp", "x", "%00=1"])
async def test_a_parameter_that_nobody_knows_is_refused(client: Client, place: Place, query: str) -> None:
    asset_id, _ = await place()
    answer = await client.get(f"/images/{asset_id}?{query}")
    assert answer.status == 422
    assert answer.json()["field"] in ("width", "fmt", "x", "\0")


async def test_an_endless_query_is_refused(client: Client, place: Place) -> None:
    asset_id, _ = await place()
    assert (await client.get(f"/images/{asset_id}?v={'1' * 3_000}")).status == 422


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_pictures_are_only_read(client: Client, place: Place, method: str) -> None:
    asset_id, _ = await place()
    answer = await client.request(method, f"/images/{asset_id}")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_other_sites_may_ask(client: Client, place: Place) -> None:
    asset_id, _ = await place()
    answer = await client.request("OPTIONS", f"/images/{asset_id}")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "Range" in answer.headers["access-control-allow-headers"]


TRICKS = [
    "/images/", "/images/x", "/images/..", "/images/../etc/passwd", "/images/%2e%2e/%2e%2e/etc/passwd",
    "/images/{id}/", "/images/{id}/x", "/images//{id}", "/images/./{id}", "/images/{id}.", "/images/{id}.exe",
    "/images/{id}.png.jpg", "/images/{id}.PNG", "/images/{id}%2epng", "/images/{id}%00",
    "/images/{id}.png%00", "/images/%30{tail}", "/images/{ID}", "/images/{id}x",
    "/images/{id}%20", "/images/{id}.p%C3%B1g",
    "/images/" + "a" * 100_000, "/images/{id}" + "." * 1_000, "/images/{id}.png/../{id}",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
async def test_only_the_canonical_path_is_a_picture(client: Client, place: Place, trick: str) -> None:
    asset_id, _ = await place()
    url = trick.replace("{id}", asset_id).replace("{ID}", asset_id.upper()).replace("{tail}", asset_id[1:])
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = await client.request(method, url)
        assert answer.status == 404, url
    assert (await client.get(url)).json()["code"] == "not_found"


async def test_a_picture_that_never_was(world: World, client: Client) -> None:
    for headers in ({}, {"If-None-Match": "*"}):
        answer = await client.get(f"/images/{new_id()}", headers=headers)
        assert answer.status == 404
        assert answer.json()["code"] == "not_found"
    assert (await client.request("HEAD", f"/images/{new_id()}")).body == b""


async def test_a_picture_whose_bytes_never_came(world: World, client: Client) -> None:
    asset_id = await world.asset(AssetState.FAILED)
    for headers in ({}, {"If-None-Match": etag(asset_id)}):
        answer = await client.get(f"/images/{asset_id}", headers=headers)
        assert answer.status == 502
        assert answer.json()["code"] == "origin_unavailable"
    assert world.origin.fetches == 0


async def test_a_large_file_is_left_to_a_server_that_can(world: World, client: Client) -> None:
    body = picture(LARGE)
    asset_id = await world.stored(body)
    whole = await client.get(f"/images/{asset_id}", pathsend=True)
    assert (whole.pathsend, whole.status, whole.body) == (True, 200, body)
    assert whole.headers["content-length"] == str(LARGE)
    assert whole.headers["server-timing"] == "disk"
    part = await client.get(f"/images/{asset_id}", headers={"Range": "bytes=5-9"}, pathsend=True)
    assert (part.pathsend, part.status, part.body) == (False, 206, body[5:10])
    head = await client.request("HEAD", f"/images/{asset_id}", pathsend=True)
    assert (head.pathsend, head.body) == (False, b"")


async def test_what_might_be_a_page_is_locked_up(world: World, client: Client) -> None:
    drawing = await world.remembered(b"<svg/>", "image/svg+xml")
    answer = await client.get(f"/images/{drawing}")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


async def test_deliveries_are_counted(world: World, client: Client) -> None:
    asset_id = await world.remembered(b"bytes")
    await client.get(f"/images/{asset_id}")
    await client.get(f"/images/{asset_id}", headers={"If-None-Match": "*"})
    await client.get(f"/images/{new_id()}")
    requests = world.telemetry.to_json()["requests"]
    assert (requests["total"], requests["error"], requests["cached"]) == (3, 1, 2)


async def test_a_file_that_moves_to_the_store_while_it_is_looked_for(
    world: World, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = await world.stored(picture(SMALL))
    monkeypatch.setattr(world.spool, "path", lambda _: tmp_path / "spool" / asset_id)
    answer = await client.get(f"/images/{asset_id}")
    assert (answer.status, answer.body) == (200, picture(SMALL))
