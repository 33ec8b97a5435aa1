"""The catalogue: shipped defaults with the user's file merged over them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from pydantic import ValidationError

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

    catalogue: str | None = setting(None, "Your own `models.toml`, merged over the shipped one.")
    default_model: str | None = setting(None, "The model used when an order names none.")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models in order of preference, operations, styles and aspect ratios, by name."""

    models: dict[str, Model]
    operations: dict[str, Operation]
    styles: dict[str, Style]
    aspect_ratios: dict[str, AspectRatio]

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
        raise NoDeployment(f"No configured provider serves the operation {operation!r}.", field="operation")


def load_catalogue(settings: CatalogueSettings) -> Catalogue:
    """Read both files. Raises ConfigError naming the entry that is wrong."""
    shipped: dict[str, list[dict[str, Any]]] = {}
    for name in SHIPPED:
        text = files(__package__).joinpath("shipped", f"{name}.toml").read_bytes()
        for kind, entries in _parse(text, f"the shipped {name}.toml").items():
            shipped.setdefault(kind, []).extend(entries)
    own: dict[str, list[dict[str, Any]]] = {}
    if settings.catalogue:
        path = Path(settings.catalogue)
        if not path.is_file():
            raise ConfigError(f"FERROTYPE_CATALOGUE: there is no file {path}.")
        own = _parse(path.read_bytes(), str(path))
    catalogue = Catalogue(
        models=_merge(Model, own.get("models", []), shipped["models"]),
        operations=_merge(Operation, own.get("operations", []), shipped["operations"]),
        styles=_merge(Style, own.get("styles", []), shipped["styles"]),
        aspect_ratios=_merge(AspectRatio, own.get("aspect_ratios", []), shipped["aspect_ratios"]),
    )
    if settings.default_model is not None and settings.default_model not in catalogue.models:
        raise ConfigError(f"FERROTYPE_DEFAULT_MODEL: there is no model {settings.default_model!r}.")
    return catalogue


def _parse(text: bytes, source: str) -> dict[str, list[dict[str, Any]]]:
    """The file's lists of entries, each entry with a name of its own within its list."""
    try:
        tables = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: {error}") from None
    for kind, entries in tables.items():
        if kind not in LISTS:
            raise ConfigError(f"{source}: there is no [[{kind}]], only {', '.join(LISTS)}.")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ConfigError(f"{source}: {kind} is no list of entries; write [[{kind}]] above each.")
        names = [entry.get("name") for entry in entries]
        for number, name in enumerate(names, 1):
            if name is None:
                raise ConfigError(f"{source}: entry {number} of {kind} has no name.")
            if names.index(name) < number - 1:
                raise ConfigError(f"{source}: {name!r} stands twice among {kind}.")
    return tables


Entry = TypeVar("Entry", bound=Frozen)


def _merge(
    cls: type[Entry], own: Iterable[dict[str, Any]], shipped: Iterable[dict[str, Any]]
) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for raw in [*own, *shipped]:
        name = str(raw.get("name"))
        if name in entries:
            continue
        try:
            entries[name] = cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"catalogue entry {name!r}: {where}: {first['msg']}") from None
    return entries
