"""What is behind a picture that is transparent somewhere."""

from __future__ import annotations

from typing import Final

from ferrotype.imaging.colour import OPAQUE, channels, flat
from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work

WHITE: Final = "ffffff"


def background(image: Image, work: Work) -> Image:
    """Laid over the colour that is asked for, over white where the format knows no transparency."""
    color = work.transform.bg
    if not image.hasalpha() or (color is None and work.encoder.alpha):
        return image
    if color is not None and (opacity := channels(color)[3]) < OPAQUE:
        ground = image.new_from_image([*flat(color, image), opacity]).copy(interpretation="srgb")
        image = ground.composite2(image, "over").cast("uchar")
        if work.encoder.alpha:
            return image
        color = WHITE
    return image.flatten(background=flat(color or WHITE, image)).cast("uchar")
