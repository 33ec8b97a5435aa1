"""`ferrotype assets retry`: what was given up is begun anew, once."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import update

from ferrotype.app.beside import Beside
from ferrotype.db.schema import jobs
from ferrotype.engine.base import NewJob
from ferrotype.services.revive import Failed
from tests.assets.conftest import Say
from tests.assets.stock import Stock, bytes_of, copy_rows, job_rows, png
from tests.flows.commands import ferrotype
from tests.flows.harness import running


async def given_up(parts: Beside, asset_id: str, kind: str = "store", **payload: Any) -> str:
    """A job of the asset that has failed."""
    job = NewJob(
        kind=kind,
        class_=kind,
        account_id=parts.account_id,
        payload={"asset_id": asset_id, **payload},
        max_starts=7,
    )
    await parts.database.write(lambda tx: parts.engine.enqueue(tx, job))
    (lease,) = await parts.engine.claim(1)
    error = {"detail": "The store disk cannot be used."}
    await parts.database.write(lambda tx: parts.engine.fail(tx, lease, error))
    return lease.job_id


async def found(parts: Beside, store: str | None = None, *ids: str) -> list[Failed]:
    return [each async for each in parts.revive.failed(store, ids)]


async def test_a_dead_letter_is_begun_anew_once(stock: Stock, parts: Beside) -> None:
    asset = await stock.add(parts, png(1), ())
    old = await given_up(parts, asset.id)
    (letter,) = await found(parts)
    assert (letter.asset_id, letter.kind, letter.store) == (asset.id, "store", "disk")
    assert letter.reason == "The store disk cannot be used."
    assert await parts.revive.revive(letter)
    assert not await parts.revive.revive(letter)
    (row,) = await job_rows(parts)
    assert (row.id != old, row.state, row.starts, row.max_starts) == (True, "queued", 0, 7)
    assert row.payload == {"asset_id": asset.id}
    assert await found(parts) == []


async def test_one_store_and_one_asset(stock: Stock, parts: Beside) -> None:
    first, second = await stock.add(parts, png(1)), await stock.add(parts, png(2))
    await given_up(parts, first.id, store="nas")
    await given_up(parts, second.id, store="nas")
    job_id = await given_up(parts, second.id, store="third")
    await given_up(parts, second.id, kind="purge")
    assert [each.asset_id for each in await found(parts, "nas")] == [first.id, second.id]
    assert [each.kind for each in await found(parts, "disk")] == ["purge"]
    assert [each.store for each in await found(parts, None, second.id)] == ["nas", "third", None]
    assert [each.store for each in await found(parts, None, job_id)] == ["third"]


async def test_a_picture_whose_job_is_forgotten_is_found_in_the_spool(stock: Stock, parts: Beside) -> None:
    stranded, lost = await stock.add(parts, png(1), ()), await stock.add(parts, png(2), ())
    await parts.spool.remove(lost.id)
    told = {each.asset_id: each for each in await found(parts)}
    assert {asset_id: each.lost for asset_id, each in told.items()} == {stranded.id: False, lost.id: True}
    assert await parts.revive.revive(told[stranded.id])
    assert not await parts.revive.revive(told[lost.id])
    assert [row.payload for row in await job_rows(parts)] == [{"asset_id": stranded.id}]
    assert [each.asset_id for each in await found(parts)] == [lost.id]


def test_the_command(stock: Stock, say: Say) -> None:
    async def prepare() -> str:
        async with stock.open() as parts:
            asset = await stock.add(parts, png(1), ())
            await given_up(parts, asset.id)
            return asset.id

    asset_id = asyncio.run(prepare())
    ran = say("failed")
    assert (ran.code, asset_id in ran.out, "cannot be used" in ran.out) == (1, True, True)
    ran = say("retry", "--dry-run")
    assert (ran.code, "would begin anew: 1 to be stored in disk" in ran.out) == (0, True)
    ran = say("retry")
    assert (ran.code, "begun anew: 1 to be stored in disk" in ran.out) == (0, True)
    assert "no server runs" in ran.err
    ran = say("failed")
    assert (ran.code, "nothing was given up" in ran.out) == (0, True)


async def test_the_running_server_does_it(stock: Stock) -> None:
    async with stock.open() as parts:
        asset = await stock.add(parts, png(1), ())
        await given_up(parts, asset.id)
    environ = {name: value for name, value in stock.environ.items() if name != "FERROTYPE_DATA_DIR"}
    async with running(stock.data, **environ):
        ran = await ferrotype(stock.folder, "assets", "retry", asset.id, **stock.environ)
        assert (ran.code, "begun anew: 1" in ran.out) == (0, True), ran.err
        async with stock.open(alone=False) as parts, asyncio.timeout(60):
            while not (keys := await copy_rows(parts)):  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert await bytes_of(parts, "disk", keys[asset.id, "disk"]) == png(1)


async def test_a_job_of_another_age_still_tells(stock: Stock, parts: Beside) -> None:
    asset = await stock.add(parts, png(1))
    job_id = await given_up(parts, asset.id, kind="forget")
    await parts.database.write(lambda tx: tx.execute(update(jobs).values(error=None)))
    (letter,) = await found(parts)
    assert letter.letter is not None
    assert (letter.letter.job_id, letter.reason) == (job_id, "it was started too often")
