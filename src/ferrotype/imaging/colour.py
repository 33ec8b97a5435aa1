"""Colours between a picture's own space and sRGB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyvips

from ferrotype.imaging.vips import PROFILE, Image, has_srgb

#: What a colour and its opacity are written as: `rrggbb` or `rrggbbaa`.
Color = str
OPAQUE: Final = 255


def to_srgb(image: Image, *, keep: bool = False) -> Image:
    """The picture with 8 bits a channel, in sRGB; with `keep` in its own space if its profile is one of RGB
    colours, which then stays attached. Lazy. Raises VipsError."""
    if image.interpretation == "cmyk":
        # libvips's own conversion heeds the profile, and does not stumble over a broken one or none.
        return without_profile(image.colourspace("srgb")).cast("uchar")
    if not has_srgb(image) and not (keep and _is_rgb(image)):
        image = image.icc_transform("srgb", embedded=True, input_profile="srgb")
    if image.interpretation == "srgb" and image.format == "uchar":
        return image  # each call to libvips costs a tenth of a millisecond
    return image.colourspace("srgb").cast("uchar")


def without_profile(image: Image) -> Image:
    """The same pixels, with nothing said of them."""
    image = image.copy()
    image.remove(PROFILE)
    return image


def like(image: Image, model: Image) -> Image:
    """`image`, which is sRGB, in the space that `to_srgb` left `model` in. Raises VipsError."""
    if has_srgb(model):
        return image
    image = image.icc_import(input_profile="srgb").copy()
    image.set_type(pyvips.GValue.blob_type, PROFILE, model.get(PROFILE))
    return image.icc_export(depth=8)


def flat(color: Color, model: Image) -> Sequence[float]:
    """Red, green and blue of a colour as values of `model`'s pixels, 0-255."""
    red, green, blue, _ = channels(color)
    black = pyvips.Image.black(1, 1)
    pixel = black.new_from_image([red, green, blue]).copy(interpretation="srgb")
    found: Sequence[float] = like(pixel, model).getpoint(0, 0)
    return found


def channels(color: Color) -> tuple[int, int, int, int]:
    """Red, green, blue and opacity, 0-255."""
    red, green, blue, *opacity = bytes.fromhex(color)
    return red, green, blue, opacity[0] if opacity else OPAQUE


def _is_rgb(image: Image) -> bool:
    """Profile and pixels are both of red, green and blue (ICC.1:2022, 7.2.6)."""
    return image.interpretation in ("srgb", "rgb16") and image.get(PROFILE)[16:20] == b"RGB "
