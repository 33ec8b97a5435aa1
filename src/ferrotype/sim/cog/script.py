"""What a simulated Cog server is told to do besides what every hosted service is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ferrotype.sim.hosted import HostedScript

Health = Literal["STARTING", "READY", "SETUP_FAILED", "DEFUNCT", "UNHEALTHY"]


@dataclass
class CogScript(HostedScript):
    """Settings of one simulated Cog server. A real one works on one prediction at a time unless its predictor
    says otherwise, so `slots` is 1 here; None is without a limit."""

    slots: int | None = 1
    late_slots: int = 0  # so many calls meet a slot that the prediction before has not left yet: 409

    health: Health = "READY"  # BUSY comes by itself
    schema: bool = True  # whether `cog build` made one: it is shown, and inputs are checked by it
    outputs: Literal["list", "one", "stream"] = "list"  # `list[Path]`, `Path`, `Iterator[Path]`

    upload_url: str | None = None  # `--upload-url`: files are PUT below it instead of sent inline
    webhook_token: str | None = None  # the server's WEBHOOK_AUTH_TOKEN
    webhook_interval: float = 0.5  # seconds between webhooks about logs
    webhook_backoff: float = 0.1  # seconds, doubled before each of 12 more tries of the last webhook
