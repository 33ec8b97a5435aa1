"""Pictures whose bytes are still on their way while they are asked for."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from ferrotype.domain.problems import OriginTimeout, OriginUnavailable, Problem
from ferrotype.domain.states import AssetState
from ferrotype.domain.transform import etag
from ferrotype.storage.arrivals import ArrivalBroken
from tests.delivery.conftest import OBJECT_BYTES, World
from tests.delivery.driver import Answer, Client
from tests.storage.origin import ORIGIN, picture


class Request:
    """A GET under way whose pieces can be awaited."""

    def __init__(self, client: Client, url: str, **headers: str) -> None:
        self.answer = Answer()
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._task = asyncio.create_task(
            client.into(self.answer, "GET", url, pieces=self._pieces, headers=headers)
        )

    async def piece(self) -> bytes:
        return await self._pieces.get()

    async def end(self) -> Answer:
        await self._task
        return self.answer


async def test_bytes_pass_through_as_they_come(world: World, client: Client) -> None:
    body = picture(30_000)
    asset_id = await world.asset()
    world.origin.length = len(body)
    request = Request(client, f"/images/{asset_id}")
    for at in range(0, len(body), 5_000):
        world.origin.feed(body[at : at + 5_000])
        assert await request.piece() == body[at : at + 5_000]
    world.origin.end()
    answer = await request.end()
    assert (answer.status, answer.body) == (200, body)
    assert answer.headers["content-length"] == "30000"
    assert answer.headers["etag"] == etag(asset_id)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["server-timing"] == "arriving"


async def test_an_early_get_joins_the_fetch_that_the_server_began(world: World, client: Client) -> None:
    asset_id = await world.asset()
    arrival = world.arrivals.start(asset_id, ORIGIN)
    body = picture(10_000)
    world.origin.serve(body)
    assert (await client.get(f"/images/{asset_id}")).body == body
    await arrival.finished()
    assert world.origin.fetches == 1


@pytest.mark.parametrize("size", [OBJECT_BYTES, OBJECT_BYTES + 1])
async def test_five_hundred_cold_gets_are_one_fetch_and_one_look_up(
    world: World, client: Client, size: int
) -> None:
    body = picture(size)
    asset_id = await world.asset()
    world.origin.serve(body)
    answers = await asyncio.gather(*(client.get(f"/images/{asset_id}") for _ in range(500)))
    assert {answer.status for answer in answers} == {200}
    assert {hashlib.sha256(answer.body).digest() for answer in answers} == {hashlib.sha256(body).digest()}
    assert world.origin.fetches == 1
    assert world.database.reads == 1


async def test_five_hundred_cold_gets_read_a_file_once(world: World, client: Client) -> None:
    body = picture(10_000)
    asset_id = await world.stored(body)
    answers = await asyncio.gather(*(client.get(f"/images/{asset_id}") for _ in range(500)))
    assert {answer.body for answer in answers} == {body}
    assert world.database.reads == 1
    assert world.cache.stats().entries == 1


async def test_it_is_in_memory_when_it_has_arrived(world: World, client: Client) -> None:
    asset_id = await world.asset()
    world.origin.serve(picture(10_000))
    await world.arrivals.start(asset_id, ORIGIN).finished()
    for _ in range(3):
        answer = await client.get(f"/images/{asset_id}")
        assert (answer.body, answer.headers["server-timing"]) == (picture(10_000), "memory")
    assert world.database.reads == 1  # who may load it, before the first


async def test_a_slow_client_does_not_hold_up_another(world: World, client: Client) -> None:
    body = picture(200_000)
    asset_id = await world.asset()
    gate, pieces, answer = asyncio.Event(), asyncio.Queue[bytes](), Answer()
    slow = asyncio.create_task(client.into(answer, "GET", f"/images/{asset_id}", pieces=pieces, gate=gate))
    world.origin.feed(body[:50_000])
    await pieces.get()
    fast = Request(client, f"/images/{asset_id}")
    for at in range(50_000, len(body), 10_000):
        world.origin.feed(body[at : at + 10_000])
    world.origin.end()
    assert (await fast.end()).body == body
    assert answer.body == body[:50_000]
    gate.set()
    await slow
    assert answer.body == body


async def test_a_copy_that_is_current_needs_no_bytes(world: World, client: Client) -> None:
    asset_id = await world.asset()
    answer = await client.get(f"/images/{asset_id}", headers={"If-None-Match": etag(asset_id)})
    assert answer.status == 304
    assert world.origin.fetches == 0
    world.arrivals.start(asset_id, ORIGIN)
    headers = {"If-None-Match": etag(asset_id)}
    assert (await client.get(f"/images/{asset_id}", headers=headers)).status == 304
    world.origin.refusal = OriginUnavailable("refused")
    world.origin.fail(world.origin.refusal)  # so there is no picture that `*` could stand for
    assert (await client.get(f"/images/{asset_id}", headers={"If-None-Match": "*"})).status == 502


async def test_head_knows_what_the_first_bytes_tell(world: World, client: Client) -> None:
    asset_id = await world.asset()
    world.origin.length = 10_000
    world.origin.feed(picture(10_000)[:5_000])
    answer = await client.request("HEAD", f"/images/{asset_id}")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "10000")


async def test_a_range_waits_for_its_bytes_and_no_longer(world: World, client: Client) -> None:
    body = picture(30_000)
    asset_id = await world.asset()
    world.origin.length = len(body)
    request = Request(client, f"/images/{asset_id}", Range="bytes=8000-11999")
    world.origin.feed(body[:6_000])
    world.origin.feed(body[6_000:9_000])
    assert await request.piece() == body[8_000:9_000]
    world.origin.feed(body[9_000:20_000])
    answer = await request.end()  # the rest of the picture has not come
    assert (answer.status, answer.body) == (206, body[8_000:12_000])
    assert answer.headers["content-range"] == "bytes 8000-11999/30000"


async def test_without_a_length_the_whole_is_sent(world: World, client: Client) -> None:
    body = picture(10_000)
    asset_id = await world.asset()
    world.origin.serve(body, announced=False)
    answer = await client.get(f"/images/{asset_id}", headers={"Range": "bytes=0-9"})
    assert (answer.status, answer.body) == (200, body)
    assert "content-length" not in answer.headers


async def test_http_1_0_is_told_the_length(world: World, client: Client) -> None:
    body = picture(10_000)
    asset_id = await world.asset()
    world.origin.serve(body, announced=False)
    answer = await client.get(f"/images/{asset_id}", http_version="1.0")
    assert (answer.headers["content-length"], answer.body) == ("10000", body)


@pytest.mark.parametrize(
    ("error", "status"), [(OriginUnavailable("refused"), 502), (OriginTimeout("silent"), 504)]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_origin_that_fails_before_the_first_byte(
    world: World, client: Client, method: str, error: Problem, status: int
) -> None:
    asset_id = await world.asset()
    world.origin.refusal = error
    answer = await client.request(method, f"/images/{asset_id}")
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"
    world.origin.refusal = None
    world.origin.serve(picture(5_000))
    assert (await client.get(f"/images/{asset_id}")).status == 200


async def test_a_range_that_never_comes_is_still_told_as_a_problem(world: World, client: Client) -> None:
    asset_id = await world.asset()
    world.origin.length = 30_000
    request = Request(client, f"/images/{asset_id}", Range="bytes=20000-")
    world.origin.feed(picture(30_000)[:10_000])
    world.origin.fail(OriginTimeout("stalled"))
    assert (await request.end()).status == 504


async def test_a_page_instead_of_a_picture_is_never_passed_on(world: World, client: Client) -> None:
    asset_id = await world.asset()
    world.origin.serve(b"<script>alert(1)</script>" * 1_000)
    answer = await client.get(f"/images/{asset_id}")
    assert answer.status == 502
    assert b"script" not in answer.body


@pytest.mark.parametrize("announced", [True, False])
async def test_a_break_after_the_first_byte_cuts_the_connection(
    world: World, client: Client, announced: bool, tmp_path: Path
) -> None:
    body = picture(10_000)
    asset_id = await world.asset()
    world.origin.length = len(body) if announced else None
    request = Request(client, f"/images/{asset_id}")
    world.origin.feed(body[:6_000])
    await request.piece()
    world.origin.fail(OriginUnavailable("reset"))
    with pytest.raises(ArrivalBroken):
        await request.end()
    assert not request.answer.whole
    assert world.telemetry.to_json()["requests"]["error"] == 1
    # Nothing of it stays anywhere, and the next one gets the picture.
    assert world.cache.stats().entries == 0
    assert list((tmp_path / "spool").iterdir()) == []
    world.origin.serve(body)
    assert (await client.get(f"/images/{asset_id}")).body == body


async def test_a_ready_picture_that_is_lost_here_is_fetched_again(world: World, client: Client) -> None:
    asset_id = await world.asset(AssetState.READY)
    world.origin.serve(picture(5_000))
    assert (await client.get(f"/images/{asset_id}")).body == picture(5_000)


async def test_bytes_that_no_origin_will_send(world: World, client: Client) -> None:
    asset_id = await world.asset(AssetState.ARRIVING, origin=False)
    answer = await client.get(f"/images/{asset_id}")
    assert (answer.status, answer.headers["retry-after"]) == (502, "1")


async def test_a_fault_of_ours_is_a_problem_too(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = await world.spooled(picture(100))

    def broken(*_: object) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr(Path, "open", broken)
    answer = await client.get(f"/images/{asset_id}")
    assert answer.status == 500
    assert answer.json()["code"] == "internal_error"
