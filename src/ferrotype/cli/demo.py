"""`ferrotype demo`: from nothing to pictures on screen, through the real HTTP path."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ferrotype.app.compose import Ferrotype
from ferrotype.app.server import address, serve
from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.cli.session import Remote
from ferrotype.domain.problems import Problem
from ferrotype.net.logging import configure

PROMPTS: Final[tuple[dict[str, Any], ...]] = (
    {"prompt": "a fox under the moon", "aspect_ratio": "16:9", "seed": 7},
    {"prompt": "three red apples on a table", "style": "realistic", "seed": 3},
    {"prompt": "a sailing boat on the sea at sunset", "style": "artistic", "aspect_ratio": "4:3", "seed": 11},
    {"prompt": "a rocket over a city at night", "style": "illustration", "aspect_ratio": "9:16", "seed": 5},
    {"prompt": "two penguins in the snow", "style": "3d", "aspect_ratio": "3:4", "seed": 2},
    {"prompt": "a castle in the forest, rainbow", "seed": 21},
)

console = Console()


@dataclass
class Shown:
    """One entry of the closing list; times in milliseconds."""

    prompt: str
    url: str = ""
    answered: float = 0.0
    fetched: float = 0.0
    detail: str = ""

    def told(self) -> str:
        """Its figures."""
        return f"made in {self.answered:.0f} ms, loads in {self.fetched:.0f} ms, {self.detail}"


def say(text: str) -> None:
    """One line, never cut or wrapped: URLs stay whole in a narrow terminal."""
    console.print(text, soft_wrap=True, highlight=False)


async def demo(*, host: str | None, port: int | None, data_dir: Path | None, once: bool) -> None:
    """Serve, order, show; then keep serving unless `once`."""
    overrides = {"host": host, "port": port}
    settings = load_settings(
        http=overrides, storage={"data_dir": data_dir}, log={"log_level": "warning", "log_format": "console"}
    )
    if port is None and not _free(settings):
        settings = load_settings(
            http={**overrides, "port": _any_port()},
            storage={"data_dir": data_dir},
            log={"log_level": "warning", "log_format": "console"},
        )
    configure(settings.log)

    async def story(application: Ferrotype) -> None:
        await _show(application)
        if once:
            return
        say("")
        say(f"The server stays up at [bold]{address(settings)}[/]")
        say(f"Open the studio at [bold]{address(settings)}/studio[/]")
        if settings.http.api_key is None:
            say(f"Try the API at [bold]{address(settings)}/docs[/]")
        say("Ctrl-C stops it.")
        await asyncio.Event().wait()

    await serve(settings, while_serving=story)


async def _show(application: Ferrotype) -> None:
    base = address(application.settings)
    key = application.settings.http.api_key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    providers = ", ".join(application.providers)
    say(f"Ferrotype at [bold]{base}[/], pictures by {providers}")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    async with aiohttp.ClientSession(headers=headers) as http:
        quiet = not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
            tasks = [progress.add_task(order["prompt"], total=1.0) for order in PROMPTS]
            rows = await asyncio.gather(
                *(
                    _order(Remote(http, base), http, order, progress, task)
                    for order, task in zip(PROMPTS, tasks, strict=True)
                )
            )
    for row in rows:
        say("")
        if row.url:
            say(f"[green]✓[/] [bold]{escape(row.prompt)}[/]  [dim]{escape(row.told())}[/]")
            say(f"  {row.url}")
        else:
            say(f"[red]✗[/] [bold]{escape(row.prompt)}[/]  {escape(row.detail)}")
    if any(not row.url for row in rows):
        raise Problem("Not every picture could be made; the list says why.")


async def _order(
    remote: Remote, http: aiohttp.ClientSession, order: dict[str, Any], progress: Progress, task: TaskID
) -> Shown:
    shown = Shown(order["prompt"])
    started = time.perf_counter()
    try:
        async for type, data in remote.order(order):
            if type == "progress":
                progress.update(task, completed=data["progress"])
            if type == "output" and not shown.url:
                shown.answered = (time.perf_counter() - started) * 1000
                shown.url = data["asset"]["url"]
            if type == "failed":
                shown.detail = data["error"]["detail"]
    except Problem as problem:
        shown.detail = problem.detail
    progress.update(task, completed=1.0)
    if shown.url:
        await _load(http, shown)
    return shown


async def _load(http: aiohttp.ClientSession, shown: Shown) -> None:
    started = time.perf_counter()
    async with http.get(shown.url) as reply:
        body = await reply.read()
        reply.raise_for_status()
    shown.fetched = (time.perf_counter() - started) * 1000
    shown.detail = f"{reply.content_type.removeprefix('image/')} of {len(body) / 1024:.0f} KiB"


def _free(settings: AppSettings) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.http.host, settings.http.port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
