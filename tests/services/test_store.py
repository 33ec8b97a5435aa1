"""The bytes of a picture while they are on their way: nobody takes them away, nobody passes on others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ferrotype.db import assets
from ferrotype.domain.asset import Asset
from ferrotype.domain.ids import new_id
from ferrotype.services.store import tidy_spool
from ferrotype.storage.base import WrongBytes
from tests.flows.harness import Client, running
from tests.flows.test_stores import FOX, environ, stored
from tests.storage.conftest import s3_server, seaweed_server
from tests.storage.seaweed import Seaweed

__all__ = ["s3_server", "seaweed_server"]


def in_spool(client: Client) -> list[Path]:
    return sorted((client.app.settings.data_dir / "spool").iterdir())


async def row(client: Client, asset_id: str) -> tuple[Asset, dict[str, str]]:
    asset, keys = await client.app.database.read(lambda tx: assets.with_keys(tx, asset_id))
    assert asset is not None
    return asset, keys


async def test_the_janitor_leaves_bytes_whose_asset_is_being_written(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as client:
        asset_id = new_id()
        path = await client.app.spool.write(asset_id, b"a picture")
        orphans = await tidy_spool(client.app.database, client.app.spool)
        assert (in_spool(client), orphans) == ([path], {asset_id})
        await tidy_spool(client.app.database, client.app.spool, orphans=orphans)  # nobody wrote it since
        assert in_spool(client) == []


async def test_a_mirror_is_made_of_the_spooled_bytes_though_the_spool_lets_them_go(
    tmp_path: Path, s3_server: Seaweed
) -> None:
    async with running(tmp_path / "data", **environ(s3_server)) as client:
        asset, keys = await row(client, (await stored(client))["id"])
        data = await client.app.originals.read(asset.id)
        await client.app.spool.write(asset.id, data)
        async with client.app.originals.file(asset, keys) as path:
            await client.app.spool.remove(asset.id)
            assert path.read_bytes() == data
        assert in_spool(client) == []


async def test_no_mirror_is_made_of_other_bytes(tmp_path: Path, s3_server: Seaweed) -> None:
    async with running(tmp_path / "data", **environ(s3_server)) as client:
        asset, keys = await row(client, (await stored(client))["id"])
        async with client.app.originals.file(asset, keys) as path:
            whole = path.read_bytes()
        other = tmp_path / "other"
        other.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        await s3_server.overwrite(keys["s3"], other)
        with pytest.raises(WrongBytes, match=asset.id):
            async with client.app.originals.file(asset, keys):
                pass
        assert in_spool(client) == []
        assert client.app.spool.usage.bytes == 0


async def test_a_picture_that_is_purged_while_it_is_stored_leaves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as client:
        store = client.app.stores.by_name["disk"]
        put, over = store.put, asyncio.Event()

        async def slowly(key: str, source: Path, **options: Any) -> None:
            await put(key, source, **options)
            asset_id, now = source.name, client.app.clock.now()
            await client.app.database.write(
                lambda tx: assets.learn(tx, asset_id, deleted_at=now, purged_at=now)
            )

        async def delete(key: str) -> None:
            await remove(key)
            over.set()

        remove, store.put, store.delete = store.delete, slowly, delete  # type: ignore[method-assign]
        generation = (await client.order(**FOX)).json
        await over.wait()
        _, keys = await row(client, generation["output"][0]["id"])
        assert keys == {}
        assert [each for each in (tmp_path / "data" / "assets").rglob("*") if each.is_file()] == []
