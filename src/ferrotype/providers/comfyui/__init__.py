"""ComfyUI over HTTP and WebSocket: client, templates, progress, results.

`provider` tells the story; `client` speaks HTTP; `socket`, `demux`, `frames` and `run` turn the one
websocket into what is known of each prompt; `watch`, `finder`, `outputs` and `results` make events of
it; `templates`, `library` and `order` make workflows.
"""

from ferrotype.providers.comfyui.library import Checked, Library
from ferrotype.providers.comfyui.provider import ComfyUIProvider
from ferrotype.providers.comfyui.settings import ComfyUISettings
from ferrotype.providers.comfyui.templates import Template, TemplateFault
from ferrotype.providers.comfyui.watch import Pace
from ferrotype.providers.connections import Kind

COMFYUI = Kind(ComfyUISettings, lambda settings, name, clock: ComfyUIProvider(settings, clock, name=name))

__all__ = [
    "COMFYUI",
    "Checked",
    "ComfyUIProvider",
    "ComfyUISettings",
    "Library",
    "Pace",
    "Template",
    "TemplateFault",
]
