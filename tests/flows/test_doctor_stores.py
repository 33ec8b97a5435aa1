"""`ferrotype doctor` on the durable stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.app.settings import load_settings
from ferrotype.cli.doctor import CHECKS, Finding
from ferrotype.sim.gcs import GcsScript, GcsSim
from tests.ports import free_port


async def findings(**environ: str) -> list[Finding]:
    return await CHECKS["stores"](load_settings(environ))


async def test_the_disk_alone() -> None:
    (found,) = await findings()
    assert (found.mark, found.detail) == ("ok", "pictures are written to disk")


async def test_each_store_is_tried(tmp_path: Path) -> None:
    async with GcsSim(GcsScript(private=True)) as sim, GcsSim() as other:
        (tmp_path / "ferrotype.toml").write_text(
            f'[stores.nas]\nkind = "disk"\npath = "{tmp_path / "nas"}"\n'
            f'[stores.wrong]\nkind = "gcs"\nbucket = "pictures"\nendpoint = "{sim.url}"\n'
            'service_account_key = "${OTHER_KEY}"\n'
            '[stores.away]\nkind = "s3"\nbucket = "p"\naccess_key_id = "k"\nsecret_access_key = "s3cret"\n'
            f'endpoint = "http://127.0.0.1:{free_port()}"\n'
            '[stores.odd]\nkind = "gcs"\nbucket = "p"\nservice_account_key = "no key"\n'
        )
        found = await findings(
            FERROTYPE_CONFIG=str(tmp_path / "ferrotype.toml"),
            OTHER_KEY=other.service_account(),
            FERROTYPE_GCS_BUCKET="pictures",
            FERROTYPE_GCS_ENDPOINT=sim.url,
            GOOGLE_SERVICE_ACCOUNT_KEY=sim.service_account(),
            FERROTYPE_STORES="gcs,nas",
        )
        assert not sim.buckets.objects
    first, nas, wrong, away, odd, gcs = found
    assert first.detail == "pictures are written to gcs, nas"
    for each, name in ((nas, "nas"), (gcs, "gcs")):
        assert (each.mark, each.mend) == ("ok", "")
        assert each.detail.startswith(f"{name}: ")
    for each, name, words in (
        (wrong, "wrong", "refuses us"),
        (away, "away", "nothing listens there"),
        (odd, "odd", "of no use"),
    ):
        assert each.mark == "fail"
        assert name in each.detail
        assert words in each.detail
        assert each.mend
        assert "s3cret" not in each.detail
        assert "no key" not in each.detail


@pytest.mark.parametrize("name", ["FERROTYPE_S3_BUCKET", "FERROTYPE_GCS_BUCKET"])
async def test_a_store_alone_is_the_primary(name: str) -> None:
    assert load_settings({name: "pictures"}).stores.written[0] in ("s3", "gcs")
