"""Sources that look like photographs to a codec: soft light, edges, texture and a little noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyvips

#: Standard deviation of the noise in the light, by octave from coarse to fine, in steps of 255.
SOFT: Final = (34, 16, 5)
#: Of the texture, which only some parts have.
ROUGH: Final = (0, 8, 10, 9, 5)
#: Of the grain that a sensor, or a model, leaves in flat parts.
GRAIN: Final = 1.0


def photo(width: int, height: int, seed: int) -> Any:
    """An sRGB picture, the same for a seed."""
    sky: Any = pyvips.Image.xyz(width, height)[1] * (60 / height) + 90
    light = (sky + _noises(width, height, SOFT, seed * 100)).cast("float").copy_memory()
    rough = (light + _noises(width, height, ROUGH, seed * 100 + 20)).cast("float").copy_memory()
    across = pyvips.Image.xyz(width, height)[0] * (50 / width)
    tints = (
        (light + across - 10, light, light - across + 20),
        (rough * 0.7 + 70, rough * 0.5 + 30, rough * 0.4 + across),
        (rough * 0.5 + 20, rough * 0.8 + 10, rough * 0.5),
        (light * 0.3 + 150, light * 0.4 + 130, light * 0.5 + 100 - across),
    )
    # Things before each other, each with its colour: what makes edges.
    bands = list(tints[0])
    for number, (tint, cells) in enumerate(zip(tints[1:], (4, 7, 19), strict=True)):
        shape = (_noise(width, height, cells, 40, seed * 100 + 40 + number) > 14 + 10 * number).copy_memory()
        bands = [shape.ifthenelse(near, far) for near, far in zip(tint, bands, strict=True)]
    grainy = [
        band + pyvips.Image.gaussnoise(width, height, sigma=GRAIN, mean=0, seed=seed * 100 + 60 + number)
        for number, band in enumerate(bands)
    ]
    return grainy[0].bandjoin(grainy[1:]).cast("uchar").copy(interpretation="srgb")


def pngs(folder: Path, count: int, side: int, seed: int = 1) -> Iterator[Path]:
    """`count` square PNG files."""
    for number in range(count):
        file = folder / f"png-{number:03}.png"
        photo(side, side, seed + number).pngsave(str(file), compression=6, filter="all")
        yield file


def jpegs(folder: Path, count: int, width: int, height: int, seed: int = 1) -> Iterator[Path]:
    """`count` JPEG files, as a camera writes them: quality 92, 4:2:0, baseline."""
    for number in range(count):
        file = folder / f"jpeg-{number:03}.jpg"
        photo(width, height, seed + number).jpegsave(str(file), Q=92, subsample_mode="on")
        yield file


def samples(folder: Path) -> dict[str, Path]:
    """A file of about each size, for hits."""
    small, middle, large = folder / "2k.webp", folder / "60k.webp", folder / "1m.png"
    photo(72, 72, 7).webpsave(str(small), Q=85, effort=2)
    photo(592, 592, 7).webpsave(str(middle), Q=92, effort=2)
    photo(880, 880, 7).pngsave(str(large), compression=6, filter="all")
    return {"2 KB": small, "60 KB": middle, "1 MB": large}


def _noises(width: int, height: int, strengths: Sequence[float], seed: int) -> Any:
    """Noise of several sizes; sizes below that of a pixel are left out."""
    sides = [(6 * 4**octave, strength) for octave, strength in enumerate(strengths)]
    return sum(
        _noise(width, height, side, strength, seed + side)
        for side, strength in sides
        if side <= max(width, height)
    )


def _noise(width: int, height: int, side: int, strength: float, seed: int) -> Any:
    grain = pyvips.Image.gaussnoise(side, side, sigma=strength, mean=0, seed=seed)
    return grain.resize(width / side, vscale=height / side, kernel="cubic")
