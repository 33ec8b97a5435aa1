"""Colours as the result will tell them."""

from __future__ import annotations

from ferrotype.imaging.colour import to_srgb
from ferrotype.imaging.vips import Image
from ferrotype.imaging.work import Work


def colour(image: Image, work: Work) -> Image:
    """8-bit sRGB; 8 bits of the picture's own RGB where its profile goes along."""
    return to_srgb(image, keep=work.keeps_profile)
