"""A store that refuses: the server still serves, says which store and why, and nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import jobs
from ferrotype.sim.gcs import GcsScript, GcsSim
from ferrotype.sim.options import Failure
from tests.flows.harness import Client, running
from tests.flows.test_stores import make_due

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}
#: What the service answers, and what people are told.
TROUBLES = {
    "full": (507, "XMinioStorageFull", "store gcs is full"),
    "clock": (403, "RequestTimeTooSkewed", "set this machine's clock"),
    "credentials": (403, "InvalidAccessKeyId", "correct the access key"),
    "bucket": (404, "NoSuchBucket", "make the bucket, or correct its name"),
    "busy": (503, "SlowDown", "store gcs answers SlowDown"),
}


async def told(client: Client, kind: str = "store") -> dict[str, Any]:
    """What the job of that kind met, once it has met something."""

    def story(tx: Transaction) -> Any:
        return tx.execute(select(jobs.c.error).where(jobs.c.kind == kind)).scalar()

    async with asyncio.timeout(30):
        while True:
            if error := await client.app.database.read(story):
                return dict(error)
            await asyncio.sleep(0.01)


async def is_served(client: Client, asset: dict[str, Any]) -> bytes:
    answer = await client.get(f"/images/{asset['id']}")
    assert answer.status == 200
    return answer.body


async def ready(client: Client, store: str) -> dict[str, Any]:
    """What /readyz says of a store; the server is ready all the same."""
    answer = await client.get("/readyz")
    assert answer.status == 200
    return dict(answer.json["checks"][f"store:{store}"])


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_bucket_that_refuses(tmp_path: Path, trouble: str) -> None:
    status, code, words = TROUBLES[trouble]
    async with GcsSim(GcsScript(private=True)) as sim:
        sim.script.failures = [Failure("put object", status, -1, f"<Code>{code}</Code>")]
        environ = {
            "FERROTYPE_GCS_BUCKET": "pictures",
            "FERROTYPE_GCS_ENDPOINT": sim.url,
            "GOOGLE_SERVICE_ACCOUNT_KEY": sim.service_account(),
        }
        async with running(tmp_path / "data", **environ) as client:
            generation = (await client.order(**FOX)).json
            assert generation["status"] == "succeeded"
            (asset,) = generation["output"]
            body = await is_served(client, asset)
            assert words in (await told(client))["detail"]
            check = await ready(client, "gcs")
            assert check["ok"] is False
            assert words in check["detail"]
            assert "PRIVATE KEY" not in str(check)
            assert not sim.buckets.objects
            assert (tmp_path / "data" / "spool" / asset["id"]).read_bytes() == body
            sim.script.failures = []
            await make_due(client, "store")
            await client.until(generation["id"], "stored")
            (stored,) = sim.buckets.objects.values()
            assert hashlib.sha256(stored.data).digest() == hashlib.sha256(body).digest()
            assert await is_served(client, asset) == body
        assert list((tmp_path / "data" / "spool").iterdir()) == []


def nas(folder: Path, path: Path) -> dict[str, str]:
    """What names a configuration file with a disk store there."""
    file = folder / "ferrotype.toml"
    file.write_text(f'[stores.nas]\nkind = "disk"\npath = "{path}"\n')
    return {"FERROTYPE_CONFIG": str(file)}


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="wants a folder that not even root can write to")
async def test_a_disk_that_cannot_be_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder, **nas(tmp_path, Path("/sys/kernel"))) as client:
        generation = (await client.order(**FOX)).json
        (asset,) = generation["output"]
        body = await is_served(client, asset)
        problem = await told(client)
        assert problem["code"] == "store_misconfigured"
        assert "store nas refuses us" in problem["detail"]
        check = await ready(client, "nas")
        assert check["ok"] is False
        assert "/sys/kernel" in check["detail"]
    assert (folder / "spool" / asset["id"]).read_bytes() == body
    async with running(folder, **nas(tmp_path, tmp_path / "nas")) as client:
        await make_due(client, "store")
        await client.until(generation["id"], "stored")
        assert await is_served(client, asset) == body
    (kept,) = (path for path in (tmp_path / "nas").rglob("*") if path.is_file())
    assert kept.read_bytes() == body
    assert list((folder / "spool").iterdir()) == []
