"""`ferrotype assets import`: every picture becomes an asset once, with its bytes, its date and its name."""

from __future__ import annotations

import asyncio
import base64
import csv
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import obstore
import pytest
from aiohttp import FormData, web
from redis.asyncio import Redis
from sqlalchemy import select

from ferrotype.app.beside import Beside
from ferrotype.db.imports import find, of_asset
from ferrotype.db.schema import assets as assets_table
from ferrotype.domain.asset import Visibility
from ferrotype.net.http import Http
from ferrotype.services.import_pictures import Landed, Outcome, Wanted
from ferrotype.sim.cloudinary import CloudinaryScript, CloudinarySim
from ferrotype.storage.collections.base import Collection
from ferrotype.storage.collections.opened import Opener
from ferrotype.storage.collections.rows import Fields
from tests.assets.conftest import Say
from tests.assets.stock import Looking, Stock, bytes_of, copy_rows, job_rows, png
from tests.assets.test_migrate import s3_stock
from tests.flows.commands import Command, ferrotype
from tests.flows.harness import running
from tests.storage import valkey
from tests.storage.valkey import Valkey


@asynccontextmanager
async def opened(
    stock: Stock, parts: Beside, address: str, *, match: str = "*", fields: Fields | None = None
) -> AsyncIterator[Collection]:
    settings = stock.settings
    http = Http(settings.net)
    opener = Opener(
        http,
        settings.imaging.max_upload_bytes,
        settings.stores,
        settings.data_dir / "assets",
        lambda name, key: parts.sweep.patterns[name].read(key) is not None,
        stock.environ,
        {},
    )
    collection = opener.open(address, match=match, fields=fields)
    try:
        yield collection
    finally:
        await collection.close()
        await http.close()


async def take(
    stock: Stock,
    parts: Beside,
    address: str,
    *,
    match: str = "*",
    fields: Fields | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008
    limit: int | None = None,
) -> tuple[Outcome, dict[str, str], list[str]]:
    """How it went, the asset of each former id, and what was said."""
    outcome, landed, looking = Outcome(), {}, Looking()

    def tell(each: Landed) -> None:
        landed[each.item.former_id] = each.asset_id

    async with opened(stock, parts, address, match=match, fields=fields) as collection:
        await parts.importing(collection, wanted, 3, looking, tell, outcome, limit)
    return outcome, landed, looking.said


async def row_of(parts: Beside, asset_id: str) -> Any:
    return await parts.database.read(
        lambda tx: tx.execute(select(assets_table).where(assets_table.c.id == asset_id)).one()
    )


async def check(parts: Beside, landed: dict[str, str], pictures: dict[str, bytes]) -> None:
    """Each picture is an asset with exactly its bytes."""
    keys = await copy_rows(parts)
    assert set(landed) == set(pictures)
    for name, data in pictures.items():
        assert await bytes_of(parts, "disk", keys[landed[name], "disk"]) == data
        assert (await row_of(parts, landed[name])).bytes == len(data)


@pytest.fixture
def album(tmp_path: Path) -> dict[str, bytes]:
    """A folder `album` with pictures in it."""
    pictures = {f"{number}.png": png(number) for number in range(4)}
    pictures["2019/a picture é.png"] = png(9)
    (tmp_path / "album/2019").mkdir(parents=True)
    for name, data in pictures.items():
        (tmp_path / "album" / name).write_bytes(data)
    return pictures


async def test_a_folder(stock: Stock, parts: Beside, tmp_path: Path, album: dict[str, bytes]) -> None:
    when = datetime(2021, 5, 6, 7, 8, 9, tzinfo=UTC)
    os.utime(tmp_path / "album/1.png", (when.timestamp(), when.timestamp()))
    (tmp_path / "album/notes.txt").write_text("no picture")
    (tmp_path / "album/.hidden.png").write_bytes(png(77))
    (tmp_path / "album/cut.png").write_bytes(png(5)[:300])
    wanted = Wanted(("legacy",), Visibility.PRIVATE, "digitalCapture")
    outcome, landed, said = await take(stock, parts, str(tmp_path / "album"), wanted=wanted)
    assert (outcome.imported, outcome.failed, outcome.passed_over) == (5, 1, 1)
    assert said == ["cut.png: The png picture is damaged or cut short."]
    await check(parts, landed, album)
    row = await row_of(parts, landed["1.png"])
    assert row.created_at == when
    assert datetime.fromtimestamp(int(row.id.replace("-", "")[:12], 16) / 1000, UTC) == when
    assert (row.visibility, row.source_type, row.width) == ("private", "digitalCapture", 24)
    origin = await parts.database.read(lambda tx: of_asset(tx, parts.account_id, row.id))
    assert origin is not None
    assert (origin.former_id, list(origin.tags)) == ("1.png", ["legacy"])
    kinds = [job.kind for job in await job_rows(parts)]
    assert kinds == ["enrich"] * 5


async def test_twice_is_once(stock: Stock, parts: Beside, tmp_path: Path, album: dict[str, bytes]) -> None:
    _, first, _ = await take(stock, parts, str(tmp_path / "album"))
    outcome, second, _ = await take(stock, parts, str(tmp_path / "album/../album/"))
    assert (outcome.imported, outcome.there) == (0, 5)
    assert second == first
    assert len(await copy_rows(parts)) == 5


async def test_a_limit_and_then_the_rest(
    stock: Stock, parts: Beside, tmp_path: Path, album: dict[str, bytes]
) -> None:
    assert (await take(stock, parts, str(tmp_path / "album"), limit=2))[0].imported == 2
    outcome, landed, _ = await take(stock, parts, str(tmp_path / "album"))
    assert (outcome.imported, outcome.there) == (3, 2)
    await check(parts, landed, album)


async def test_mirrors_get_theirs_by_jobs(tmp_path: Path, album: dict[str, bytes]) -> None:
    stock = Stock(tmp_path, FERROTYPE_STORES="disk,nas")
    async with stock.open() as parts:
        await take(stock, parts, str(tmp_path / "album"))
        jobs = [job for job in await job_rows(parts) if job.kind == "store"]
        assert {job.payload["store"] for job in jobs} == {"nas"}
        assert len(jobs) == 5


async def test_what_is_too_large_is_told_before_it_is_read(stock: Stock, tmp_path: Path) -> None:
    stock.environ["FERROTYPE_MAX_UPLOAD_BYTES"] = "1024"
    (tmp_path / "album").mkdir()
    (tmp_path / "album/large.png").write_bytes(png(1, 64, 64))
    async with stock.open() as parts:
        outcome, _, said = await take(stock, parts, str(tmp_path / "album"))
    assert (outcome.failed, "1024 are allowed" in said[0]) == (1, True)


async def test_a_bucket(tmp_path: Path, s3_server: Any) -> None:
    stock = s3_stock(tmp_path, s3_server)
    pictures = {f"old/{number}.png": png(number) for number in range(3)}
    pictures["old/a picture é.png"] = png(8)
    client = s3_server.store()._clients.writing
    for key, data in {**pictures, "other/1.png": png(7)}.items():
        await obstore.put_async(client, key, data)
    async with stock.open() as parts:
        outcome, landed, said = await take(stock, parts, "s3://pictures/old")
        assert (outcome.imported, said) == (4, [])
        await check(parts, landed, pictures)
        again, _, _ = await take(stock, parts, "s3://pictures/old/")
        assert (again.imported, again.there) == (0, 4)
        assert (await take(stock, parts, "store:s3/other"))[0].imported == 1


async def test_copies_of_assets_are_no_pictures_to_import(stock: Stock, parts: Beside) -> None:
    await stock.add(parts, png(1), ("disk", "nas"))
    for name in ("disk", "nas"):
        outcome, _, _ = await take(stock, parts, f"store:{name}")
        assert (outcome.imported, outcome.failed, outcome.there) == (0, 0, 0)


@pytest.fixture
async def cloud() -> AsyncIterator[CloudinarySim]:
    async with CloudinarySim(CloudinaryScript()) as sim:
        yield sim


def cloudinary_address(sim: CloudinarySim) -> str:
    return f"cloudinary://{sim.script.key}:{sim.script.secret}@{sim.script.cloud}?upload_prefix={sim.url}"


async def upload(sim: CloudinarySim, data: bytes, **params: str) -> None:
    import hashlib

    import aiohttp

    from ferrotype.sim.cloudinary.signing import string_to_sign

    params |= {"timestamp": str(int(datetime.now(UTC).timestamp()))}
    signature = hashlib.sha1(f"{string_to_sign(params)}{sim.script.secret}".encode()).hexdigest()
    form = FormData({**params, "api_key": sim.script.key or "", "signature": signature})
    form.add_field("file", data, filename="a.png")
    url = f"{sim.url}/v1_1/{sim.script.cloud}/image/upload"
    async with aiohttp.ClientSession() as http, http.post(url, data=form) as reply:
        assert reply.status == 200, await reply.text()


async def test_a_cloudinary_account(tmp_path: Path, cloud: CloudinarySim) -> None:
    stock = Stock(tmp_path, FERROTYPE_CLOUDINARY_DELIVERY_URL=cloud.base)
    pictures = {f"shop/shoe {number}": png(number) for number in range(3)}
    for public_id, data in pictures.items():
        await upload(cloud, data, public_id=public_id, tags="red,blue", context="alt=A shoe|sku=1")
    pictures["closed"] = png(8)
    await upload(cloud, pictures["closed"], public_id="closed", type="authenticated")
    async with stock.open() as parts:
        outcome, landed, said = await take(stock, parts, cloudinary_address(cloud))
        assert (outcome.imported, said) == (4, [])
        await check(parts, landed, pictures)
        origin = await parts.database.read(lambda tx: of_asset(tx, parts.account_id, landed["shop/shoe 1"]))
        assert origin is not None
        assert (list(origin.tags), origin.metadata) == (["red", "blue"], {"alt": "A shoe", "sku": "1"})
        assert "sim-secret" not in origin.source
        assert (await row_of(parts, landed["closed"])).visibility == "private"
        assert (await row_of(parts, landed["shop/shoe 1"])).visibility == "unlisted"
        assert (await take(stock, parts, cloudinary_address(cloud)))[0].there == 4


async def test_more_than_one_page_of_cloudinary(tmp_path: Path, cloud: CloudinarySim) -> None:
    stock = Stock(tmp_path, FERROTYPE_CLOUDINARY_DELIVERY_URL=cloud.base)
    data = png(1)
    await upload(cloud, data, public_id="first")
    from dataclasses import replace

    first = cloud.library.assets["image", "upload", "first"]
    for number in range(600):
        name = ("image", "upload", f"n{number}")
        cloud.library.assets[name] = replace(first, name=name, asset_id=f"{number:032x}")
    async with stock.open() as parts, opened(stock, parts, cloudinary_address(cloud)) as collection:
        names = [item.former_id async for item in collection.items()]
    assert len(names) == len(set(names)) == 601


async def test_a_cloudinary_that_changes_pictures_is_not_believed(
    tmp_path: Path, cloud: CloudinarySim
) -> None:
    stock = Stock(tmp_path, FERROTYPE_CLOUDINARY_DELIVERY_URL=cloud.base)
    await upload(cloud, png(1), public_id="a")
    name = ("image", "upload", "a")
    cloud.library.cached[name, "png"] = png(1)[:-20]
    async with stock.open() as parts:
        outcome, _, said = await take(stock, parts, cloudinary_address(cloud))
    assert outcome.failed == 1
    assert "delivers" in said[0]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with valkey.running(tmp_path_factory.mktemp("valkey")) as server:
        yield server


async def test_redis(stock: Stock, parts: Beside, redis_server: Valkey) -> None:
    def b64(number: int) -> str:
        return base64.b64encode(png(number)).decode()

    async with Redis.from_url(redis_server.url) as redis:
        await redis.flushall()
        await redis.set("image:plain", b64(1))
        await redis.set("image:uri", f"data:image/png;base64,{b64(2)}")
        await redis.set("image:bytes", png(3))
        await redis.set("image:lines", "\n".join(b64(4)[at : at + 76] for at in range(0, len(b64(4)), 76)))
        document = {
            "id": "doc-5",
            "data": b64(5),
            "createdAt": 1577836800000,
            "prompt": "a fox",
            "tags": ["x"],
        }
        await redis.set("image:json", json.dumps(document))
        await redis.hset("image:hash", mapping={"id": "h-6", "image": png(6), "prompt": "a hare"})
        await redis.set("image:broken", "no base64 at all!")
        await redis.rpush("image:list", "x")
        await redis.set("session:1", "secret")
    outcome, landed, said = await take(stock, parts, redis_server.url, match="image:*")
    assert (outcome.imported, outcome.failed) == (6, 2)
    names = ["image:plain", "image:uri", "image:bytes", "image:lines", "doc-5", "h-6"]
    await check(parts, landed, {name: png(number) for number, name in enumerate(names, 1)})
    assert any(text.startswith("image:broken: It is neither") for text in said)
    assert any(text.startswith("image:list: It is a list") for text in said)
    assert (await row_of(parts, landed["doc-5"])).created_at == datetime(2020, 1, 1, tzinfo=UTC)
    origin = await parts.database.read(lambda tx: of_asset(tx, parts.account_id, landed["doc-5"]))
    assert origin is not None
    assert (origin.metadata, list(origin.tags)) == ({"prompt": "a fox"}, ["x"])
    again, same, _ = await take(stock, parts, redis_server.url, match="image:*")
    assert (again.imported, again.there) == (0, 6)
    assert set(same.values()) == set(landed.values())


async def test_a_field_of_redis_json(stock: Stock, parts: Beside, redis_server: Valkey) -> None:
    async with Redis.from_url(redis_server.url) as redis:
        await redis.flushall()
        value = {"result": {"picture": base64.b64encode(png(1)).decode()}, "nr": 7, "at": "2020-01-02"}
        await redis.set("a", json.dumps(value))
    fields = Fields("result.picture", "nr", "at")
    _, landed, said = await take(stock, parts, redis_server.url, fields=fields)
    assert said == []
    await check(parts, landed, {"7": png(1)})
    assert (await row_of(parts, landed["7"])).created_at == datetime(2020, 1, 2, tzinfo=UTC)


@pytest.fixture
async def site(unused_port: int) -> AsyncIterator[str]:
    """A web site with pictures `/0.png` to `/9.png`; others are 404."""

    async def picture(request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if not number.isdigit() or int(number) > 9:
            raise web.HTTPNotFound
        return web.Response(body=png(int(number)), content_type="image/png")

    app = web.Application()
    app.add_routes([web.get("/{number}.png", picture)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_port).start()
    yield f"http://127.0.0.1:{unused_port}"
    await runner.cleanup()


@pytest.fixture
def unused_port() -> int:
    from tests.ports import free_port

    return free_port()


@pytest.mark.parametrize("kind", ["csv", "semicolons", "jsonl"])
async def test_a_list_of_urls(kind: str, tmp_path: Path, site: str) -> None:
    stock = Stock(tmp_path, FERROTYPE_FETCH_ALLOW=site.removeprefix("http://"))
    rows = [{"id": f"p{n}", "url": f"{site}/{n}.png", "created_at": "2022-02-03T04:05:06Z"} for n in range(4)]
    rows.append({"id": "gone", "url": f"{site}/404.png", "created_at": ""})
    path = tmp_path / ("list.jsonl" if kind == "jsonl" else "list.csv")
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\nno json\n")
    else:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            delimiter = ";" if kind == "semicolons" else ","
            writer = csv.DictWriter(file, ["id", "url", "created_at"], delimiter=delimiter)
            writer.writeheader()
            writer.writerows([*rows, {"id": "nothing", "url": "", "created_at": ""}])
    async with stock.open() as parts:
        outcome, landed, said = await take(stock, parts, str(path))
        assert (outcome.imported, outcome.failed) == (4, 2)
        await check(parts, landed, {f"p{n}": png(n) for n in range(4)})
        assert any(text.startswith(f"gone ({site}/404.png): ") for text in said)
        assert any(text.startswith(f"{path.name}, line ") for text in said)
        assert (await row_of(parts, landed["p1"])).created_at == datetime(2022, 2, 3, 4, 5, 6, tzinfo=UTC)
        assert (await take(stock, parts, str(path)))[0].there == 4


async def test_addresses_inside_are_not_fetched(
    stock: Stock, parts: Beside, tmp_path: Path, site: str
) -> None:
    (tmp_path / "list.csv").write_text(f"url\n{site}/1.png\n")
    outcome, _, said = await take(stock, parts, str(tmp_path / "list.csv"))
    assert outcome.failed == 1
    assert "not allowed" in said[0]


async def test_one_url_in_two_rows_is_one_asset(tmp_path: Path, site: str) -> None:
    stock = Stock(tmp_path, FERROTYPE_FETCH_ALLOW=site.removeprefix("http://"))
    (tmp_path / "list.csv").write_text(f"id,url\na,{site}/1.png\nb,{site}/1.png\n")
    async with stock.open() as parts:
        outcome, landed, _ = await take(stock, parts, str(tmp_path / "list.csv"))
        assert (outcome.imported, outcome.there) == (1, 1)
        assert landed["a"] == landed["b"]
        assert len(await copy_rows(parts)) == 1


@pytest.mark.slow
async def test_killed_in_the_middle_it_goes_on(stock: Stock, tmp_path: Path) -> None:
    pictures = {f"{number:02}.png": png(number) for number in range(40)}
    (tmp_path / "album").mkdir()
    for name, data in pictures.items():
        (tmp_path / "album" / name).write_bytes(data)
    args = ("assets", "import", "--from", "album", "--mapping", "map.csv")
    command = Command(stock.folder, *args, "--rate", "20kB/s", **stock.environ)
    await command.start()
    folder = stock.data / "assets"
    while not (folder.exists() and any(path.suffix == ".png" for path in folder.rglob("*"))):
        assert command.process.returncode is None
        await asyncio.sleep(0)
    command.signal(signal.SIGKILL)
    await command.process.wait()
    ran = await ferrotype(stock.folder, *args, **stock.environ)
    assert ran.code == 0, ran.err
    assert ran.quiet
    with (tmp_path / "map.csv").open() as file:
        landed = {row["former_id"]: row["asset_id"] for row in csv.DictReader(file)}
    async with stock.open() as parts:
        await check(parts, landed, pictures)
        keys = await copy_rows(parts)
        assert len(keys) == 40
        objects = [entry.key async for entry in parts.stores.by_name["disk"].entries()]
        assert sorted(objects) == sorted(keys.values())  # no object was left behind


async def test_beside_a_running_server(stock: Stock, tmp_path: Path, album: dict[str, bytes]) -> None:
    environ = {name: value for name, value in stock.environ.items() if name != "FERROTYPE_DATA_DIR"}
    async with running(stock.data, **environ) as client:
        ran = await ferrotype(
            stock.folder,
            *("assets", "import", "--from", "album", "--mapping", "map.jsonl", "--tag", "old"),
            FERROTYPE_PUBLIC_URL="https://pictures.example",
            **stock.environ,
        )
        assert ran.code == 0, ran.err
        rows = [json.loads(line) for line in (tmp_path / "map.jsonl").read_text().splitlines()]
        assert {row["former_id"] for row in rows} == set(album)
        for row in rows:
            path = row["url"].removeprefix("https://pictures.example")
            assert (await client.get(path)).body == album[row["former_id"]]
            for query in ({"former_id": row["former_id"]}, {"asset_id": row["asset_id"]}):
                (told,) = (await client.get("/v1/imports", params=query)).json["data"]
                assert (told["asset_id"], told["former_id"]) == (row["asset_id"], row["former_id"])
                assert (told["tags"], told["source"][:8]) == (["old"], "file:///")
            async with asyncio.timeout(60):
                while (await client.get(f"/v1/assets/{row['asset_id']}")).json["placeholder"] is None:  # noqa: ASYNC110
                    await asyncio.sleep(0)


async def test_what_was_not_imported_is_not_found(stock: Stock) -> None:
    environ = {name: value for name, value in stock.environ.items() if name != "FERROTYPE_DATA_DIR"}
    async with running(stock.data, **environ) as client:
        assert (await client.get("/v1/imports?source=s3://x/y.png")).json == {"object": "list", "data": []}
        for query in ("", "?former_id=a&source=b"):
            reply = await client.get(f"/v1/imports{query}")
            assert (reply.status, reply.json["code"]) == (422, "invalid_field")


def test_wrong_words_are_one_line(say: Say, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "notes.csv").write_text("my,notes\n")
    for args, words in (
        (("album", "--mapping", "notes.csv"), "is no mapping"),
        (("album", "--mapping", "map.txt"), "is to end with .csv or .jsonl"),
        (("album", "--visibility", "secret"), "--visibility"),
        (("album", "--source-type", "a b"), "--source-type"),
        (("nowhere",), "There is no folder nowhere"),
        (("ftp://x",), "nothing is known of ftp://"),
        (("store:nowhere",), "there is no store 'nowhere'"),
        (("cloudinary://half",), "is written cloudinary://"),
    ):
        ran = say("import", "--from", *args)
        assert (ran.code, words in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err
    assert (tmp_path / "notes.csv").read_text() == "my,notes\n"


def test_a_mapping_has_every_line_after_every_run(say: Say, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    for number in range(3):
        (tmp_path / f"album/{number}.png").write_bytes(png(number))
        ran = say("import", "--from", "album", "--mapping", "map.csv")
        assert ran.code == 0, ran.err
        lines = (tmp_path / "map.csv").read_text().splitlines()
        assert [line.split(",")[1] for line in lines] == [
            "former_id",
            *(f"{n}.png" for n in range(number + 1)),
        ]
    (tmp_path / "album/cut.png").write_bytes(png(9)[:200])
    ran = say("import", "--from", "album", "--mapping", "map.csv")
    assert (ran.code, "cut.png: " in ran.err) == (1, True)
    assert len((tmp_path / "map.csv").read_text().splitlines()) == 4
    ran = say("import", "--from", "album", "--dry-run")
    assert (ran.code, "1 picture would be imported" in ran.out) == (0, True)


async def test_what_a_source_became_can_be_asked(stock: Stock, parts: Beside, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album/1.png").write_bytes(png(1))
    _, landed, _ = await take(stock, parts, str(tmp_path / "album"))
    found = await parts.database.read(lambda tx: find(tx, parts.account_id, f"file://{tmp_path}/album/1.png"))
    assert found is not None
    assert found.asset_id == landed["1.png"]
