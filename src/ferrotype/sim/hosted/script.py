"""What a simulated service is told to do; every service reads the same script."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ferrotype.sim.options import Failure, Options


@dataclass
class Fault:
    """The next `times` pieces of work end like this, whatever was asked: `error` (with `message`), `refusal`
    (the service's content policy), `canceled` (somebody stopped it over there), `empty` (success, and no
    picture)."""

    kind: Literal["error", "refusal", "canceled", "empty"] = "error"
    message: str = "CUDA out of memory"
    times: int = 1


@dataclass
class HostedScript(Options):
    """Settings of one simulated service; they may be changed while it runs. Times are in seconds.

    Work goes queued -> running, `steps` steps -> ended. With `hold` it parks until `release`: `queue` before
    it starts, `run` after its first step, `end` before its last.
    """

    # Pace
    queue_seconds: float = 0.0
    seconds: float = 0.0
    steps: int = 4
    previews: int = 2  # unfinished pictures, where the service sends any
    hold: Literal["queue", "run", "end"] | None = None
    hang_times: int = 0  # so many pieces of work start and never end by themselves
    slots: int | None = None  # pieces of work at once; what the service does with more is its own matter

    # HTTP
    http_seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    malformed: int = 0  # so many API replies are cut in the middle of their JSON
    key: str | None = None  # the only key that is let in; None lets everybody in

    # How work ends
    faults: list[Fault] = field(default_factory=list)
    metrics: bool = True  # whether the service tells how long it worked, where it can

    # Pictures. `output_host` is the base URL that output addresses get instead of the service's own.
    picture: Literal["good", "truncated", "text", "html", "empty", "huge"] = "good"
    picture_times: int = -1  # so many pictures are of that kind, good ones follow
    picture_side: int | None = None  # pixels of both sides, whatever was asked
    huge_bytes: int = 300_000_000
    gone: bool = False  # output addresses answer 404: they have expired
    output_host: str | None = None
    drip_bytes: int | None = None  # outputs are sent in pieces of so many bytes ...
    drip_seconds: float = 0.0  # ... with so long between them
