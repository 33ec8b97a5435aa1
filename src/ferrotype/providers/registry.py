"""Which kinds of providers exist. A new one is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ferrotype.domain.clock import Clock
from ferrotype.providers.base import Provider
from ferrotype.providers.cog import COG
from ferrotype.providers.comfyui import COMFYUI
from ferrotype.providers.connections import Connection, Kind
from ferrotype.providers.fal import FAL
from ferrotype.providers.gemini import GEMINI
from ferrotype.providers.local import LOCAL
from ferrotype.providers.openai import OPENAI
from ferrotype.providers.replicate import REPLICATE
from ferrotype.providers.runpod import RUNPOD

#: The order is that of preference where an order names no model; the illustrator is last.
KINDS: Final[Mapping[str, Kind[Any]]] = {
    "comfyui": COMFYUI,
    "replicate": REPLICATE,
    "fal": FAL,
    "runpod": RUNPOD,
    "cog": COG,
    "gemini": GEMINI,
    "openai": OPENAI,
    "local": LOCAL,
}


def lacks(connections: Mapping[str, Connection], provider: str, target: str) -> str | None:
    """What has to be installed before that connection serves the target; None when nothing has, or when there
    is no such connection."""
    connection = connections.get(provider)
    return None if connection is None else KINDS[connection.kind].lacks(target)


def open_providers(connections: Mapping[str, Connection], clock: Clock) -> dict[str, Provider]:
    """A provider per connection. Raises ConfigError where settings cannot be used."""
    return {
        name: KINDS[connection.kind].make(connection.settings, name, clock)
        for name, connection in connections.items()
    }
