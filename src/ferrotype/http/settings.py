"""Settings of the HTTP side."""

from __future__ import annotations

import ipaddress
from typing import ClassVar

from ferrotype.config import ConfigError, Settings, setting


class HttpSettings(Settings):
    """Address, access and bounds of the API."""

    area: ClassVar[str] = "http"

    host: str = setting("127.0.0.1", "Address to listen on. Beyond loopback an API key is demanded.")
    port: int = setting(8700, "Port to listen on.", ge=1, le=65_535)
    public_url: str | None = setting(
        None,
        "Base of every absolute URL that is handed out; the request's Host when not set.",
        pattern=r"^https?://[^/\s]+(/[^\s]*)?$",
    )
    api_key: str | None = setting(
        None, "Needed as `Authorization: Bearer` once it is set.", secret=True, min_length=16
    )
    session_hours: float = setting(
        336.0, "Hours that a session of the studio lives before the key is asked for again.", gt=0, le=8_760
    )
    max_body_bytes: int = setting(50_331_648, "Bytes of a request body.", ge=1_024)
    default_wait: float = setting(60.0, "Seconds that an order waits for its end when it names none.", ge=0)
    max_wait: float = setting(100.0, "Seconds that `Prefer: wait=N` may ask for; more is cut to it.", ge=0)
    keep_alive: float = setting(15.0, "Seconds of silence after which an event stream sends a comment.", gt=0)
    max_page: int = setting(100, "Entries of one page of a list.", ge=1)
    drain_seconds: float = setting(
        30.0,
        "Seconds that running jobs and requests have to end at shutdown before jobs are handed back.",
        ge=0,
    )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def check_access(self) -> None:
        """Raise ConfigError when the server would be open to the network without a key."""
        if not self.loopback and self.api_key is None:
            raise ConfigError(
                f"FERROTYPE_API_KEY: {self.host} can be reached from other machines, so a key is needed. "
                "Set one of at least 16 characters (`openssl rand -hex 24`), or listen on 127.0.0.1."
            )


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
