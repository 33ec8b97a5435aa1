"""What is seen of a long chore: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ferrotype.cli.words import pictures, size, span

#: Seconds between two lines where there is no terminal.
LINE_SECONDS: Final = 10.0


class Seen:
    """A `Watcher` that counts, shows, and knows in the end how long it took."""

    def __init__(
        self,
        verb: str,
        total: int | None,
        console: Console,
        bar: tuple[Progress, TaskID] | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`total` is how many pictures there are, None where nobody knows."""
        self.count = 0
        self.bytes = 0
        self._verb = verb
        self._total = total
        self._console = console
        self._results = Console()
        self._bar = bar
        self._monotonic = monotonic
        self._started = self._told = monotonic()

    def done(self, count: int = 1, size: int = 0) -> None:
        """See `Watcher`."""
        self.count += count
        self.bytes += size
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, completed=self.count, amount=self._amount())
        elif self._monotonic() - self._told >= LINE_SECONDS:
            self._told = self._monotonic()
            self._console.print(self._line(), soft_wrap=True, highlight=False)

    def say(self, text: str) -> None:
        """See `Watcher`. Above the bar, on a line of its own."""
        console = self._bar[0].console if self._bar is not None else self._console
        console.print(f"[yellow]{escape(text)}[/]", soft_wrap=True, highlight=False)

    def print(self, text: str) -> None:
        """A line of the results, on standard output; a bar makes way for it."""
        if self._bar is not None and self._results.is_terminal:
            self._bar[0].console.print(escape(text), soft_wrap=True, highlight=False)
        else:
            self._results.print(escape(text), soft_wrap=True, highlight=False)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._monotonic() - self._started

    def summary(self, count: int, bytes: int) -> str:
        """`1,204 pictures, 2.3 GB, in 3 min 12 s (12.1 MB/s)`."""
        took = max(self.seconds, 0.001)
        if not bytes:
            return f"{pictures(count)} in {span(took)}"
        return f"{pictures(count)}, {size(bytes)}, in {span(took)} ({size(bytes / took)}/s)"

    def _amount(self) -> str:
        rate = f", {size(self.bytes / self.seconds)}/s" if self.bytes and self.seconds > 0 else ""
        known = f"{self.count:,}" if self._total is None else f"{self.count:,} of {self._total:,}"
        return f"{known}, {size(self.bytes)}{rate}" if self.bytes else known

    def _line(self) -> str:
        text = f"{self._verb} {self._amount()}"
        if self._total and self.count:
            left = self.seconds / self.count * max(self._total - self.count, 0)
            text += f" ({self.count * 100 // self._total} %), about {span(left)} left"
        return text


@contextmanager
def watching(verb: str, total: int | None) -> Iterator[Seen]:
    """`verb` says what is done to pictures: `copying`."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Seen(verb, total, console, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        task = progress.add_task(verb, total=total, amount="")
        yield Seen(verb, total, console, (progress, task))
