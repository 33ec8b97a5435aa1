"""ComfyUI over HTTP and WebSocket: client, templates, progress, results.

`provider` tells the story; `client` speaks HTTP; `socket`, `demux`, `frames` and `run` turn the one
websocket into what is known of each prompt; `watch`, `finder`, `outputs` and `results` make events of
it; `pool` makes one provider of several servers. The workflows themselves are made by `providers/workflows`.
"""

from ferrotype.domain.clock import Clock
from ferrotype.providers.base import Provider
from ferrotype.providers.comfyui.pool import ComfyUIPool
from ferrotype.providers.comfyui.provider import ComfyUIProvider
from ferrotype.providers.comfyui.settings import ComfyUISettings
from ferrotype.providers.comfyui.watch import Pace
from ferrotype.providers.connections import Kind
from ferrotype.providers.workflows.library import Checked, Library
from ferrotype.providers.workflows.templates import Template, TemplateFault


def open_comfyui(settings: ComfyUISettings, name: str, clock: Clock) -> Provider:
    """The one server, or the pool where several addresses are given. Raises ConfigError."""
    if len(settings.hosts()) > 1:
        return ComfyUIPool(settings, clock, name=name)
    return ComfyUIProvider(settings, clock, name=name)


COMFYUI = Kind(ComfyUISettings, ComfyUIProvider.traits, open_comfyui)

__all__ = [
    "COMFYUI",
    "Checked",
    "ComfyUIPool",
    "ComfyUIProvider",
    "ComfyUISettings",
    "Library",
    "Pace",
    "Template",
    "TemplateFault",
]
