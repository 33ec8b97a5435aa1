"""What happens to generations and batches, as events.

State events are numbered rows: they survive a restart and can be resumed by number. `progress` and
`preview` live in memory only; `snapshot` and `lagged` are made for each stream.
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
#: What a stream tells of itself.
STREAM_EVENTS: Final = ("snapshot", "lagged")
EVENT_TYPES: Final = (*STREAM_EVENTS, *STATE_EVENTS, *LIVE_EVENTS)


@dataclass(frozen=True, slots=True)
class Event:
    """One happening. `seq` is its number in the journal, None for a live event.

    An event about one asset of a generation names it in `data["asset_id"]`: `failed` with an asset id
    tells of a picture that never arrived, and is not terminal. An event of a batch as a whole has no
    `generation_id`; one of a generation in a batch has both.
    """

    type: str
    generation_id: str | None
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)
    seq: int | None = None
    account_id: str | None = None
    batch_id: str | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """Whose watchers hear of it: the generation's, the batch's, the account's."""
        return tuple(id for id in (self.generation_id, self.batch_id, self.account_id) if id is not None)

    @property
    def terminal(self) -> bool:
        """Whether it is the last event of its generation, or of its batch where it names no generation."""
        return self.type in TERMINAL_EVENTS and "asset_id" not in self.data
