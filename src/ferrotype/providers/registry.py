"""Which providers exist, and which of them are configured. A new one is one line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from ferrotype.domain.clock import Clock
from ferrotype.providers.base import Provider
from ferrotype.providers.comfyui import ComfyUIProvider
from ferrotype.providers.local import LocalProvider
from ferrotype.providers.settings import ComfyUISettings


class ProviderSettings(Protocol):
    """The settings that the providers below read."""

    @property
    def comfyui(self) -> ComfyUISettings: ...


Factory = Callable[[ProviderSettings, Clock], Provider | None]

#: Name -> how it is made; None where its settings do not name an address or a key.
PROVIDERS: Final[Mapping[str, Factory]] = {
    "comfyui": lambda settings, clock: (
        ComfyUIProvider(settings.comfyui, clock) if settings.comfyui.url else None
    ),
    "local": lambda _settings, _clock: LocalProvider(threads=os.cpu_count() or 1),
}


def configured_providers(settings: ProviderSettings, clock: Clock) -> dict[str, Provider]:
    """The providers that may be used, in the order of the registry."""
    made = {name: factory(settings, clock) for name, factory in PROVIDERS.items()}
    return {name: provider for name, provider in made.items() if provider is not None}
