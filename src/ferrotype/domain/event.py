"""What happens to a generation, as events.

State events are numbered rows: they survive a restart and can be resumed by number. `progress` and
`preview` live in memory only, and `snapshot` is made for each stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

STATE_EVENTS: Final = (
    "queued",
    "started",
    "output",
    "ready",
    "enriched",
    "stored",
    "settled",
    "succeeded",
    "failed",
    "canceled",
)
TERMINAL_EVENTS: Final = frozenset({"succeeded", "failed", "canceled"})
LIVE_EVENTS: Final = ("progress", "preview")
EVENT_TYPES: Final = ("snapshot", *STATE_EVENTS, *LIVE_EVENTS)


@dataclass(frozen=True, slots=True)
class Event:
    """One happening. `seq` is its number in the journal, None for a live event.

    An event about one asset of a generation names it in `data["asset_id"]`: `failed` with an asset id
    tells of a picture that never arrived, and is not terminal.
    """

    type: str
    generation_id: str
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    seq: int | None = None

    @property
    def terminal(self) -> bool:
        """Whether it ends a single generation's stream."""
        return self.type in TERMINAL_EVENTS and "asset_id" not in self.data
