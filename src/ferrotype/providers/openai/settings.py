"""OpenAI's settings; the variables are those of its official SDKs."""

from __future__ import annotations

from typing import ClassVar, Final

from ferrotype.config import setting
from ferrotype.providers.connections import ProviderSettings

#: OpenAI's own service, which needs a key.
HOSTED: Final = "https://api.openai.com/v1"


class OpenAISettings(ProviderSettings):
    """OpenAI, or a server that speaks its Images API: vLLM-Omni, LocalAI, LiteLLM, stdapi ..."""

    area: ClassVar[str] = "openai"

    api_key: str | None = setting(
        None, "Your API key; servers of your own may need none.", env="OPENAI_API_KEY", secret=True
    )
    base_url: str = setting(
        HOSTED,
        "Where the API begins, version included: `http://127.0.0.1:8000/v1`.",
        env="OPENAI_BASE_URL",
        pattern=r"^https?://[^\s]+$",
    )
    organization: str | None = setting(
        None, "Sent as `OpenAI-Organization`.", env="OPENAI_ORG_ID", pattern=r"^[!-~]+$"
    )
    project: str | None = setting(
        None, "Sent as `OpenAI-Project`.", env="OPENAI_PROJECT_ID", pattern=r"^[!-~]+$"
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.", env="OPENAI_CA_FILE")

    @property
    def configured(self) -> bool:
        return self.api_key is not None or self.base_url.rstrip("/") != HOSTED
