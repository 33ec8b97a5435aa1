"""What a file is, from its first bytes alone. A declared type or a file name is never asked.

`loader` names the one libvips loader that such bytes are given to; None means that the type is known
by name only, so that it can be refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: So many bytes are enough for every rule below, save for an SVG behind a long preamble.
HEAD: Final = 4096


@dataclass(frozen=True, slots=True)
class ImageType:
    """A kind of file. `name` is unique; `animated` says that the head announces frames."""

    name: str
    content_type: str
    extension: str
    loader: str | None = None
    animated: bool = False


PNG: Final = ImageType("png", "image/png", "png", "pngload")
#: Sent as image/png, which it is: what knows no animation shows its first frame.
APNG: Final = ImageType("apng", "image/png", "png", "pngload", animated=True)
JPEG: Final = ImageType("jpeg", "image/jpeg", "jpg", "jpegload")
WEBP: Final = ImageType("webp", "image/webp", "webp", "webpload")
WEBP_ANIMATED: Final = ImageType("webp-animated", "image/webp", "webp", "webpload", animated=True)
GIF: Final = ImageType("gif", "image/gif", "gif", "gifload")
AVIF: Final = ImageType("avif", "image/avif", "avif", "heifload")
TIFF: Final = ImageType("tiff", "image/tiff", "tif", "tiffload")
HEIC: Final = ImageType("heic", "image/heic", "heic")
AVIF_SEQUENCE: Final = ImageType("avif-sequence", "image/avif", "avif", animated=True)
BMP: Final = ImageType("bmp", "image/bmp", "bmp")
ICO: Final = ImageType("ico", "image/x-icon", "ico")
JXL: Final = ImageType("jxl", "image/jxl", "jxl")
JP2: Final = ImageType("jp2", "image/jp2", "jp2")
PSD: Final = ImageType("psd", "image/vnd.adobe.photoshop", "psd")
SVG: Final = ImageType("svg", "image/svg+xml", "svg")

#: Types that `inspect` accepts, in the order in which its problem lists them.
ACCEPTED: Final = (PNG, APNG, JPEG, WEBP, WEBP_ANIMATED, GIF, AVIF, TIFF)

MAGIC: Final[tuple[tuple[bytes, ImageType], ...]] = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),  # BigTIFF
    (b"MM\0+", TIFF),
    (b"BM", BMP),
    (b"\0\0\1\0", ICO),
    (b"\xff\x0a", JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JXL),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JP2),
    (b"\xff\x4f\xff\x51", JP2),
    (b"8BPS", PSD),
)
#: Brands of an ISO base media file (`ftyp`), the first match in this order wins.
BRANDS: Final[tuple[tuple[bytes, ImageType], ...]] = (
    (b"avis", AVIF_SEQUENCE),
    (b"avif", AVIF),
    (b"heic", HEIC),
    (b"heix", HEIC),
    (b"hevc", HEIC),
    (b"hevx", HEIC),
    (b"heim", HEIC),
    (b"heis", HEIC),
    (b"mif1", HEIC),
    (b"msf1", HEIC),
)
#: What may stand before the root element of an SVG, and how each ends.
PREAMBLE: Final = ((b"<?", b"?>"), (b"<!--", b"-->"), (b"<!", b">"))
SVG_ROOT: Final = re.compile(rb"<(?:[\w.-]{1,32}:)?svg[\s>/]", re.IGNORECASE)
WEBP_ANIMATION: Final = 0x02  # flag of the VP8X chunk


def sniff(head: bytes) -> ImageType | None:
    """The type of the file that begins with `head`, None when it is nothing known.

    `HEAD` bytes are enough; with fewer an animated PNG may look like a still one.
    """
    for magic, kind in MAGIC:
        if head.startswith(magic):
            return _png(head) if kind is PNG else kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        animated = head[12:16] == b"VP8X" and len(head) > 20 and head[20] & WEBP_ANIMATION
        return WEBP_ANIMATED if animated else WEBP
    if head[4:8] == b"ftyp":
        return _iso(head)
    return SVG if _is_svg(head[:HEAD]) else None


def _png(head: bytes) -> ImageType:
    """APNG if an `acTL` chunk comes before the first `IDAT`, as its specification demands."""
    at = 8
    while at + 8 <= len(head):
        kind = head[at + 4 : at + 8]
        if kind in (b"acTL", b"IDAT"):
            return APNG if kind == b"acTL" else PNG
        at += 12 + int.from_bytes(head[at : at + 4], "big")
    return PNG


def _iso(head: bytes) -> ImageType | None:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
    if head[8:12] == b"avif":  # a still picture that also carries a sequence is read as the still one
        return AVIF
    return next((kind for brand, kind in BRANDS if brand in brands), None)


def _is_svg(head: bytes) -> bool:
    """Whether the first element is `svg`, with or without a prefix. Linear: the bytes are anybody's."""
    at = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    while True:
        while head[at : at + 1].isspace():
            at += 1
        end = next((end for start, end in PREAMBLE if head.startswith(start, at)), None)
        if end is None:
            return SVG_ROOT.match(head, at) is not None
        found = head.find(end, at)
        if found < 0:
            return False
        at = found + len(end)
