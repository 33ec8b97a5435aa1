"""Enlarging with an upscale model: a plain resize by the factor that the model's file name tells."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Final

from ferrotype.sim import pixels
from ferrotype.sim.pixels import Picture

from .base import Context, Images, Input, Node, Result

#: The real node works in tiles, and tells its progress tile by tile.
TILE: Final = 512
OVERLAP: Final = 32
FACTOR: Final = 4

_FACTOR = re.compile(r"(?<![0-9])([1-8])x|x([1-8])(?![0-9])", re.IGNORECASE)


def factor_of(model_name: str) -> int:
    """By how much a model of that name enlarges: `4x-UltraSharp`, `RealESRGAN_x2plus`; 4 if it is silent."""
    found = _FACTOR.search(model_name)
    return int(found[1] or found[2]) if found else FACTOR


def tiles(side: int) -> int:
    """Tiles along a side of so many pixels."""
    return 1 if side <= TILE else math.ceil((side - OVERLAP) / (TILE - OVERLAP))


async def _load(context: Context, model_name: str) -> Result:
    return Result((model_name,))


async def _upscale(context: Context, upscale_model: str, image: Images) -> Result:
    factor = factor_of(upscale_model)

    def larger(picture: Picture) -> Picture:
        return pixels.fit(picture, picture.width * factor, picture.height * factor).copy_memory()

    total = len(image) * tiles(image[0].width) * tiles(image[0].height)
    for value in range(1, total + 1):
        await context.step(value, total)
    return Result((tuple([await asyncio.to_thread(larger, picture) for picture in image]),))


NODES = [
    Node(
        "UpscaleModelLoader",
        "loaders",
        {"model_name": Input(lambda script, _: script.upscale_models)},
        ("UPSCALE_MODEL",),
        _load,
    ),
    Node(
        "ImageUpscaleWithModel",
        "image/upscaling",
        {"upscale_model": Input("UPSCALE_MODEL"), "image": Input("IMAGE")},
        ("IMAGE",),
        _upscale,
    ),
]
