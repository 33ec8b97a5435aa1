"""Writing finished pictures: high quality, low effort, because somebody waits."""

from __future__ import annotations

from typing import Any, Final

from ferrotype.imaging.vips import VipsError

#: Per format: its type, the suffix that libvips knows it by, and encoder options.
ENCODINGS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "webp": ("image/webp", ".webp", {"Q": 90, "effort": 1}),
    "png": ("image/png", ".png", {"compression": 6}),
    "jpeg": ("image/jpeg", ".jpg", {"Q": 92, "optimize_coding": True}),
}
#: Beyond so many pixels a WebP of low effort may not hold the picture, because the first partition of a VP8
#: frame has 512 KiB at most (RFC 6386, 9.1). It was seen at 36 million.
SAFE_WEBP_PIXELS: Final = 4096 * 4096
#: Slow, and needs less of that partition.
FRUGAL: Final = 4


def encode(image: Any, format: str | None) -> tuple[bytes, str]:
    """(bytes, type) of a libvips picture; without a wish it is a WebP, or what holds a large picture.

    JPEG has no transparency: there it becomes white. Raises imaging.vips.VipsError.
    """
    large = image.width * image.height > SAFE_WEBP_PIXELS
    if format is None:
        format = "webp" if not large else "png" if image.hasalpha() else "jpeg"
    content_type, suffix, options = ENCODINGS[format]
    if format == "jpeg" and image.hasalpha():
        image = image.flatten(background=255)
    try:
        return image.write_to_buffer(suffix, **options), content_type
    except VipsError:
        if format != "webp" or not large:
            raise
        return image.write_to_buffer(suffix, **{**options, "effort": FRUGAL}), content_type
