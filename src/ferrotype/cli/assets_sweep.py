"""`ferrotype assets sweep`: what belongs to no asset."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from ferrotype.app.beside import Beside, beside
from ferrotype.app.settings import load_settings
from ferrotype.cli.assets_common import known_store, note, quiet, stop
from ferrotype.cli.watching import Seen, watching
from ferrotype.cli.words import read_span, size
from ferrotype.config import ConfigError
from ferrotype.domain.problems import Problem
from ferrotype.services.chores import Hopeless
from ferrotype.services.sweep import Orphan, Sweep, Swept

#: What was written within this time is never touched: an upload may be about to be recorded.
LEAST: Final = timedelta(hours=1)
#: More orphans than this, and more than a tenth of a place, look like a database that lacks something.
FEW: Final = 100
out = Console(soft_wrap=True, highlight=False, markup=False)


async def sweep(
    *,
    store: str | None,
    delete: bool,
    older_than: str,
    many: bool,
    sole_owner: bool,
    data_dir: Path | None,
) -> None:
    """List, then delete if asked to. Exit code 1 when a place could not be looked at, or was left alone.
    Raises ConfigError."""
    settings = load_settings(storage={"data_dir": data_dir})
    quiet(settings)
    known_store(settings, store)
    age = read_span(older_than, "--older-than")
    if age < LEAST:
        raise ConfigError(
            f"--older-than: at least {LEAST.seconds // 3600}h, for the sake of running uploads."
        )
    async with beside(settings) as parts:
        work, list_file = parts.sweep, parts.scratch.path()
        left_alone = False
        for place in [store] if store else [*parts.stores.by_name, "spool", "variants"]:
            with list_file.open("w+", encoding="utf-8") as found:
                swept = await _looked_at(work, place, age, found.write)
                if swept is None:
                    left_alone = True
                    continue
                _report(swept)
                if not delete or not swept.orphans:
                    continue
                why = _why_not(parts, work, swept, many=many, sole_owner=sole_owner)
                if why:
                    note(f"{place}: nothing was deleted: {why}")
                    left_alone = True
                    continue
                found.seek(0)
                with watching(f"deleting in {place}", swept.orphans) as seen:
                    for line in found:
                        swept.deleted += await _deleted(work, line, seen)
                out.print(f"{place}: deleted {swept.deleted:,}")
                left_alone = left_alone or swept.deleted < swept.orphans
    if left_alone:
        raise typer.Exit(1)


async def _looked_at(work: Sweep, place: str, age: timedelta, write: object) -> Swept | None:
    """None when it cannot be looked at; every orphan is a line of JSON in the list."""
    assert callable(write)
    swept = Swept(place)
    with watching(f"looking at {place}", None) as seen:

        def tell(orphan: Orphan) -> None:
            write(json.dumps({**asdict(orphan), "modified": orphan.modified.isoformat()}) + "\n")
            seen.print(_line(orphan))

        try:
            if place == "spool":
                await work.spool(age, tell, swept)
            elif place == "variants":
                await work.variants(age, tell, swept)
            else:
                await work.store(place, age, seen, tell, swept)
        except Problem as problem:
            note(f"{place}: {problem.detail}")
            return None
        except asyncio.CancelledError:
            note("stopped; nothing was deleted" if not swept.deleted else "stopped")
            raise
    return swept


async def _deleted(work: Sweep, line: str, seen: Seen) -> bool:
    told = json.loads(line)
    orphan = Orphan(**{**told, "modified": datetime.fromisoformat(told["modified"])})
    try:
        deleted = await work.delete(orphan)
    except Hopeless as error:
        stop(error.problem.detail)
    except Problem as problem:
        seen.say(f"{orphan.place}:{orphan.key}: {problem.detail}")
        deleted = False
    seen.done(1, orphan.size)
    return deleted


def _why_not(parts: Beside, work: Sweep, swept: Swept, *, many: bool, sole_owner: bool) -> str:
    """Why nothing may be deleted there; empty when it may."""
    if swept.place == "spool" and parts.server is not None:
        return "the running server clears its spool by itself"
    pattern = work.patterns.get(swept.place)
    if pattern is not None and not pattern.proves and not sole_owner:
        return (
            "its key template has no {secret}, so another installation may have made them;"
            " --sole-owner says that there is none"
        )
    if swept.orphans > max(FEW, swept.seen // 10) and not many:
        return (
            "they are more than a tenth of the place. Is this the right, newest database? --many says that"
            " it is"
        )
    return ""


def _report(swept: Swept) -> None:
    seen = "nothing there" if not swept.seen else f"{swept.seen:,} looked at"
    parts = [f"{swept.place}: {seen}"]
    if swept.seen:
        parts.append(f"{swept.orphans:,} belong to no asset ({size(swept.bytes)})")
    parts += [f"{swept.young:,} too young to judge"] if swept.young else []
    parts += [f"{swept.foreign:,} made by others"] if swept.foreign else []
    parts += (
        [f"{swept.kept:,} kept: a job is under way, or no other place has the bytes"] if swept.kept else []
    )
    out.print(", ".join(parts))


def _line(orphan: Orphan) -> str:
    return f"{orphan.place}:{orphan.key}  {size(orphan.size)}  {orphan.modified:%Y-%m-%d %H:%M}  {orphan.why}"
