"""Gemini's settings."""

from __future__ import annotations

from typing import ClassVar, Final

from ferrotype.config import setting
from ferrotype.providers.connections import ProviderSettings

GOOGLE: Final = "https://generativelanguage.googleapis.com"
#: What a header can carry: a key read from a file often ends with a line break.
KEY: Final = r"^[\x21-\x7e]+$"


class GeminiSettings(ProviderSettings):
    """The Gemini API of Google AI Studio, or whatever speaks like it."""

    area: ClassVar[str] = "gemini"

    api_key: str | None = setting(
        None, "API key of Google AI Studio.", env="GEMINI_API_KEY", secret=True, pattern=KEY
    )
    google_api_key: str | None = setting(
        None, "The key's other usual name; GEMINI_API_KEY goes first.", env="GOOGLE_API_KEY", secret=True,
        pattern=KEY,
    )  # fmt: skip
    base_url: str = setting(
        GOOGLE,
        "Address of the API, without its version.",
        env="GEMINI_BASE_URL",
        pattern=r"^https?://[^\s]+$",
    )
    api_version: str = setting(
        "v1beta", "Version of the API, as in its addresses.", env="GEMINI_API_VERSION", pattern=r"^[a-z0-9]+$"
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.", env="GEMINI_CA_FILE")
    stall_timeout: float = setting(
        300.0,
        "Seconds without a byte of an answer after which a call is given up.",
        env="GEMINI_STALL_TIMEOUT",
        gt=0,
    )
    max_request_bytes: int = setting(
        100_000_000,
        "Longest request, in bytes, that the service takes, pictures in base64 included.",
        env="GEMINI_MAX_REQUEST_BYTES",
        gt=0,
    )

    @property
    def key(self) -> str | None:
        """The key, by whichever of its names it was given."""
        return self.api_key or self.google_api_key

    @property
    def configured(self) -> bool:
        """Google's own address is of no use without a key; another one may need none."""
        return self.key is not None or self.base_url != GOOGLE
