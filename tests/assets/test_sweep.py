"""`ferrotype assets sweep`: orphans are found and go; nothing else ever does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ferrotype.app.beside import Beside
from ferrotype.db import assets
from ferrotype.domain.asset import Asset
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from ferrotype.engine.base import NewJob
from ferrotype.services.sweep import Orphan, Sweep, Swept
from ferrotype.storage.base import Picture
from ferrotype.storage.key_pattern import KeyPattern, stem
from ferrotype.storage.keys import KeyTemplate
from tests.assets.conftest import Say
from tests.assets.stock import WHEN, Looking, Stock, bytes_of, copy_rows, png
from tests.assets.test_migrate import s3_stock
from tests.flows.commands import ferrotype
from tests.flows.harness import running

NOW = timedelta(0)


async def look(parts: Beside, place: str, age: timedelta = NOW) -> tuple[Swept, list[Orphan]]:
    swept, found = Swept(place), []
    await parts.sweep.store(place, age, Looking(), found.append, swept)
    return swept, found


def asset(parts: Beside, **facts: Any) -> Asset:
    given = {
        "id": new_id(),
        "account_id": parts.account_id,
        "state": AssetState.READY,
        "content_type": "image/png",
        "created_at": WHEN,
    }
    return Asset(**{**given, **facts})


async def put(parts: Beside, store: str, made: Asset, data: bytes) -> str:
    """An object that no row knows of, under the asset's key."""
    import hashlib

    key = parts.stores.templates[store].key(made, parts.secret)
    source = parts.scratch.path()
    source.write_bytes(data)
    await parts.stores.by_name[store].put(
        key, source, content_type="image/png", sha256=hashlib.sha256(data).hexdigest()
    )
    source.unlink()
    return key


@pytest.mark.parametrize("store", ["disk", "s3"])
async def test_an_object_of_no_asset_is_found_and_deleted(store: str, tmp_path: Path, s3_server: Any) -> None:
    stock = s3_stock(tmp_path, s3_server)
    async with stock.open() as parts:
        kept = await stock.add(parts, png(1), (store,))
        orphan = await put(parts, store, asset(parts), png(2))
        swept, found = await look(parts, store)
        assert [each.key for each in found] == [orphan]
        assert (swept.seen, swept.orphans, found[0].why) == (2, 1, "no such asset")
        assert await parts.sweep.delete(found[0])
        assert (await look(parts, store))[1] == []
        key = (await copy_rows(parts))[kept.id, store]
        assert await bytes_of(parts, store, key) == png(1)


async def test_what_is_young_is_left_alone(parts: Beside) -> None:
    await put(parts, "disk", asset(parts), png(1))
    swept, found = await look(parts, "disk", timedelta(hours=24))
    assert (found, swept.young) == ([], 1)


async def test_a_link_is_as_young_as_its_name(parts: Beside) -> None:
    """A file that waited in the spool for days comes to the store with its old date."""
    source = parts.settings.data_dir / "old"
    source.write_bytes(png(1))
    then = (datetime.now(UTC) - timedelta(days=3)).timestamp()
    os.utime(source, (then, then))
    key = parts.stores.templates["disk"].key(asset(parts), parts.secret)
    target = parts.settings.data_dir / "assets" / key
    target.parent.mkdir(parents=True)
    os.link(source, target)
    swept, found = await look(parts, "disk", timedelta(hours=1))
    assert (found, swept.young) == ([], 1)


async def test_an_upload_under_way_is_left_alone(stock: Stock, parts: Beside) -> None:
    """Its bytes are in the store, its row is not written yet."""
    made = await stock.add(parts, png(1), ())
    job = NewJob(kind="store", class_="store", account_id=parts.account_id, payload={"asset_id": made.id})
    await parts.database.write(lambda tx: parts.engine.enqueue(tx, job))
    await put(parts, "disk", made, png(1))
    swept, found = await look(parts, "disk")
    assert (found, swept.kept) == ([], 1)
    await parts.engine.claim(1)  # it runs
    assert (await look(parts, "disk"))[1] == []


async def test_the_only_bytes_of_an_asset_are_left_alone(stock: Stock, parts: Beside) -> None:
    made = await stock.add(parts, png(1), ())
    await parts.spool.remove(made.id)
    await put(parts, "disk", made, png(1))
    swept, found = await look(parts, "disk")
    assert (found, swept.kept) == ([], 1)


async def test_a_second_copy_under_another_key_is_an_orphan(stock: Stock, parts: Beside) -> None:
    made = await stock.add(parts, png(1), ("nas",))
    await put(parts, "disk", made, png(1))
    _, found = await look(parts, "disk")
    assert found == []  # the same key: the two names could stand for one place
    template = KeyTemplate("copies/{asset_id}-{secret}.{ext}")
    parts.stores.templates["disk"] = template  # type: ignore[index]
    await put(parts, "disk", made, png(1))
    _, found = await look(parts, "disk")
    assert [(each.key, each.why) for each in found] == [(template.key(made, parts.secret), "unknown copy")]


async def test_what_was_purged_is_an_orphan(stock: Stock, parts: Beside) -> None:
    made = await stock.add(parts, png(1))

    def purged(tx: Any) -> None:
        assets.remove_copies(tx, made.id)
        assets.learn(tx, made.id, deleted_at=WHEN, purged_at=WHEN)

    await parts.database.write(purged)
    _, found = await look(parts, "disk")
    assert [each.why for each in found] == ["purged"]


async def test_what_others_made_is_left_alone(parts: Beside) -> None:
    root = parts.settings.data_dir / "assets"
    theirs = KeyTemplate("{yyyy}/{mm}/{dd}/{asset_id}-{secret}.{ext}").key(asset(parts), b"another secret")
    for key in ("holiday/1.png", "2026/03/04/notes.txt", theirs):
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"theirs")
    swept, found = await look(parts, "disk")
    assert (found, swept.foreign) == ([], 3)


async def test_what_became_a_copy_meanwhile_is_not_deleted(stock: Stock, parts: Beside) -> None:
    made = asset(parts, bytes=1)
    key = await put(parts, "disk", made, png(1))
    _, found = await look(parts, "disk")

    def recorded(tx: Any) -> None:
        assets.add(tx, made)
        assets.add_copy(tx, made.id, "disk", key, WHEN)

    await parts.database.write(recorded)
    assert not await parts.sweep.delete(found[0])
    assert await bytes_of(parts, "disk", key) == png(1)


async def test_spool_and_variants(stock: Stock, parts: Beside) -> None:
    waits, gone = await stock.add(parts, png(1), ()), new_id()
    await parts.spool.write(gone, png(2))
    root = parts.settings.data_dir / "variants"
    root.mkdir()
    sweep: Sweep = parts.sweep
    assert sweep._variants is not None
    await sweep._variants.recover()
    for asset_id in (waits.id, gone):
        assert await sweep._variants.put(asset_id, "w=1", Picture(png(3), "image/png"))
    found: list[Orphan] = []
    await sweep.spool(NOW, found.append, Swept("spool"))
    await sweep.variants(NOW, found.append, Swept("variants"))
    assert [(each.place, each.asset_id) for each in found] == [("spool", gone), ("variants", gone)]
    for each in found:
        assert await sweep.delete(each)
    assert parts.spool.complete() == [waits.id]
    assert await sweep._variants.get(gone, "w=1") is None
    assert await sweep._variants.get(waits.id, "w=1") is not None


def age_all(folder: Path) -> None:
    """A day passes for every file; ctime cannot be set, so the files are made anew under a moved clock only
    in tests that need that: here the list looks at mtime, which `Spool` and variants go by."""
    then = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


async def command(stock: Stock, *args: str) -> Any:
    return await ferrotype(stock.folder, "assets", "sweep", *args, **stock.environ)


def test_the_command_lists_first_and_deletes_when_told_to(stock: Stock, say: Say) -> None:
    kept, gone = asyncio.run(spooled(stock, 1))
    ran = say("sweep")
    assert ran.code == 0
    assert f"spool:{gone[0]}" in ran.out
    assert (stock.data / "spool" / gone[0]).exists()
    ran = say("sweep", "--delete", "--many")
    assert (ran.code, "spool: deleted 1" in ran.out) == (0, True)
    assert sorted(path.name for path in (stock.data / "spool").iterdir()) == [kept]


async def spooled(stock: Stock, orphans: int) -> tuple[str, list[str]]:
    """A spool with an asset's file and some of nobody's, all of them old."""
    async with stock.open() as parts:
        kept, gone = await stock.add(parts, png(1), ()), [new_id() for _ in range(orphans)]
        for number, asset_id in enumerate(gone):
            await parts.spool.write(asset_id, b"x%d" % number)
    age_all(stock.data / "spool")
    return kept.id, gone


async def test_a_running_server_keeps_its_spool(stock: Stock) -> None:
    environ = {name: value for name, value in stock.environ.items() if name != "FERROTYPE_DATA_DIR"}
    async with running(stock.data, **environ) as client:
        gone = new_id()
        await client.app.spool.write(gone, png(2))
        age_all(stock.data / "spool")
        ran = await command(stock, "--delete")
        assert ran.code == 1
        assert "the running server clears its spool by itself" in ran.err
        assert (stock.data / "spool" / gone).exists()


def test_half_a_store_is_not_deleted_by_mistake(stock: Stock, say: Say) -> None:
    """As it looks where the database is an old backup."""
    asyncio.run(spooled(stock, 120))
    ran = say("sweep", "--delete")
    assert (ran.code, "more than a tenth" in ran.err) == (1, True)
    assert len(list((stock.data / "spool").iterdir())) == 121
    ran = say("sweep", "--delete", "--many")
    assert (ran.code, "deleted 120" in ran.out) == (0, True)


def test_a_place_that_is_shared_needs_its_secret(stock: Stock, say: Say) -> None:
    """Without it nobody knows who made what."""
    template = "{asset_id}.{ext}"
    folder = stock.data / "assets"
    folder.mkdir(parents=True)
    (folder / f"{new_id()}.png").write_bytes(b"theirs, perhaps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERROTYPE_DISK_KEY_TEMPLATE", template)
        patch.setattr("ferrotype.cli.assets_sweep.LEAST", NOW)
        ran = say("sweep", "--store", "disk", "--older-than", "0s", "--delete")
        assert (ran.code, "--sole-owner" in ran.err) == (1, True)
        ran = say("sweep", "--store", "disk", "--older-than", "0s", "--delete", "--sole-owner")
        assert (ran.code, "disk: deleted 1" in ran.out) == (0, True)


def test_an_age_below_an_hour_is_refused(say: Say) -> None:
    ran = say("sweep", "--older-than", "5min")
    assert (ran.code, "at least 1h" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("template", "root", "proves"),
    [
        ("{yyyy}/{mm}/{dd}/{asset_id}-{secret}.{ext}", "", True),
        ("shop/pictures/{asset_id}.{ext}", "shop/pictures/", False),
        ("shop/p-{asset_id}-{secret}", "shop/", True),
        ("{account}/{asset_id}/{asset_id}.{secret}.{ext}", "", True),
    ],
)
def test_a_template_knows_its_keys(template: str, root: str, proves: bool) -> None:
    made = Asset(
        id=new_id(), account_id=new_id(), state=AssetState.READY, content_type="image/webp", created_at=WHEN
    )
    pattern = KeyPattern(KeyTemplate(template), b"secret")
    key = KeyTemplate(template).key(made, b"secret")
    assert (pattern.root, pattern.proves) == (root, proves)
    read = pattern.read(key)
    assert read is not None
    assert (read.asset_id, read.proved) == (made.id, proves)
    assert key.startswith(root)
    others: Sequence[str] = (f"x{key}", f"{key}x/", key.replace(made.id, new_id()) if proves else "a")
    assert [pattern.read(other) for other in others] == [None] * 3
    assert stem("a.b/c.d.png") == "a.b/c.d"
    assert stem("a.b/c") == "a.b/c"
