"""What the simulated Replicate is told to do beyond every hosted service's script."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ferrotype.sim.hosted import HostedScript


@dataclass
class ReplicateScript(HostedScript):
    """Settings of the simulated Replicate."""

    webhooks: Literal["sent", "lost", "forged"] = "sent"  # forged ones are signed with another key
    withheld: list[int] = field(default_factory=list)  # indices of pictures that the model's filter drops
    removed: bool = False  # inputs and outputs are gone, as an hour after the end
    longest_wait: float = 60.0  # seconds that `Prefer: wait` is honoured for at most
    page_size: int = 100  # predictions on a page of the list
