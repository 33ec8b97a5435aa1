"""The Cloudinary store against the simulator: what is Cloudinary's own, and how it fails."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from ferrotype.domain.clock import ManualClock
from ferrotype.domain.problems import NotFound, Problem, StoreMisconfigured, StoreUnavailable
from ferrotype.sim import pixels
from ferrotype.sim.cloudinary import CloudinaryScript, CloudinarySim
from ferrotype.sim.options import Failure
from ferrotype.storage.base import WrongBytes
from ferrotype.storage.cloudinary import CloudinaryStore
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.cloudinary_wire import CHUNK

SECRET: Final = "a-secret-nobody-may-read"
KEY: Final = "2026/01/31/picture.png"
PNG: Final = pixels.png(pixels.solid(16, 16, (200, 30, 30)))
UPLOAD: Final = "POST /v1_1/{cloud}/{resource_type}/upload"
DESTROY: Final = "POST /v1_1/{cloud}/{resource_type}/destroy"
RESOURCE: Final = "GET /v1_1/{cloud}/resources/{resource_type}/{type}/{public_id}"
PING: Final = "GET /v1_1/{cloud}/ping"
DELIVERY: Final = "GET /{cloud}/{resource_type}/{type}/{tail}"
NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)

Make = Callable[..., CloudinaryStore]


def picture(size: int) -> bytes:
    """A picture of so many bytes: decoders ignore what follows its end."""
    return PNG + os.urandom(size - len(PNG))


BODY: Final = picture(CHUNK + 1000)


@pytest.fixture
async def sim() -> AsyncIterator[CloudinarySim]:
    async with CloudinarySim(CloudinaryScript(secret=SECRET), clock=ManualClock(NOON)) as made:
        yield made


@pytest.fixture
async def make(sim: CloudinarySim) -> AsyncIterator[Make]:
    made: list[CloudinaryStore] = []

    def store(clock: ManualClock | None = None, **values: Any) -> CloudinaryStore:
        account = {"cloud_name": sim.script.cloud, "api_key": sim.script.key, "api_secret": SECRET}
        settings = CloudinarySettings(
            **{"upload_prefix": sim.url, "delivery_url": sim.base, **account, **values}
        )
        made.append(CloudinaryStore(settings, name="pictures", clock=clock or ManualClock(NOON)))
        return made[-1]

    yield store
    for each in made:
        await each.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(BODY)
    return path


async def put(store: CloudinaryStore, source: Path, key: str = KEY) -> None:
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    await store.put(key, source, content_type="image/png", sha256=sha256)


async def read(store: CloudinaryStore, key: str = KEY, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.open(key, start, end)])


async def status_of(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


# What is kept


async def test_what_an_upload_says(sim: CloudinarySim, make: Make, source: Path) -> None:
    store = make(folder="our/pictures", tags=["ferrotype", "a & b"], eager="w_400,h_300,c_fill|w_80,c_thumb")
    await put(store, source)
    (asset,) = sim.library.assets.values()
    assert asset.name == ("image", "upload", "our/pictures/2026/01/31/picture")
    assert asset.data == BODY
    assert asset.tags == ["ferrotype", "a & b"]
    assert asset.eager == ["w_400,h_300,c_fill", "w_80,c_thumb"]
    assert asset.asset_folder == ""
    (entry,) = sim.journal.of(UPLOAD)
    assert entry.body["overwrite"] == entry.body["invalidate"] == entry.body["eager_async"] == ["true"]
    assert "transfer-encoding" not in entry.headers
    assert SECRET not in str(entry)


async def test_nothing_is_made_eagerly_and_no_tag_is_given_by_default(
    sim: CloudinarySim, make: Make, source: Path
) -> None:
    await put(make(), source)
    (entry,) = sim.journal.of(UPLOAD)
    assert not {"eager", "eager_async", "tags", "asset_folder"} & set(entry.body)


async def test_folders_of_the_media_library(sim: CloudinarySim, make: Make, source: Path) -> None:
    await put(make(asset_folders=True, folder="ours"), source)
    (asset,) = sim.library.assets.values()
    assert asset.asset_folder == "ours/2026/01/31"


async def test_a_second_put_replaces_what_the_network_has(
    sim: CloudinarySim, make: Make, source: Path
) -> None:
    store = make()
    await put(store, source)
    assert await read(store) == BODY
    other = picture(5000)
    source.write_bytes(other)
    await put(store, source)
    assert await read(store) == other
    assert len(sim.library.assets) == 1


async def test_a_deleted_picture_is_gone_from_the_network_too(
    sim: CloudinarySim, make: Make, source: Path
) -> None:
    store = make()
    await put(store, source)
    assert await read(store) == BODY
    await store.delete(KEY)
    assert sim.library.assets == {}
    with pytest.raises(NotFound):
        await read(store)


@pytest.mark.parametrize("key", ["a/picture.jpg", "a/picture.jpeg", "a/pic.ture.png", "a/picture"])
async def test_the_original_is_read_whatever_the_key_is_called(make: Make, source: Path, key: str) -> None:
    store = make()
    await put(store, source, key)
    assert await read(store, key) == BODY
    assert await store.size(key) == len(BODY)


@pytest.mark.parametrize("key", ["v1/picture.png", "a/v20/picture.png", f"{'a' * 300}.png"])
async def test_a_name_that_cloudinary_would_refuse(
    sim: CloudinarySim, make: Make, source: Path, key: str
) -> None:
    with pytest.raises(NotFound):
        await put(make(), source, key)
    assert sim.journal.entries == []


# Who may load it


async def test_everybody_can_load_what_is_public(make: Make, sim: CloudinarySim, source: Path) -> None:
    store = make()
    await put(store, source)
    url = await store.public_url(KEY)
    assert url == f"{sim.base}/image/upload/v1/2026/01/31/picture.png"
    assert await status_of(url) == 200
    assert await make(public=False).public_url(KEY) is None


@pytest.mark.parametrize("kind", ["private", "authenticated"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_only_signed_urls_open_the_others(
    make: Make, sim: CloudinarySim, source: Path, kind: str, algorithm: str
) -> None:
    store = make(delivery_type=kind, signature_algorithm=algorithm)
    await put(store, source)
    assert await store.public_url(KEY) is None
    assert await read(store, start=10, end=20) == BODY[10:20]
    assert await store.size(KEY) == len(BODY)
    assert await status_of(f"{sim.base}/image/{kind}/v1/2026/01/31/picture") == 401
    await store.delete(KEY)
    assert sim.library.assets == {}


# Large ones


async def test_a_large_picture_goes_in_chunks(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.max_bytes = 20_000_000
    body = picture(14_000_000)
    source.write_bytes(body)
    store = make(chunk_bytes=6_000_000)
    await put(store, source)
    chunks = sim.journal.of(UPLOAD)
    assert [entry.headers["content-range"] for entry in chunks] == [
        "bytes 0-5999999/14000000",
        "bytes 6000000-11999999/14000000",
        "bytes 12000000-13999999/14000000",
    ]
    assert len({entry.headers["x-unique-upload-id"] for entry in chunks}) == 1
    assert sim.library.partials == {}
    assert hashlib.sha256(await read(store)).digest() == hashlib.sha256(body).digest()


async def test_an_upload_that_broke_off_begins_anew(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.max_bytes = 20_000_000
    source.write_bytes(picture(14_000_000))
    store = make(chunk_bytes=6_000_000)
    sim.script.failures = [Failure(UPLOAD, status=0, after=True)]
    with pytest.raises(StoreUnavailable):
        await put(store, source)
    assert await store.size(KEY) is None
    await put(store, source)
    assert await store.size(KEY) == 14_000_000


async def test_an_upload_holds_a_piece_of_the_file_at_a_time(make: Make, tmp_path: Path) -> None:
    size, got = 48 * 1024 * 1024, 0
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(size)

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while got < length:
            got += len(await reader.read(65536))
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    sha256 = hashlib.sha256(bytes(size)).hexdigest()
    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = make(upload_prefix=f"http://127.0.0.1:{port}", chunk_bytes=100_000_000)
        tracemalloc.start()
        try:
            with pytest.raises(StoreUnavailable):
                await store.put(KEY, source, content_type="image/png", sha256=sha256)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert got > size
    assert peak < 8 * 1024 * 1024


async def test_a_picture_beyond_the_plan(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.max_bytes = 100_000
    with pytest.raises(StoreMisconfigured, match=r"up to 100000 bytes, .* has 263144") as caught:
        await put(make(), source)
    assert caught.value.limit == 100_000


# Bytes that are not ours


async def test_changed_bytes_are_not_kept(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.damaged = 1
    with pytest.raises(WrongBytes, match="upload preset"):
        await put(make(), source)
    assert sim.library.assets == {}


async def test_a_file_with_another_hash_is_not_sent(sim: CloudinarySim, make: Make, source: Path) -> None:
    with pytest.raises(WrongBytes):
        await make().put(KEY, source, content_type="image/png", sha256="0" * 64)
    assert sim.journal.entries == []


async def test_what_is_no_picture_is_refused(make: Make, source: Path) -> None:
    source.write_bytes(b"plain words")
    with pytest.raises(StoreMisconfigured, match=r"Invalid image file.*keeps pictures only"):
        await put(make(), source)


# Credentials, clocks, limits


@pytest.mark.parametrize(
    ("values", "uploading", "mend"),
    [
        ({"api_secret": "some-other-secret"}, "Invalid Signature", "the API secret"),
        ({"api_key": "999"}, "Unknown API key", "the API key"),
        ({"cloud_name": "elsewhere"}, "Invalid cloud_name elsewhere", "the cloud name"),
    ],
)
async def test_credentials_that_are_wrong(
    make: Make, source: Path, values: dict[str, str], uploading: str, mend: str
) -> None:
    store = make(**values)
    with pytest.raises(StoreMisconfigured, match=f"pictures refuses us .*{uploading}.*{mend}") as caught:
        await put(store, source)
    health = await store.health()
    assert not health.ok
    assert mend in health.mend
    for text in (str(caught.value), health.detail, health.mend):
        assert not any(secret in text for secret in (SECRET, "some-other-secret", "123456789012345"))
        assert "String to sign" not in text
        assert "2026/01/31" not in text


async def test_credentials_that_are_right(sim: CloudinarySim, make: Make) -> None:
    health = await make().health()
    assert health.ok
    assert "sim-cloud" in health.detail
    assert [entry.route for entry in sim.journal.entries] == [PING]


async def test_a_cloud_that_takes_sha256_only(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.algorithm = "sha256"
    with pytest.raises(StoreMisconfigured, match="signature algorithm"):
        await put(make(), source)
    await put(make(signature_algorithm="sha256"), source)


async def test_a_clock_that_is_wrong(make: Make, source: Path) -> None:
    store = make(clock=ManualClock(NOON - timedelta(hours=2)))
    with pytest.raises(StoreMisconfigured, match=r"Stale request.*set this machine's clock"):
        await put(store, source)


async def test_sizes_are_told_when_the_admin_api_is_at_its_limit(
    sim: CloudinarySim, make: Make, source: Path
) -> None:
    store = make()
    await put(store, source)
    sim.script.admin_limit = 0
    assert await store.size(KEY) == len(BODY)
    assert await store.size("2026/other.png") is None
    health = await store.health()
    assert health.ok
    assert "rate limit" in health.detail


@pytest.mark.parametrize("status", [420, 429])
@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "17"}, "{}", 17),
        ({"X-FeatureRateLimit-Reset": "Sat, 31 Jan 2026 12:10:00 GMT"}, "{}", 600),
        ({}, '{"error": {"message": "Limit reached. Try again on 2026-01-31 12:00:30 UTC"}}', 30),
        ({}, "busy", 60),
    ],
)
async def test_a_rate_limit_says_when_to_come_back(
    sim: CloudinarySim,
    make: Make,
    source: Path,
    status: int,
    headers: dict[str, str],
    body: str,
    seconds: int,
) -> None:
    sim.script.failures = [Failure(UPLOAD, status=status, headers=headers, body=body)]
    store = make()
    with pytest.raises(StoreUnavailable, match="rate limit") as caught:
        await put(store, source)
    assert caught.value.retry_after == seconds
    await put(store, source)


# Faults on the way


@pytest.mark.parametrize("status", [0, 423, 500, 502, 503])
@pytest.mark.parametrize("route", [UPLOAD, DESTROY, RESOURCE, DELIVERY])
async def test_faults_that_pass(
    sim: CloudinarySim, make: Make, source: Path, route: str, status: int
) -> None:
    store = make()
    await put(store, source)
    sim.script.failures = [Failure(route, status=status, times=2, body="<html>no</html>")]
    calls: dict[str, Callable[[], Any]] = {
        UPLOAD: lambda: put(store, source),
        DESTROY: lambda: store.delete(KEY),
        RESOURCE: lambda: store.size(KEY),
        DELIVERY: lambda: read(store),
    }
    with pytest.raises(StoreUnavailable) as caught:
        await calls[route]()
    assert "html" not in str(caught.value)
    sim.script.failures = []
    await calls[route]()


async def test_a_lost_answer_does_no_harm(sim: CloudinarySim, make: Make, source: Path) -> None:
    store = make()
    sim.script.failures = [Failure(UPLOAD, status=0, after=True)]
    with pytest.raises(StoreUnavailable, match="connection broke"):
        await put(store, source)
    await put(store, source)
    assert len(sim.library.assets) == 1
    assert await read(store) == BODY


async def test_an_answer_that_is_cut(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.malformed = 1
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await put(make(), source)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"done": false, "public_id": "2026/01/31/picture", "bytes": 5}', StoreUnavailable),
        ('{"public_id": "another/picture"}', StoreUnavailable),
        ('{"error": {"message": "No"}}', StoreMisconfigured),
        ("[]", StoreUnavailable),
    ],
)
async def test_a_success_that_is_none(
    sim: CloudinarySim, make: Make, source: Path, body: str, problem: type[Problem]
) -> None:
    sim.script.failures = [Failure(UPLOAD, status=200, body=body)]
    with pytest.raises(problem):
        await put(make(), source)
    assert sim.journal.count(DESTROY) == 0


async def test_a_picture_that_is_cut(sim: CloudinarySim, make: Make, source: Path) -> None:
    store = make()
    await put(store, source)
    sim.script.breaks = 1
    got = bytearray()

    async def collect() -> None:
        async for chunk in store.open(KEY):
            got.extend(chunk)

    with pytest.raises(StoreUnavailable, match="connection broke"):
        await collect()
    assert len(got) < len(BODY)
    assert BODY.startswith(got)


async def test_an_upload_that_is_cut(make: Make, source: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(50_000)
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        store = make(upload_prefix=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(StoreUnavailable, match="connection broke"):
            await put(store, source)


async def test_nothing_listens(sim: CloudinarySim, make: Make, source: Path) -> None:
    store = make()
    await put(store, source)
    await sim.close_door()
    for call in (put(store, source), read(store), store.size(KEY), store.delete(KEY)):
        with pytest.raises(StoreUnavailable, match=r"cannot be reached|connection broke"):
            await call
    health = await store.health()
    assert not health.ok
    assert health.mend
    await sim.open_door()
    assert await read(store) == BODY


async def test_a_server_that_never_answers(sim: CloudinarySim, make: Make) -> None:
    sim.script.http_seconds = 3600
    with pytest.raises(StoreUnavailable, match="in time"):
        await make(timeout=0.05).size(KEY)


async def test_a_network_without_ranges(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.ranges = False
    store = make()
    await put(store, source)
    for start, end in [(0, 1), (CHUNK - 1, CHUNK + 1), (len(BODY) - 5, None), (0, 10**9), (10**9, None)]:
        assert await read(store, start=start, end=end) == BODY[start:end]


async def test_our_key_does_not_follow_a_redirect(sim: CloudinarySim, make: Make, source: Path) -> None:
    moved = Failure("*", status=302, times=-1, headers={"Location": f"{sim.url}/elsewhere"})
    sim.script.failures = [moved]
    store = make()
    for call in (put(store, source), read(store), store.size(KEY)):
        with pytest.raises(StoreMisconfigured, match="redirects"):
            await call
    assert all("elsewhere" not in entry.path for entry in sim.journal.entries)


async def test_problems_are_ours(sim: CloudinarySim, make: Make, source: Path) -> None:
    sim.script.failures = [
        Failure("*", status=418, times=-1, body='{"error": {"message": "x\\u0007' + SECRET + '"}}')
    ]
    with pytest.raises(Problem) as caught:
        await put(make(), source)
    assert str(caught.value) == "The store pictures refuses us (x[secret]): correct its settings."
