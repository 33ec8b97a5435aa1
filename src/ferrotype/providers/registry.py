"""Which kinds of providers exist. A new one is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ferrotype.domain.clock import Clock
from ferrotype.providers.base import Provider
from ferrotype.providers.comfyui import COMFYUI
from ferrotype.providers.connections import Connection, Kind
from ferrotype.providers.local import LOCAL

#: The order is that of preference where an order names no model; the illustrator is last.
KINDS: Final[Mapping[str, Kind[Any]]] = {
    "comfyui": COMFYUI,
    "local": LOCAL,
}


def open_providers(connections: Mapping[str, Connection], clock: Clock) -> dict[str, Provider]:
    """A provider per connection. Raises ConfigError where settings cannot be used."""
    return {
        name: KINDS[connection.kind].make(connection.settings, name, clock)
        for name, connection in connections.items()
    }
