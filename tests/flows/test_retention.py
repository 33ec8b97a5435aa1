"""How long pictures stay: deletion, restoration, purge, and what expires by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ferrotype.db import assets
from ferrotype.domain.ids import new_id
from tests.flows.harness import Client, running
from tests.imaging.imaging_pictures import scene

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}
PNG = scene(64, 48).pngsave_buffer()


async def stored(client: Client, **wishes: object) -> str:
    generation = (await client.order(**FOX, **wishes)).json
    await client.until(generation["id"], "stored")
    await client.until(generation["id"], "enriched")
    return str(generation["output"][0]["id"])


async def age(client: Client, asset_id: str, **facts: object) -> None:
    """As if time had passed."""
    await client.app.database.write(lambda tx: assets.learn(tx, asset_id, **facts))


async def test_a_deleted_picture_comes_back_at_its_old_url(client: Client) -> None:
    asset_id = await stored(client)
    before = await client.get(f"/images/{asset_id}")
    small = await client.get(f"/images/{asset_id}?w=64&format=webp")
    await client.request("DELETE", f"/v1/assets/{asset_id}")
    assert (await client.get(f"/images/{asset_id}")).status == 410
    for _ in range(2):
        reply = await client.request("POST", f"/v1/assets/{asset_id}/restore")
        assert (reply.status, reply.json["deleted_at"]) == (200, None)
    assert (await client.get(f"/images/{asset_id}")).body == before.body
    for _ in range(2):
        again = await client.get(f"/images/{asset_id}?w=64&format=webp")
        assert again.body == small.body
    assert again.headers["Server-Timing"] == "memory"


async def test_a_purged_picture_is_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder) as client:
        asset_id = await stored(client)
        await client.get(f"/images/{asset_id}?w=64&format=webp")
        await client.app.levels.settled()
        assert len(list(folder.rglob(f"*{asset_id}*"))) == 2  # the original, and the folder of its variants
        assert (await client.request("DELETE", f"/v1/assets/{asset_id}?purge=true")).status == 204
        await client.app.janitor.clean()
        while (asset := (await client.get(f"/v1/assets/{asset_id}")).json)["purged_at"] is None:
            await client.app.engine.wait()
        assert asset["placeholder"] is None
        assert (await client.get(f"/images/{asset_id}")).status == 410
        reply = await client.request("POST", f"/v1/assets/{asset_id}/restore")
        assert (reply.status, reply.json["code"]) == (410, "gone")
        assert list(folder.rglob(f"*{asset_id}*")) == []


async def test_the_bytes_stay_as_long_as_a_picture_can_be_restored(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder, FERROTYPE_RESTORE_DAYS="2") as client:
        asset_id = await stored(client)
        await client.request("DELETE", f"/v1/assets/{asset_id}")
        now = client.app.clock.now()
        for days, kept in ((1.9, True), (2.1, False)):
            await age(client, asset_id, deleted_at=now - timedelta(days=days))
            await client.app.janitor.clean()
            assert bool(list((folder / "assets").rglob(f"*{asset_id}*"))) is kept
            assert ((await client.get(f"/v1/assets/{asset_id}")).json["purged_at"] is None) is kept


@pytest.mark.parametrize(
    ("tags", "days"), [([], 90), (["fox"], 90), (["draft"], 7), (["draft", "preview", "fox"], 1)]
)
async def test_pictures_expire_by_the_tags_of_their_order(tmp_path: Path, tags: list[str], days: int) -> None:
    environ = {"FERROTYPE_KEEP_DAYS": "90", "FERROTYPE_KEEP_TAGGED_DAYS": "draft=7,preview=1"}
    async with running(tmp_path / "data", **environ) as client:
        asset_id = await stored(client, tags=tags)
        asset = (await client.get(f"/v1/assets/{asset_id}")).json
        from datetime import datetime

        lifetime = datetime.fromisoformat(asset["expires_at"]) - datetime.fromisoformat(asset["created_at"])
        assert lifetime == timedelta(days=days)
        uploaded = (await client.request("POST", "/v1/assets", data=PNG)).json
        assert uploaded["expires_at"] is None
        await client.app.janitor.clean()
        assert (await client.get(f"/images/{asset_id}")).status == 200
        await age(client, asset_id, expires_at=client.app.clock.now())
        await client.app.janitor.clean()
        assert (await client.get(f"/images/{asset_id}")).status == 410
        restored = await client.request("POST", f"/v1/assets/{asset_id}/restore")
        assert restored.json["expires_at"] is None


async def test_uploads_have_a_time_of_their_own(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_KEEP_UPLOADS_DAYS="3") as client:
        uploaded = (await client.request("POST", "/v1/assets", data=PNG)).json
        assert uploaded["expires_at"] is not None
        generated = (await client.order(**FOX)).json["output"][0]
        assert generated["expires_at"] is None


async def test_a_store_that_cannot_be_asked_is_asked_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = await stored(client)
    await client.request("DELETE", f"/v1/assets/{asset_id}")
    await age(client, asset_id, deleted_at=client.app.clock.now() - timedelta(days=31))

    async def down(_key: str) -> None:
        raise OSError("the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(client.app.stores.primary, "delete", down)
        await client.app.janitor.clean()
        assert (await client.get(f"/v1/assets/{asset_id}")).json["purged_at"] is None
    await client.app.janitor.clean()
    assert (await client.get(f"/v1/assets/{asset_id}")).json["purged_at"] is not None


async def test_only_an_own_asset_is_restored(client: Client) -> None:
    assert (await client.request("POST", f"/v1/assets/{new_id()}/restore")).status == 404
