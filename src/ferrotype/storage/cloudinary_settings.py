"""Settings of the Cloudinary store; the variables are those of Cloudinary's own SDKs where they have one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import field_validator, model_validator

from ferrotype.config import setting
from ferrotype.storage.keys import DEFAULT_TEMPLATE
from ferrotype.storage.store_settings import StoreSettings, web_address

API: Final = "https://api.cloudinary.com"
NETWORK: Final = "https://res.cloudinary.com"
MB: Final = 1_000_000
#: `cloudinary://key:secret@cloud`, as the console shows it; the host of an own delivery network may follow.
URL: Final = re.compile(
    r"cloudinary://([^:@/?#\s<>]+):([^:@/?#\s<>]+)@([A-Za-z0-9_-]+)(/[^?#\s]*)?(\?[^#\s]*)?"
)

DeliveryType = Literal["upload", "private", "authenticated"]
Algorithm = Literal["sha1", "sha256"]


@dataclass(frozen=True, slots=True)
class Account:
    """A product environment. `api` is the base of its calls, `network` of its delivery URLs, neither with a
    slash at the end."""

    cloud: str
    key: str
    secret: str = field(repr=False)
    api: str
    network: str
    algorithm: Algorithm


class CloudinarySettings(StoreSettings):
    """Cloudinary: keeps originals as images, and delivers them by its own network."""

    area: ClassVar[str] = "cloudinary"
    prefix: ClassVar[str] = "FERROTYPE_CLOUDINARY_"

    url: str | None = setting(
        None,
        "Cloud name, API key and secret in one, as Cloudinary's console shows them:"
        " `cloudinary://KEY:SECRET@CLOUD`.",
        env="CLOUDINARY_URL",
        secret=True,
    )
    cloud_name: str | None = setting(
        None,
        "Name of the cloud (the product environment).",
        env="CLOUDINARY_CLOUD_NAME",
        pattern=r"^[A-Za-z0-9_-]+$",
    )
    api_key: str | None = setting(None, "API key.", env="CLOUDINARY_API_KEY", pattern=r"^[!-~]+$")
    api_secret: str | None = setting(
        None, "Secret of the API key.", env="CLOUDINARY_API_SECRET", secret=True, pattern=r"^[!-~]+$"
    )
    key_template: str = setting(
        DEFAULT_TEMPLATE,
        "How keys are made, of {account}, {yyyy}, {mm}, {dd}, {asset_id}, {secret} and {ext}. A public id is"
        " its key without the extension.",
    )
    folder: str = setting(
        "",
        "Folder that every public id begins with, `a/b`.",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*)?$",
    )
    asset_folders: bool = setting(
        False,
        "Whether the media library shows the folders too, in clouds with dynamic folders; in those with fixed"
        " folders it always does.",
    )
    delivery_type: DeliveryType = setting(
        "upload",
        "`upload`: whoever knows the URL can load the original. `private`: only with a signed URL, transforms"
        " by Cloudinary are open. `authenticated`: only with a signed URL, transforms too.",
        env="FERROTYPE_CLOUDINARY_TYPE",
    )
    public: bool = setting(
        True,
        "Whether answers lead to Cloudinary's URLs, where the type is `upload`.",
    )
    tags: list[str] = setting([], "Tags that every picture gets there.")
    eager: str = setting(
        "",
        "Transforms in Cloudinary's words that it makes of every picture as it comes, separated by |:"
        " `w_400,h_300,c_fill|w_80,c_thumb`. Each costs.",
        env="FERROTYPE_CLOUDINARY_EAGER",
        pattern=r"^[!-~]*$",
    )
    chunk_bytes: int = setting(
        20 * MB,
        "A larger picture is uploaded in chunks of so many bytes.",
        ge=6 * MB,
        le=100 * MB,
    )
    signature_algorithm: Algorithm = setting(
        "sha1",
        "`sha256` where the cloud takes nothing else.",
        env="CLOUDINARY_SIGNATURE_ALGORITHM",
    )
    upload_prefix: str = setting(
        API,
        "Address of the API: that of another region, say.",
        env="CLOUDINARY_UPLOAD_PREFIX",
    )
    delivery_url: str | None = setting(
        None,
        "Base of delivery URLs, for clouds with a host name of their own; https://res.cloudinary.com/CLOUD"
        " when not set.",
    )
    timeout: float = setting(
        60.0,
        "Seconds without an answer, or without a byte of it, after which a call is given up.",
        gt=0,
        le=600,
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.")

    @property
    def configured(self) -> bool:
        return self.account is not None

    @property
    def account(self) -> Account | None:
        """What the fields and the URL say together, None when there is too little; a field wins."""
        found = URL.fullmatch(self.url or "")
        key, secret, cloud, host, query = found.groups() if found else (None,) * 5
        options = {name: values[0] for name, values in parse_qs((query or "").lstrip("?")).items()}
        cloud, key, secret = self.cloud_name or cloud, self.api_key or key, self.api_secret or secret
        if not (cloud and key and secret):
            return None
        api = options.get("upload_prefix", API) if self.upload_prefix == API else self.upload_prefix
        own = f"https://{host[1:].rstrip('/')}" if host and host != "/" else f"{NETWORK}/{cloud}"
        algorithm: Algorithm = self.signature_algorithm
        if options.get("signature_algorithm") == "sha256":
            algorithm = "sha256"
        return Account(cloud, key, secret, api.rstrip("/"), self.delivery_url or own, algorithm)

    @field_validator("url")
    @classmethod
    def _is_cloudinary(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if URL.fullmatch(value) is None:
            raise ValueError("is written cloudinary://KEY:SECRET@CLOUD, without < and >")
        for prefix in parse_qs(urlsplit(value).query).get("upload_prefix", []):
            web_address(prefix)
        return value

    @field_validator("upload_prefix", "delivery_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        return web_address(value)

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, value: list[str]) -> list[str]:
        if any(not tag.strip() or not tag.isprintable() or "," in tag or len(tag) > 255 for tag in value):
            raise ValueError("a tag has 1 to 255 characters, all of them printable, and no comma")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> CloudinarySettings:
        given = (self.cloud_name, self.api_key, self.api_secret)
        if self.url is None and any(given) and not all(given):
            raise ValueError("cloud_name, api_key and api_secret belong together")
        return self
