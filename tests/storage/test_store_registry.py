from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ferrotype.config import ConfigError, load
from ferrotype.domain.asset import Asset
from ferrotype.domain.states import AssetState
from ferrotype.storage.azure_settings import EMULATOR, AzureSettings
from ferrotype.storage.disk import DiskStore
from ferrotype.storage.keys import DEFAULT_TEMPLATE, KeyTemplate
from ferrotype.storage.object_store import ObjectStore
from ferrotype.storage.registry import StorePlan, Stores, load_stores, open_stores
from ferrotype.storage.settings import StorageSettings

ASSET = Asset(
    id="0190f000-0000-7000-8000-000000000001",
    account_id="acme",
    state=AssetState.READY,
    content_type="image/webp",
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
)
S3 = {"FERROTYPE_S3_BUCKET": "pictures", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "the-secret"}
AZURE = {"FERROTYPE_AZURE_CONTAINER": "pictures", "AZURE_STORAGE_ACCOUNT": "acct"}
ARCHIVE = {"kind": "s3", "bucket": "old", "access_key_id": "k", "secret_access_key": "${ARCHIVE_SECRET}"}
ENV = {"ARCHIVE_SECRET": "of the archive"}


def plan(environ: dict[str, str] | None = None, **tables: dict[str, Any]) -> StorePlan:
    env = environ or {}
    return load_stores(load(StorageSettings, env), env, {"stores": tables})


def opened(tmp_path: Path, environ: dict[str, str] | None = None, **tables: dict[str, Any]) -> Stores:
    env = environ or {}
    return open_stores(plan(env, **tables), load(StorageSettings, env), tmp_path / "assets")


def test_the_disk_store_alone(tmp_path: Path) -> None:
    stores = opened(tmp_path)
    assert isinstance(stores.primary, DiskStore)
    assert (stores.primary.name, stores.mirrors, list(stores.by_name)) == ("disk", (), ["disk"])
    assert str(stores.templates["disk"]) == DEFAULT_TEMPLATE


def test_plain_variables_make_a_store_the_primary(tmp_path: Path) -> None:
    stores = opened(tmp_path, S3)
    assert isinstance(stores.primary, ObjectStore)
    assert stores.written == ("s3",)
    assert set(stores.by_name) == {"disk", "s3"}  # what an earlier set-up kept on the disk is still read


def test_stores_of_the_file_come_first(tmp_path: Path) -> None:
    stores = opened(
        tmp_path,
        S3 | ENV | {"FERROTYPE_GCS_BUCKET": "g", "FERROTYPE_GCS_ANONYMOUS": "true"},
        archive=ARCHIVE,
        nas={"kind": "disk", "path": str(tmp_path / "nas"), "key_template": "{asset_id}.{ext}"},
    )
    assert stores.written == ("archive", "nas", "s3", "gcs")
    assert [store.name for store in stores.mirrors] == ["nas", "s3", "gcs"]
    assert stores.templates["nas"].key(ASSET, b"") == f"{ASSET.id}.webp"
    assert (tmp_path / "nas").is_dir()


def test_the_order_can_be_given(tmp_path: Path) -> None:
    stores = opened(tmp_path, S3 | ENV | {"FERROTYPE_STORES": "disk, s3"}, archive=ARCHIVE)
    assert stores.written == ("disk", "s3")
    assert "archive" in stores.by_name


@pytest.mark.parametrize(
    ("environ", "tables", "message"),
    [
        ({"FERROTYPE_STORES": "s3"}, {}, r"FERROTYPE_STORES: there is no store 's3'.*there are disk"),
        (S3 | {"FERROTYPE_STORES": "s3,s3"}, {}, "FERROTYPE_STORES: a store is named twice"),
        ({}, {"s3": ARCHIVE}, r"\[stores\.s3\].*a name of its own"),
        ({}, {"disk": ARCHIVE}, r"\[stores\.disk\].*a name of its own"),
        ({}, {"a": {"kind": "ftp"}}, r"\[stores\.a\].*kind must be one of s3, gcs, .*disk"),
        ({}, {"a": {"kind": "s3"}}, r"\[stores\.a\].*its bucket is missing"),
        ({}, {"a": {"kind": "disk"}}, r"\[stores\.a\].*its path is missing"),
        ({}, {"archive": ARCHIVE}, r"\[stores\.archive\].*ARCHIVE_SECRET is not set"),
        ({}, {"a": {"kind": "s3", "buckt": "b"}}, r"\[stores\.a\] buckt.*no such setting"),
        (
            {},
            {"a": {"kind": "s3", "bucket": "b", "key_template": "{asset_id}/{day}"}},
            r"\[stores\.a\] key_template.*nothing else",
        ),
        ({"FERROTYPE_S3_BUCKET": "b", "AWS_ACCESS_KEY_ID": "k"}, {}, "secret_access_key belong together"),
        (S3 | {"FERROTYPE_S3_ENDPOINT": "minio:9000"}, {}, "FERROTYPE_S3_ENDPOINT: begins with http"),
        (S3 | {"FERROTYPE_S3_PRESIGNED_SECONDS": "604801"}, {}, "FERROTYPE_S3_PRESIGNED_SECONDS"),
        ({}, {"a": {"kind": "azure", "account": "acct"}}, r"\[stores\.a\].*its container is missing"),
        ({"FERROTYPE_AZURE_CONTAINER": "c"}, {}, "the storage account is missing"),
        (AZURE | {"AZURE_STORAGE_KEY": "the-secret!"}, {}, "AZURE_STORAGE_KEY: an account key is base64"),
        (
            AZURE | {"AZURE_STORAGE_SAS_TOKEN": "sig=the-secret", "FERROTYPE_AZURE_PRESIGNED": "1"},
            {},
            "a SAS cannot sign URLs",
        ),
        (
            AZURE | {"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=the-secret"},
            {},
            "AZURE_STORAGE_CONNECTION_STRING: is written AccountName=",
        ),
        (
            AZURE | {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;BlobEndpoint=acct:the-secret"},
            {},
            "AZURE_STORAGE_CONNECTION_STRING: begins with http",
        ),
        ({"FERROTYPE_DISK_KEY_TEMPLATE": "{yyyy}.{ext}"}, {}, r"FERROTYPE_DISK_KEY_TEMPLATE.*\{asset_id\}"),
        (
            {"FERROTYPE_GCS_BUCKET": "b", "FERROTYPE_GCS_ANONYMOUS": "1", "FERROTYPE_GCS_PRESIGNED": "1"},
            {},
            "anonymous and presigned",
        ),
    ],
)
def test_a_mistake_is_named(environ: dict[str, str], tables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        plan(environ, **tables)
    assert "the-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "tables", "message"),
    [
        (S3 | {"FERROTYPE_S3_CA_FILE": "/nowhere.pem"}, {}, "ca_file /nowhere.pem cannot be read"),
        ({}, {"a": {"kind": "gcs", "bucket": "b", "service_account_key": "{the-secret"}}, "store a"),
        ({}, {"a": {"kind": "disk", "path": "/proc/nowhere/a"}}, r"\[stores\.a\] path: .* cannot be made"),
    ],
)
def test_what_no_client_can_be_made_of(
    tmp_path: Path, environ: dict[str, str], tables: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        opened(tmp_path, environ, **tables)
    assert "the-secret" not in str(caught.value)


SIGNED = "BlobEndpoint={};SharedAccessSignature=?sv=1&sig=s"


@pytest.mark.parametrize(
    ("given", "account"),
    [
        ({"account": "acct"}, ("acct", "https://acct.blob.core.windows.net", None, None)),
        (
            {"account": "acct", "account_key": "aw==", "sas_token": "sig=s"},
            ("acct", "https://acct.blob.core.windows.net", "aw==", None),
        ),
        (
            {"connection_string": "AccountName=acct;AccountKey=aw==;EndpointSuffix=core.chinacloudapi.cn"},
            ("acct", "https://acct.blob.core.chinacloudapi.cn", "aw==", None),
        ),
        (
            {"connection_string": "AccountName=acct;AccountKey=aw==", "sas_token": "?sig=s"},
            ("acct", "https://acct.blob.core.windows.net", None, "sig=s"),
        ),
        (
            {"connection_string": SIGNED.format("https://acct.blob.core.windows.net/")},
            ("acct", "https://acct.blob.core.windows.net", None, "sv=1&sig=s"),
        ),
        (
            {"connection_string": SIGNED.format("http://10.0.0.1:10000/acct")},
            ("acct", "http://10.0.0.1:10000/acct", None, "sv=1&sig=s"),
        ),
        (
            {"connection_string": "UseDevelopmentStorage=true"},
            ("devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1", EMULATOR["AccountKey"], None),
        ),
    ],
)
def test_which_account_of_azure(given: dict[str, Any], account: tuple[str | None, ...]) -> None:
    found = AzureSettings(container="pictures", **given).storage_account
    assert found is not None
    assert (found.name, found.endpoint, found.key, found.sas) == account
    assert "aw==" not in repr(found)
    assert "sig=s" not in repr(found)


async def test_where_a_container_of_azure_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment has that Azure's own tools read."""
    monkeypatch.setenv("AZURE_STORAGE_USE_EMULATOR", "true")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:1")
    signed = {"FERROTYPE_AZURE_PRESIGNED": "true", "AZURE_STORAGE_KEY": "aw=="}
    stores = opened(tmp_path, AZURE | signed)
    assert stores.written == ("azure",)
    url = await stores.primary.public_url("a/b.png")
    assert url is not None
    assert url.startswith("https://acct.blob.core.windows.net/pictures/a/b.png?")


def test_keys() -> None:
    everything = KeyTemplate("{account}/{yyyy}/{mm}/{dd}/{asset_id}-{secret}.{ext}")
    key = everything.key(ASSET, b"one")
    assert key.startswith(f"acme/2026/01/02/{ASSET.id}-")
    assert key.endswith(".webp")
    assert key == everything.key(ASSET, b"one")
    assert key != everything.key(ASSET, b"two")


@pytest.mark.parametrize(
    "text",
    [
        "{asset_id",
        "{}",
        "{asset_id!r}",
        "{asset_id:>50}",
        "{asset_id.x}",
        "{yyyy}/{secret}.{ext}",
        "/{asset_id}",
        "../{asset_id}",
        "{asset_id}/",
        "a b/{asset_id}",
        "x" * 500 + "{asset_id}",
    ],
)
def test_a_template_that_makes_bad_keys(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        KeyTemplate(text)
