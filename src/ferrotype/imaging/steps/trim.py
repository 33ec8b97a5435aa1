"""Cutting off a border of one colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ferrotype.imaging.geometry import Box
from ferrotype.imaging.vips import Image


def trim(frames: Callable[[], Iterator[Image]], area: Box, corner: tuple[int, int], distance: int) -> Box:
    """What is left of `area` when the border goes: the smallest box around all pixels of all frames that are
    more than `distance` (levels, 0-254, in any channel) from the pixel at `corner` of the first frame.

    `frames` opens the picture anew; it is read twice, so that it need not lie in memory. Two transparent
    pixels are equal whatever their colour. All of `area` where nothing is left. Raises VipsError.
    """
    first = next(frames())
    border = _comparable(first.crop(*corner, 1, 1)).getpoint(0, 0)
    left, top, right, bottom = area.width, area.height, 0, 0
    for frame in frames():
        # Line art, for thin lines are content, too: by default libvips takes them for noise.
        x, y, width, height = _comparable(frame.crop(area.left, area.top, *area.size)).find_trim(
            threshold=distance, background=border, line_art=True
        )
        if width and height:
            left, top = min(left, x), min(top, y)
            right, bottom = max(right, x + width), max(bottom, y + height)
    if right <= left or bottom <= top:
        return area
    return Box(area.left + left, area.top + top, right - left, bottom - top)


def corner_of(area: Box, orientation: int) -> tuple[int, int]:
    """Where the pixel is stored that is shown at the top left of `area`."""
    right, bottom = area.left + area.width - 1, area.top + area.height - 1
    return (
        right if orientation in (2, 3, 7, 8) else area.left,
        bottom if orientation in (3, 4, 6, 7) else area.top,
    )


def _comparable(image: Image) -> Image:
    """Its channels in 8 bits, the opacity one among others."""
    image = image.colourspace("srgb").cast("uchar")
    if image.hasalpha():
        image = image.premultiply().cast("uchar")
    return image.copy(interpretation="multiband")
