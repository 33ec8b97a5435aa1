"""`ferrotype models`: the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ferrotype.app.settings import load_settings
from ferrotype.catalogue import load_catalogue


def show(*, as_json: bool, data_dir: Path | None) -> None:
    """Print every model. Raises ConfigError when the catalogue is wrong."""
    settings = load_settings(storage={"data_dir": data_dir})
    catalogue = load_catalogue(settings.catalogue)
    configured = settings.connections.keys()
    if as_json:
        print(json.dumps([model.model_dump(by_alias=True) for model in catalogue.models.values()], indent=2))
        return
    table = Table("model", "operations", "class", "credits", "providers", "usable")
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
