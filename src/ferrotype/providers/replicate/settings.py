"""Replicate's settings."""

from __future__ import annotations

from typing import ClassVar

from ferrotype.config import setting
from ferrotype.providers.connections import ProviderSettings


class ReplicateSettings(ProviderSettings):
    """Models hosted at replicate.com."""

    area: ClassVar[str] = "replicate"

    token: str | None = setting(None, "API token, `r8_...`.", env="REPLICATE_API_TOKEN", secret=True)
    base_url: str = setting(
        "https://api.replicate.com", "Address of the API, without `/v1`.", env="REPLICATE_BASE_URL"
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.", env="REPLICATE_CA_FILE")
    wait: int = setting(
        3,
        "Seconds that Replicate may hold its answer for a picture that is soon done; 0 asks for none. Until"
        " the answer is here, a crash leaves only the look-up to find the prediction.",
        env="REPLICATE_WAIT",
        ge=0,
        le=60,
    )

    @property
    def configured(self) -> bool:
        return self.token is not None
