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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ferrotype.config import ConfigError, Settings, load, load_named
from ferrotype.domain.clock import Clock
from ferrotype.providers.base import Provider, Traits


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
    named = load_named(
        "connections", "provider", {name: each.settings for name, each in kinds.items()}, env, toml
    )
    found: dict[str, Connection] = {}
    for name, (provider, settings) in named.items():
        assert isinstance(settings, ProviderSettings)
        if not settings.configured:
            raise ConfigError(
                f"[connections.{name}] in the configuration file: its address or key is missing."
            )
        found[name] = Connection(name, provider, settings)
    for name, kind in kinds.items():
        settings = load(kind.settings, env, toml)
        if settings.configured:
            found[name] = Connection(name, name, settings)
    return found
