"""Settings of the CDN in front; the variables of a service are those of its own tools."""

from __future__ import annotations

import base64
import re
from typing import ClassVar, Final, Literal

from pydantic import field_validator, model_validator

from ferrotype.config import Settings, setting
from ferrotype.storage.store_settings import web_address

Service = Literal["cloudflare", "fastly", "webhook"]
#: The header by which each takes an answer's tags (Google's CDN too, with the first).
TAG_HEADERS: Final = {"cloudflare": "Cache-Tag", "fastly": "Surrogate-Key", "webhook": "Cache-Tag"}
NEEDS: Final = {
    "cloudflare": ("cloudflare_zone_id", "cloudflare_api_token"),
    "fastly": ("fastly_service_id", "fastly_api_token"),
    "webhook": ("webhook_url",),
}
#: RFC 9110, 5.6.2.
TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
#: Of a webhook's secret, in bytes (the Standard Webhooks specification).
SECRET_BYTES: Final = range(24, 65)
PREFIX: Final = "whsec_"


class CdnSettings(Settings):
    """The CDN in front, which is told when a picture is deleted or becomes private."""

    area: ClassVar[str] = "cdn"
    prefix: ClassVar[str] = "FERROTYPE_CDN_"

    service: Service | None = setting(
        None, "Who is told: `cloudflare`, `fastly` or `webhook`; nobody when not set.", env="FERROTYPE_CDN"
    )
    cloudflare_zone_id: str | None = setting(
        None, "Id of the zone.", env="CLOUDFLARE_ZONE_ID", pattern=r"^[0-9a-f]{32}$"
    )
    cloudflare_api_token: str | None = setting(
        None,
        "API token with the permission *Zone, Cache Purge* for the zone.",
        env="CLOUDFLARE_API_TOKEN",
        secret=True,
        pattern=r"^[!-~]+$",
    )
    fastly_service_id: str | None = setting(
        None, "Id of the service.", env="FASTLY_SERVICE_ID", pattern=r"^[A-Za-z0-9]+$"
    )
    fastly_api_token: str | None = setting(
        None,
        "API token with the scope `purge_select` for the service.",
        env="FASTLY_API_TOKEN",
        secret=True,
        pattern=r"^[!-~]+$",
    )
    webhook_url: str | None = setting(
        None, "Where the tags and URLs are sent that are to be forgotten.", secret=True
    )
    webhook_secret: str | None = setting(
        None,
        "Signs what is sent as Standard Webhooks do: `whsec_` and 24 to 64 bytes in base64; unsigned when"
        " not set.",
        secret=True,
    )
    tag_header: str | None = setting(
        None,
        "Header by which an answer tells its tag, the id of the picture; `Cache-Tag`, and `Surrogate-Key` for"
        " Fastly, when not set.",
    )
    hosts: list[str] = setting(
        [],
        "Hosts of stores' public URLs that this CDN is in front of too: what is removed from a store is"
        " forgotten there by its URL.",
    )
    api_url: str | None = setting(None, "Address of the service's API; its own when not set.", secret=True)
    timeout: float = setting(10.0, "Seconds that a call may take.", gt=0, le=120)

    @property
    def header(self) -> bytes | None:
        """The name of the tags' header in lower case, None where nobody is told of anything."""
        if self.service is None:
            return None
        return (self.tag_header or TAG_HEADERS[self.service]).lower().encode()

    @property
    def webhook_key(self) -> bytes | None:
        """What signs."""
        return None if self.webhook_secret is None else _key(self.webhook_secret)

    @field_validator("webhook_url", "api_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        return web_address(value)

    @field_validator("webhook_secret")
    @classmethod
    def _is_secret(cls, value: str | None) -> str | None:
        if value is not None and len(_key(value)) not in SECRET_BYTES:
            raise ValueError("a secret has 24 to 64 bytes: make one with `openssl rand -base64 32`")
        return value

    @field_validator("tag_header")
    @classmethod
    def _is_header(cls, value: str | None) -> str | None:
        if value is not None and not TOKEN.fullmatch(value):
            raise ValueError("is the name of a header")
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> CdnSettings:
        for name in NEEDS.get(self.service or "", ()):
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing")
        return self


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise ValueError("is written whsec_ and base64 behind it") from None
