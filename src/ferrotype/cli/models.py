"""`ferrotype models`: the catalogue, and whether a file of it is sound."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ferrotype.app.settings import load_settings
from ferrotype.catalogue import load_catalogue
from ferrotype.catalogue.catalogue import read_catalogue
from ferrotype.providers.registry import KINDS, lacks


def show(*, as_json: bool, data_dir: Path | None) -> None:
    """Print every model. Raises ConfigError when the catalogue is wrong."""
    settings = load_settings(storage={"data_dir": data_dir})
    catalogue = load_catalogue(settings.catalogue).served(partial(lacks, settings.connections))
    configured = settings.connections.keys()
    if as_json:
        print(json.dumps([model.model_dump(by_alias=True) for model in catalogue.models.values()], indent=2))
        return
    name = Column("model", no_wrap=True)  # it is what orders are to say
    table = Table(name, "operations", "class", "credits", "providers", "usable")
    for model in catalogue.models.values():
        providers = [deployment.provider for deployment in model.deployments]
        usable = any(provider in configured for provider in providers)
        table.add_row(
            model.name,
            ", ".join(model.operations),
            model.class_,
            str(model.price.credits),
            ", ".join(providers),
            "[green]yes[/]" if usable else "[dim]no[/]",
        )
    Console().print(table)
    for reason in dict.fromkeys(catalogue.missing.values()):
        names = ", ".join(name for name, why in catalogue.missing.items() if why == reason)
        Console(soft_wrap=True, highlight=False).print(f"{names} cannot be used yet. {escape(reason)}")


def check(path: Path | None) -> None:
    """Print every fault; exit code 1 when there is one. Raises ConfigError when there is no such file."""
    settings = load_settings()
    own = str(path) if path is not None else settings.catalogue.catalogue
    catalogue, faults = read_catalogue(own, {*KINDS, *settings.connections})
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for fault in faults:
        console.print(str(fault))
    if faults or catalogue is None:
        raise typer.Exit(1)
    console.print(f"{own or 'the shipped catalogue'}: {len(catalogue.models)} models, no faults")
    for model in catalogue.models.values():
        if model.class_ not in settings.engine.classes:
            console.print(
                f"note: {model.name} has the class {model.class_!r}, which has 1 seat until"
                " FERROTYPE_CLASSES names it"
            )
