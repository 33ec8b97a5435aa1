"""Where in a catalogue file something stands: the TOML parser tells no lines."""

from __future__ import annotations

import re
from typing import Final

HEADER: Final = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
KEY: Final = re.compile(r"^\s*([A-Za-z0-9_\-.\"']+)\s*=")

Path = tuple[str | int, ...]


class Places:
    """Lines of a file by path: `("models", 2, "capabilities", "max_side")`, entries counted from 0."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        table: Path = ()
        counts: dict[Path, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            header = HEADER.match(line)
            if header:
                table = self._table(header[2], header[1] == "[[", counts)
                self._lines.setdefault(table, number)
                continue
            key = KEY.match(line)
            if key:
                self._lines.setdefault(table + _parts(key[1]), number)

    def line(self, path: Path) -> int | None:
        """The line of what is nearest to `path`: itself, else the table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None

    @staticmethod
    def _table(name: str, is_list: bool, counts: dict[Path, int]) -> Path:
        """The path that a header opens: names of lists are followed by the number of their last entry."""
        path: Path = ()
        parts = _parts(name)
        for position, part in enumerate(parts):
            path = (*path, part)
            if is_list and position == len(parts) - 1:
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            elif path in counts:
                path = (*path, counts[path])
        return path


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
