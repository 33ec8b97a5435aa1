"""What is seen of a batch: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ferrotype.cli.batch_board import FAILED, OPEN, Board, Row
from ferrotype.cli.words import rows, span

#: Lines of the terminal that the table leaves free: its head, the line below it, the user's prompt.
AROUND: Final = 8
#: Rows of the table at least, however low the terminal is.
LEAST: Final = 3
REFRESH: Final = 8
BAR: Final = 12
#: Seconds between two lines where there is no terminal.
LINE_SECONDS: Final = 10.0
COLOURS: Final = {"done": "green", "running": "cyan", "saving": "cyan", **dict.fromkeys(FAILED, "red")}


def shown(text: str) -> str:
    """Text of others on a terminal: nothing in it can move the cursor, and it stays in its line."""
    return "".join(character if character.isprintable() else " " for character in text)


def summary(board: Board) -> str:
    """`12 of 100 rows, 2 failed, 8 running, about 1 min 30 s left`."""
    counts, total = board.counts(), len(board.rows)
    failed = sum(counts[state] for state in FAILED)
    text = f"{counts['done']:,} of {rows(total)}"
    text += f", {failed:,} failed" if failed else ""
    text += f", {counts['running']:,} running" if counts["running"] else ""
    left = _left(board, counts["done"] + failed, total)
    return text + (f", about {span(left)} left" if left else "")


def _left(board: Board, ended: int, total: int) -> float | None:
    """Seconds, by what was done since the command began, else as the server expected then."""
    fresh = sum(row.ended_here for row in board.rows)
    if ended == total:
        return None
    if fresh:
        return board.seconds / fresh * (total - ended)
    return max(0.0, board.eta_s - board.seconds) if board.eta_s is not None else None


def table(board: Board, height: int) -> Table:
    """The rows that fit: those that run, those to which something happened lately, those that come next."""
    made = Table(box=None, expand=True, pad_edge=False)
    made.add_column("row", justify="right", no_wrap=True)
    made.add_column("prompt", ratio=3, no_wrap=True, overflow="ellipsis")
    made.add_column("state", no_wrap=True)
    made.add_column("", width=BAR, no_wrap=True)
    made.add_column("time", justify="right", no_wrap=True)
    made.add_column("file", ratio=2, no_wrap=True, overflow="ellipsis")
    for row in chosen(board, max(LEAST, height - AROUND)):
        seconds = board.spent(row)
        made.add_row(
            str(row.number),
            Text(shown(row.prompt)),
            Text(row.state, style=COLOURS.get(row.state, "dim")),
            _bar(row),
            "" if seconds is None else span(seconds),
            Text(_files(row), style="red" if row.state in FAILED else ""),
        )
    return made


def chosen(board: Board, most: int) -> list[Row]:
    """In their order."""
    if len(board.rows) <= most:
        return board.rows
    found: dict[int, Row] = {}
    for row in board.rows:
        if row.state in ("running", "saving") and len(found) < most:
            found[row.number] = row
    for number in reversed(board.lately):
        if len(found) >= most:
            break
        found[number] = board.rows[number - 1]
    for row in board.rows:
        if len(found) >= most:
            break
        if row.state in OPEN:
            found[row.number] = row
    return [found[number] for number in sorted(found)]


def _bar(row: Row) -> ProgressBar | str:
    if row.state in FAILED or row.state in ("waiting", "queued"):
        return ""
    done = 1.0 if row.status == "succeeded" else row.progress
    return ProgressBar(total=1.0, completed=done, width=BAR)


def _files(row: Row) -> str:
    if row.state in FAILED or (row.lost and not row.files):
        return shown(row.error or "")
    names = [row.files[picture].name for picture in sorted(row.files)]
    return names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "") if names else ""


class Lines:
    """Where there is no terminal: a line now and then, and one for each row that failed."""

    def __init__(self, board: Board, console: Console, monotonic: Callable[[], float]) -> None:
        self._board = board
        self._console = console
        self._monotonic = monotonic
        self._told = monotonic()
        self._failed: set[int] = set()

    def changed(self, row: Row) -> None:
        """Something happened to a row."""
        if row.state in FAILED and row.number not in self._failed:
            self._failed.add(row.number)
            self._console.print(
                Text(f"row {row.number} {row.state}: {shown(row.error or '')}", style="yellow"),
                soft_wrap=True,
            )
        if self._monotonic() - self._told >= LINE_SECONDS:
            self._told = self._monotonic()
            self._console.print(summary(self._board), soft_wrap=True, highlight=False)


@contextmanager
def viewing(board: Board, console: Console, results: Console | None) -> Iterator[None]:
    """Show the board while the block runs. `results` gets the name of every new file, None for nobody."""
    if results is not None:

        def told(path: Path) -> None:
            results.print(Text(str(path)), soft_wrap=True, highlight=False)

        board.saved = told
    if not console.is_terminal:
        board.changed = Lines(board, console, time.monotonic).changed
        yield
        return

    def render() -> Group:
        return Group(table(board, console.height), Text(summary(board), style="bold"))

    fits = len(board.rows) <= console.height - AROUND
    with Live(
        get_renderable=render,
        console=console,
        refresh_per_second=REFRESH,
        transient=not fits,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield
