"""The catalogue: shipped defaults with the user's file merged over them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path as PathOf
from typing import Any, ClassVar, Final, TypeVar

from pydantic import ValidationError

from ferrotype.catalogue.check import model_faults
from ferrotype.catalogue.places import Places
from ferrotype.config import ConfigError, Settings, setting
from ferrotype.domain.model import AspectRatio, Capabilities, Frozen, Model, Operation, Style
from ferrotype.domain.problems import NoDeployment, UnknownModel, UnsupportedByModel

#: What a catalogue file may contain.
LISTS: Final = ("models", "operations", "styles", "aspect_ratios")
#: The shipped files; the order of models is that of preference, and the illustrator is last.
SHIPPED: Final = (
    "comfyui",
    "flux",
    "diffusion",
    "gemini",
    "openai",
    "enhance",
    "local",
    "operations",
    "styles",
    "aspect_ratios",
)


class CatalogueSettings(Settings):
    """Which models are offered."""

    area: ClassVar[str] = "catalogue"

    catalogue: str | None = setting(None, "Your own `models.toml`, merged over the shipped catalogue.")
    default_model: str | None = setting(None, "The model used when an order names none.")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models in order of preference, operations, styles and aspect ratios, by name."""

    models: dict[str, Model]
    operations: dict[str, Operation]
    styles: dict[str, Style]
    aspect_ratios: dict[str, AspectRatio]
    #: Models without a deployment, because something is not installed here: what that is.
    missing: dict[str, str] = field(default_factory=dict)

    def served(self, lacks: Callable[[str, str], str | None]) -> Catalogue:
        """The same, less the deployments that cannot be served here: `lacks` (of provider and target) says
        what has to be installed for one. Their models stay, so that they can be asked for."""
        models, missing = dict(self.models), {}
        for model in self.models.values():
            reasons = [lacks(each.provider, each.target) for each in model.deployments]
            left = [each for each, reason in zip(model.deployments, reasons, strict=True) if reason is None]
            models[model.name] = model.model_copy(update={"deployments": left})
            if not left:
                missing[model.name] = next(reason for reason in reasons if reason is not None)
        return replace(self, models=models, missing=missing)

    def choose(
        self,
        name: str | None,
        operation: str,
        configured: Iterable[str],
        default: str | None = None,
        fits: Callable[[Capabilities], bool] = lambda _: True,
    ) -> Model:
        """The model for an order.

        `configured` are the providers that may be used. Without a name it is `default` if that serves
        the operation, else the first entry with a configured deployment; one whose capabilities `fits` the
        order's inputs goes before those that would refuse them. Raises UnknownModel, UnsupportedByModel
        or NoDeployment.
        """
        usable = set(configured)
        if name is not None:
            model = self.models.get(name)
            if model is None:
                raise UnknownModel(f"There is no model {name!r}.", field="model", limit=sorted(self.models))
            if operation not in model.operations:
                raise UnsupportedByModel(
                    f"{name} does not serve the operation {operation!r}.",
                    field="operation",
                    limit=model.operations,
                )
            if name in self.missing:
                raise NoDeployment(f"{name} cannot be used yet. {self.missing[name]}", field="model")
            if not any(deployment.provider in usable for deployment in model.deployments):
                needed = sorted({deployment.provider for deployment in model.deployments})
                raise NoDeployment(f"{name} needs a configured provider: {', '.join(needed)}.", field="model")
            return model
        if default is not None and operation in self.models[default].operations:
            return self.choose(default, operation, usable)
        able = [
            model
            for model in self.models.values()
            if operation in model.operations and any(d.provider in usable for d in model.deployments)
        ]
        if able:
            return next((model for model in able if fits(model.capabilities)), able[0])
        if not any(operation in model.operations for model in self.models.values()):
            served = sorted({op for model in self.models.values() for op in model.operations})
            raise UnsupportedByModel(
                f"No model serves the operation {operation!r}.", field="operation", limit=served
            )
        reasons = {
            reason for name, reason in self.missing.items() if operation in self.models[name].operations
        }
        text = f"No configured provider serves the operation {operation!r}."
        raise NoDeployment(" ".join([text, *sorted(reasons)]), field="operation")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a catalogue file; `line` counts from 1, None where it cannot be told."""

    source: str
    line: int | None
    detail: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.detail}"


def load_catalogue(settings: CatalogueSettings) -> Catalogue:
    """Read the shipped files and the user's. Raises ConfigError naming what is wrong, and its line."""
    catalogue, faults = read_catalogue(settings.catalogue)
    if faults:
        raise ConfigError(str(faults[0]))
    assert catalogue is not None
    if settings.default_model is not None and settings.default_model not in catalogue.models:
        raise ConfigError(f"FERROTYPE_DEFAULT_MODEL: there is no model {settings.default_model!r}.")
    return catalogue


def read_catalogue(
    own: str | None, connections: Collection[str] | None = None
) -> tuple[Catalogue | None, list[Fault]]:
    """The catalogue with the file `own` merged over it, and everything that is wrong; None where nothing
    can be made of it. `connections` are the names that deployments may use, None to leave that open.

    Raises ConfigError when there is no such file.
    """
    sources = [_shipped(name) for name in SHIPPED]
    if own is not None:
        path = PathOf(own)
        if not path.is_file():
            raise ConfigError(f"FERROTYPE_CATALOGUE: there is no file {path}.")
        sources.insert(0, Source(str(path), path.read_bytes()))
    faults = [fault for source in sources for fault in source.faults]
    if faults:
        return None, faults
    catalogue = Catalogue(
        models=_merge(Model, "models", sources, faults),
        operations=_merge(Operation, "operations", sources, faults),
        styles=_merge(Style, "styles", sources, faults),
        aspect_ratios=_merge(AspectRatio, "aspect_ratios", sources, faults),
    )
    for source, number, raw in _first("models", sources):
        model = catalogue.models.get(str(raw["name"]))
        if model is None:
            continue
        found = model_faults(model, catalogue.operations, catalogue.aspect_ratios, connections)
        for place, detail in found:
            faults.append(source.fault("models", number, place, detail))
    return catalogue, faults


class Source:
    """One file: its entries, and where they stand."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self._tables: dict[str, list[dict[str, Any]]] = {}
        try:
            text = data.decode()
            tables = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            line = re.search(r"at line (\d+)", str(error))
            self.faults.append(Fault(name, int(line[1]) if line else None, str(error)))
            return
        self._places = Places(text)
        for kind, entries in tables.items():
            self._check(kind, entries)
        if not self.faults:
            self._tables = tables

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The entries of a list, each with a name of its own."""
        return self._tables.get(kind, [])

    def fault(self, kind: str, number: int, path: tuple[str | int, ...], detail: str) -> Fault:
        """What is wrong at a path within an entry."""
        name = self._tables[kind][number].get("name") if kind in self._tables else None
        where = ".".join(str(part) for part in path)
        text = ": ".join(part for part in (f"{name!r}" if name else "", where, detail) if part)
        return Fault(self.name, self._places.line((kind, number, *path)), text)

    def _check(self, kind: str, entries: Any) -> None:
        line = self._places.line((kind,)) or self._places.line((kind, 0))
        if kind not in LISTS:
            self.faults.append(Fault(self.name, line, f"there is no [[{kind}]], only {', '.join(LISTS)}."))
        elif not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.faults.append(
                Fault(self.name, line, f"{kind} is no list of entries; write [[{kind}]] above each.")
            )
        else:
            names = [entry.get("name") for entry in entries]
            for number, name in enumerate(names):
                if name is None:
                    self.faults.append(
                        self.fault(kind, number, (), f"entry {number + 1} of {kind} has no name.")
                    )
                elif names.index(name) < number:
                    self.faults.append(
                        self.fault(kind, number, ("name",), f"{name!r} stands twice among {kind}.")
                    )


@cache
def _shipped(name: str) -> Source:
    """A file of ours: it stays as it is while the process runs."""
    return Source(
        f"{name}.toml (shipped)", files(__package__).joinpath("shipped", f"{name}.toml").read_bytes()
    )


Entry = TypeVar("Entry", bound=Frozen)


def _first(kind: str, sources: Iterable[Source]) -> Iterator[tuple[Source, int, dict[str, Any]]]:
    """Every entry of a kind, with its file and number there: of several with one name the first."""
    seen: set[str] = set()
    for source in sources:
        for number, raw in enumerate(source.entries(kind)):
            name = str(raw["name"])
            if name not in seen:
                seen.add(name)
                yield source, number, raw


def _merge(cls: type[Entry], kind: str, sources: Iterable[Source], faults: list[Fault]) -> dict[str, Entry]:
    """Every entry of a kind by name: the first source that has it wins. Adds what is wrong to `faults`."""
    entries: dict[str, Entry] = {}
    for source, number, raw in _first(kind, sources):
        try:
            entries[str(raw["name"])] = cls.model_validate(raw)
        except ValidationError as error:
            faults += [
                source.fault(kind, number, tuple(found["loc"]), found["msg"]) for found in error.errors()
            ]
    return entries
