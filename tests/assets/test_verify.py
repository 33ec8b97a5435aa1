"""`ferrotype assets verify`: missing, short and flipped copies are found, and mended from a right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.app.beside import Beside
from ferrotype.services.verify import Finding, Verified
from tests.assets.stock import Looking, Stock, bytes_of, copy_rows, png


async def look(
    parts: Beside, *, store: str | None = None, deep: bool = True, repair: bool = False, after: str = ""
) -> tuple[Verified, list[Finding]]:
    found, told = Verified(last=after), []
    await parts.verify(
        store,
        deep=deep,
        repair=repair,
        width=4,
        watcher=Looking(),
        tell=told.append,
        found=found,
        after=after,
    )
    return found, told


def flip(path: Path) -> None:
    """One bit of one byte, as a disk does it."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # links of it stay as they are
    path.write_bytes(data)


async def test_all_is_well(stock: Stock, parts: Beside) -> None:
    for number in range(3):
        await stock.add(parts, png(number), ("disk", "nas"))
    found, told = await look(parts)
    assert told == []
    assert (found.copies, found.is_right) == (6, True)


async def test_each_fault_is_found_for_what_it_is(stock: Stock, parts: Beside) -> None:
    kinds = {}
    for number in range(4):
        asset = await stock.add(parts, png(number))
        kinds[asset.id] = parts.stores.by_name["disk"].local_path((await copy_rows(parts))[asset.id, "disk"])
    missing, short, flipped, _right = kinds
    kinds[missing].unlink()
    kinds[short].write_bytes(b"short")
    flip(kinds[flipped])
    _, shallow = await look(parts, deep=False)
    assert {each.asset_id: each.fault for each in shallow} == {missing: "missing", short: "wrong size"}
    found, told = await look(parts)
    assert {each.asset_id: each.fault for each in told} == {
        missing: "missing",
        short: "wrong size",
        flipped: "wrong bytes",
    }
    assert not found.is_right


async def test_a_copy_is_mended_from_another_that_is_right(stock: Stock, parts: Beside) -> None:
    data = png(1)
    asset = await stock.add(parts, data, ("disk", "nas", "third"))
    keys = await copy_rows(parts)
    paths = {
        name: parts.stores.by_name[name].local_path(keys[asset.id, name]) for name in ("disk", "nas", "third")
    }
    assert paths["disk"]
    assert paths["nas"]
    paths["disk"].unlink()
    flip(paths["nas"])
    found, told = await look(parts, repair=True)
    assert found.is_right
    assert {(each.store, each.mended) for each in told} == {("disk", True), ("nas", True)}
    for name in paths:
        assert await bytes_of(parts, name, keys[asset.id, name]) == data
    assert (await look(parts))[1] == []


async def test_a_wrong_copy_is_never_spread(stock: Stock, parts: Beside) -> None:
    asset = await stock.add(parts, png(1), ("disk", "nas"))
    keys = await copy_rows(parts)
    disk = parts.stores.by_name["disk"].local_path(keys[asset.id, "disk"])
    nas = parts.stores.by_name["nas"].local_path(keys[asset.id, "nas"])
    assert disk
    assert nas
    disk.unlink()
    flip(nas)
    found, told = await look(parts, repair=True)
    assert not found.is_right
    assert not any(each.mended for each in told)
    assert "nas has other bytes" in next(each.why for each in told if each.store == "disk")
    assert not disk.exists()


async def test_the_spool_mends_too(stock: Stock, parts: Beside) -> None:
    data = png(1)
    asset = await stock.add(parts, data)
    await parts.spool.write(asset.id, data)
    key = (await copy_rows(parts))[asset.id, "disk"]
    await parts.stores.by_name["disk"].delete(key)
    assert (await look(parts, repair=True))[0].is_right
    assert await bytes_of(parts, "disk", key) == data


async def test_an_asset_that_nobody_has_is_told(stock: Stock, parts: Beside) -> None:
    lost = await stock.add(parts, png(1), ())
    await parts.spool.remove(lost.id)
    waits = await stock.add(parts, png(2), ())
    _, told = await look(parts)
    assert {each.asset_id: each.fault for each in told} == {lost.id: "nowhere", waits.id: "nowhere"}
    assert "retry" in next(each.detail for each in told if each.asset_id == waits.id)


async def test_one_store_and_from_an_asset_on(stock: Stock, parts: Beside) -> None:
    first, second = [await stock.add(parts, png(number), ("disk", "nas")) for number in range(2)]
    for (_, name), key in (await copy_rows(parts)).items():
        await parts.stores.by_name[name].delete(key)
    _, told = await look(parts, store="nas", after=first.id)
    assert [(each.asset_id, each.store) for each in told] == [(second.id, "nas")]


async def test_copies_in_stores_that_are_not_set_up_count_as_unchecked(stock: Stock, parts: Beside) -> None:
    asset = await stock.add(parts, png(1))
    from ferrotype.db import assets

    await parts.database.write(lambda tx: assets.add_copy(tx, asset.id, "gone", "a/b.png", asset.created_at))
    found, told = await look(parts)
    assert told == []
    assert found.unchecked == {"gone": 1}
    assert not found.is_right


@pytest.mark.parametrize("fault", ["missing", "flipped"])
async def test_a_bucket(fault: str, tmp_path: Path, s3_server: object) -> None:
    from tests.assets.test_migrate import s3_stock

    stock = s3_stock(tmp_path, s3_server)
    async with stock.open() as parts:
        data = png(7)
        asset = await stock.add(parts, data, ("s3", "disk"))
        key = (await copy_rows(parts))[asset.id, "s3"]
        store = parts.stores.by_name["s3"]
        await store.delete(key)
        if fault == "flipped":
            other = parts.scratch.path()
            other.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            import hashlib

            await store.put(
                key,
                other,
                content_type="image/png",
                sha256=hashlib.sha256(other.read_bytes()).hexdigest(),
            )
        _, told = await look(parts)
        assert [(each.store, each.fault) for each in told] == [
            ("s3", "missing" if fault == "missing" else "wrong bytes")
        ]
        assert (await look(parts, repair=True))[0].is_right
        assert await bytes_of(parts, "s3", key) == data
