"""Connections: which providers an operator has set up, under which names.

Each kind of provider has one connection of its own name, configured by the usual environment variables.
More of a kind (a second key, another region, another OpenAI-compatible server) come from the file::

    [connections.vllm]
    provider = "openai"
    base_url = "http://10.0.0.5:8000/v1"
    api_key = "${VLLM_KEY}"
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ferrotype.config import ConfigError, Settings, load
from ferrotype.domain.clock import Clock
from ferrotype.providers.base import Provider, Traits

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


class ProviderSettings(Settings):
    """Base of every provider's settings."""

    @property
    def configured(self) -> bool:
        """Whether an address or a key is given, so that the provider can be used."""
        raise NotImplementedError


S = TypeVar("S", bound=ProviderSettings)


def _nothing(_target: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Kind(Generic[S]):
    """A kind of provider: what it needs to know, what it can do (`traits`, less what depends on settings),
    and how one is made of (settings, name, clock).

    `lacks` tells what has to be installed before a target is served here, None when nothing has.
    """

    settings: type[S]
    traits: Traits
    make: Callable[[S, str, Clock], Provider]
    lacks: Callable[[str], str | None] = _nothing


@dataclass(frozen=True, slots=True)
class Connection:
    """One configured provider: `name` is what deployments call it."""

    name: str
    kind: str
    settings: ProviderSettings


def load_connections(
    kinds: Mapping[str, Kind[Any]],
    environ: Mapping[str, str] | None = None,
    toml: Mapping[str, Any] | None = None,
) -> dict[str, Connection]:
    """Every connection that can be used, by name; those of the file first, then each kind's own.

    Raises ConfigError naming the variable or the key at fault.
    """
    env = os.environ if environ is None else environ
    tables = (toml or {}).get("connections", {})
    if not isinstance(tables, Mapping):
        raise ConfigError("[connections] in the configuration file: write [connections.NAME].")
    found: dict[str, Connection] = {}
    for name, table in tables.items():
        found[name] = _named(name, table, kinds, env)
    for name, kind in kinds.items():
        settings = load(kind.settings, env, toml)
        if settings.configured:
            found[name] = Connection(name, name, settings)
    return found


def _named(name: str, table: Any, kinds: Mapping[str, Kind[Any]], env: Mapping[str, str]) -> Connection:
    where = f"[connections.{name}] in the configuration file"
    if not NAME.fullmatch(name) or name in kinds:
        raise ConfigError(f"{where}: a name of its own is needed, in lower-case letters, digits, - and _.")
    if not isinstance(table, Mapping) or table.get("provider") not in kinds:
        raise ConfigError(f"{where}: provider must be one of {', '.join(kinds)}.")
    kind = str(table["provider"])
    values = {key: _filled(value, where, env) for key, value in table.items() if key != "provider"}
    area = kinds[kind].settings.area
    try:
        settings = load(kinds[kind].settings, {}, {area: values})
    except ConfigError as error:
        text = str(error).replace(f"[{area}]", f"[connections.{name}]")
        raise ConfigError(text) from None
    if not settings.configured:
        raise ConfigError(f"{where}: its address or key is missing.")
    return Connection(name, kind, settings)


def _filled(value: Any, where: str, env: Mapping[str, str]) -> Any:
    """`value` with `${NAME}` replaced: secrets need not stand in the file."""
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in env:
            raise ConfigError(f"{where}: the environment variable {match[1]} is not set.")
        return env[match[1]]

    return VARIABLE.sub(variable, value)
