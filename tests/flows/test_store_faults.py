"""Stores that are away or break off, and a server that is killed: every picture is stored, and once."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pyvips
from sqlalchemy import select

from ferrotype.db.schema import copies
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.sim.comfyui import ComfySim, Script
from tests.flows.commands import Serve, serving
from tests.flows.harness import running
from tests.flows.test_kill import assets, check_books, end, order
from tests.flows.test_stores import environ
from tests.storage.conftest import s3_server, seaweed_server
from tests.storage.seaweed import BUCKET, UNFINISHED, Seaweed
from tests.storage.wire import Request, Wire

__all__ = ["s3_server", "seaweed_server"]

PATIENCE = 100.0  # seconds until what should come about fails the test
MOST = 8 * 2**20  # room that an order needs in the spool, in bytes

#: The SHA-256 of a picture by the id of its asset.
Pictures = dict[str, str]


def settings(seaweed: Seaweed, wire: Wire, **more: str) -> dict[str, str]:
    """Primary is the bucket, behind the wire; the data folder has a mirror. Retries come every five seconds
    or so, as the store's problem asks. What is served are the very bytes that are stored."""
    return environ(
        seaweed,
        FERROTYPE_S3_ENDPOINT=wire.url,
        FERROTYPE_STORES="s3,disk",
        FERROTYPE_RETRY_CAP_SECONDS="1",
        FERROTYPE_LOG_LEVEL="error",
        FERROTYPE_KEEP_WORKFLOWS="true",
        **more,
    )


async def draw(http: aiohttp.ClientSession, base: str, seed: int) -> str:
    """Order a picture, answered with it; the id of its asset."""
    body = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": seed}
    async with http.post(f"{base}/v1/generations", json=body) as reply:
        generation = await reply.json()
        assert (reply.status, generation["status"]) == (201, "succeeded"), generation
    (asset,) = generation["output"]
    return str(asset["id"])


def noise(seed: int, width: int, height: int) -> bytes:
    """A PNG of about three bytes per pixel."""
    bands = [
        pyvips.Image.gaussnoise(width, height, sigma=60, mean=128, seed=seed + band) for band in range(3)
    ]
    picture = bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb")
    return bytes(picture.pngsave_buffer(compression=0))


async def upload(http: aiohttp.ClientSession, base: str, picture: bytes) -> str:
    async with http.post(f"{base}/v1/assets", data=picture) as reply:
        assert reply.status == 201, await reply.text()
        return str((await reply.json())["id"])


async def load(http: aiohttp.ClientSession, base: str, asset_id: str) -> str:
    """The hash of what is served."""
    async with http.get(f"{base}/images/{asset_id}") as reply:
        assert reply.status == 200, asset_id
        return hashlib.sha256(await reply.read()).hexdigest()


async def load_all(http: aiohttp.ClientSession, base: str, ids: list[str]) -> Pictures:
    return dict(zip(ids, await asyncio.gather(*(load(http, base, each) for each in ids)), strict=True))


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not await fact():
        assert time.monotonic() < deadline, f"never: {fact.__name__}"
        await asyncio.sleep(0.05)


def spooled(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "data" / "spool").iterdir())


def in_folder(folder: Path) -> dict[str, str]:
    """The hash of every file of the mirror, by its path."""
    root = folder / "data" / "assets"
    found = (each for each in root.rglob("*") if each.is_file())
    return {str(each.relative_to(root)): hashlib.sha256(each.read_bytes()).hexdigest() for each in found}


async def in_bucket(seaweed: Seaweed) -> dict[str, str]:
    """The hash of every object, by its key. A look at the health that was killed may leave one of its own."""
    files = await seaweed.files()
    return {key: sha256 for key, sha256 in files.items() if not key.startswith((UNFINISHED, "health/"))}


def asset_of(key: str) -> str:
    return key.rpartition("/")[2].rpartition("-")[0]


async def rest(folder: Path, pictures: Mapping[str, str]) -> None:
    """Return when nothing waits in the spool, and the mirror has all pictures."""

    async def nothing_waits() -> bool:
        return not spooled(folder) and len(in_folder(folder)) >= len(pictures)

    await until(nothing_waits)


async def check_places(seaweed: Seaweed, folder: Path, pictures: Mapping[str, str]) -> None:
    """Both stores have each picture under one key, with the right bytes, and nothing else; the books say
    so, and nothing more."""
    for found in (await in_bucket(seaweed), in_folder(folder)):
        assert len(found) == len(pictures)
        assert {asset_of(key): sha256 for key, sha256 in found.items()} == pictures
    database = SqliteDatabase(folder / "data" / "ferrotype.db")
    rows = await database.read(lambda tx: tx.execute(select(copies.c.asset_id, copies.c.store)).all())
    await database.close()
    assert Counter(map(tuple, rows)) == Counter(
        (each, store) for each in pictures for store in ("s3", "disk")
    )


async def check_end(server: Serve) -> None:
    """It stops as it should, and had nothing to complain about."""
    ran = await server.stop()
    assert ran.code == 0
    check_words(ran.err)


def check_words(told: str) -> None:
    """Nothing broke. A placeholder is given up after five starts that all were killed: that may be said."""
    assert all('"kind": "enrich"' in line and "given up" in line for line in told.splitlines()), told


@pytest.mark.slow
async def test_a_store_that_is_away_for_the_whole_run(tmp_path: Path, s3_server: Seaweed) -> None:
    async with Wire(s3_server.port) as wire:
        async with serving(tmp_path, **settings(s3_server, wire)) as (server, http):
            ids = list(await asyncio.gather(*(draw(http, server.base, seed) for seed in range(6))))
            ids += [await upload(http, server.base, noise(seed, 200, 200)) for seed in range(3)]
            pictures = await load_all(http, server.base, ids)
            async with http.get(f"{server.base}/readyz") as reply:
                said = await reply.json()
            assert (reply.status, said["checks"]["store:s3"]["ok"]) == (200, False)
            await server.stop(signal.SIGKILL)
            await server.up(http)
            assert await load_all(http, server.base, ids) == pictures  # nothing is in memory any more
            ids.append(await draw(http, server.base, 99))
            pictures |= await load_all(http, server.base, ids[-1:])
            assert spooled(tmp_path) == sorted(ids)
            assert await in_bucket(s3_server) == {}
            await wire.up()
            await rest(tmp_path, pictures)
            assert await load_all(http, server.base, ids) == pictures
            async with http.get(f"{server.base}/v1/assets/{ids[0]}") as reply:
                assert (await reply.json())["stored"] is True
            await check_end(server)
        await check_places(s3_server, tmp_path, pictures)
        assert_sent_once(wire)


class EverySecond:
    """Of every second object the first two uploads break in the middle, so that a second try at once breaks
    too; of an upload in parts one part does."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def __call__(self, request: Request) -> int | None:
        if request.method != "PUT" or "/health/" in request.path:
            return None
        left = self._left.setdefault(request.path, 2 * (len(self._left) % 2))
        if left == 0:
            return None
        self._left[request.path] -= 1
        return request.size // 2


@pytest.mark.slow
async def test_half_of_the_uploads_break_in_the_middle(tmp_path: Path, s3_server: Seaweed) -> None:
    unfinished = {key for key in await s3_server.files() if key.startswith(UNFINISHED)}
    async with Wire(s3_server.port, EverySecond()) as wire:
        await wire.up()
        async with serving(tmp_path, **settings(s3_server, wire)) as (server, http):
            ids = [await upload(http, server.base, noise(seed, 300, 300)) for seed in range(12)]
            ids += [await upload(http, server.base, noise(seed, 2000, 1500)) for seed in range(4)]  # 9 MB
            pictures = await load_all(http, server.base, ids)

            async def nothing_waits() -> bool:
                for key, sha256 in (await in_bucket(s3_server)).items():
                    assert pictures[asset_of(key)] == sha256, "a part is taken for the whole"
                return not spooled(tmp_path) and len(in_folder(tmp_path)) == len(pictures)

            await until(nothing_waits)
            assert await load_all(http, server.base, ids) == pictures
            await check_end(server)
        await check_places(s3_server, tmp_path, pictures)
        broken = {each.path for each in wire.requests if each.method == "PUT" and each.came < each.size}
        assert len(broken) == len(ids) // 2
        assert {key for key in await s3_server.files() if key.startswith(UNFINISHED)} == unfinished


def assert_sent_once(wire: Wire, kills: int = 0) -> None:
    """What the service once said that it has was never sent again; an upload was repeated only where a kill
    broke the one before."""
    by_path: dict[str, list[Request]] = {}
    for each in wire.requests:
        if f"/{BUCKET}/health/" not in each.path:
            by_path.setdefault(each.path, []).append(each)
    repeated = 0
    for path, requests in by_path.items():
        puts = [each for each in requests if each.method == "PUT"]
        there = min((each.ended for each in requests if each.well and each.ended is not None), default=None)
        assert there is not None, path
        assert all(each.began < there for each in puts), path
        assert sum(each.status is None for each in puts) >= len(puts) - 1, path
        repeated += len(puts) - 1
    # Eight are on their way at once.
    assert repeated <= 8 * kills


PER_ROUND = 5
#: The moments that the storing of a round's pictures has on the wire at least: of a look and an upload each.
MOMENTS = 5 * PER_ROUND


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kills", [pytest.param(5, marks=pytest.mark.slow), pytest.param(30, marks=pytest.mark.soak)]
)
async def test_killed_at_any_moment(tmp_path: Path, s3_server: Seaweed, kills: int) -> None:
    dice = random.Random(kills)
    async with (
        Wire(s3_server.port) as wire,
        ComfySim(Script(workers=4, steps=1)) as sim,
        serving(tmp_path, **settings(s3_server, wire, COMFYUI_URL=sim.url, FERROTYPE_MAX_STARTS="100")) as (
            server,
            http,
        ),
    ):
        await wire.up()
        ids: list[str] = []

        def strike() -> None:
            server.signal(signal.SIGKILL)
            if wire_breaks:  # as if the machine had lost its power
                wire.sever()

        for _ in range(kills):
            wanted = len(ids)
            wire_breaks, moment = dice.random() < 0.7, wire.moments + dice.randrange(1, MOMENTS)
            numbers = range(wanted, wanted + PER_ROUND)
            ids += await asyncio.gather(*(order(http, server.base, number) for number in numbers))
            if dice.random() < 0.7:
                await wire.at(moment, strike)
            else:
                await sim.journal.wait("GET /view", wanted + dice.randrange(1, PER_ROUND))
                strike()
            check_words((await server.ended()).err)
            await server.up(http)
        ended = await asyncio.gather(*(end(http, server.base, id) for id in ids))
        assert {generation["status"] for generation in ended} == {"succeeded"}
        made = await everything_stored(http, server.base, ids)
        pictures = await load_all(http, server.base, [asset["id"] for asset in made])
        await rest(tmp_path, pictures)
        assert {asset["id"]: asset["sha256"] for asset in made} == pictures
        await check_end(server)
        paid = [entry.prompt_id for entry in sim.journal.entries if entry.route == "POST /prompt"]
        assert len(paid) == len(set(paid)) == len(ids)
        await check_places(s3_server, tmp_path, pictures)
        await check_books(tmp_path / "data", len(ids))
        assert_sent_once(wire, kills)
        broken = [each for each in wire.requests if each.method == "PUT" and each.status is None]
        assert any(each.came < each.size for each in broken), "no kill came in the middle of an upload"


async def everything_stored(http: aiohttp.ClientSession, base: str, ids: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def stored() -> bool:
        found[:] = await assets(http, base, ids)
        return all(asset["stored"] for asset in found)

    await until(stored)
    assert len(found) == len(ids)
    return found


@pytest.mark.slow
async def test_a_full_spool_refuses_until_the_store_is_back(tmp_path: Path, s3_server: Seaweed) -> None:
    """Bounded, also after a kill; what was accepted is served all the time."""
    async with Wire(s3_server.port) as wire:
        bound = {"FERROTYPE_SPOOL_MAX_BYTES": str(MOST + 500_000)}
        async with serving(tmp_path, **settings(s3_server, wire, **bound)) as (server, http):
            body = {"prompt": "a fox", "width": 256, "height": 256}
            ids = [await upload(http, server.base, noise(seed, 300, 300)) for seed in range(2)]
            pictures = await load_all(http, server.base, ids)
            for restart in (True, False):
                async with http.post(f"{server.base}/v1/generations", json=body) as reply:
                    problem = await reply.json(content_type=None)
                assert (reply.status, problem["code"]) == (503, "overloaded")
                assert "spool is full" in problem["detail"]
                assert int(reply.headers["Retry-After"]) > 0
                async with http.get(f"{server.base}/v1/generations") as reply:
                    assert (await reply.json())["data"] == []
                assert await load_all(http, server.base, ids) == pictures
                if restart:
                    await server.stop(signal.SIGKILL)
                    await server.up(http)
            await wire.up()
            await rest(tmp_path, pictures)
            ids.append(await draw(http, server.base, 7))
            pictures |= await load_all(http, server.base, ids[-1:])
            await rest(tmp_path, pictures)
            await check_end(server)
        await check_places(s3_server, tmp_path, pictures)


async def test_a_disk_that_is_nearly_full_refuses_new_work(tmp_path: Path) -> None:
    wishes = {"prompt": "a fox", "width": 256, "height": 256}
    async with running(tmp_path / "data") as client:
        (asset,) = (await client.order(**wishes)).json["output"]
        picture = (await client.get(asset["url"])).body
    async with running(tmp_path / "data", FERROTYPE_MIN_FREE_DISK_BYTES=str(2**60)) as client:
        rows = await client.rows()
        new = noise(1, 64, 64)
        for reply in (await client.order(**wishes), await client.request("POST", "/v1/assets", data=new)):
            assert (reply.status, reply.json["code"]) == (503, "overloaded")
            assert "disk is nearly full" in reply.json["detail"]
            assert int(reply.headers["Retry-After"]) > 0
        assert await client.rows() == rows
        assert spooled(tmp_path) == []
        ready = await client.get("/readyz")
        assert (ready.status, ready.json["checks"]["disk"]["ok"]) == (503, False)
        assert (await client.get(f"/images/{asset['id']}")).body == picture
