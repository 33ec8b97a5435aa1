"""ThumbHash, the encoder: a picture's gist in about 25 bytes (https://evanw.github.io/thumbhash/).

The package `thumbhash` is not used: 0.1.2 raises on pictures with transparency, and takes seven times
as long because it sums every coefficient over every pixel. Here the cosine transform is done along the
rows first and then along the columns, which gives the same bytes as the reference encoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import mul
from typing import Final

MAX_SIDE: Final = 100


def thumbhash(width: int, height: int, rgba: bytes) -> bytes:
    """The ThumbHash of 8-bit RGBA pixels, not premultiplied, row by row.

    Raises ValueError when a side is longer than 100 pixels or `rgba` has another length.
    """
    if max(width, height) > MAX_SIDE or len(rgba) != width * height * 4:
        raise ValueError(f"{width} x {height} pixels in {len(rgba)} bytes")
    alpha = [value / 255 for value in rgba[3::4]]
    opacity = sum(alpha)
    has_alpha = opacity < width * height
    channels = [[value / 255 for value in rgba[offset::4]] for offset in range(3)]
    if has_alpha:  # laid over the average colour
        for index, channel in enumerate(channels):
            average = sum(map(mul, channel, alpha)) / opacity if opacity else 0.0
            channels[index] = [average * (1 - a) + value * a for value, a in zip(channel, alpha, strict=True)]
    red, green, blue = channels
    longest = max(width, height)
    limit = 5 if has_alpha else 7  # fewer bits for the luminance leave room for the alpha
    lx = max(1, _round(limit * width / longest))
    ly = max(1, _round(limit * height / longest))
    pixels = list(zip(red, green, blue, strict=True))
    luminance = _Channel([(r + g + b) / 3 for r, g, b in pixels], width, height, max(3, lx), max(3, ly))
    yellow_blue = _Channel([(r + g) / 2 - b for r, g, b in pixels], width, height, 3, 3)
    red_green = _Channel([r - g for r, g, _ in pixels], width, height, 3, 3)
    parts = [luminance, yellow_blue, red_green]

    header = (
        _round(63 * luminance.dc)
        | _round(31.5 + 31.5 * yellow_blue.dc) << 6
        | _round(31.5 + 31.5 * red_green.dc) << 12
        | _round(31 * luminance.scale) << 18
        | has_alpha << 23
    )
    landscape = width > height
    shape = (
        (ly if landscape else lx)
        | _round(63 * yellow_blue.scale) << 3
        | _round(63 * red_green.scale) << 9
        | landscape << 15
    )
    out = bytearray(header.to_bytes(3, "little") + shape.to_bytes(2, "little"))
    if has_alpha:
        opacity_part = _Channel(alpha, width, height, 5, 5)
        out.append(_round(15 * opacity_part.dc) | _round(15 * opacity_part.scale) << 4)
        parts.append(opacity_part)
    nibbles = [_round(15 * value) for part in parts for value in part.ac]
    if len(nibbles) % 2:
        nibbles.append(0)
    out += bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return bytes(out)


class _Channel:
    """A channel's cosine transform: `dc`, and the `ac` terms scaled by the largest into 0-1."""

    def __init__(self, values: Sequence[float], width: int, height: int, nx: int, ny: int) -> None:
        rows = [values[at : at + width] for at in range(0, width * height, width)]
        columns = [[sum(map(mul, row, wave)) for row in rows] for wave in _waves(width, nx)]
        waves = _waves(height, ny)
        terms = [
            sum(map(mul, columns[cx], waves[cy])) / (width * height)
            for cy in range(ny)
            for cx in range(nx)
            if cx * ny < nx * (ny - cy)
        ]
        self.dc = terms[0]
        self.scale = max(map(abs, terms[1:]), default=0.0)
        self.ac = [0.5 + 0.5 / self.scale * term if self.scale else term for term in terms[1:]]


@lru_cache(maxsize=256)
def _waves(length: int, count: int) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(math.cos(math.pi / length * cycle * (at + 0.5)) for at in range(length))
        for cycle in range(count)
    )


def _round(value: float) -> int:
    """Half up, as JavaScript rounds; Python's own rounds half to even."""
    return math.floor(value + 0.5)
