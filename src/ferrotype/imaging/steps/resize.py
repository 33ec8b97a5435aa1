"""Scaling."""

from __future__ import annotations

from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work


def resize(image: Image, work: Work) -> Image:
    """Exactly `work.scaled`: Lanczos to make it smaller, bicubic to make it larger.

    What is transparent has no colour to give to its neighbours, so channels are weighted by opacity;
    rounded to the picture's own depth, since libvips scales floats ten times slower.
    """
    width, height = work.scaled
    if (image.width, image.height) == (width, height):
        return image
    alpha, depth = image.hasalpha(), image.format
    if alpha:
        image = image.premultiply().cast(depth)
    image = image.resize(width / image.width, vscale=height / image.height)
    return image.unpremultiply().cast(depth) if alpha else image
