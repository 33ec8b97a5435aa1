"""What a picture is, and whether it may come in. Bounds are checked on the header, before any pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ferrotype.domain.problems import InvalidField, TooLarge
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.sniff import ImageType, sniff
from ferrotype.imaging.structure import is_whole
from ferrotype.imaging.vips import (
    Image,
    Source,
    VipsError,
    damaged,
    head_of,
    kind_of,
    open_image,
    orientation,
    shown_size,
)

#: CMYK with alpha; a TIFF could claim thousands.
MAX_BANDS: Final = 5


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Facts of a picture. `width` and `height` are pixels as shown, after the EXIF `orientation` (1-8)."""

    content_type: str
    extension: str
    width: int
    height: int
    frames: int
    animated: bool
    has_alpha: bool
    orientation: int
    bytes: int


def inspect(
    source: Source, limits: ImagingSettings, *, verify: bool = False, field: str = "image"
) -> ImageInfo:
    """The facts of the picture in `source`; with `verify` every pixel of every frame is decoded once.

    An animated PNG counts as one frame with `animated` set, since only its first one is read. What
    `verify` finds is missing data and broken structure; flipped bits that still decode are not found.

    Raises TooLarge (bytes), UnsupportedMedia (no picture, or a type that is not accepted, such as SVG)
    and InvalidField (empty, damaged, cut short, or beyond a limit of pixels, side or frames), each with
    `field` and, where there is one, the limit. OSError when a file cannot be read.
    """
    head, size = head_of(source)
    if size == 0:
        raise InvalidField("The file is empty.", field=field)
    if size > limits.max_upload_bytes:
        raise TooLarge(
            f"The file has {size} bytes; {limits.max_upload_bytes} are allowed.",
            field=field,
            limit=limits.max_upload_bytes,
        )
    kind = kind_of(head, field)
    try:
        image, frames = open_bounded(source, kind, limits, field)
        if verify:
            _decode(source, kind, frames, field)
        width, height = shown_size(image)
        return ImageInfo(
            content_type=kind.content_type,
            extension=kind.extension,
            width=width,
            height=height,
            frames=frames,
            animated=kind.animated or (frames > 1 and kind.name != "tiff"),
            has_alpha=bool(image.hasalpha()),
            orientation=orientation(image),
            bytes=size,
        )
    except VipsError:
        raise damaged(kind, field) from None


def open_bounded(
    source: Source, kind: ImageType, limits: ImagingSettings, field: str = "image"
) -> tuple[Image, int]:
    """The picture with only its header read, and how many frames it has.

    Raises InvalidField when it breaks a limit of pixels, side, frames or channels, VipsError when there is
    no header that can be read.
    """
    if kind.loader == "pngload":  # libvips cannot even say how large the largest ones claim to be
        _check_size(*_png_size(head_of(source)[0]), 1, limits, field)
    image = open_image(source, kind)
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    _check_size(image.width, image.height, frames, limits, field)
    if image.bands > MAX_BANDS:
        raise InvalidField(f"The picture has {image.bands} channels.", field=field, limit=MAX_BANDS)
    return image, frames


def peek(source: Source) -> tuple[int, int] | None:
    """Width and height as shown, from the first bytes of a file that may still be arriving.

    None as long as they cannot be told: too few bytes, no accepted picture, or a type (AVIF, TIFF) that
    is laid out so that the whole file is needed. Nothing is decoded and nothing is judged. A WebP's
    orientation stands behind its pixels, so it is not seen here.
    """
    head, _ = head_of(source)
    kind = sniff(head)
    if kind is None or kind.loader is None:
        return None
    if kind.loader == "webpload":
        return _webp_size(head)
    try:
        image: Image = open_image(source, kind)
        return shown_size(image)
    except VipsError:
        return None


def _check_size(width: int, height: int, frames: int, limits: ImagingSettings, field: str) -> None:
    if width < 1 or height < 1:
        raise InvalidField(f"The picture claims to have {width} x {height} pixels.", field=field)
    if max(width, height) > limits.max_side:
        raise InvalidField(
            f"The picture has {width} x {height} pixels; a side may have {limits.max_side}.",
            field=field,
            limit=limits.max_side,
        )
    if frames > limits.max_frames:
        raise InvalidField(
            f"The picture has {frames} frames; {limits.max_frames} are allowed.",
            field=field,
            limit=limits.max_frames,
        )
    if width * height * frames > limits.max_pixels:
        times = f" x {frames} frames" if frames > 1 else ""
        raise InvalidField(
            f"The picture has {width} x {height}{times} pixels; {limits.max_pixels} are allowed in all.",
            field=field,
            limit=limits.max_pixels,
        )


def _decode(source: Source, kind: ImageType, frames: int, field: str) -> None:
    """Read every pixel once, in constant memory where the format allows it. Raises VipsError, InvalidField.

    `fail_on="error"` catches what is missing; `warning` would also refuse harmless metadata.
    """
    options = {"n": -1} if frames > 1 and kind.loader in ("webpload", "gifload") else {}
    open_image(source, kind, access="sequential", fail_on="error", **options).avg()
    if not is_whole(source, kind):
        raise damaged(kind, field)


def _png_size(head: bytes) -> tuple[int, int]:
    """From the IHDR chunk, which is always first (PNG specification, 5.6)."""
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """From the first chunk (WebP container specification; RFC 6386, 9.1 for VP8)."""
    chunk = head[12:16]
    if chunk == b"VP8X" and len(head) >= 30:
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a" and len(head) >= 30:
        return (
            int.from_bytes(head[26:28], "little") & 0x3FFF,
            int.from_bytes(head[28:30], "little") & 0x3FFF,
        )
    if chunk == b"VP8L" and head[20:21] == b"\x2f" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
