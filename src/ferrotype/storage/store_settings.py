"""Settings of the durable stores, one class for each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from ferrotype.config import Settings, setting
from ferrotype.storage.keys import DEFAULT_TEMPLATE, KeyTemplate

#: A signature is good for a week at most, at every provider. In seconds.
MAX_PRESIGNED: Final = 7 * 24 * 3600


def _public_url() -> Any:
    return setting(
        None,
        "URL under which everybody can load what is in the store, a CDN's or the bucket's own: answers lead"
        " there.",
        secret=True,  # a wrong one is not repeated: there may be a password in it
    )


class StoreSettings(Settings):
    """Base of every store's settings."""

    key_template: str = setting(
        DEFAULT_TEMPLATE,
        "How keys are made, of {account}, {yyyy}, {mm}, {dd}, {asset_id}, {secret} and {ext}. Without"
        " {secret}, digits that nobody can guess, who knows a picture's URL here knows its key in the store."
        " Keys that are in use stay as they are.",
    )

    @property
    def configured(self) -> bool:
        """Whether enough is given to use the store."""
        raise NotImplementedError

    @field_validator("key_template")
    @classmethod
    def _makes_keys(cls, value: str) -> str:
        KeyTemplate(value)
        return value


class DiskStoreSettings(StoreSettings):
    """A folder: another disk, or a network's file system."""

    area: ClassVar[str] = "disk"

    path: Path | None = setting(None, "The folder; it is made where there is none.")
    public_url: str | None = _public_url()

    @property
    def configured(self) -> bool:
        return self.path is not None

    @field_validator("public_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        return web_address(value)


class ObjectSettings(StoreSettings):
    """What all object stores have. A kind tells with `endpoint` what it stands for there."""

    endpoint: str | None = setting(None, "Address of the service.", secret=True)
    public_url: str | None = _public_url()
    presigned: bool = setting(
        False, "Whether answers lead to signed URLs of the store, where it has no public URL."
    )
    presigned_seconds: int = setting(3600, "Seconds that a signed URL is good for.", ge=60, le=MAX_PRESIGNED)
    timeout: float = setting(
        60.0,
        "Seconds that a request to the store may take, one of the parts of a large picture included; reading"
        " may take longer, as long as bytes come.",
        gt=0,
        le=600,
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.")

    @field_validator("endpoint", "public_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        return web_address(value)


class S3Settings(ObjectSettings):
    """S3, and everything that speaks it: Cloudflare R2, MinIO, SeaweedFS, ..."""

    area: ClassVar[str] = "s3"
    prefix: ClassVar[str] = "FERROTYPE_S3_"

    bucket: str | None = setting(None, "Name of the bucket; it must be there.")
    endpoint: str | None = setting(
        None, "Address of the service; that of AWS in the region when not set.", secret=True
    )
    region: str | None = setting(
        None, "The bucket's region; `auto` for R2, nearly always `us-east-1` elsewhere.", env="AWS_REGION"
    )
    access_key_id: str | None = setting(
        None,
        "Access key. Without one the ways of AWS are tried: its variables, a web identity, the role of the"
        " machine.",
        env="AWS_ACCESS_KEY_ID",
    )
    secret_access_key: str | None = setting(
        None, "Secret of the access key.", env="AWS_SECRET_ACCESS_KEY", secret=True
    )
    session_token: str | None = setting(
        None, "Token that goes with temporary keys.", env="AWS_SESSION_TOKEN", secret=True
    )
    path_style: bool | None = setting(
        None,
        "Whether the bucket stands in the path, not in the host name; when not set it does where an endpoint"
        " is given.",
    )

    @property
    def configured(self) -> bool:
        return self.bucket is not None

    @model_validator(mode="after")
    def _belongs_together(self) -> S3Settings:
        if self.configured and (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        return self


class GcsSettings(ObjectSettings):
    """Google Cloud Storage; a bucket of Firebase Storage is one of these."""

    area: ClassVar[str] = "gcs"
    prefix: ClassVar[str] = "FERROTYPE_GCS_"

    bucket: str | None = setting(
        None,
        "Name of the bucket; it must be there. Firebase's are called `PROJECT.firebasestorage.app` or"
        " `PROJECT.appspot.com`.",
    )
    service_account_key: str | None = setting(
        None, "JSON key of a service account, its text.", env="GOOGLE_SERVICE_ACCOUNT_KEY", secret=True
    )
    credentials_file: str | None = setting(
        None,
        "File with a JSON key of a service account, or of a user. Without this and without a key the"
        " application default credentials are tried: those of gcloud, and the machine's.",
        env="GOOGLE_APPLICATION_CREDENTIALS",
    )
    anonymous: bool = setting(False, "Whether requests carry no credentials, as emulators want it.")
    endpoint: str | None = setting(None, "Address of an emulator; Google's when not set.", secret=True)

    @property
    def configured(self) -> bool:
        return self.bucket is not None

    @model_validator(mode="after")
    def _belongs_together(self) -> GcsSettings:
        if self.anonymous and self.presigned:
            raise ValueError(
                "nobody can sign URLs without credentials: anonymous and presigned exclude each other"
            )
        return self


def web_address(value: str | None) -> str | None:
    """`value` without a slash at the end. Raises ValueError for what is no http or https URL."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("begins with http:// or https://, names a host, and has no ? and no #")
    if parts.username or parts.password:
        raise ValueError("has no user and no password in it")
    return value.rstrip("/")
