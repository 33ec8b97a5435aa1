"""What a simulated Cloudinary can be told besides what every service can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ferrotype.sim.hosted import HostedScript


@dataclass
class CloudinaryScript(HostedScript):
    """Settings of the simulated product environment; they may be changed while it runs. `key` is its API key.

    Counters count down as they are used; -1 means for ever.
    """

    key: str | None = "123456789012345"
    secret: str = "sim-secret"
    cloud: str = "sim-cloud"
    algorithm: Literal["both", "sha1", "sha256"] = "both"  # signatures that the environment accepts
    max_bytes: int = 10 * 1024 * 1024  # largest picture of the plan; more is refused, chunked or not
    admin_limit: int = 500  # calls of the Admin API in an hour ...
    admin_calls: int = 0  # ... and those that were made in this one
    any_bytes: bool = False  # whether images may be no pictures, and empty; no real cloud takes these
    damaged: int = 0  # so many uploads are changed before they are kept, as an account's preset may do
    processing: int = 0  # so many calls find their asset still being worked on: 423
    ranges: bool = True  # whether deliveries obey `Range`
    breaks: int = 0  # so many deliveries break off in the middle
