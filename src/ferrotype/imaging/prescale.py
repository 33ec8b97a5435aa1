"""Making an input small enough for the model that will read it."""

from __future__ import annotations

import math
from typing import Any, Final

from ferrotype.imaging.sniff import ImageType
from ferrotype.imaging.vips import (
    Source,
    VipsError,
    damaged,
    head_of,
    kind_of,
    open_image,
    orientation,
    scaled,
    shown_size,
)

#: How each loader's pictures are written again; what is not named becomes PNG.
SAVERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "jpegload": ("jpegsave_buffer", {"Q": 92}),
    "webpload": ("webpsave_buffer", {"Q": 92, "effort": 1}),
}
PNG_SAVER: Final[tuple[str, dict[str, Any]]] = ("pngsave_buffer", {"compression": 3})


def prescale(
    source: Source, max_pixels: int, max_side: int, multiple: int = 1, *, field: str = "image"
) -> bytes | None:
    """The picture within `max_pixels` and `max_side`, sides multiples of `multiple`; None if it is already.

    The first frame is written upright (EXIF orientation applied), in 8-bit sRGB, with its alpha and
    without metadata: JPEG and WebP in their own format, everything else as PNG. A picture that is only
    turned by its EXIF data is rewritten too, since models read pixels. The proportions change by less
    than one `multiple` per side. Blocking. Raises UnsupportedMedia and InvalidField, naming `field`.
    """
    kind = kind_of(head_of(source)[0], field)
    try:
        header = open_image(source, kind)
        shown = shown_size(header)
        target = fit(*shown, max_pixels, max_side, multiple)
        if target == shown and orientation(header) == 1:
            return None
        return _save(scaled(source, kind, *target, size="force"), kind)
    except VipsError:
        raise damaged(kind, field) from None


def fit(width: int, height: int, max_pixels: int, max_side: int, multiple: int = 1) -> tuple[int, int]:
    """The largest size of the same proportions within the bounds, sides rounded down to `multiple`.

    A side is never below `multiple`, even where that breaks a bound. Nothing is enlarged beyond that.
    """
    scale = min(1.0, max_side / max(width, height), math.sqrt(max_pixels / (width * height)))

    def side(length: int) -> int:
        # A hair more than the product, so that 1024 * (512 / 1024) is not 511.
        return max(multiple, int(length * scale * (1 + 1e-12)) // multiple * multiple)

    return side(width), side(height)


def _save(image: Any, kind: ImageType) -> bytes:
    saver, options = SAVERS.get(kind.loader or "", PNG_SAVER)
    data: bytes = getattr(image, saver)(keep="none", **options)
    return data
