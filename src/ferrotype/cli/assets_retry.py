"""`ferrotype assets failed` and `retry`: work behind the answer that was given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from ferrotype.app.beside import beside
from ferrotype.app.settings import load_settings
from ferrotype.cli.assets_common import known_store, note, quiet
from ferrotype.services.revive import Failed

out = Console(soft_wrap=True, highlight=False, markup=False)


async def failed(ids: Sequence[str], *, store: str | None, data_dir: Path | None) -> None:
    """One line for each; exit code 1 when there is any. Raises ConfigError."""
    if await _all(ids, store, data_dir, revive=False, show=True):
        raise typer.Exit(1)
    out.print("nothing was given up")


async def retry(ids: Sequence[str], *, store: str | None, dry_run: bool, data_dir: Path | None) -> None:
    """Have it done again; exit code 1 when some cannot be. Raises ConfigError."""
    found = await _all(ids, store, data_dir, revive=not dry_run, show=dry_run)
    lost = found.pop(LOST, 0)
    for (kind, name), count in sorted(found.items()):
        what = {
            "store": "to be stored",
            "purge": "to be purged",
            "drop": "to leave",
            "forget": "to be forgotten",
            "cdn": "to be forgotten by the CDN",
        }
        place = {"store": f" in {name}", "drop": f" {name}"}.get(kind, "")
        out.print(f"{'would begin' if dry_run else 'begun'} anew: {count:,} {what.get(kind, kind)}{place}")
    if not found and not lost:
        out.print("nothing was given up")
    if lost:
        note(f"{lost:,} cannot be begun anew: their bytes are in no store and not in the spool")
        raise typer.Exit(1)


LOST = ("", "lost")


async def _all(
    ids: Sequence[str], store: str | None, data_dir: Path | None, *, revive: bool, show: bool
) -> Counter[tuple[str, str]]:
    """How many of each kind and store there were."""
    settings = load_settings(storage={"data_dir": data_dir})
    quiet(settings)
    known_store(settings, store)
    counted: Counter[tuple[str, str]] = Counter()
    async with beside(settings, alone=False) as parts:
        work = parts.revive
        async for each in work.failed(store, ids):
            if show:
                out.print(_line(each))
            if each.lost:
                counted[LOST] += 1
            elif not revive or await work.revive(each):
                counted[each.kind, each.store or ""] += 1
        if revive and counted.total() > counted[LOST] and parts.server is None:
            note("no server runs on this folder: it is done when one starts")
    return counted


def _line(each: Failed) -> str:
    at = f"{each.failed_at:%Y-%m-%d %H:%M}" if each.failed_at else "-" * 16
    return f"{each.asset_id}  {at}  {each.kind:<6} {each.store or '':<12} {each.reason}"
