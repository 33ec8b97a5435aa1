"""`ferrotype assets migrate`: from one store to another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from ferrotype.app.beside import Beside, beside
from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.cli.assets_common import STOPPED, known_store, note, quiet, stop
from ferrotype.cli.watching import watching
from ferrotype.cli.words import pictures, read_rate, size
from ferrotype.config import ConfigError
from ferrotype.services.chores import Hopeless
from ferrotype.services.migrate import Migrate, Migrated

#: Written to a store again that is being left would have to wait for that.
LEAVING: Final = (
    "{count} are still leaving {store}: wait until the server has removed them, then start again."
)
out = Console(soft_wrap=True, highlight=False)


async def migrate(
    source: str,
    target: str,
    *,
    rate: str | None,
    width: int,
    delete_source: bool,
    dry_run: bool,
    data_dir: Path | None,
) -> None:
    """Copy, then drop if asked to. Exit code 1 when something could not be copied. Raises ConfigError."""
    settings = load_settings(storage={"data_dir": data_dir})
    quiet(settings)
    known_store(settings, source, "--from")
    known_store(settings, target, "--to")
    if source == target:
        raise ConfigError(f"--to: {target} is where they are.")
    async with beside(settings, rate=read_rate(rate)) as parts:
        if delete_source:
            await _check_leaving(settings, parts, source, target)
        work = parts.migrate
        if leaving := await work.leaving(target):
            raise ConfigError(f"--to: {LEAVING.format(count=pictures(leaving), store=target)}")
        left, there = await work.left(source, target), await work.there(source, target)
        if dry_run:
            out.print(
                f"{pictures(left.count)} ({size(left.bytes)}) would be copied from {source} to {target}"
            )
            out.print(f"{pictures(there.count)} ({size(there.bytes)}) of {source} are in {target} already")
            return
        done = await _copied(work, source, target, left.count, width)
        if there.count and not left.count:
            out.print(f"{target} has everything that {source} has: {pictures(there.count)}")
        failed = done.failed
        if delete_source:
            failed += await _left(parts, work, source, target, width)
    if failed:
        note(f"{pictures(failed)} could not be migrated; the same command tries them again")
        raise typer.Exit(1)


async def _copied(work: Migrate, source: str, target: str, count: int, width: int) -> Migrated:
    if not count:
        return Migrated()
    done = Migrated()
    with watching(f"{source} to {target}", count) as seen:
        try:
            await work.copy(source, target, width, seen, done)
        except Hopeless as error:
            stop(f"{error.problem.detail} {pictures(done.copied)} copied. {STOPPED}")
        except asyncio.CancelledError:
            note(f"stopped after {pictures(done.copied)}. {STOPPED}")
            raise
    out.print(f"copied {seen.summary(done.copied, done.bytes)} from {source} to {target}")
    if done.gone:
        out.print(f"{pictures(done.gone)} purged meanwhile")
    return done


async def _left(parts: Beside, work: Migrate, source: str, target: str, width: int) -> int:
    """How many have to stay."""
    there = await work.there(source, target)
    with watching(f"leaving {source}", there.count) as seen:
        try:
            done = await work.leave(source, target, width, seen)
        except Hopeless as error:
            stop(f"{error.problem.detail} {STOPPED}")
        except asyncio.CancelledError:
            note(f"stopped. {STOPPED}")
            raise
    if parts.server is None:
        await parts.finish_drops()
        left = await work.leaving(source)
        out.print(f"dropped {pictures(done.copied)} ({size(done.bytes)}) from {source}")
        if left:
            note(f"{pictures(left)} of {source} could not be removed yet; the server sees to it when it runs")
    else:
        out.print(
            f"{pictures(await work.leaving(source))} leave {source}: the running server removes them, each"
            " after nobody can be on the way there any more"
        )
    return done.failed


async def _check_leaving(settings: AppSettings, parts: Beside, source: str, target: str) -> None:
    """Raises ConfigError while somebody still writes to the source, or does not know the target."""
    how = (
        f"name the stores that new pictures go to, without {source} (FERROTYPE_STORES={target}), and restart"
        " the server"
    )
    if source in settings.stores.written:
        raise ConfigError(f"--delete-source: new pictures still go to {source}: {how}.")
    if parts.server is None:
        return
    written = await parts.server_writes_to()
    if written is None:
        raise ConfigError("--delete-source: the running server does not say which stores it writes to.")
    if source in written:
        raise ConfigError(f"--delete-source: the running server still writes to {source}: {how}.")
    if target not in written:
        raise ConfigError(f"--delete-source: the running server does not write to {target}: {how}.")
