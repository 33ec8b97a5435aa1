"""The last pass over the whole picture: brush strokes, bloom, colour, grain. Takes and gives sRGB bands."""

from __future__ import annotations

import math
import random
from functools import lru_cache

import pyvips

from .looks import Look

TILE = 512


@lru_cache(maxsize=1)
def grain_tile() -> pyvips.Image:
    """Seamless enough white noise around 0, made once per process."""
    return pyvips.Image.gaussnoise(TILE, TILE, mean=0, sigma=1, seed=11).copy_memory()


@lru_cache(maxsize=4)
def film_tile(texture: float, grain: float) -> pyvips.Image:
    """Blotches and grain together, ready to be added to a picture."""
    return (grain_tile() * grain + mottle_tile() * (9 * texture)).cast("short").copy_memory()


def _vignette(width: int, height: int, strength: float) -> pyvips.Image:
    """Factors from 1 in the middle down to 1 - strength in the corners."""
    side = 48
    at = (pyvips.Image.xyz(side, side) + 0.5) / side * 2 - 1
    reach = ((at[0] ** 2 + at[1] ** 2) ** 0.5 / 1.414 - 0.55) / 0.45
    small = 1 - (reach > 0).ifthenelse(reach, 0) ** 1.4 * strength
    return small.resize(width / side, vscale=height / side, kernel="linear").embed(
        0, 0, width, height, extend="copy"
    )


@lru_cache(maxsize=1)
def mottle_tile() -> pyvips.Image:
    """Soft blotches, about -1 to 1, that repeat without a seam."""
    coarse = pyvips.Image.perlin(TILE, TILE, cell_size=128, seed=5)
    fine = pyvips.Image.perlin(TILE, TILE, cell_size=32, seed=6)
    return (coarse + fine * 0.6).copy_memory()


def _cover(tile: pyvips.Image, width: int, height: int, rng: random.Random) -> pyvips.Image:
    """A width x height piece of the endlessly repeated tile."""
    across, down = math.ceil(width / TILE) + 1, math.ceil(height / TILE) + 1
    return tile.replicate(across, down).crop(rng.randrange(TILE), rng.randrange(TILE), width, height)


def ripple(image: pyvips.Image, amount: float, rng: random.Random) -> pyvips.Image:
    """`image` with its edges made organic: every point moved by up to `amount` pixels."""
    dx = _cover(mottle_tile(), image.width, image.height, rng) * amount
    dy = _cover(mottle_tile(), image.width, image.height, rng) * amount
    pad = math.ceil(2 * amount) + 2  # points near the rim are fetched from beyond it
    padded = image.embed(pad, pad, image.width + 2 * pad, image.height + 2 * pad, extend="copy")
    index = pyvips.Image.xyz(image.width, image.height) + pad
    return padded.mapim(index + dx.bandjoin(dy)).copy_memory()


def develop(image: pyvips.Image, look: Look, rng: random.Random) -> pyvips.Image:
    """Bloom, saturation, contrast, mottling and grain in one pass over the pixels."""
    w, h = image.width, image.height
    out = image
    if look.bloom:
        small = image.resize(128 / max(w, h)).cast("float")
        bright = (small - 150) * (small > 150).ifthenelse(1, 0)
        glow = bright.gaussblur(4.5).resize(w / small.width, vscale=h / small.height, kernel="linear")
        out = (
            out
            + glow.crop(0, 0, min(w, glow.width), min(h, glow.height)).embed(0, 0, w, h, extend="copy")
            * look.bloom
        )
    k, s = look.contrast, look.saturation
    if (k, s) != (1.0, 1.0):
        luma = (0.2126, 0.7152, 0.0722)
        matrix = [
            [k * (weight * (1 - s) + (s if i == j else 0)) for j, weight in enumerate(luma)] for i in range(3)
        ]
        out = out.recomb(matrix) + (128 * (1 - k))
    if look.vignette:
        out = out * _vignette(w, h, look.vignette)
    if look.grain:
        out = out + _cover(film_tile(look.texture, look.grain), w, h, rng)
    return out.cast("uchar").copy(interpretation="srgb")
