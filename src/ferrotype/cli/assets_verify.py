"""`ferrotype assets verify`: is every copy there, and whole?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer
from rich.console import Console

from ferrotype.app.beside import beside
from ferrotype.app.settings import load_settings
from ferrotype.cli.assets_common import known_store, note, quiet, stop
from ferrotype.cli.watching import watching
from ferrotype.cli.words import pictures, read_rate
from ferrotype.services.chores import Hopeless
from ferrotype.services.verify import Finding, Verified

out = Console(soft_wrap=True, highlight=False, markup=False)


async def verify(
    *,
    store: str | None,
    deep: bool,
    repair: bool,
    after: str,
    rate: str | None,
    width: int,
    data_dir: Path | None,
) -> None:
    """A line for each fault, and a summary. Raises ConfigError."""
    settings = load_settings(storage={"data_dir": data_dir})
    quiet(settings)
    known_store(settings, store)
    found = Verified(last=after)
    async with beside(settings, alone=repair, rate=read_rate(rate)) as parts:
        work = parts.verify
        total = await work.count(store, after)
        with watching("verifying", total) as seen:
            try:
                await work(
                    store,
                    deep=deep,
                    repair=repair,
                    width=width,
                    watcher=seen,
                    tell=lambda each: seen.print(_line(each)),
                    found=found,
                    after=after,
                )
            except Hopeless as error:
                stop(f"{error.problem.detail} {_go_on(found)}")
            except asyncio.CancelledError:
                note(f"stopped after {pictures(seen.count)}. {_go_on(found)}")
                raise
        for mirror in parts.stores.written[1:] if store is None else ():
            left = await parts.migrate.left(parts.stores.written[0], mirror)
            if left.count:
                note(
                    f"{pictures(left.count)} of {parts.stores.written[0]} are not in its mirror {mirror} yet"
                )
    how = "read and compared" if deep else "looked at"
    noun = "copy" if found.copies == 1 else "copies"
    summary = seen.summary(seen.count, found.bytes if deep else 0)
    out.print(f"{how} {found.copies:,} {noun} of {summary}")
    for name, count in sorted(found.unchecked.items()):
        note(f"{count:,} in {name}, which is not configured, were not looked at")
    if found.waiting:
        out.print(f"{pictures(found.waiting)} in the spool, on the way to their first store")
    if found.faults:
        noun = "copy is not as it" if found.faults == 1 else "copies are not as they"
        mended = f", {found.mended:,} repaired" if repair else ""
        out.print(f"{found.faults:,} {noun} should be{mended}")
    if not found.is_right:
        raise typer.Exit(1)
    out.print("all is well" if not found.faults else "all is well now")


def _go_on(found: Verified) -> str:
    return f"To go on from there: --after {found.last}" if found.last else ""


def _line(each: Finding) -> str:
    where = f"  {each.store}:{each.key}" if each.store else ""
    end = "  repaired" if each.mended else f"  not repaired: {each.why}" if each.why else ""
    return f"{each.fault}  {each.asset_id}{where}  {each.detail}{end}"
