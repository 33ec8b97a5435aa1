"""Wire-format simulators that ship with the package: scripted servers to develop and measure against."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .cloudinary import CloudinarySim
from .cog import CogSim
from .comfyui import ComfySim, Script
from .fal import FalSim
from .gcs import GcsScript, GcsSim
from .gemini import GeminiSim
from .hosted import HostedSim
from .openai import OpenAISim
from .replicate import ReplicateSim
from .runpod import RunPodSim


class Simulator(Protocol):
    """What every simulator can do."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listens and works; port 0 takes a free one."""
        ...

    async def stop(self) -> None:
        """Ends all work and connections."""
        ...


def _tls(values: dict[str, Any]) -> tuple[str, str] | None:
    cert, key = (values.pop(name, None) for name in ("tls_cert", "tls_key"))
    if (cert is None) != (key is None):
        raise ValueError("tls_cert and tls_key belong together")
    return (str(cert), str(key)) if cert is not None else None


def _comfyui(options: Mapping[str, Any]) -> ComfySim:
    values = dict(options)
    tls, base_dir = _tls(values), values.pop("base_dir", None)
    return ComfySim(Script.from_json(values), base_dir=base_dir, tls=tls)


def _hosted(cls: type[HostedSim]) -> Callable[[Mapping[str, Any]], HostedSim]:
    def make(options: Mapping[str, Any]) -> HostedSim:
        values = dict(options)
        tls = _tls(values)
        return cls(cls.script_class.from_json(values), tls=tls)

    return make


def _gcs(options: Mapping[str, Any]) -> GcsSim:
    values = dict(options)
    tls = _tls(values)
    return GcsSim(GcsScript.from_json(values), tls=tls)


SIMULATORS: dict[str, Callable[[Mapping[str, Any]], Simulator]] = {
    "comfyui": _comfyui,
    "replicate": _hosted(ReplicateSim),
    "fal": _hosted(FalSim),
    "runpod": _hosted(RunPodSim),
    "cog": _hosted(CogSim),
    "gemini": _hosted(GeminiSim),
    "openai": _hosted(OpenAISim),
    "cloudinary": _hosted(CloudinarySim),
    "gcs": _gcs,
}
"""Makers by name. Options: the fields of the script, `tls_cert`, `tls_key`, and for ComfyUI `base_dir`."""


async def serve(
    name: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    options: Mapping[str, Any] | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Runs one simulator until cancelled; `ready` is told its URL. Option values may be strings, also JSON.

    Raises ValueError for an unknown name or option, OSError where it can't listen.
    """
    if name not in SIMULATORS:
        raise ValueError(f"no simulator named {name!r}; there are: {', '.join(sorted(SIMULATORS))}")
    simulator = SIMULATORS[name]({key: _plain(value) for key, value in (options or {}).items()})
    await simulator.start(host, port)
    try:
        if ready is not None:
            ready(simulator.url)
        await asyncio.Event().wait()
    finally:
        await simulator.stop()


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
