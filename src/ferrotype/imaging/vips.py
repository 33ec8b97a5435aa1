"""libvips, set up for bytes of strangers: opened only by the loader that the sniffed type names.

Importing this module sets libvips up for the whole process: one thread per picture (parallelism comes
from `imaging.pool`), no cache of operations (the same bytes rarely come twice, and a path may), and
every loader that libvips calls untrusted switched off, save SVG, which is needed for our own drawings.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import pyvips

from ferrotype.domain.problems import InvalidField, UnsupportedMedia
from ferrotype.imaging.profile import is_srgb
from ferrotype.imaging.sniff import ACCEPTED, HEAD, ImageType, sniff

#: Bytes, or the file that holds them.
Source = bytes | Path
Image = Any  # pyvips brings no types
VipsError: Final[type[Exception]] = pyvips.Error
PROFILE: Final = "icc-profile-data"

pyvips.concurrency_set(1)
pyvips.cache_set_max(0)
pyvips.block_untrusted_set(True)
pyvips.operation_block_set("VipsForeignLoadSvg", False)


def head_of(source: Source) -> tuple[bytes, int]:
    """The first bytes of `source` and its length. Raises OSError when a file cannot be read."""
    if isinstance(source, bytes):
        return source[:HEAD], len(source)
    with source.open("rb") as file:
        return file.read(HEAD), source.stat().st_size


def kind_of(head: bytes, field: str = "image") -> ImageType:
    """The type of an accepted picture. Raises UnsupportedMedia, naming `field`, for all else."""
    kind = sniff(head)
    accepted = list(dict.fromkeys(each.content_type for each in ACCEPTED))
    if kind is None:
        raise UnsupportedMedia("This is not a picture of a known type.", field=field, limit=accepted)
    if kind.loader is None:
        raise UnsupportedMedia(
            f"{kind.name.upper()} pictures ({kind.content_type}) are not accepted.",
            field=field,
            limit=accepted,
        )
    return kind


def open_image(source: Source, kind: ImageType, **options: Any) -> Image:
    """The picture as a pipeline: its header is read, its pixels are not. Raises VipsError."""
    assert kind.loader is not None
    if isinstance(source, bytes):
        return getattr(pyvips.Image, f"{kind.loader}_buffer")(source, **options)
    return getattr(pyvips.Image, kind.loader)(str(source), **options)


def shown_size(image: Image) -> tuple[int, int]:
    """Width and height as a viewer shows the picture, that is after its EXIF orientation."""
    turned = orientation(image) >= 5
    return (image.height, image.width) if turned else (image.width, image.height)


def orientation(image: Image) -> int:
    """The EXIF orientation, 1-8; 1 where there is none or the loader has applied it (AVIF)."""
    value = image.get("orientation") if image.get_typeof("orientation") else 1
    return value if 1 <= value <= 8 else 1


def scaled(source: Source, kind: ImageType, width: int, height: int, *, size: str = "down") -> Image:
    """The first frame within `width` x `height`, upright, in 8-bit sRGB, without a profile.

    `size` is libvips's: `down` never enlarges and keeps the proportions, `force` gives exactly the
    size. JPEG and WebP shrink while they are decoded. Nothing is decoded before the result is used,
    unless the picture is turned. Raises VipsError.
    """
    header = open_image(source, kind)
    shown = shown_size(header)
    image = open_image(
        source, kind, access="sequential", **shrink_on_load(kind, min(shown[0] / width, shown[1] / height))
    )
    image = image.thumbnail_image(width, height=height, size=size)
    if not has_srgb(header):  # now, on few pixels: on all of them it costs more than the rest
        image = image.icc_transform("srgb", embedded=True, input_profile="srgb")
    return image.colourspace("srgb").cast("uchar")


def has_srgb(image: Image) -> bool:
    """Whether its colours need no profile to be understood: it has none, or one that says sRGB."""
    return not image.get_typeof(PROFILE) or is_srgb(image.get(PROFILE))


def shrink_on_load(kind: ImageType, factor: float, *, left: float = 2.0) -> dict[str, float]:
    """Loader options that leave at least a factor of `left` to the good resampler; vipsthumbnail leaves 2."""
    if kind.loader == "jpegload":
        return {"shrink": min(8, 2 ** int(math.log2(factor / left)))} if factor >= 2 * left else {}
    if kind.loader == "webpload":
        return {"scale": 2 / factor} if factor > 2 else {}
    return {}


def damaged(kind: ImageType, field: str = "image") -> InvalidField:
    """The problem for a picture that does not decode."""
    return InvalidField(f"The {kind.name} picture is damaged or cut short.", field=field)
