"""`ferrotype doctor` on the durable stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.app.settings import load_settings
from ferrotype.cli.doctor import CHECKS, Finding
from ferrotype.sim.gcs import GcsScript, GcsSim
from tests.ports import free_port
from tests.storage.azurite import ACCOUNT, CONTAINER, KEY, OTHER_KEY, Azurite
from tests.storage.conftest import azure_server, azurite_server

__all__ = ["azure_server", "azurite_server"]


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


async def test_a_container_of_azure(azure_server: Azurite) -> None:
    """The right key, a wrong one, and a container that is not there."""
    given = {
        "FERROTYPE_AZURE_CONTAINER": CONTAINER,
        "FERROTYPE_AZURE_ENDPOINT": azure_server.url,
        "AZURE_STORAGE_ACCOUNT": ACCOUNT,
        "AZURE_STORAGE_KEY": KEY,
    }
    _, found = await findings(**given)
    assert (found.mark, found.mend) == ("ok", "")
    for wrong, why in (
        ({"AZURE_STORAGE_KEY": OTHER_KEY}, "correct the account's key"),
        ({"FERROTYPE_AZURE_CONTAINER": "nowhere"}, "make the container, or correct its name"),
    ):
        _, found = await findings(**(given | wrong))
        assert found.mark == "fail"
        assert found.detail.startswith("azure: ")
        assert why in found.detail
        assert found.mend
        assert OTHER_KEY not in found.detail
    assert await azure_server.keys() == []


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
async def test_a_store_alone_is_the_primary(kind: str) -> None:
    place = "CONTAINER" if kind == "azure" else "BUCKET"
    environ = {f"FERROTYPE_{kind.upper()}_{place}": "pictures", "AZURE_STORAGE_ACCOUNT": "acct"}
    assert load_settings(environ).stores.written == (kind,)
