"""A Cog server's settings."""

from __future__ import annotations

from typing import ClassVar

from ferrotype.config import setting
from ferrotype.providers.connections import ProviderSettings


class CogSettings(ProviderSettings):
    """A Cog server: a model that you host yourself."""

    area: ClassVar[str] = "cog"

    url: str | None = setting(
        None,
        "Base address of a Cog server: `http://10.0.0.5:5000`.",
        env="COG_URL",
        pattern=r"^https?://[^\s]+$",
    )
    token: str | None = setting(
        None, "Sent as `Authorization: Bearer`, for a proxy in front of it.", env="COG_TOKEN", secret=True
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.", env="COG_CA_FILE")
    webhook_secret: str | None = setting(
        None,
        "Any long text of your own. With it results come by webhook and survive a restart of Ferrotype; the"
        " Cog server must be able to reach FERROTYPE_PUBLIC_URL.",
        env="COG_WEBHOOK_SECRET",
        secret=True,
        min_length=16,
    )
    upload_url: str | None = setting(
        None,
        "Where the server was told to put its pictures (`--upload-url`), if that is on a private network.",
        env="COG_UPLOAD_URL",
        pattern=r"^https?://[^\s]+$",
    )

    @property
    def configured(self) -> bool:
        return self.url is not None
