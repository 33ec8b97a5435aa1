"""fal's settings."""

from __future__ import annotations

from typing import ClassVar, Final
from urllib.parse import urlsplit

from ferrotype.config import setting
from ferrotype.providers.connections import ProviderSettings

URL: Final = r"^https?://[^\s]+$"
#: A host as fal's own clients take it, perhaps with a port: no scheme, no path.
HOST: Final = r"^[^\s/:]+(:\d+)?$"
#: fal's own domain, whose keys its REST API takes too.
DOMAIN: Final = "fal.run"
REST_URL: Final = "https://rest.fal.ai"


class FalSettings(ProviderSettings):
    """An account at fal.ai; the variables are those of its own clients where these have one."""

    area: ClassVar[str] = "fal"

    api_key: str | None = setting(
        None, "Key of fal.ai, sent as `Authorization: Key`.", env="FAL_KEY", secret=True
    )
    run_host: str = setting(
        "fal.run", "Host of fal's API, without a scheme.", env="FAL_RUN_HOST", pattern=HOST
    )
    queue_host: str | None = setting(
        None,
        "Host of fal's queue, without a scheme; `queue.` before the host of the API when omitted.",
        env="FAL_QUEUE_RUN_HOST",
        pattern=HOST,
    )
    base_url: str | None = setting(
        None,
        "Whole address of the queue, in place of both hosts: for a proxy or a simulator.",
        env="FAL_BASE_URL",
        pattern=URL,
    )
    rest_url: str | None = setting(
        None,
        "Address of fal's storage for input pictures, and of the keys that webhooks are signed with;"
        " `https://rest.fal.ai` when omitted, unless calls go to a host that is not fal's.",
        env="FAL_REST_URL",
        pattern=URL,
    )
    ca_file: str | None = setting(None, "PEM file of an own certificate authority.", env="FAL_CA_FILE")
    stream: bool = setting(
        True, "Follow calls by fal's stream of states; without it they are asked for.", env="FAL_STREAM"
    )
    max_data_uri: int = setting(
        262_144,
        "Bytes of an input picture up to which it travels inside the order; larger ones are uploaded first.",
        env="FAL_MAX_DATA_URI",
        ge=0,
    )
    request_timeout: float = setting(
        60.0,
        "Seconds without a byte of an HTTP answer after which the request is given up.",
        env="FAL_REQUEST_TIMEOUT",
        gt=0,
    )

    @property
    def configured(self) -> bool:
        return self.api_key is not None

    @property
    def queue_url(self) -> str:
        """The queue's address."""
        return self.base_url or f"https://{self.queue_host or f'queue.{self.run_host}'}"

    @property
    def storage_url(self) -> str | None:
        """The REST API's address. None where calls go to a proxy and nothing else is said: the key is the
        proxy's, and not to be shown to fal."""
        if self.rest_url is not None:
            return self.rest_url
        host = urlsplit(self.queue_url).hostname or ""
        return REST_URL if f".{host}".endswith(f".{DOMAIN}") else None
