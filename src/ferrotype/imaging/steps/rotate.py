"""Turning clockwise by any angle."""

from __future__ import annotations

from typing import Final

import pyvips

from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work

RIGHT_ANGLES: Final = {90: "d90", 180: "d180", 270: "d270"}


def rotate(image: Image, work: Work) -> Image:
    """The whole picture, turned, in the box around it. What is new in its corners is transparent."""
    degrees = work.transform.rotate
    if not degrees:
        return image
    image = work.deadline.settle(image)
    if degrees in RIGHT_ANGLES:
        return image.rot(RIGHT_ANGLES[degrees])
    if not image.hasalpha():
        image = image.bandjoin(255)
    turned = image.rotate(degrees, interpolate=pyvips.Interpolate.new("bicubic"), background=[0, 0, 0, 0])
    return turned.cast("uchar")
