"""What the simulator was asked and what it did: the facts that tests count."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Entry:
    """One request. `route` is the method and the path pattern without base path and `/api`;
    `t` is `time.monotonic()` seconds at arrival; `status` is None until answered, 0 for an aborted one."""

    seq: int
    t: float
    method: str
    path: str
    query: str
    route: str
    prompt_id: str | None = None
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in a prompt's life: queued, started, saved (a file is there), finished (in the history)."""

    what: str
    prompt_id: str
    t: float
    detail: str = ""


class Journal:
    """Everything received, in order of arrival. It survives a restart of the simulated server."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.marks: list[Mark] = []
        self._seq = 0
        self._changed = asyncio.Event()

    def open(self, method: str, path: str, query: str, route: str) -> Entry:
        """Notes a request at its arrival; the caller fills in `prompt_id` and calls `answered` later."""
        self._seq += 1
        entry = Entry(self._seq, time.monotonic(), method, path, query, route)
        self.entries.append(entry)
        return entry

    def answered(self, entry: Entry, status: int) -> None:
        """Notes the reply and wakes those who wait for it."""
        entry.status = status
        self._wake()

    def mark(self, what: str, prompt_id: str, detail: str = "") -> None:
        """Notes a moment of a prompt's life."""
        self.marks.append(Mark(what, prompt_id, time.monotonic(), detail))
        self._wake()

    def count(self, route: str, prompt_id: str | None = None) -> int:
        """How many requests came on `route` (for that prompt, if one is named)."""
        return sum(
            entry.route == route and (prompt_id is None or entry.prompt_id == prompt_id)
            for entry in self.entries
        )

    def counts(self) -> dict[str, int]:
        """Requests per route."""
        return dict(Counter(entry.route for entry in self.entries))

    async def wait(self, route: str, count: int = 1, prompt_id: str | None = None) -> None:
        """Returns when at least `count` requests on `route` were answered."""
        while (
            sum(
                entry.route == route
                and entry.status is not None
                and (prompt_id is None or entry.prompt_id == prompt_id)
                for entry in self.entries
            )
            < count
        ):
            await self._changed.wait()

    async def wait_mark(self, what: str, prompt_id: str | None = None, count: int = 1) -> None:
        """Returns when that moment was noted at least `count` times (for that prompt, if one is named)."""
        while (
            sum(m.what == what and (prompt_id is None or m.prompt_id == prompt_id) for m in self.marks)
            < count
        ):
            await self._changed.wait()

    def clear(self) -> None:
        """Forgets everything noted so far."""
        self.entries.clear()
        self.marks.clear()

    def to_json(self) -> dict[str, Any]:
        """Entries, marks and counts (per route, and per prompt and route) as JSON values."""
        by_prompt: dict[str, Counter[str]] = {}
        for entry in self.entries:
            if entry.prompt_id is not None:
                by_prompt.setdefault(entry.prompt_id, Counter())[entry.route] += 1
        return {
            "counts": self.counts(),
            "prompts": {prompt_id: dict(counter) for prompt_id, counter in by_prompt.items()},
            "entries": [asdict(entry) for entry in self.entries],
            "marks": [asdict(mark) for mark in self.marks],
        }

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
