"""`ferrotype assets import`: pictures that an app has elsewhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from ferrotype.app.beside import Beside, beside
from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.cli.assets_common import STOPPED, note, quiet, stop
from ferrotype.cli.mapping import Mapping
from ferrotype.cli.watching import watching
from ferrotype.cli.words import pictures, read_rate
from ferrotype.config import ConfigError, read_toml
from ferrotype.domain.asset import Visibility
from ferrotype.domain.problems import Problem
from ferrotype.net.http import Http
from ferrotype.services.chores import Hopeless
from ferrotype.services.import_pictures import Landed, Outcome, Wanted
from ferrotype.storage.collections.base import Collection
from ferrotype.storage.collections.opened import Opener
from ferrotype.storage.collections.rows import Fields

out = Console(soft_wrap=True, highlight=False, markup=False)
MAX_SOURCE_TYPE: Final = 64
ANY_FIELDS: Final = Fields()


@dataclass(frozen=True)
class Order:
    """What the command line says."""

    address: str
    match: str = "*"
    fields: Fields = ANY_FIELDS
    tags: Sequence[str] = ()
    visibility: str | None = None
    source_type: str | None = None
    mapping: Path | None = None
    limit: int | None = None

    def wanted(self) -> Wanted:
        """Raises ConfigError."""
        choices = [each.value for each in Visibility]
        if self.visibility is not None and self.visibility not in choices:
            raise ConfigError(f"--visibility: it is one of {', '.join(choices)}.")
        kind = self.source_type
        if kind is not None and not (kind.isascii() and kind.isalpha() and len(kind) <= MAX_SOURCE_TYPE):
            raise ConfigError(f"--source-type: {kind!r} is no digital source type, such as digitalCapture.")
        return Wanted(
            tuple(self.tags), Visibility(self.visibility) if self.visibility else None, self.source_type
        )


async def import_pictures(
    order: Order, *, rate: str | None, width: int, dry_run: bool, data_dir: Path | None
) -> None:
    """Import, and write the mapping. Exit code 1 when a picture could not be imported. Raises ConfigError."""
    settings = load_settings(storage={"data_dir": data_dir})
    quiet(settings)
    wanted = order.wanted()
    outcome = Outcome()
    async with beside(settings, rate=read_rate(rate)) as parts:
        http = Http(settings.net)
        try:
            collection = _opened(settings, parts, http, order)
        except Problem as problem:
            raise ConfigError(f"--from: {problem.detail}") from None
        mapping = None if order.mapping is None or dry_run else Mapping(order.mapping, _base(settings))
        complete = False
        try:
            if dry_run:
                await _look(parts, collection)
                return
            await _run(parts, collection, wanted, order, width, mapping, outcome)
            complete = True
        finally:
            if mapping is not None:
                mapping.close(complete)
            await collection.close()
            await http.close()
            await parts.close_pool()
    if mapping is not None:
        out.print(f"{order.mapping}: {mapping.count:,} old and new addresses")
    if outcome.failed:
        note(f"{pictures(outcome.failed)} could not be imported; the same command tries them again")
        raise typer.Exit(1)


async def _run(
    parts: Beside,
    collection: Collection,
    wanted: Wanted,
    order: Order,
    width: int,
    mapping: Mapping | None,
    outcome: Outcome,
) -> None:
    def tell(landed: Landed) -> None:
        if mapping is not None:
            mapping.add(landed)

    with watching(f"importing from {collection.where}", None) as seen:
        try:
            await parts.importing(collection, wanted, width, seen, tell, outcome, order.limit)
        except Hopeless as error:
            stop(f"{error.problem.detail} {pictures(outcome.imported)} imported. {STOPPED}")
        except Problem as problem:
            stop(f"{problem.detail} {pictures(outcome.imported)} imported. {STOPPED}")
        except asyncio.CancelledError:
            note(f"stopped after {pictures(outcome.imported)}. {STOPPED}")
            raise
    out.print(f"imported {seen.summary(outcome.imported, outcome.bytes)} from {collection.where}")
    if outcome.there:
        out.print(f"{pictures(outcome.there)} were imported before")
    if outcome.passed_over:
        out.print(f"{outcome.passed_over:,} other files passed over")


async def _look(parts: Beside, collection: Collection) -> None:
    """How much there is to do; nothing is read but the list."""
    there = new = 0
    with watching(f"looking at {collection.where}", None) as seen:
        try:
            async for item in collection.items():
                known = await parts.importing.known(item)
                there, new = there + (known is not None), new + (known is None)
                seen.done(1, item.size or 0)
        except Problem as problem:
            stop(problem.detail)
    out.print(f"{pictures(new)} would be imported from {collection.where}")
    if there:
        out.print(f"{pictures(there)} were imported before")


def _opened(settings: AppSettings, parts: Beside, http: Http, order: Order) -> Collection:
    known = parts.sweep.patterns
    opener = Opener(
        http,
        settings.imaging.max_upload_bytes,
        settings.stores,
        settings.data_dir / "assets",
        lambda name, key: known[name].read(key) is not None,
        os.environ,
        read_toml(),
    )
    return opener.open(order.address, match=order.match, fields=order.fields)


def _base(settings: AppSettings) -> str:
    return settings.http.public_url or ""
