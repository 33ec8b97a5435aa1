"""Archives of pictures that are here, on their way, moving, damaged or gone, on a real database and disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import struct
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from ferrotype.db import assets, generations
from ferrotype.db.database import Story, T, Transaction
from ferrotype.db.schema import accounts
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain import asset as domain
from ferrotype.domain.asset import Asset, Credit
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    Gone,
    InvalidField,
    NotFound,
    NothingToDownload,
    OriginTimeout,
    Problem,
)
from ferrotype.domain.states import AssetState, GenerationState
from ferrotype.http.asgi import Message
from ferrotype.http.routes.downloads import Archive
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.provenance.settings import ProvenanceSettings
from ferrotype.imaging.provenance.xmp import embedded
from ferrotype.net.base import Incoming
from ferrotype.services.deliver import Deliver
from ferrotype.services.download_manifest import Reason
from ferrotype.services.download_picture import CHUNK, Readable, open_file
from ferrotype.services.download_stream import Download, DownloadBroken
from ferrotype.services.downloads import Downloads
from ferrotype.services.labels import Labels
from ferrotype.services.originals import Originals
from ferrotype.services.settings import DownloadSettings
from ferrotype.storage.arrivals import Arrival, Arrivals, OriginUnusable
from ferrotype.storage.disk import DiskStore
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache
from ferrotype.storage.spool import Spool
from tests.databases import migrated, open_account
from tests.imaging.imaging_pictures import scene
from tests.services.archives import contents, manifest
from tests.storage.origin import ORIGIN, FakeOrigin, content_type_of, picture

FOX = "a fox under the moon"


class Counting:
    """Opens files and counts what is open and what was read."""

    def __init__(self) -> None:
        self.open: list[Path] = []
        self.opened = 0
        self.closed = asyncio.Event()
        self.read = 0
        #: Called in a thread before each read, with the path; may raise, or shorten the file.
        self.before = lambda path: None

    def __call__(self, path: Path) -> Readable:
        file = CountedFile(self, path)
        self.open.append(path)
        self.opened += 1
        return file


class CountedFile:
    def __init__(self, counting: Counting, path: Path) -> None:
        self._counting = counting
        self._path = path
        self._file = open_file(path)

    def read(self, size: int, /) -> bytes:
        self._counting.before(self._path)
        data = self._file.read(size)
        self._counting.read += len(data)
        return data

    def seek(self, position: int, /) -> int:
        return self._file.seek(position)

    def close(self) -> None:
        self._counting.open.remove(self._path)
        self._counting.closed.set()
        self._file.close()


class Origin(FakeOrigin):
    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def fetch(self, origin: domain.Origin) -> AsyncIterator[Incoming]:
        self.asked.set()
        async with super().fetch(origin) as incoming:
            yield incoming


class World:
    """Pictures in every state that there is."""

    def __init__(self, folder: Path, database: SqliteDatabase) -> None:
        self.database = database
        self.clock = ManualClock()
        self.account_id = new_id()
        self.origin = Origin()
        self.spool = Spool(folder / "spool", 1 << 40)
        self.spool.recover()
        self.store = DiskStore(folder / "store")
        self.arrivals = Arrivals(self.spool, self.origin.fetch, content_type_of)
        self.stores = {self.store.name: self.store}
        self.cache = MemoryCache(1_000_000, 100_000)
        levels = Levels(self.cache, self.clock)
        self.deliver = Deliver(database, levels, self.spool, self.stores, self.arrivals)
        originals = Originals(database, self.spool, self.stores)
        self.labels = Labels(ProvenanceSettings(), lambda: None, database, originals, self.clock)
        self.files = Counting()
        self.downloads = self.with_settings()

    def with_settings(self, **settings: int) -> Downloads:
        return Downloads(
            self.database,
            self.deliver,
            self.spool,
            self.stores,
            self.labels,
            DownloadSettings(**settings),
            self.files,
        )

    async def generation(
        self, num_images: int = 4, status: GenerationState = GenerationState.SUCCEEDED
    ) -> str:
        made = Generation(
            id=new_id(),
            account_id=self.account_id,
            status=status,
            operation="generate",
            model="local/illustrator",
            input={"prompt": FOX, "negative_prompt": "rain", "params": {"steps": 4}},
            num_images=num_images,
            class_="light",
            credits_each=1,
            usd_each=0.0,
            created_at=self.clock.now(),
        )
        await self.database.write(lambda tx: generations.add(tx, made))
        return made.id

    async def asset(self, body: bytes | None = None, **facts: Any) -> str:
        """A row in the database; with a `body` it is ready, though its bytes are nowhere yet."""
        known: dict[str, Any] = {"state": AssetState.ARRIVING, "origin": ORIGIN}
        if body is not None:
            known = {
                "state": AssetState.READY,
                "bytes": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
                "content_type": content_type_of(body) or "image/webp",
                "width": 64,
                "height": 48,
            }
        known |= {"id": new_id(), "account_id": self.account_id, "created_at": self.clock.now(), **facts}
        asset = Asset(**known)
        await self.database.write(lambda tx: assets.add(tx, asset))
        return asset.id

    async def spooled(self, body: bytes, **facts: Any) -> str:
        asset_id = await self.asset(body, **facts)
        await self.spool.write(asset_id, body)
        return asset_id

    async def stored(self, body: bytes, **facts: Any) -> str:
        asset_id = await self.spooled(body, **facts)
        await self.move(asset_id, hashlib.sha256(body).hexdigest())
        return asset_id

    async def move(self, asset_id: str, sha256: str) -> None:
        """From the spool to the store, as its job does it."""
        path, key = self.spool.path(asset_id), f"2026/01/{asset_id}"
        assert path is not None
        await self.store.put(key, path, content_type="image/png", sha256=sha256)
        now = self.clock.now()
        await self.database.write(lambda tx: assets.add_copy(tx, asset_id, self.store.name, key, now))
        await self.spool.remove(asset_id)

    async def arrival(self, asset_id: str) -> Arrival:
        """The one of that asset, which somebody is about to start."""
        await self.origin.asked.wait()
        arrival = self.arrivals.get(asset_id)
        assert arrival is not None
        return arrival

    def file_of(self, asset_id: str) -> Path:
        path = self.store.local_path(f"2026/01/{asset_id}")
        assert path is not None
        return path

    async def of(self, *ids: str, name: str | None = None) -> Download:
        return await self.downloads.of_assets(ids, self.account_id, name)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    await migrated(tmp_path / "test.db")
    database = SqliteDatabase(tmp_path / "test.db")
    made = World(tmp_path, database)
    await open_account(database, made.account_id, made.clock.now())
    yield made
    assert made.files.open == [], "a file stayed open"
    await made.arrivals.close()
    made.spool.close()
    await database.close()


async def whole(download: Download) -> bytes:
    """All of it; when a length was announced, exactly that."""
    async with aclosing(download.chunks()) as chunks:
        archive = b"".join([chunk async for chunk in chunks])
    if download.length is not None:
        assert len(archive) == download.length
    return archive


def reasons(archive: bytes) -> list[tuple[str | None, str]]:
    return [(lost["asset_id"], lost["reason"]) for lost in manifest(archive)["left_out"]]


async def test_an_archive_of_a_generation(world: World) -> None:
    generation_id = await world.generation()
    credit = Credit(artwork="fox", author="ada", license="CC BY-SA 4.0", url="https://a.test")
    bodies = [picture(1000 + index) for index in range(4)]
    ids = [
        await (world.spooled if index % 2 else world.stored)(
            body, generation_id=generation_id, index=index, seed=7 + index, credit=credit, source_type="t"
        )
        for index, body in enumerate(bodies)
    ]
    download = await world.downloads.of_generation(generation_id, world.account_id)
    assert download.name == f"a-fox-under-the-moon-{generation_id[-8:]}.zip"
    assert download.length is not None
    archive = await whole(download)
    files = contents(archive)
    names = [f"{index:02d}-a-fox-under-the-moon.png" for index in range(4)]
    assert files == {**dict(zip(names, bodies, strict=True)), "manifest.json": files["manifest.json"]}
    told = manifest(archive)
    assert (told["object"], told["version"], told["left_out"]) == ("download", 1, [])
    assert told["pictures"][2] == {
        "file": names[2],
        "asset_id": ids[2],
        "generation_id": generation_id,
        "index": 2,
        "prompt": FOX,
        "negative_prompt": "rain",
        "model": "local/illustrator",
        "operation": "generate",
        "seed": 9,
        "input": {"prompt": FOX, "negative_prompt": "rain", "params": {"steps": 4}},
        "width": 64,
        "height": 48,
        "content_type": "image/png",
        "bytes": 1002,
        "sha256": hashlib.sha256(bodies[2]).hexdigest(),
        "original": {"bytes": 1002, "sha256": hashlib.sha256(bodies[2]).hexdigest()},
        "source_type": "t",
        "credit": credit.model_dump(),
        "created_at": "2026-01-01T00:00:00.000Z",
    }


async def test_the_same_pictures_are_the_same_archive_byte_for_byte(world: World) -> None:
    generation_id = await world.generation(num_images=1)
    one = await world.spooled(picture(3000), generation_id=generation_id, index=0)
    two = await world.stored(picture(4000))
    first = await whole(await world.of(one, two))
    world.clock.advance(3600)
    await world.move(one, hashlib.sha256(picture(3000)).hexdigest())
    assert await whole(await world.of(one, two)) == first
    other_order = await whole(await world.of(two, one))
    assert contents(other_order).keys() == contents(first).keys()


async def test_uploads_have_their_id_for_a_name_and_nothing_to_tell_of_their_making(world: World) -> None:
    one = await world.stored(picture(500))
    archive = await whole(await world.of(one, name="Mine"))
    assert list(contents(archive)) == [f"{one}.png", "manifest.json"]
    (told,) = manifest(archive)["pictures"]
    unknown = ("generation_id", "index", "prompt", "negative_prompt", "model", "operation", "seed", "input")
    assert {told[field] for field in unknown} == {None}
    assert (await world.of(one, name="Mine")).name == "Mine.zip"
    assert (await world.of(one)).name == "pictures.zip"


async def test_a_repeated_id_comes_once(world: World) -> None:
    one, two = await world.stored(picture(500)), await world.stored(picture(600))
    archive = await whole(await world.of(one, two, one, one))
    assert list(contents(archive)) == [f"{one}.png", f"{two}.png", "manifest.json"]


async def test_a_picture_that_arrives_is_waited_for(world: World) -> None:
    here = await world.stored(picture(500))
    generation_id = await world.generation(num_images=1)
    coming = await world.asset(generation_id=generation_id, index=0)
    body = picture(70_000)
    download = await world.of(coming, here)
    assert download.length is None, "nobody knows it yet"
    reading = asyncio.create_task(whole(download))
    world.origin.feed(body[:20_000])
    await (await world.arrival(coming)).head()
    assert not reading.done()
    world.origin.feed(body[20_000:])
    world.origin.end()
    archive = await reading
    name = "00-a-fox-under-the-moon.png"
    assert contents(archive)[name] == body
    told, other = manifest(archive)["pictures"]
    assert (told["bytes"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert (told["file"], told["content_type"], told["width"]) == (name, "image/png", None)
    assert (other["asset_id"], other["width"]) == (here, 64)
    assert world.origin.fetches == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OriginTimeout("It took too long."), "unreachable"),
        (OriginUnusable("It is no picture."), "failed"),
        (RuntimeError("boom"), "unreachable"),
    ],
)
async def test_a_picture_that_breaks_off_on_its_way_is_left_out(
    world: World, error: Exception, reason: str
) -> None:
    coming, here = await world.asset(), await world.stored(picture(500))
    world.origin.feed(picture(50_000))
    world.origin.fail(error)
    archive = await whole(await world.of(coming, here))
    assert list(contents(archive)) == [f"{here}.png", "manifest.json"]
    assert reasons(archive) == [(coming, reason)]
    (lost,) = manifest(archive)["left_out"]
    assert "boom" not in lost["detail"]
    if isinstance(error, Problem):
        assert lost["detail"] == error.detail


async def test_what_cannot_be_had_is_left_out_and_told(world: World) -> None:
    generation_id = await world.generation(num_images=6)
    of = {"generation_id": generation_id}
    body = picture(5000)
    good = await world.stored(body, **of, index=0)
    failed = await world.asset(**of, index=1, state=AssetState.FAILED)
    deleted = await world.stored(body, **of, index=2, deleted_at=world.clock.now())
    damaged = await world.stored(body, **of, index=3)
    os.truncate(world.file_of(damaged), 4000)
    missing = await world.stored(body, **of, index=4)
    world.file_of(missing).unlink()
    download = await world.downloads.of_generation(generation_id, world.account_id)
    assert download.length is None
    archive = await whole(download)
    assert list(contents(archive)) == ["00-a-fox-under-the-moon.png", "manifest.json"]
    assert reasons(archive) == [
        (failed, "failed"),
        (deleted, "deleted"),
        (damaged, "damaged"),
        (None, "not_made"),
        (missing, "missing"),
    ]
    told = manifest(archive)
    assert [picture["asset_id"] for picture in told["pictures"]] == [good]
    (not_made,) = [lost for lost in told["left_out"] if lost["reason"] == "not_made"]
    assert (not_made["generation_id"], not_made["index"]) == (generation_id, 5)


async def test_a_picture_whose_file_is_lost_is_fetched_again_where_its_provider_has_it(world: World) -> None:
    body = picture(5000)
    one = await world.stored(body, origin=ORIGIN)
    world.file_of(one).unlink()
    world.origin.serve(body)
    archive = await whole(await world.of(one))
    assert contents(archive)[f"{one}.png"] == body
    assert reasons(archive) == []


async def test_a_picture_that_moves_to_its_store_meanwhile(world: World) -> None:
    body = picture(5000)
    one = await world.spooled(body)
    download = await world.of(one)
    await world.move(one, hashlib.sha256(body).hexdigest())
    assert contents(await whole(download))[f"{one}.png"] == body


async def test_a_picture_that_moves_while_it_is_looked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = picture(5000)
    one = await world.spooled(body)
    read = world.database.read

    async def read_then_move(story: Story[T]) -> T:
        found = await read(story)
        if world.spool.path(one) is not None:
            await world.move(one, hashlib.sha256(body).hexdigest())
        return found

    monkeypatch.setattr(world.database, "read", read_then_move)
    download = await world.of(one)
    assert download.length is not None
    assert contents(await whole(download))[f"{one}.png"] == body


async def test_a_picture_that_moves_after_its_header_was_sent(world: World) -> None:
    body = picture(3 * CHUNK)
    one = await world.spooled(body)
    download = await world.of(one)
    async with aclosing(download.chunks()) as chunks:
        archive = await anext(chunks)
        await world.move(one, hashlib.sha256(body).hexdigest())
        archive += b"".join([chunk async for chunk in chunks])
    assert contents(archive)[f"{one}.png"] == body


async def cut(download: Download) -> bytes:
    """What a client gets of an archive that breaks."""
    got = b""

    async def receive() -> None:
        nonlocal got
        async with aclosing(download.chunks()) as chunks:
            async for chunk in chunks:
                got += chunk

    with pytest.raises(DownloadBroken):
        await receive()
    assert b"PK\5\6" not in got, "nobody may take it for a whole archive"
    return got


async def test_a_picture_that_goes_after_its_length_was_announced_breaks_the_archive(world: World) -> None:
    here, lost = await world.stored(picture(500)), await world.stored(picture(600))
    download = await world.of(here, lost)
    assert download.length is not None
    world.file_of(lost).unlink()
    assert here.encode() in await cut(download)
    archive = await whole(await world.of(here, lost))
    assert reasons(archive) == [(lost, "missing")], "the next one tells"


async def test_a_picture_that_is_deleted_after_its_length_was_announced_breaks_the_archive(
    world: World,
) -> None:
    one = await world.spooled(picture(500))
    download = await world.of(one)
    await world.spool.remove(one)
    await world.database.write(lambda tx: assets.learn(tx, one, deleted_at=world.clock.now()))
    await cut(download)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_picture_that_is_damaged_by_the_time_of_its_turn(world: World, announced: bool) -> None:
    one = await world.stored(picture(500))
    download = await world.of(one)
    if not announced:
        download.length = None
    os.truncate(world.file_of(one), 400)
    if announced:
        await cut(download)
    else:
        assert reasons(await whole(download)) == [(one, "damaged")]


@pytest.mark.parametrize("fault", ["shorter", "unreadable"])
async def test_a_picture_that_breaks_off_in_its_middle_breaks_the_archive(world: World, fault: str) -> None:
    body = picture(5 * CHUNK)
    one = await world.stored(body)
    file = world.file_of(one)
    download = await world.of(one)

    def break_off(_path: Path) -> None:
        if world.files.read >= len(body) + 2 * CHUNK:
            if fault == "unreadable":
                raise OSError(5, "Input/output error")
            os.truncate(file, CHUNK)

    world.files.before = break_off
    got = await cut(download)
    assert 2 * CHUNK <= len(got) < len(body)


async def test_a_picture_that_cannot_be_read_is_left_out_while_it_can_be(world: World) -> None:
    bad, coming = await world.stored(picture(5000)), await world.asset()
    world.origin.serve(picture(300))
    download = await world.of(bad, coming)

    def unreadable(path: Path) -> None:
        if path.name == bad:
            raise OSError(5, "Input/output error")

    world.files.before = unreadable
    assert reasons(await whole(download)) == [(bad, "damaged")]


async def test_ids_that_cannot_be_had_are_refused_before_anything_is_sent(world: World) -> None:
    good = await world.stored(picture(100))
    gone = await world.stored(picture(100), deleted_at=world.clock.now())
    stranger = new_id()

    def account(tx: Transaction) -> None:
        row = {"id": stranger, "name": "eve", "available": 0, "created_at": world.clock.now()}
        tx.execute(insert(accounts).values(**row))

    await world.database.write(account)
    foreign = await world.stored(picture(100), account_id=stranger)
    for wrong, problem in (
        (new_id(), NotFound),
        ("../../etc/passwd", NotFound),
        ("x" * 10_000, NotFound),
        (foreign, NotFound),
        (gone, Gone),
    ):
        with pytest.raises(problem) as raised:
            await world.of(good, good, good, wrong, good)
        assert raised.value.field == "ids[3]"
        assert len(raised.value.detail) < 200
    assert world.files.opened == 0
    assert contents(await whole(await world.downloads.of_assets([foreign], stranger)))


async def test_a_generation_of_somebody_else_or_of_nobody(world: World) -> None:
    generation_id = await world.generation()
    for of in ((generation_id, new_id()), (new_id(), world.account_id)):
        with pytest.raises(NotFound):
            await world.downloads.of_generation(*of)


@pytest.mark.parametrize(
    ("status", "retry_after", "words"),
    [
        (GenerationState.RUNNING, 1, "yet"),
        (GenerationState.FAILED, None, "not made"),
        (GenerationState.CANCELED, None, "not made"),
    ],
)
async def test_a_generation_without_pictures(
    world: World, status: GenerationState, retry_after: float | None, words: str
) -> None:
    generation_id = await world.generation(num_images=1, status=status)
    with pytest.raises(NothingToDownload, match=words) as raised:
        await world.downloads.of_generation(generation_id, world.account_id)
    assert (raised.value.status, raised.value.retry_after) == (409, retry_after)


async def test_assets_none_of_which_ever_came(world: World) -> None:
    failed = await world.asset(state=AssetState.FAILED)
    with pytest.raises(NothingToDownload, match="never came"):
        await world.of(failed)


async def test_a_running_generation_gives_what_it_has(world: World) -> None:
    generation_id = await world.generation(num_images=3, status=GenerationState.RUNNING)
    await world.stored(picture(100), generation_id=generation_id, index=1)
    archive = await whole(await world.downloads.of_generation(generation_id, world.account_id))
    told = manifest(archive)
    assert [lost["index"] for lost in told["left_out"]] == [0, 2]
    assert {lost["detail"] for lost in told["left_out"]} == {"It has not been made yet."}


async def test_limits_are_named(world: World) -> None:
    ids = [await world.stored(picture(1000)) for _ in range(4)]
    few = world.with_settings(max_download_assets=3)
    with pytest.raises(InvalidField) as raised:
        await few.of_assets(ids, world.account_id)
    assert (raised.value.field, raised.value.limit) == ("ids", 3)
    assert await few.of_assets(ids[:3], world.account_id)
    with pytest.raises(InvalidField) as raised:
        await world.of()
    assert raised.value.field == "ids"
    small = world.with_settings(max_download_bytes=3999)
    with pytest.raises(InvalidField) as raised:
        await small.of_assets(ids, world.account_id)
    assert (raised.value.field, raised.value.limit) == ("ids", 3999)
    exact = world.with_settings(max_download_bytes=4000)
    assert len(contents(await whole(await exact.of_assets(ids, world.account_id)))) == 5


async def test_bytes_that_nobody_knew_of_are_limited_as_they_come(world: World) -> None:
    coming, here = await world.asset(), await world.stored(picture(1000))
    world.origin.serve(picture(3001))
    small = world.with_settings(max_download_bytes=4000)
    archive = await whole(await small.of_assets([coming, here], world.account_id))
    assert reasons(archive) == [(here, "too_large")]


async def test_large_pictures_come_in_pieces_and_one_piece_is_in_memory(world: World) -> None:
    """Holes of 16 MB, so that neither the disk nor the time is needed that they pretend to need."""
    size, count = 16 * 1024 * 1024, 12
    ids = []
    for _ in range(count):
        asset_id = await world.stored(picture(10))
        os.truncate(world.file_of(asset_id), size)
        await world.database.write(
            lambda tx, id=asset_id: assets.learn(tx, id, bytes=size)  # type: ignore[misc]
        )
        ids.append(asset_id)
    download = await world.of(*ids)
    assert download.length is not None
    assert world.files.opened == 0, "a file is opened when its turn comes"
    sent, largest, ahead = 0, 0, 0
    tracemalloc.start()
    try:
        async with aclosing(download.chunks()) as chunks:
            async for chunk in chunks:
                sent += len(chunk)
                largest = max(largest, len(chunk))
                # Each picture is read twice: for what stands in front of it, and to be sent.
                looked = world.files.opened * size
                ahead = max(ahead, world.files.read - looked - sent)
                assert len(world.files.open) <= 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent == download.length
    assert largest <= CHUNK
    assert ahead <= 0, "nothing is read before it is asked for"
    assert peak < 8 * CHUNK


def sparse_png(file: Path, size: int) -> None:
    """A PNG of that many bytes, nearly all of them a hole."""
    head, end = scene(8, 8).pngsave_buffer(keep="none")[:33], struct.pack(">I4sI", 0, b"IEND", 0xAE426082)
    rest = size - len(head) - len(end) - 12
    with file.open("wb") as out:
        out.write(head + struct.pack(">I4s", rest, b"IDAT"))
        out.seek(size - len(end))
        out.write(end)


async def test_what_is_written_into_large_pictures_comes_in_on_the_way(world: World) -> None:
    size, said = 16 * 1024 * 1024, packet("trainedAlgorithmicMedia")
    assert said is not None
    ids = []
    for _ in range(3):
        asset_id = await world.stored(picture(10), source_type="trainedAlgorithmicMedia")
        sparse_png(world.file_of(asset_id), size)
        await world.database.write(
            lambda tx, id=asset_id: assets.learn(tx, id, bytes=size)  # type: ignore[misc]
        )
        ids.append(asset_id)
    download = await world.of(*ids)
    assert download.length is not None
    assert world.files.opened == 0, "its length is known from a few bytes of each"
    found, sent = 0, 0
    tracemalloc.start()
    try:
        async with aclosing(download.chunks()) as chunks:
            async for chunk in chunks:
                found, sent = found + chunk.count(said), sent + len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found, sent) == (3, download.length)
    assert peak < 8 * CHUNK


@pytest.mark.parametrize("here", [True, False])
async def test_a_labelled_picture_is_told_as_it_is_in_the_archive(world: World, here: bool) -> None:
    body = scene(64, 48).pngsave_buffer()
    said = packet("trainedAlgorithmicMedia")
    if here:
        one = await world.stored(body, source_type="trainedAlgorithmicMedia")
    else:
        one = await world.asset(source_type="trainedAlgorithmicMedia")
        world.origin.serve(body)
    download = await world.of(one)
    assert (download.length is not None) is here
    archive = await whole(download)
    packed = contents(archive)[f"{one}.png"]
    assert packed == embedded(body, said) != body
    (told,) = manifest(archive)["pictures"]
    assert (told["bytes"], told["sha256"]) == (len(packed), hashlib.sha256(packed).hexdigest())
    assert told["original"] == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert await whole(await world.of(one)) == archive


async def test_a_picture_that_moves_while_it_is_measured(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = scene(64, 48).pngsave_buffer()
    one = await world.spooled(body, source_type="trainedAlgorithmicMedia")
    measure = Download.measure

    async def move_then_measure(download: Download) -> None:
        if world.spool.path(one) is not None:
            await world.move(one, hashlib.sha256(body).hexdigest())
        await measure(download)

    monkeypatch.setattr(Download, "measure", move_then_measure)
    download = await world.of(one)
    assert download.length is not None
    assert contents(await whole(download))[f"{one}.png"].startswith(body[:33])


async def test_the_memory_cache_is_left_alone(world: World) -> None:
    ids = [await world.stored(picture(1000)) for _ in range(5)]
    await whole(await world.of(*ids))
    assert world.cache.stats().entries == 0


@pytest.mark.parametrize("pieces", [0, 1, 2])
async def test_a_client_that_goes_away_ends_the_work(world: World, pieces: int) -> None:
    ids = [await world.stored(picture(4 * CHUNK)) for _ in range(3)]
    chunks = (await world.of(*ids)).chunks()
    for _ in range(pieces):
        await anext(chunks)
    await chunks.aclose()
    assert world.files.open == []
    assert world.files.opened <= 1


async def test_a_client_that_goes_away_while_a_file_is_read(world: World) -> None:
    one = await world.stored(picture(4 * CHUNK))
    loop, reading, go_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def slow(_path: Path) -> None:
        loop.call_soon_threadsafe(reading.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

    world.files.before = slow
    client = asyncio.create_task(whole(await world.of(one)))
    await reading.wait()
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    assert len(world.files.open) == 1, "it is not closed under the thread that reads it"
    go_on.set()
    await world.files.closed.wait()


async def test_a_client_that_goes_away_while_a_picture_arrives(world: World) -> None:
    coming = await world.asset()
    client = asyncio.create_task(whole(await world.of(coming)))
    world.origin.feed(picture(5000))
    arrival = await world.arrival(coming)
    await arrival.head()
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    world.origin.end()
    assert (await arrival.finished()).bytes == 5000, "others may want it"


@pytest.mark.parametrize("head", [True, False])
async def test_an_answer_to_head_reads_no_picture(world: World, head: bool) -> None:
    download = await world.of(await world.stored(picture(500)))
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await Archive(download, head=head).stream_response(send)
    start, *bodies = messages
    assert (b"content-length", b"%d" % (download.length or 0)) in start["headers"]
    assert sum(len(message["body"]) for message in bodies) == (0 if head else download.length)
    assert [message["more_body"] for message in bodies[-2:]] == ([False] if head else [True, False])
    assert world.files.opened == (0 if head else 1)


def test_every_reason_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "API.md"
    section = page.read_text(encoding="utf-8").split("## Downloading pictures")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [reason.value for reason in Reason]


async def test_checksums_are_those_of_the_bytes(world: World) -> None:
    body = os.urandom(3 * CHUNK + 17)
    one = await world.stored(body, content_type="image/webp")
    archive = await whole(await world.of(one))
    at = archive.index(f"{one}.webp".encode())
    assert int.from_bytes(archive[at - 16 : at - 12], "little") == zlib.crc32(body)
    assert contents(archive)[f"{one}.webp"] == body
