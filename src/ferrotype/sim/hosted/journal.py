"""What a simulated service was asked: the facts that tests count."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Entry:
    """One request. `route` is the method and the path pattern; `body` is the decoded JSON, or for a form its
    fields (files as `{filename, content_type, bytes}`), once the handler has read it; `t` is
    `time.monotonic()` seconds at arrival; `status` is None until answered, 0 for an aborted one."""

    seq: int
    t: float
    method: str
    path: str
    query: str
    route: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    status: int | None = None
    error: str | None = None


class Journal:
    """Everything received, in order of arrival."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._seq = 0
        self._changed = asyncio.Event()

    def open(self, method: str, path: str, query: str, route: str, headers: dict[str, str]) -> Entry:
        """Notes a request at its arrival; `answered` follows."""
        self._seq += 1
        entry = Entry(self._seq, time.monotonic(), method, path, query, route, headers)
        self.entries.append(entry)
        return entry

    def answered(self, entry: Entry, status: int) -> None:
        """Notes the reply and wakes those who wait for it."""
        entry.status = status
        self._changed.set()
        self._changed = asyncio.Event()

    def of(self, route: str) -> list[Entry]:
        """Requests on that route."""
        return [entry for entry in self.entries if entry.route == route]

    def count(self, route: str) -> int:
        """How many requests came on `route`."""
        return len(self.of(route))

    async def wait(self, route: str, count: int = 1) -> None:
        """Returns when at least `count` requests on `route` were answered."""
        while sum(entry.status is not None for entry in self.of(route)) < count:
            await self._changed.wait()

    def clear(self) -> None:
        """Forgets everything noted so far."""
        self.entries.clear()

    def to_json(self) -> dict[str, Any]:
        """Entries and counts per route as JSON values, without the callers' keys."""
        entries = [asdict(entry) for entry in self.entries]
        for entry in entries:
            entry["headers"] = {
                name: "..." if "key" in name or name == "authorization" else value
                for name, value in entry["headers"].items()
            }
        return {"counts": dict(Counter(entry.route for entry in self.entries)), "entries": entries}
