"""`ferrotype generate`: one order from the command line."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.catalogue import load_catalogue
from ferrotype.cli.session import Session, open_session, read_data_uri
from ferrotype.config import ConfigError
from ferrotype.domain.problems import InvalidField, from_json
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

    def body(self, settings: AppSettings) -> dict[str, Any]:
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
        body["format"] = self._format(settings)
        return {name: value for name, value in body.items() if value is not None}

    def _format(self, settings: AppSettings) -> str | None:
        """What the output's name asks for, where the model can do it."""
        wanted = FORMATS.get(self.output.suffix.lower()) if self.output else None
        models = load_catalogue(settings.catalogue).models
        if self.model in models:
            return wanted if wanted in models[self.model].capabilities.formats else None
        return None if settings.catalogue.default_model or settings.comfyui.url else wanted


async def generate(wish: Wish, *, server: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Order, watch, save. Raises Problem when no picture was made."""
    settings = load_settings(storage={"data_dir": data_dir}, log={"log_level": "error"})
    configure(settings.log)
    if wish.output is not None and not wish.output.resolve().parent.is_dir():
        raise ConfigError(f"--output: there is no folder {wish.output.resolve().parent}.")
    async with open_session(settings, server) as session:
        envelope = await _watch(session, wish.body(settings))
        if as_json:
            print(json.dumps(envelope, indent=2, ensure_ascii=False))
        if not envelope["output"]:
            raise from_json(envelope["error"] or {"code": "state_conflict", "detail": "It was canceled."})
        for asset in envelope["output"]:
            if wish.output is not None:
                path = _path(wish.output, asset, len(envelope["output"]))
                path.write_bytes(await session.fetch(asset))
                if not as_json:
                    print(path)
            elif not as_json:
                print(asset["url"] if asset["url"].startswith("http") else asset["id"])
        if envelope["error"]:
            console.print(f"[yellow]{envelope['error']['detail']}[/]")


async def _watch(session: Session, body: dict[str, Any]) -> dict[str, Any]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"ordering at {session.where}", total=1.0)
        envelope: dict[str, Any] = {}
        async with aclosing(session.order(body)) as events:  # type: ignore[type-var]
            async for type, data in events:
                envelope = data.get("generation") or envelope
                if type == "progress":
                    progress.update(task, completed=data["progress"], description="making")
                elif type in ("queued", "started", "output"):
                    progress.update(task, description=type)
    return envelope


def _path(output: Path, asset: dict[str, Any], count: int) -> Path:
    """Where one picture goes: numbered when there are several, with the suffix of what it really is."""
    suffix = SUFFIXES.get(asset["content_type"] or "", output.suffix)
    if FORMATS.get(output.suffix.lower()) == FORMATS.get(suffix):
        suffix = output.suffix
    elif output.suffix:
        console.print(f"[yellow]The picture is {asset['content_type']}: saved as {suffix}.[/]")
    number = f"-{asset['index'] + 1}" if count > 1 else ""
    return output.with_name(f"{output.stem}{number}{suffix}")
