"""Pictures as arrays, in a worker. Arrays are (height, width, channels), 8 bits, sRGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyvips
from numpy.typing import NDArray

from ferrotype.imaging.vips import head_of, kind_of, open_image, scaled, shown_size

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: How far colour spreads into what is fully transparent, in pixels (sigma): further than a network sees.
SPREAD: Final = 8.0


@dataclass(frozen=True, slots=True)
class Picture:
    """`color` has three channels; `alpha` is (height, width), None where all is opaque by nature. `grey` says
    that the original has no colour."""

    color: Bytes
    alpha: Bytes | None
    grey: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.color.shape[1], self.color.shape[0]


def decode(data: bytes, size: tuple[int, int] | None = None) -> Picture:
    """The first frame of any accepted picture, upright; where a `size` is asked for, the middle of it at
    exactly that width and height.

    Raises UnsupportedMedia, and VipsError where it is damaged or cut short.
    """
    kind = kind_of(head_of(data)[0])
    # Without this what is missing would be black, and enlarged for minutes.
    open_image(data, kind, access="sequential", fail_on="error").avg()
    header = open_image(data, kind)
    image = scaled(data, kind, *shown_size(header))
    if size is not None and size != (image.width, image.height):
        image = image.thumbnail_image(size[0], height=size[1], crop="centre", size="both")
    image = image.copy_memory()
    alpha = image[image.bands - 1] if image.hasalpha() else None
    color = image.extract_band(0, n=image.bands - 1) if alpha is not None else image
    if alpha is not None and alpha.min() == 0:
        color = _spread(color, alpha)
    return Picture(
        color=array_of(color),
        alpha=None if alpha is None else array_of(alpha)[:, :, 0],
        grey=str(header.interpretation) in ("b-w", "grey16"),
    )


def _spread(color: Any, alpha: Any) -> Any:
    """`color` with that of the nearby pixels wherever `alpha` is 0. What nobody sees is often black, and a
    network that looks around an edge would draw it into what is seen."""
    weight = alpha.gaussblur(SPREAD, precision="float")
    near = (color * alpha).gaussblur(SPREAD, precision="float") / weight
    unseen = (alpha == 0) & (weight > 0.01)
    return unseen.ifthenelse(near.rint().cast("uchar"), color)


def array_of(image: Any) -> Bytes:
    """An 8-bit libvips picture as an array."""
    found: Bytes = np.frombuffer(image.write_to_memory(), np.uint8)
    return found.reshape(image.height, image.width, image.bands)


def image_of(array: Bytes) -> Any:
    """An array as a libvips picture with 1 channel (grey), 2 (grey and alpha), 3 or 4."""
    height, width, bands = array.shape
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(array), width, height, bands, "uchar")
    return image.copy(interpretation="b-w" if bands < 3 else "srgb")


def to_bytes(values: Floats) -> Bytes:
    """Values from 0 to 1 as 8 bits, rounded; what lies outside is clipped."""
    return (np.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def to_floats(values: Bytes) -> Floats:
    """8 bits as values from 0 to 1."""
    return values.astype(np.float32) / np.float32(255)
