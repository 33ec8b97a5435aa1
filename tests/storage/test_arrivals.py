from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    Forbidden,
    InternalError,
    OriginTimeout,
    OriginUnavailable,
    Overloaded,
    Problem,
    TooLarge,
)
from ferrotype.storage.arrivals import HEAD_BYTES, Arrival, ArrivalBroken, Arrivals, OriginUnusable
from ferrotype.storage.spool import Spool
from tests.storage.origin import ORIGIN, PNG, FakeOrigin, content_type_of, picture


class Kept:
    """What `on_complete` was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, str]] = []

    def __call__(self, asset_id: str, body: bytes, content_type: str) -> None:
        self.calls.append((asset_id, body, content_type))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def arrivals(spool: Spool, origin: FakeOrigin, kept: Kept) -> AsyncIterator[Arrivals]:
    made = Arrivals(
        spool, origin.fetch, content_type_of, on_complete=kept, max_body_bytes=100_000, max_bytes=1_000_000
    )
    yield made
    await made.close()


async def read(arrival: Arrival, start: int = 0) -> bytes:
    return b"".join([chunk async for chunk in arrival.chunks(start)])


async def test_the_picture_reaches_the_spool_with_its_facts(
    arrivals: Arrivals, origin: FakeOrigin, spool: Spool, kept: Kept
) -> None:
    body, asset_id = picture(50_000), new_id()
    origin.serve(body)
    arrived = await arrivals.start(asset_id, ORIGIN).finished()
    assert (arrived.bytes, arrived.content_type) == (50_000, "image/png")
    assert arrived.sha256 == hashlib.sha256(body).hexdigest()
    assert arrived.path == spool.path(asset_id)
    assert arrived.path.read_bytes() == body
    assert kept.calls == [(asset_id, body, "image/png")]
    assert arrivals.get(asset_id) is None
    assert origin.left == 1


async def test_five_hundred_readers_and_one_fetch(arrivals: Arrivals, origin: FakeOrigin) -> None:
    body, asset_id = picture(30_000), new_id()
    readers = [asyncio.create_task(read(arrivals.start(asset_id, ORIGIN))) for _ in range(500)]
    for at in range(0, len(body), 7_000):
        origin.feed(body[at : at + 7_000])
    origin.end()
    assert set(await asyncio.gather(*readers)) == {body}
    assert origin.fetches == 1


async def test_bytes_are_handed_on_before_the_next_come(arrivals: Arrivals, origin: FakeOrigin) -> None:
    body, asset_id = picture(HEAD_BYTES + 300), new_id()
    arrival = arrivals.start(asset_id, ORIGIN)
    chunks = arrival.chunks()
    origin.feed(body[:HEAD_BYTES])
    assert await anext(chunks) == body[:HEAD_BYTES]
    for at in range(HEAD_BYTES, len(body), 100):
        origin.feed(body[at : at + 100])
        assert await anext(chunks) == body[at : at + 100]
    origin.end()
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_a_slow_reader_holds_up_nobody(arrivals: Arrivals, origin: FakeOrigin) -> None:
    body, asset_id = picture(300_000), new_id()
    arrival = arrivals.start(asset_id, ORIGIN)
    slow = arrival.chunks()
    origin.feed(body[:10_000])
    got = await anext(slow)
    fast = asyncio.create_task(read(arrival))
    for at in range(10_000, len(body), 50_000):
        origin.feed(body[at : at + 50_000])
    origin.end()
    assert await fast == body
    assert (await arrival.finished()).bytes == 300_000
    assert got + b"".join([chunk async for chunk in slow]) == body
    assert await read(arrival, 299_000) == body[299_000:]


async def test_a_reader_that_leaves_does_not_end_the_fetch(arrivals: Arrivals, origin: FakeOrigin) -> None:
    body, asset_id = picture(20_000), new_id()
    arrival = arrivals.start(asset_id, ORIGIN)
    reader = arrival.chunks()
    origin.feed(body[:10_000])
    await anext(reader)
    await reader.aclose()
    waiting = asyncio.create_task(read(arrival))
    await asyncio.sleep(0)
    waiting.cancel()
    origin.feed(body[10_000:])
    origin.end()
    assert (await arrival.finished()).bytes == 20_000


async def test_the_head_is_known_with_the_first_bytes(arrivals: Arrivals, origin: FakeOrigin) -> None:
    origin.length = 9_000
    origin.content_type = "text/html"
    arrival = arrivals.start(new_id(), ORIGIN)
    origin.feed(picture(9_000)[:5_000])
    head = await arrival.head()
    assert (head.content_type, head.length) == ("image/png", 9_000)
    assert not arrival.ended


async def test_a_tiny_picture_in_tiny_pieces(arrivals: Arrivals, origin: FakeOrigin) -> None:
    for value in PNG:
        origin.feed(bytes([value]))
    origin.end()
    arrival = arrivals.start(new_id(), ORIGIN)
    assert await read(arrival) == PNG
    assert (await arrival.head()).length is None


async def test_readers_may_start_anywhere_before_it_is_there(arrivals: Arrivals, origin: FakeOrigin) -> None:
    body = picture(20_000)
    arrival = arrivals.start(new_id(), ORIGIN)
    origin.feed(body[:5_000])
    await arrival.head()
    late = asyncio.create_task(read(arrival, 15_000))
    origin.feed(body[5_000:])
    origin.end()
    assert await late == body[15_000:]


async def broken(arrival: Arrival, expected: type[Problem]) -> Problem:
    with pytest.raises(expected) as caught:
        await arrival.finished()
    return caught.value


@pytest.mark.parametrize(
    ("error", "expected", "retryable"),
    [
        (OriginUnavailable("gone"), OriginUnavailable, True),
        (OriginTimeout("slow"), OriginTimeout, True),
        (TooLarge("big"), OriginUnusable, False),
        (Forbidden("private address"), OriginUnusable, False),
        (Overloaded("full"), Overloaded, True),
        (ZeroDivisionError(), InternalError, False),
    ],
)
async def test_an_origin_that_gives_nothing(
    arrivals: Arrivals,
    origin: FakeOrigin,
    tmp_path: Path,
    error: Exception,
    expected: type[Problem],
    retryable: bool,
) -> None:
    origin.refusal = error
    arrival = arrivals.start(new_id(), ORIGIN)
    problem = await broken(arrival, expected)
    assert problem.retryable is retryable
    with pytest.raises(expected):
        await arrival.head()
    with pytest.raises(expected):
        await anext(arrival.chunks())
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_break_after_the_first_byte_reaches_every_reader(
    arrivals: Arrivals, origin: FakeOrigin, spool: Spool, kept: Kept, tmp_path: Path
) -> None:
    asset_id, body = new_id(), picture(10_000)
    arrival = arrivals.start(asset_id, ORIGIN)
    behind, at_the_tip = arrival.chunks(), arrival.chunks()
    origin.feed(body[:5_000])
    assert await anext(at_the_tip) == body[:5_000]
    await anext(behind)
    origin.feed(body[5_000:])
    assert await anext(at_the_tip) == body[5_000:]
    origin.fail(OriginUnavailable("connection reset"))
    with pytest.raises(ArrivalBroken) as caught:
        await anext(at_the_tip)
    assert isinstance(caught.value.problem, OriginUnavailable)
    assert await anext(behind) == body[5_000:]
    with pytest.raises(ArrivalBroken):
        await anext(behind)
    await broken(arrival, OriginUnavailable)
    assert spool.path(asset_id) is None
    assert list((tmp_path / "spool").iterdir()) == []
    assert spool.usage.bytes == 0
    assert kept.calls == []


@pytest.mark.parametrize("sent", [9_000, 11_000])
async def test_another_length_than_announced_is_a_break(
    arrivals: Arrivals, origin: FakeOrigin, spool: Spool, kept: Kept, sent: int
) -> None:
    asset_id = new_id()
    origin.serve(picture(sent))
    origin.length = 10_000
    arrival = arrivals.start(asset_id, ORIGIN)
    await broken(arrival, OriginUnavailable)
    with pytest.raises(OriginUnavailable):  # this reader was given nothing yet
        await read(arrival)
    assert spool.path(asset_id) is None
    assert kept.calls == []


@pytest.mark.parametrize("body", [b"", b"<html>no such job</html>", b"x" * 50_000])
async def test_what_is_no_picture_is_never_kept(
    arrivals: Arrivals, origin: FakeOrigin, spool: Spool, kept: Kept, body: bytes
) -> None:
    asset_id = new_id()
    origin.serve(body)
    arrival = arrivals.start(asset_id, ORIGIN)
    with pytest.raises(OriginUnusable):
        await arrival.head()
    await broken(arrival, OriginUnusable)
    assert spool.path(asset_id) is None
    assert kept.calls == []


async def test_a_picture_over_the_limit_is_refused(arrivals: Arrivals, origin: FakeOrigin) -> None:
    origin.serve(picture(1_000_001), announced=False)
    await broken(arrivals.start(new_id(), ORIGIN), OriginUnusable)


async def test_a_large_picture_is_not_handed_to_the_cache(
    arrivals: Arrivals, origin: FakeOrigin, kept: Kept
) -> None:
    origin.serve(picture(100_001))
    assert (await arrivals.start(new_id(), ORIGIN).finished()).bytes == 100_001
    assert kept.calls == []


async def test_the_next_start_after_a_break_tries_again(arrivals: Arrivals, origin: FakeOrigin) -> None:
    asset_id, body = new_id(), picture(10_000)
    first = arrivals.start(asset_id, ORIGIN)
    origin.feed(body[:6_000])
    origin.fail(OriginTimeout("stalled"))
    await broken(first, OriginTimeout)
    second = arrivals.start(asset_id, ORIGIN)
    assert second is not first
    origin.serve(body)
    assert await read(second) == body
    assert origin.fetches == 2


async def test_what_is_in_the_spool_is_never_fetched(
    arrivals: Arrivals, origin: FakeOrigin, spool: Spool, kept: Kept
) -> None:
    asset_id, body = new_id(), picture(10_000)
    await spool.write(asset_id, body)
    arrival = arrivals.start(asset_id, ORIGIN)
    assert await read(arrival) == body
    arrived = await arrival.finished()
    assert arrived.sha256 == hashlib.sha256(body).hexdigest()
    assert (await arrival.head()).length == 10_000
    assert kept.calls == [(asset_id, body, "image/png")]
    assert origin.fetches == 0


async def test_readers_end_without_waiting_for_the_disk(
    arrivals: Arrivals, origin: FakeOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    real_fsync = os.fsync

    def slow(fd: int) -> None:
        go_on.wait()
        real_fsync(fd)

    monkeypatch.setattr(os, "fsync", slow)
    body = picture(10_000)
    origin.serve(body)
    arrival = arrivals.start(new_id(), ORIGIN)
    try:
        async with asyncio.timeout(10):  # a reader that did wait would wait for ever
            assert await read(arrival) == body
        assert not arrival.ended
    finally:
        go_on.set()
    await arrival.finished()


async def test_a_disk_that_fails_is_ours_to_mend(
    arrivals: Arrivals, origin: FakeOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(fd: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    origin.serve(picture(10_000))
    await broken(arrivals.start(new_id(), ORIGIN), InternalError)
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize(("framed", "problem"), [(True, OriginUnusable), (False, OriginUnavailable)])
@pytest.mark.parametrize("max_body_bytes", [0, 100_000])
async def test_a_picture_without_its_end_is_none(
    spool: Spool, origin: FakeOrigin, framed: bool, problem: type[Exception], max_body_bytes: int
) -> None:
    """Fetched again where it may have been cut on its way; final where the origin has no more."""
    looked: list[bytes] = []

    def is_whole(path: Path) -> bool:
        looked.append(path.read_bytes())
        return False

    arrivals = Arrivals(
        spool, origin.fetch, content_type_of, is_whole=is_whole, max_body_bytes=max_body_bytes
    )
    body = picture(5_000)
    origin.framed = framed
    origin.serve(body)
    await broken(arrivals.start(new_id(), ORIGIN), problem)
    assert looked == [body]
    assert spool.usage.bytes == 0
    await arrivals.close()


async def test_a_full_spool_is_overload(tmp_path: Path, origin: FakeOrigin) -> None:
    spool = Spool(tmp_path / "small", 1_000)
    spool.recover()
    arrivals = Arrivals(spool, origin.fetch, content_type_of)
    origin.serve(picture(1_001))
    await broken(arrivals.start(new_id(), ORIGIN), Overloaded)
    origin.serve(picture(5_000), announced=False)
    await broken(arrivals.start(new_id(), ORIGIN), Overloaded)
    assert spool.usage.bytes == 0
    spool.close()


async def test_closing_ends_what_is_under_way(arrivals: Arrivals, origin: FakeOrigin, tmp_path: Path) -> None:
    running = arrivals.start(new_id(), ORIGIN)
    origin.feed(picture(5_000))
    reader = running.chunks()
    await anext(reader)
    unstarted = arrivals.start(new_id(), ORIGIN)
    await arrivals.close()
    with pytest.raises(ArrivalBroken):
        await anext(reader)
    await broken(unstarted, Overloaded)
    with pytest.raises(Overloaded):
        arrivals.start(new_id(), ORIGIN)
    assert list((tmp_path / "spool").iterdir()) == []


async def test_file_descriptors_are_given_back(arrivals: Arrivals, origin: FakeOrigin) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for at in range(5):
        arrival = arrivals.start(new_id(), ORIGIN)
        origin.feed(picture(6_000))
        readers = [arrival.chunks() for _ in range(3)]
        for reader in readers:
            await anext(reader)
        if at % 2:
            origin.end()
            await arrival.finished()
        else:
            origin.fail(OriginUnavailable("reset"))
            await broken(arrival, OriginUnavailable)
        for reader in readers:
            await reader.aclose()
    assert len(os.listdir("/proc/self/fd")) == before
