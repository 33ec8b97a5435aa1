"""A server whose primary store is a real S3 server, with a mirror on disk, and faults in between."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import jobs
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.provenance.xmp import embedded
from tests.flows.harness import Client, running
from tests.imaging.render_tools import opened
from tests.storage.conftest import s3_server, seaweed_server
from tests.storage.seaweed import BUCKET, WRITER, Seaweed

__all__ = ["s3_server", "seaweed_server"]

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}


def environ(server: Seaweed, **more: str) -> dict[str, str]:
    return {
        "FERROTYPE_S3_BUCKET": BUCKET,
        "FERROTYPE_S3_ENDPOINT": server.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": WRITER[0],
        "AWS_SECRET_ACCESS_KEY": WRITER[1],
        **more,
    }


async def stored(client: Client, count: int = 1, **wishes: Any) -> dict[str, Any]:
    """The asset of a picture that `count` stores have."""
    generation = (await client.order(**{**FOX, **wishes})).json
    envelope = await client.until(generation["id"], "stored", count=count)
    return dict(envelope["output"][0])


async def test_the_bucket_has_every_picture_once(tmp_path: Path, s3_server: Seaweed) -> None:
    async with running(tmp_path / "data", **environ(s3_server)) as client:
        assets = [await stored(client, seed=seed) for seed in range(3)]
        keys = await s3_server.keys()
        assert len(keys) == 3
        assert {asset["id"] in "".join(keys) for asset in assets} == {True}
        assert list((tmp_path / "data" / "spool").iterdir()) == []
        assert list((tmp_path / "data" / "assets").iterdir()) == []
        for asset in assets:
            answer = await client.get(asset["url"])
            assert hashlib.sha256(answer.body).hexdigest() == asset["sha256"]


async def test_a_node_that_has_nothing_reads_from_the_bucket(tmp_path: Path, s3_server: Seaweed) -> None:
    folder = tmp_path / "data"
    async with running(folder, **environ(s3_server)) as client:
        asset = await stored(client)
        await client.until(asset["generation_id"], "enriched")
    shutil.rmtree(folder / "variants")
    async with running(folder, **environ(s3_server)) as client:
        path = f"/images/{asset['id']}"
        small, whole = await asyncio.gather(client.get(f"{path}?w=64&format=webp"), client.get(path))
        assert opened(small.body).size == (64, 64)
        assert hashlib.sha256(whole.body).hexdigest() == asset["sha256"]
        again = await client.get(path)
        assert (again.body, again.headers["Server-Timing"]) == (whole.body, "memory")
        await client.app.janitor.clean()
        assert list((folder / "spool").iterdir()) == []
        archive = await client.get(f"/v1/generations/{asset['generation_id']}/download.zip")
        assert embedded(whole.body, packet("algorithmicMedia")) in archive.body


async def test_a_mirror_gets_what_the_primary_has(tmp_path: Path, s3_server: Seaweed) -> None:
    settings = environ(s3_server, FERROTYPE_STORES="s3,disk")
    async with running(tmp_path / "data", **settings) as client:
        asset = await stored(client, count=2)
        (mirrored,) = (tmp_path / "data" / "assets").rglob(f"{asset['id']}*")
        assert hashlib.sha256(mirrored.read_bytes()).hexdigest() == asset["sha256"]
        assert len(await s3_server.keys()) == 1
        assert (await client.request("DELETE", f"/v1/assets/{asset['id']}")).status == 204
        await client.app.purge.purge(asset["id"])
        assert (await client.get(f"/v1/assets/{asset['id']}")).json["purged_at"] is not None
        assert await s3_server.keys() == []
        assert not mirrored.exists()


async def test_a_bucket_that_is_down_costs_nobody_a_picture(tmp_path: Path, s3_server: Seaweed) -> None:
    folder = tmp_path / "data"
    down = environ(s3_server, FERROTYPE_S3_ENDPOINT="http://127.0.0.1:9")
    async with running(folder, **down) as client:
        generation = (await client.order(**FOX)).json
        assert generation["status"] == "succeeded"
        (asset,) = generation["output"]
        assert (await client.get(asset["url"])).status == 200
        ready = await client.get("/readyz")
        assert ready.status == 200
        check = ready.json["checks"]["store:s3"]
        assert check["ok"] is False
        assert WRITER[1] not in ready.body.decode()
    spooled = folder / "spool" / asset["id"]
    assert hashlib.sha256(spooled.read_bytes()).hexdigest() == (asset["sha256"] or "") or spooled.exists()
    async with running(folder, **environ(s3_server)) as client:
        await make_due(client, "store")
        await client.until(generation["id"], "stored")
        assert len(await s3_server.keys()) == 1
        assert not spooled.exists()


async def make_due(client: Client, kind: str) -> None:
    """As if the time of every retry had come."""

    def story(tx: Transaction) -> None:
        waiting = select(jobs.c.id).where(jobs.c.state == "queued", jobs.c.kind == kind)
        for row in tx.execute(waiting).all():
            assert client.app.engine.hurry(tx, row.id)

    await client.app.database.write(story)


@pytest.mark.parametrize("presigned", [True, False])
async def test_answers_lead_to_the_bucket(tmp_path: Path, s3_server: Seaweed, presigned: bool) -> None:
    where = (
        {"FERROTYPE_S3_PRESIGNED": "true"}
        if presigned
        else {"FERROTYPE_S3_PUBLIC_URL": "https://cdn.example/p"}
    )
    async with running(tmp_path / "data", **environ(s3_server, **where)) as client:
        asset = await stored(client)
        answer = await client.get(asset["url"])
        assert answer.status == 302
        location = answer.headers["Location"]
        if presigned:
            there = await client.get(location)
            assert hashlib.sha256(there.body).hexdigest() == asset["sha256"]
            assert there.headers["Content-Type"] == asset["content_type"]
        else:
            assert location.startswith("https://cdn.example/p/20")
        private = await stored(client, visibility="private", seed=8)
        assert (await client.get(private["url"])).status == 200
