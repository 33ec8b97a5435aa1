"""What GET /queue says: `{queue_running, queue_pending}`.

An entry is `[number, prompt id, graph, extra_data, output nodes]`; a history entry's `prompt` is one too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

#: Key of `extra_data` under which each prompt carries our attempt id: servers that choose the prompt id
#: themselves still echo it in their queue and history.
ATTEMPT_KEY: Final = "ferrotype_attempt_id"


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One prompt. `attempt_id` is None when it is not one of Ferrotype's."""

    number: float
    prompt_id: str
    graph: dict[str, Any]
    attempt_id: str | None

    @classmethod
    def parse(cls, raw: object) -> QueueEntry | None:
        """None for an entry that cannot be read; also reads `prompt` of a history entry."""
        if not isinstance(raw, list | tuple) or len(raw) < 2 or not isinstance(raw[1], str):
            return None
        graph = raw[2] if len(raw) > 2 and isinstance(raw[2], dict) else {}
        extra = raw[3] if len(raw) > 3 and isinstance(raw[3], dict) else {}
        attempt = extra.get(ATTEMPT_KEY)
        number = raw[0] if isinstance(raw[0], int | float) else 0
        return cls(number, raw[1], graph, attempt if isinstance(attempt, str) else None)

    def answers_to(self, prompt_id: str, attempt_id: str) -> bool:
        """Whether it is the prompt of that id, or carries that attempt's mark."""
        return self.prompt_id == prompt_id or self.attempt_id == attempt_id


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue at one instant; `pending` is in the order in which it will run."""

    running: tuple[QueueEntry, ...]
    pending: tuple[QueueEntry, ...]

    @classmethod
    def parse(cls, body: object) -> QueueView:
        """Unreadable entries are left out."""
        lists = body if isinstance(body, dict) else {}
        running = _entries(lists.get("queue_running"))
        # The server keeps a heap: its list is in no useful order (08_queue shows the numbers that rule).
        pending = sorted(_entries(lists.get("queue_pending")), key=lambda entry: entry.number)
        return cls(tuple(running), tuple(pending))

    def find_running(self, prompt_id: str, attempt_id: str) -> QueueEntry | None:
        """The entry, if it runs."""
        return next((entry for entry in self.running if entry.answers_to(prompt_id, attempt_id)), None)

    def find_pending(self, prompt_id: str, attempt_id: str) -> tuple[int, QueueEntry] | None:
        """Its position among the waiting ones, from 1, and the entry."""
        for position, entry in enumerate(self.pending, start=1):
            if entry.answers_to(prompt_id, attempt_id):
                return position, entry
        return None


def _entries(raw: object) -> Iterable[QueueEntry]:
    items = raw if isinstance(raw, list) else []
    return [entry for item in items if (entry := QueueEntry.parse(item)) is not None]
