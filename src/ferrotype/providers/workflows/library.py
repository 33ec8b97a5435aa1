"""Where templates are found: the user's folder first, then the ones that ship with Ferrotype."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from ferrotype.providers.workflows.templates import Template, TemplateFault

#: Bytes of a template file; real workflows stay far below.
MAX_TEMPLATE_BYTES: Final = 4 * 1024 * 1024

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Checked:
    """One template as `ferrotype doctor` sees it; `fault` is None when it can be used."""

    name: str
    source: str
    placeholders: tuple[str, ...] = ()
    fault: str | None = None


class Library:
    """All templates by name. Files of the user's folder are read again once they change."""

    def __init__(self, folder: str | None = None) -> None:
        self._folder = Path(folder).expanduser() if folder is not None else None
        self._read: dict[str, tuple[tuple[int, int], Template]] = {}

    def names(self) -> list[str]:
        """Every template there is, sorted."""
        return sorted({*self._shipped(), *self._own()})

    def load(self, name: str) -> Template:
        """The template of that name.

        Raises TemplateFault when there is none, the name is no plain file name, or it cannot be used.
        """
        if _NAME.fullmatch(name) is None:
            raise TemplateFault(f"{name[:100]!r} is no name of a workflow.")
        stem = name.removesuffix(".json")
        own = self._own_file(stem)
        if own is not None:
            return self._from_file(stem, own)
        if stem in self._shipped():
            if stem not in self._read:
                text = (_workflows() / f"{stem}.json").read_text(encoding="utf-8")
                self._read[stem] = ((0, 0), Template.parse(stem, "shipped with Ferrotype", text))
            return self._read[stem][1]
        raise TemplateFault(f"There is no workflow {stem!r}; known are {', '.join(self.names())}.")

    def check(self) -> list[Checked]:
        """Every template, loaded and judged."""
        return [self._judge(name) for name in self.names()]

    def _judge(self, name: str) -> Checked:
        own = self._own_file(name)
        source = str(own) if own is not None else "shipped with Ferrotype"
        try:
            template = self.load(name)
        except TemplateFault as fault:
            return Checked(name, source, fault=fault.detail)
        return Checked(name, source, tuple(template.placeholders))

    def _from_file(self, stem: str, path: Path) -> Template:
        try:
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            known = self._read.get(stem)
            if known is not None and known[0] == stamp:
                return known[1]
            if state.st_size > MAX_TEMPLATE_BYTES:
                raise TemplateFault(f"Workflow {stem!r} is larger than {MAX_TEMPLATE_BYTES} bytes.")
            template = Template.parse(stem, str(path), path.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            raise TemplateFault(f"Workflow {stem!r} is not UTF-8 text.") from None
        except OSError as error:
            raise TemplateFault(f"Workflow {stem!r} cannot be read: {error.strerror}.") from None
        self._read[stem] = (stamp, template)
        return template

    def _own_file(self, stem: str) -> Path | None:
        if self._folder is None:
            return None
        path = self._folder / f"{stem}.json"
        try:
            # A link that leads out of the folder is not the user's template.
            inside = path.resolve().is_relative_to(self._folder.resolve())
            return path if inside and path.is_file() else None
        except OSError:
            return None

    def _own(self) -> Iterator[str]:
        if self._folder is not None and self._folder.is_dir():
            for path in self._folder.glob("*.json"):
                if _NAME.fullmatch(path.stem) is not None and self._own_file(path.stem) is not None:
                    yield path.stem

    def _shipped(self) -> Iterator[str]:
        for entry in _workflows().iterdir():
            if entry.name.endswith(".json"):
                yield entry.name.removesuffix(".json")


def _workflows() -> Path:
    return Path(str(files("ferrotype.providers"))) / "comfyui" / "workflows"
