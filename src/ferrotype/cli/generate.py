"""`ferrotype generate`: one order from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ferrotype.app.settings import load_settings
from ferrotype.cli.session import Session, open_session, read_data_uri
from ferrotype.config import ConfigError
from ferrotype.domain.problems import InvalidField, UnsupportedByModel, from_json
from ferrotype.net.logging import configure

#: File name suffix -> what an order's `format` calls it.
FORMATS: Final = {".webp": "webp", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
SUFFIXES: Final = {"image/webp": ".webp", "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif"}

console = Console(stderr=True)


@dataclass(frozen=True)
class Wish:
    """What the command line says."""

    prompt: str
    output: Path | None = None
    aspect_ratio: str | None = None
    size: str | None = None
    seed: int | None = None
    style: str | None = None
    model: str | None = None
    negative_prompt: str | None = None
    num_images: int = 1
    images: list[Path] = field(default_factory=list)
    operation: str = "generate"
    reuse: str | None = None

    def body(self) -> dict[str, Any]:
        """The order. Raises InvalidField for a size or a file that cannot be used."""
        body: dict[str, Any] = {
            "prompt": self.prompt,
            "operation": self.operation,
            "num_images": self.num_images,
            "aspect_ratio": self.aspect_ratio,
            "seed": self.seed,
            "style": self.style,
            "model": self.model,
            "negative_prompt": self.negative_prompt,
            "reuse": self.reuse,
        }
        if self.size is not None:
            match = re.fullmatch(r"(\d+)x(\d+)", self.size)
            if match is None:
                raise InvalidField("A size looks like 1024x768.", field="size")
            body |= {"width": int(match[1]), "height": int(match[2])}
        for path in self.images:
            if not path.is_file():
                raise InvalidField(f"There is no file {path}.", field="image")
        if self.images:
            body["images"] = [read_data_uri(path) for path in self.images]
        body["format"] = FORMATS.get(self.output.suffix.lower()) if self.output else None
        return {name: value for name, value in body.items() if value is not None}


async def generate(wish: Wish, *, server: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Order, watch, save. Raises Problem when no picture was made."""
    settings = load_settings(storage={"data_dir": data_dir}, log={"log_level": "error"})
    configure(settings.log)
    if wish.output is not None:
        _check_output(wish.output)
    body = wish.body()
    async with open_session(settings, server) as session:
        try:
            envelope = await _watch(session, body)
        except UnsupportedByModel as problem:
            if problem.field != "format" or "format" not in body:
                raise
            # Nothing was made. The model has one format: the file gets the suffix of what it really is.
            del body["format"]
            envelope = await _watch(session, body)
        if as_json:
            print(json.dumps(envelope, indent=2, ensure_ascii=False))
        if not envelope["output"]:
            raise from_json(envelope["error"] or {"code": "state_conflict", "detail": "It was canceled."})
        for asset in envelope["output"]:
            if wish.output is not None:
                await _save(session, asset, wish.output, wish.num_images, tell=not as_json)
            elif not as_json:
                print(asset["url"])
        if wish.output is None and session.base_url == "":
            _note("kept in the data folder; `ferrotype serve` serves these paths, -o writes a file")
        if envelope["reused_from"]:
            _note(_reused(envelope))
        if envelope["error"]:
            _note(envelope["error"]["detail"])


def _reused(envelope: dict[str, Any]) -> str:
    near = envelope["similarity"]
    what = "an identical order" if near is None else f"an order with a similar prompt ({near:.0%})"
    return f"made before, for {what}: {envelope['reused_from']}; --reuse never makes new ones"


def _check_output(output: Path) -> None:
    """Raise ConfigError before anything is made that could not be written."""
    folder = output.resolve().parent
    if output.is_dir():
        raise ConfigError(f"--output: {output} is a folder; name a file in it.")
    if not folder.is_dir():
        raise ConfigError(f"--output: there is no folder {folder}.")
    if not os.access(output if output.exists() else folder, os.W_OK):
        raise ConfigError(f"--output: {output} cannot be written to.")


async def _save(session: Session, asset: dict[str, Any], output: Path, count: int, *, tell: bool) -> None:
    data = await session.fetch(asset)
    path = _path(output, asset, count)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"--output: {path} cannot be written to ({error.strerror}).") from None
    if tell:
        print(path)


def _note(text: str) -> None:
    console.print(f"[yellow]{escape(text)}[/]", soft_wrap=True, highlight=False)


async def _watch(session: Session, body: dict[str, Any]) -> dict[str, Any]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task(f"ordering at {session.where}", total=1.0)
        envelope: dict[str, Any] = {}
        try:
            async with aclosing(session.order(body)) as events:  # type: ignore[type-var]
                async for type, data in events:
                    envelope = data.get("generation") or envelope
                    if type == "progress":
                        progress.update(task, completed=data["progress"], description="making")
                    elif type in ("queued", "started", "output"):
                        progress.update(task, description=type)
        except asyncio.CancelledError:
            if envelope:
                await session.cancel(envelope["id"])
                _note("canceled; what was not made costs nothing")
            raise
    return envelope


def _path(output: Path, asset: dict[str, Any], count: int) -> Path:
    """Where one picture goes: numbered when there are several, with the suffix of what it really is."""
    suffix = SUFFIXES.get(asset["content_type"] or "", output.suffix)
    if FORMATS.get(output.suffix.lower()) == FORMATS.get(suffix):
        suffix = output.suffix
    elif output.suffix:
        _note(f"The picture is {asset['content_type']}: saved as {suffix}.")
    number = f"-{asset['index'] + 1}" if count > 1 else ""
    return output.with_name(f"{output.stem}{number}{suffix}")
