"""The mechanism: a pydantic model per area, one environment variable per field."""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticUndefined


class ConfigError(Exception):
    """A setting that cannot be used; the text names the variable and how to mend it."""


class Settings(BaseModel):
    """Base of every area's settings. `area` names its table in the TOML file, `prefix` is what variables
    begin with that have no name of their own."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    area: ClassVar[str] = ""
    prefix: ClassVar[str] = "FERROTYPE_"

    @classmethod
    def declared(cls) -> Iterator[Setting]:
        """Every setting of the area, for the documentation and `ferrotype doctor`: its own first, then those
        that it shares with others."""
        own = [name for name in inspect.get_annotations(cls) if name in cls.model_fields]
        for name in dict.fromkeys([*own, *cls.model_fields]):
            info = cls.model_fields[name]
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            yield Setting(
                area=cls.area,
                name=name,
                env=str(extra.get("env") or f"{cls.prefix}{name.upper()}"),
                default=None if info.default is PydanticUndefined else info.default,
                description=info.description or "",
                secret=bool(extra.get("secret")),
            )


@dataclass(frozen=True, slots=True)
class Setting:
    """One documented setting."""

    area: str
    name: str
    env: str
    default: Any
    description: str
    secret: bool


def setting(
    default: Any, description: str, *, env: str | None = None, secret: bool = False, **rules: Any
) -> Any:
    """A field of a Settings class. Its variable is the class's `prefix` and its name unless `env` says it."""
    return Field(
        default=default, description=description, json_schema_extra={"env": env, "secret": secret}, **rules
    )


T = TypeVar("T", bound=Settings)


def load(cls: type[T], environ: Mapping[str, str] | None = None, toml: Mapping[str, Any] | None = None) -> T:
    """The area's settings. Raises ConfigError naming the variable or the TOML key at fault."""
    env = os.environ if environ is None else environ
    table = (toml or {}).get(cls.area, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"[{cls.area}] in the configuration file: it is no table.")
    known = {item.name: item for item in cls.declared()}
    for key in table:
        if key not in known:
            raise ConfigError(f"[{cls.area}] {key} in the configuration file: there is no such setting.")
    sources = {name: f"[{cls.area}] {name} in the configuration file" for name in table}
    values: dict[str, Any] = dict(table)
    for item in known.values():
        text = env.get(item.env)
        if text is not None and text != "":
            values[item.name] = _parse(cls, item.name, text)
            sources[item.name] = item.env
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        where = sources.get(name, known[name].env if name in known else cls.area)
        # What belongs to no single setting may hold the secrets of several.
        shown = "" if name not in known or known[name].secret else f" (it is {first['input']!r})"
        text = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {text}{shown}.") from None


def _parse(cls: type[Settings], name: str, text: str) -> Any:
    """Collections are comma-separated in the environment; everything else pydantic reads from text."""
    annotation = str(cls.model_fields[name].annotation)
    if annotation.startswith(("list", "tuple")):
        return [part.strip() for part in text.split(",") if part.strip()]
    if annotation.startswith("dict"):
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        if not all(separator for _, separator, _ in pairs):
            return text  # pydantic refuses it, and the error names the variable
        return {key.strip(): value.strip() for key, _, value in pairs}
    return text


def toml_file(environ: Mapping[str, str] | None = None) -> Path | None:
    """The configuration file, None when there is none.

    Raises ConfigError when FERROTYPE_CONFIG names a file that is missing.
    """
    env = os.environ if environ is None else environ
    named = env.get("FERROTYPE_CONFIG")
    path = Path(named) if named else Path("ferrotype.toml")
    if path.is_file():
        return path
    if named:
        raise ConfigError(f"FERROTYPE_CONFIG: there is no file {path}.")
    return None


def read_toml(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The configuration file's tables; empty when there is none.

    Raises ConfigError when FERROTYPE_CONFIG names a file that is missing, or the file is no TOML.
    """
    path = toml_file(environ)
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
