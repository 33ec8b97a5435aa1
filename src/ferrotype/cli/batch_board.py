"""How far the rows of a batch are, as the command knows it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: States of a row that has ended; `saving` and `done` are the command's own words for `succeeded`.
FAILED: Final = frozenset({"failed", "canceled", "refused"})
OPEN: Final = ("waiting", "queued", "running", "saving")


@dataclass(slots=True)
class Row:
    """One order; `number` counts from 1. `pictures` are its wanted ones, `files` those that are in the
    folder, `lost` those that will never be. `began` is on the board's clock. `known` is set once the server
    told of the row, and `ended_here` when it ended after that."""

    number: int
    prompt: str = ""
    name: str | None = None
    status: str = "waiting"
    pictures: int = 1
    progress: float = 0.0
    began: float | None = None
    seconds: float | None = None
    error: str | None = None
    known: bool = False
    ended_here: bool = False
    files: dict[int, Path] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)

    @property
    def state(self) -> str:
        """What is shown: what the server says until its pictures are the only thing to wait for."""
        if self.status != "succeeded":
            return self.status
        return "saving" if len(self.files) + len(self.lost) < self.pictures else "done"

    @property
    def whole(self) -> bool:
        """Whether every picture that was wanted is in the folder."""
        return self.status == "succeeded" and len(self.files) >= self.pictures


class Board:
    """All rows of a batch. `changed` is called with each row that something happened to."""

    def __init__(self, num_rows: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.rows = [Row(number) for number in range(1, num_rows + 1)]
        self.began = monotonic()
        self.eta_s: float | None = None
        #: Rows in the order in which something happened to them, the last one last.
        self.lately: dict[int, None] = {}
        self.changed: Callable[[Row], None] = lambda _: None
        self.saved: Callable[[Path], None] = lambda _: None
        self._monotonic = monotonic

    @property
    def seconds(self) -> float:
        """Since the command began to look."""
        return self._monotonic() - self.began

    def spent(self, row: Row) -> float | None:
        """Seconds that a row took, or runs already."""
        if row.seconds is not None or row.began is None:
            return row.seconds
        return self._monotonic() - row.began

    def counts(self) -> Counter[str]:
        """Rows by state."""
        return Counter(row.state for row in self.rows)

    def learn_item(self, item: dict[str, Any]) -> Row:
        """What the server says of an item."""
        row: Row = self.rows[item["index"]]
        row.prompt, row.name = item["prompt"] or "", item["custom_id"]
        if item["generation"] is not None:
            return self.learn(row, item["generation"])
        self._move(row, item["status"])
        row.error = (item["error"] or {}).get("detail")
        self.touch(row)
        return row

    def learn(self, row: Row, generation: dict[str, Any]) -> Row:
        """What the server says of its generation."""
        row.prompt = generation["input"]["prompt"]
        self._move(row, generation["status"])
        row.pictures = generation["input"]["num_images"]
        row.progress = generation["progress"] or row.progress
        row.error = (generation["error"] or {}).get("detail")
        row.seconds = generation["metrics"]["total_s"]
        row.lost |= {each["index"] + 1 for each in generation["output"] if each["state"] == "failed"}
        if row.status == "succeeded":  # what was not made of what was wanted will not come
            told = {each["index"] + 1 for each in generation["output"]}
            row.lost |= set(range(1, row.pictures + 1)) - told
        if row.status == "running" and row.began is None:
            row.began = self._monotonic()
        self.touch(row)
        return row

    def _move(self, row: Row, status: str) -> None:
        if row.known and row.status in OPEN and status not in OPEN:
            row.ended_here = True
        row.status, row.known = status, True

    def told(self, row: Row, type: str, data: dict[str, Any]) -> None:
        """What an event says of its generation."""
        if type == "started":
            row.status, row.began = "running", self._monotonic()
        elif type == "progress":
            row.status, row.progress = "running", data["progress"]
        elif type == "queued":
            row.status = "queued"
        else:
            return
        self.touch(row)

    def keep(self, row: Row, picture: int, path: Path, *, new: bool) -> None:
        """A picture is in the folder."""
        row.files[picture] = path
        self.touch(row)
        if new:
            self.saved(path)

    def lose(self, row: Row, picture: int, why: str) -> None:
        """A picture will never be there."""
        row.lost.add(picture)
        row.error = row.error or why
        self.touch(row)

    def touch(self, row: Row) -> None:
        """Something happened to the row."""
        self.lately.pop(row.number, None)
        self.lately[row.number] = None
        self.changed(row)
