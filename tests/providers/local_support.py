"""Small pictures and orders for the models that run on this machine."""

from __future__ import annotations

import hashlib
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from os import pidfd_open
from typing import Any

import numpy as np
import pyvips

from ferrotype.domain.ids import new_id
from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.providers.illustrator import illustrate
from ferrotype.providers.local import LocalProvider, LocalSettings

Array = np.ndarray[Any, np.dtype[Any]]


@cache
def drawn(width: int, height: int, seed: int = 7) -> pyvips.Image:
    """An illustrator's picture of that size, opaque."""
    picture = illustrate(
        "a red fox and a house by the sea at sunset", width=4 * width, height=4 * height, seed=seed
    )
    return picture.extract_band(0, n=3).resize(0.25, kernel="lanczos3").copy_memory()


def png(image: pyvips.Image) -> bytes:
    return bytes(image.pngsave_buffer(compression=1))


def pixels(data: bytes) -> Array:
    """(height, width, bands) of an encoded picture."""
    return np.asarray(pyvips.Image.new_from_buffer(data, "").numpy(), np.float64)


def psnr(first: Array, second: Array) -> float:
    """Peak signal-to-noise ratio in dB: 30 is close, 10 is another picture."""
    return float(10 * np.log10(255**2 / max(np.mean((first - second) ** 2), 1e-9)))


def sharpness(picture: Array) -> float:
    """Energy of the differences between neighbours."""
    return float(np.mean(np.diff(picture, axis=0) ** 2) + np.mean(np.diff(picture, axis=1) ** 2))


def given(data: bytes, content_type: str = "image/png") -> InputImage:
    async def read() -> bytes:
        return data

    return InputImage(new_id(), content_type, hashlib.sha256(data).hexdigest(), read)


def order(target: str, *pictures: bytes, **changes: Any) -> AttemptRequest:
    """An attempt at `target`, 96 x 80 where it has a size, as PNG."""
    values: dict[str, Any] = {"width": 96, "height": 80, "format": "png", **changes}
    return AttemptRequest(
        attempt_id=new_id(),
        operation="restyle" if target == "restyle" else "upscale",
        target=target,
        prompt="",
        seed=1,
        images=tuple(given(picture) for picture in pictures),
        **values,
    )


@asynccontextmanager
async def local(**settings: Any) -> AsyncIterator[LocalProvider]:
    """A provider that is closed afterwards."""
    provider = LocalProvider(1, settings=LocalSettings(**settings))
    try:
        yield provider
    finally:
        await provider.close()


class Watched:
    """A process whose end can be waited for, though it is not ours."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = pidfd_open(pid)

    def ended(self, within: float = 30) -> bool:
        """Whether it ends within so many seconds; returns at once when it has."""
        return bool(select.select([self._descriptor], [], [], within)[0])
