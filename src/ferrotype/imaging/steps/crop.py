"""The part of the picture that is asked for."""

from __future__ import annotations

from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work


def crop(image: Image, work: Work) -> Image:
    """`work.area`, to the nearest pixel where the decoder has shrunk the picture already: by then a pixel
    is at most half of one of the result."""
    area = work.area
    if area.size == work.stored:
        return image
    across, down = image.width / work.stored[0], image.height / work.stored[1]
    left = min(round(area.left * across), image.width - 1)
    top = min(round(area.top * down), image.height - 1)
    right = max(left + 1, round((area.left + area.width) * across))
    bottom = max(top + 1, round((area.top + area.height) * down))
    return image.crop(left, top, min(right, image.width) - left, min(bottom, image.height) - top)
