"""What the simulated storage is told to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from ferrotype.sim.options import Failure, Options


@dataclass
class GcsScript(Options):
    """Settings of the simulated storage; they may be changed while it runs.

    The routes of `failures` are the names in `server.ROUTES`, `put object` for instance.
    """

    buckets: list[str] = field(default_factory=lambda: ["pictures"])
    private: bool = False  # whether only its own service account is let in
    public_read: bool = False  # whether anybody may read all the same
    key_file: str | None = None  # where the JSON key of the service account is written to at the start
    failures: list[Failure] = field(default_factory=list)
    corrupt: int = 0  # so many objects are kept with one bit of theirs turned
