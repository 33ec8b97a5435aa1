"""What the asset commands have in common."""

from __future__ import annotations

from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from ferrotype.app.settings import AppSettings
from ferrotype.cli.main import complain
from ferrotype.config import ConfigError
from ferrotype.net.logging import configure
from ferrotype.storage.registry import DISK

STOPPED: Final = "Nothing is lost: the same command goes on from there."
errors = Console(stderr=True, soft_wrap=True, highlight=False)


def known_store(settings: AppSettings, name: str | None, option: str = "--store") -> None:
    """Raises ConfigError for a store that is not configured."""
    known = [*settings.stores.configured, DISK]
    if name is not None and name not in known:
        raise ConfigError(
            f"{option}: there is no store {name!r} that is configured; there are {', '.join(known)}."
        )


def quiet(settings: AppSettings) -> None:
    """What these commands have to say they say themselves; the log has errors only."""
    configure(settings.log.model_copy(update={"log_level": "error"}))


def note(text: str) -> None:
    """Something to mind, beside the results."""
    errors.print(f"[yellow]{escape(text)}[/]")


def stop(text: str) -> NoReturn:
    """Nothing can go on: one line, exit code 1."""
    complain(text)
    raise typer.Exit(1)
