"""`ferrotype assets migrate`: everything arrives once, whole, whatever happens on the way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ferrotype.app.beside import Beside
from ferrotype.db import assets
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.problems import StoreUnavailable
from ferrotype.services.chores import Hopeless, Pace, for_each
from ferrotype.storage.base import Store
from tests.assets.conftest import Say
from tests.assets.stock import Looking, Stock, bytes_of, copy_rows, job_rows, png
from tests.flows.commands import Command, ferrotype
from tests.flows.harness import running
from tests.storage.seaweed import BUCKET, WRITER


def s3_stock(folder: Path, server: Any, **environ: str) -> Stock:
    """With the store `s3` in the bucket of a real server."""
    return Stock(
        folder,
        FERROTYPE_S3_BUCKET=BUCKET,
        FERROTYPE_S3_ENDPOINT=server.url,
        AWS_REGION="us-east-1",
        AWS_ACCESS_KEY_ID=WRITER[0],
        AWS_SECRET_ACCESS_KEY=WRITER[1],
        **environ,
    )


async def test_to_a_bucket_and_back(tmp_path: Path, s3_server: Any) -> None:
    stock = s3_stock(tmp_path, s3_server)
    async with stock.open() as parts:
        pictures = {(await stock.add(parts, png(number))).id: png(number) for number in range(7)}
        done = await parts.migrate.copy("disk", "s3", 3, Looking())
        assert (done.copied, done.failed) == (7, 0)
        keys = await copy_rows(parts)
        for asset_id, data in pictures.items():
            assert await bytes_of(parts, "s3", keys[asset_id, "s3"]) == data
        assert sorted(key for (_, store), key in keys.items() if store == "s3") == await s3_server.keys()
        done = await parts.migrate.copy("s3", "nas", 3, Looking())
        assert (done.copied, done.failed) == (7, 0)
        assert list(parts.scratch.root.iterdir()) == []


async def test_again_is_nothing(stock: Stock, parts: Beside) -> None:
    await stock.add(parts, png(1))
    assert (await parts.migrate.copy("disk", "nas", 2, Looking())).copied == 1
    looking = Looking()
    assert (await parts.migrate.copy("disk", "nas", 2, looking)).copied == 0
    assert looking.count == 0
    assert (await parts.migrate.left("disk", "nas")).count == 0


async def test_a_broken_source_is_replaced_by_another_or_told(stock: Stock, parts: Beside) -> None:
    good, bad = await stock.add(parts, png(1), ("disk", "third")), await stock.add(parts, png(2))
    for asset in (good, bad):
        path = parts.stores.by_name["disk"].local_path((await copy_rows(parts))[asset.id, "disk"])
        assert path
        path.unlink()
        path.write_bytes(b"x" * (asset.bytes or 0))
    looking = Looking()
    done = await parts.migrate.copy("disk", "nas", 2, looking)
    assert (done.copied, done.failed) == (1, 1)
    assert bad.id in looking.said[0]
    assert "disk has other bytes" in looking.said[0]
    assert await bytes_of(parts, "nas", (await copy_rows(parts))[good.id, "nas"]) == png(1)


async def test_what_is_purged_meanwhile_gets_no_copy(stock: Stock, parts: Beside) -> None:
    asset = await stock.add(parts, png(1))
    store = parts.stores.by_name["nas"]
    put = store.put

    async def put_then_purge(key: str, source: Path, *, content_type: str, sha256: str) -> None:
        await put(key, source, content_type=content_type, sha256=sha256)
        await parts.database.write(lambda tx: assets.learn(tx, asset.id, purged_at=asset.created_at))

    store.put = put_then_purge  # type: ignore[method-assign]
    done = await parts.migrate.copy("disk", "nas", 1, Looking())
    assert (done.copied, done.gone) == (0, 1)
    assert [entry async for entry in store.entries()] == []


class Away:
    """A store that is out of reach after some puts."""

    def __init__(self, store: Store, puts: int) -> None:
        self._store = store
        self.puts = puts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put(self, key: str, source: Path, **options: Any) -> None:
        if self.puts == 0:
            raise StoreUnavailable("The store nas cannot be used: nothing listens there.")
        self.puts -= 1
        await self._store.put(key, source, **options)


async def test_a_store_that_goes_away_stops_it_and_it_goes_on_later(stock: Stock, parts: Beside) -> None:
    for number in range(30):
        await stock.add(parts, png(number))
    away = Away(parts.stores.by_name["nas"], 5)
    parts.stores.by_name["nas"] = away  # type: ignore[index]
    with pytest.raises(Hopeless, match="nothing listens"):
        await parts.migrate.copy("disk", "nas", 1, Looking())
    left = (await parts.migrate.left("disk", "nas")).count
    assert left == 25
    away.puts = 1000
    assert (await parts.migrate.copy("disk", "nas", 2, Looking())).copied == left
    assert away.puts == 1000 - left  # nothing was put twice


async def test_the_pace_is_kept() -> None:
    clock, slept = ManualClock(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    pace = Pace(1000, clock, sleep, burst=0)
    for _ in range(10):
        await pace.take(500)
    assert sum(slept) == pytest.approx(5.0)
    clock.advance(100)  # what was not used is not saved up
    await pace.take(1000)
    assert slept[-1] == pytest.approx(1.0)


async def test_no_more_at_once_than_asked_for() -> None:
    now, most, done = 0, 0, []

    async def items() -> AsyncIterator[int]:
        for number in range(20):
            yield number

    async def work(item: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        done.append(item)

    await for_each(items(), work, 3)
    assert (most, sorted(done)) == (3, list(range(20)))


async def test_leaving_takes_rows_and_bytes_where_the_other_copy_is_sure(stock: Stock, parts: Beside) -> None:
    sure, unsure = [await stock.add(parts, png(number), ("disk", "nas")) for number in range(2)]
    keys = await copy_rows(parts)
    await parts.stores.by_name["nas"].delete(keys[unsure.id, "nas"])
    looking = Looking()
    done = await parts.migrate.leave("disk", "nas", 2, looking)
    assert (done.copied, done.failed) == (1, 1)
    assert unsure.id in looking.said[0]
    assert (await parts.migrate.leave("disk", "nas", 2, Looking())).copied == 0  # it is ordered already
    await parts.finish_drops()
    assert await parts.migrate.leaving("disk") == 0
    left = await copy_rows(parts)
    assert (sure.id, "disk") not in left
    assert (sure.id, "nas") in left
    assert (unsure.id, "disk") in left
    assert await parts.stores.by_name["disk"].size(keys[sure.id, "disk"]) is None
    assert await bytes_of(parts, "disk", keys[unsure.id, "disk"]) == png(1)


async def test_two_names_of_one_place_never_lose_the_bytes(tmp_path: Path) -> None:
    stock = Stock(tmp_path)
    (tmp_path / "nas").mkdir()
    (tmp_path / "third").symlink_to(tmp_path / "nas")
    async with stock.open() as parts:
        asset = await stock.add(parts, png(1), ("nas",))
        assert (await parts.migrate.copy("nas", "third", 1, Looking())).copied == 1
        done = await parts.migrate.leave("nas", "third", 1, Looking())
        assert (done.copied, done.failed) == (0, 1)
        assert "one place" in done.first_failed[0][1]
        assert await bytes_of(parts, "nas", (await copy_rows(parts))[asset.id, "nas"]) == png(1)


async def test_an_interrupted_drop_is_taken_up_again(stock: Stock, parts: Beside) -> None:
    asset = await stock.add(parts, png(1), ("disk", "nas"))
    await parts.migrate.leave("disk", "nas", 1, Looking())
    await parts.engine.claim(1, ["drop"])  # by a process that dies here
    assert [row.state for row in await job_rows(parts)] == ["running"]
    await parts.finish_drops()
    assert [row.state for row in await job_rows(parts)] == ["succeeded"]
    assert (asset.id, "disk") not in await copy_rows(parts)


@asynccontextmanager
async def migrating(stock: Stock, *args: str) -> AsyncIterator[Command]:
    command = Command(stock.folder, "assets", "migrate", *args, **stock.environ)
    await command.start()
    try:
        yield command
    finally:
        if command.process.returncode is None:
            command.process.kill()
            await command.process.wait()


async def test_killed_in_the_middle_it_goes_on(tmp_path: Path, s3_server: Any) -> None:
    stock = s3_stock(tmp_path, s3_server)
    async with stock.open() as parts:
        pictures = {(await stock.add(parts, png(number))).id: png(number) for number in range(60)}
    async with migrating(stock, "--from", "disk", "--to", "s3", "--rate", "60kB/s") as command:
        while not await s3_server.keys():
            assert command.process.returncode is None
        command.signal(signal.SIGKILL)
        await command.process.wait()
    async with stock.open() as parts:
        before = {key for key in await copy_rows(parts) if key[1] == "s3"}
        assert len(before) < 60
    ran = await ferrotype(stock.folder, "assets", "migrate", "--from", "disk", "--to", "s3", **stock.environ)
    assert ran.code == 0, ran.err
    assert ran.quiet
    assert f"copied {60 - len(before)} picture" in ran.out
    async with stock.open() as parts:
        keys = await copy_rows(parts)
        for asset_id, data in pictures.items():
            assert await bytes_of(parts, "s3", keys[asset_id, "s3"]) == data
    assert len(await s3_server.keys()) == 60


async def test_stopped_by_hand_it_says_how_to_go_on(stock: Stock) -> None:
    async with stock.open() as parts:
        for number in range(40):
            await stock.add(parts, png(number))
    async with migrating(stock, "--from", "disk", "--to", "nas", "--rate", "20kB/s") as command:
        async with stock.open(alone=False) as parts:
            while (await parts.migrate.left("disk", "nas")).count == 40:
                assert command.process.returncode is None
        command.signal(signal.SIGINT)
        ran = await command.ended()
    assert ran.code == 130
    assert "the same command goes on" in ran.err
    assert ran.quiet
    async with stock.open() as parts:
        left = (await parts.migrate.left("disk", "nas")).count
        assert 0 < left < 40
        assert (await parts.migrate.copy("disk", "nas", 2, Looking())).copied == left


async def test_beside_a_running_server(tmp_path: Path) -> None:
    """Copied while it serves; the first store is left only once the server writes to the other, and then the
    server removes the bytes."""
    stock = Stock(tmp_path)
    environ = {**stock.environ, "FERROTYPE_DATA_DIR": str(stock.data)}
    del environ["FERROTYPE_DATA_DIR"]
    async with running(stock.data, **environ) as client:
        urls = []
        for number in range(5):
            reply = await client.request("POST", "/v1/assets", data=png(number))
            assert reply.status == 201
            urls.append(f"/images/{reply.json['id']}")
        await client.app.worker.idle()
        while (await client.app.engine.depths())["store"] != (0, 0):
            await client.app.worker.idle()
            await asyncio.sleep(0)
        command = ("assets", "migrate", "--from", "disk", "--to", "nas")
        ran = await ferrotype(stock.folder, *command, **stock.environ)
        assert (ran.code, "copied 5 pictures" in ran.out) == (0, True), ran.err
        moved = {**stock.environ, "FERROTYPE_STORES": "nas"}
        ran = await ferrotype(stock.folder, *command, "--delete-source", **moved)
        assert ran.code == 2
        assert "the running server still writes to disk" in ran.err
    async with running(stock.data, **{**environ, "FERROTYPE_STORES": "nas"}) as client:
        for number, url in enumerate(urls):
            assert (await client.get(url)).body == png(number)
        ran = await ferrotype(stock.folder, *command, "--delete-source", **moved)
        assert ran.code == 0, ran.err
        assert "the running server removes them" in ran.out
        async with stock.open(alone=False) as parts:
            async with asyncio.timeout(60):
                while {store for _, store in await copy_rows(parts)} != {"nas"}:  # noqa: ASYNC110
                    await asyncio.sleep(0)
        for number, url in enumerate(urls):
            assert list((await client.app.deliver.find(url.removeprefix("/images/"))).keys) == ["nas"]
            assert (await client.get(url)).body == png(number)


def test_wrong_words_are_one_line(say: Say) -> None:
    for args, words in (
        (("--from", "disk", "--to", "nowhere"), "there is no store 'nowhere'"),
        (("--from", "disk", "--to", "disk"), "is where they are"),
        (("--from", "disk", "--to", "nas", "--rate", "fast"), "--rate"),
        (("--from", "disk", "--to", "nas", "--delete-source"), "new pictures still go to disk"),
    ):
        ran = say("migrate", *args)
        assert ran.code == 2
        assert words in ran.err
        assert ran.err.count("\n") == 1


async def test_two_commands_at_once_are_refused(stock: Stock, parts: Beside) -> None:
    ran = await ferrotype(stock.folder, "assets", "migrate", "--from", "disk", "--to", "nas", **stock.environ)
    assert ran.code == 2
    assert f"process {os.getpid()}" in ran.err
