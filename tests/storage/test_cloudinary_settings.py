"""Cloudinary's settings, and its signatures against those of its own SDKs' tests."""

from __future__ import annotations

from typing import Any

import pytest

from ferrotype.config import ConfigError, load
from ferrotype.storage.cloudinary import CloudinaryStore
from ferrotype.storage.cloudinary_settings import Account, CloudinarySettings
from ferrotype.storage.cloudinary_wire import delivery_url, signed

URL = "cloudinary://12345:s3cr3t-_x@OurCloud"


def loaded(environ: dict[str, str], **table: Any) -> CloudinarySettings:
    return load(CloudinarySettings, environ, {"cloudinary": table})


def account(secret: str, algorithm: Any = "sha1") -> Account:
    return Account("c", "k", secret, "https://api", "http://res.cloudinary.com/test123", algorithm)


def test_nothing_is_configured_by_default() -> None:
    assert not loaded({}).configured
    with pytest.raises(ConfigError, match="is missing"):
        CloudinaryStore(loaded({}))


def test_the_url_of_the_console() -> None:
    made = loaded({"CLOUDINARY_URL": URL}).account
    assert made == Account(
        "OurCloud",
        "12345",
        "s3cr3t-_x",
        "https://api.cloudinary.com",
        "https://res.cloudinary.com/OurCloud",
        "sha1",
    )
    assert "s3cr3t" not in repr(made)


def test_a_url_with_an_own_host_and_options() -> None:
    options = "?upload_prefix=https://api-eu.cloudinary.com&signature_algorithm=sha256"
    made = loaded({"CLOUDINARY_URL": f"{URL}/img.example.com{options}"}).account
    assert made is not None
    assert made.network == "https://img.example.com"
    assert made.api == "https://api-eu.cloudinary.com"
    assert made.algorithm == "sha256"


def test_single_fields_win() -> None:
    settings = loaded({"CLOUDINARY_URL": URL, "CLOUDINARY_API_KEY": "777"}, cloud_name="mine")
    assert settings.account is not None
    assert (settings.account.cloud, settings.account.key) == ("mine", "777")
    assert settings.account.network == "https://res.cloudinary.com/mine"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.cloudinary.com",
        "cloudinary://<12345>:<s3cr3t>@cloud",
        "cloudinary://12345:s3cr3t",
        "CLOUDINARY_URL=cloudinary://12345:s3cr3t@cloud",
        "cloudinary://12345:s3cr3t@cloud?upload_prefix=ftp://s3cr3t",
    ],
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="CLOUDINARY_URL") as caught:
        loaded({"CLOUDINARY_URL": url})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"cloud_name": "a"}, "belong together"),
        ({"tags": ["a,b"]}, "tag"),
        ({"folder": "/a"}, "folder"),
        ({"chunk_bytes": 5_000_000}, "chunk_bytes"),
        ({"delivery_type": "public"}, "delivery_type"),
        ({"key_template": "{ext}"}, "asset_id"),
    ],
)
def test_settings_that_cannot_be(table: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        loaded({}, **table)


@pytest.mark.parametrize(
    ("params", "algorithm", "signature"),
    [
        ({"username": "user@cloudinary.com"}, "sha1", "14c00ba6d0dfdedbc86b316847d95b9e6cd46d94"),
        (
            {"username": "user@cloudinary.com"},
            "sha256",
            "45ddaa4fa01f0c2826f32f669d2e4514faf275fe6df053f1a150e7beae58a3bd",
        ),
        (
            {"notification_url": "https://fake.com/callback?a=1&tags=hello,world"},
            "sha1",
            "4fdf465dd89451cc1ed8ec5b3e314e8a51695704",
        ),
        (
            {"notification_url": "https://fake.com/callback?a=1", "tags": "hello,world"},
            "sha1",
            "7b4e3a539ff1fa6e6700c41b3a2ee77586a025f9",
        ),
    ],
)
def test_calls_are_signed_as_the_sdks_sign_them(
    params: dict[str, str], algorithm: str, signature: str
) -> None:
    ours = account("hdcixPpR2iKERPwqvH6sHdK9cyac", algorithm)
    made = signed({"cloud_name": "dn6ot3ged", "empty": "", **params}, ours, 1568810420)
    assert made["signature"] == signature
    assert made["api_key"] == "k"
    assert "empty" not in made


@pytest.mark.parametrize(("algorithm", "signature"), [("sha1", "v2fTPYTu"), ("sha256", "2hbrSMPO")])
def test_urls_are_signed_as_the_sdks_sign_them(algorithm: str, signature: str) -> None:
    url = delivery_url(account("b", algorithm), "private", "sample.jpg")
    assert url == f"http://res.cloudinary.com/test123/image/private/s--{signature}--/v1/sample.jpg"
