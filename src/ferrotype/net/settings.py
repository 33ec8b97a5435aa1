"""Settings of everything that leaves or watches the process: fetches, and the log."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from ferrotype.config import Settings, setting
from ferrotype.net.address import parse_host_port

MIB = 1024 * 1024


class NetSettings(Settings):
    """How bytes are fetched, from providers and from addresses that users name."""

    area: ClassVar[str] = "net"

    connect_timeout: float = setting(
        10.0,
        "Seconds to reach a server, TLS included.",
        env="FERROTYPE_FETCH_CONNECT_TIMEOUT",
        gt=0,
    )
    read_timeout: float = setting(
        30.0,
        "Seconds without a single byte after which a fetch is given up.",
        env="FERROTYPE_FETCH_READ_TIMEOUT",
        gt=0,
    )
    total_timeout: float = setting(
        300.0,
        "Seconds for a whole fetch, redirects and the reader's own pauses included.",
        env="FERROTYPE_FETCH_TIMEOUT",
        gt=0,
    )
    max_fetch_bytes: int = setting(
        256 * MIB, "Largest body of a fetch, in bytes.", env="FERROTYPE_MAX_FETCH_BYTES", ge=1
    )
    max_redirects: int = setting(
        5, "Redirects that one fetch follows.", env="FERROTYPE_FETCH_MAX_REDIRECTS", ge=0, le=20
    )
    max_connections: int = setting(
        256, "Connections open at once for fetches.", env="FERROTYPE_FETCH_MAX_CONNECTIONS", ge=1
    )
    allow_private_fetch: list[str] = setting(
        [],
        "Hosts (`name`, `name:port`, `[v6]:port`) that users may have fetched although their address is"
        " private or loopback, or their port unusual.",
        env="FERROTYPE_FETCH_ALLOW",
    )

    @field_validator("allow_private_fetch")
    @classmethod
    def _hosts(cls, value: list[str]) -> list[str]:
        for entry in value:
            parse_host_port(entry)
        return value


class LogSettings(Settings):
    """What the log looks like."""

    area: ClassVar[str] = "log"

    log_format: Literal["auto", "json", "console"] = setting(
        "auto", "`json`, `console`, or `auto`: console where the error stream is a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "Least severe level that is written."
    )
