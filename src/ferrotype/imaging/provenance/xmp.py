"""XMP in finished files, put there without touching a pixel. Variants get theirs from the encoder.

Where it stands: XMP specification, part 3 (JPEG 1.1.3, PNG 1.1.5), WebP container specification.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

from ferrotype.imaging.provenance.containers import (
    EXIF_HEADER,
    JPEG_APP0,
    JPEG_APP1,
    PNG_XMP_KEYWORD,
    XMP_HEADER,
    Part,
    has_manifest,
    join,
    png_text,
    split,
)
from ferrotype.imaging.provenance.packet import merged

VP8X_ALPHA, VP8X_EXIF, VP8X_XMP = 0x10, 0x08, 0x04
VP8L_SIGNATURE: Final = 0x2F
#: RFC 9649: a key frame's start code, before its sizes.
VP8_START: Final = b"\x9d\x01\x2a"


def embedded(data: bytes, packet: bytes | None) -> bytes:
    """The JPEG, PNG or WebP with `packet` in it, merged into XMP that is there.

    The same bytes come back for None, for other formats (AVIF and GIF among them), and for a file with a
    C2PA manifest, which says the same and would be broken by a change.

    Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is damaged.
    """
    kind, parts = split(data)
    put = PUT.get(kind.loader or "")
    if packet is None or put is None or has_manifest(data):
        return data
    return join(kind, put(parts, packet))


def is_jpeg_xmp(part: Part) -> bool:
    return part.marker == JPEG_APP1 and part.body.startswith(XMP_HEADER)


def png_xmp(part: Part) -> bytes | None:
    """The packet in such a chunk, also in a compressed one, which some write against the specification."""
    if not part.body.startswith(PNG_XMP_KEYWORD.encode() + b"\0"):
        return None
    try:
        found = png_text(part)
    except zlib.error:
        return b""
    return found[1] if found else None


def _jpeg(parts: list[Part], packet: bytes) -> list[Part]:
    there = next((part.body[len(XMP_HEADER) :] for part in parts if is_jpeg_xmp(part)), None)
    body = XMP_HEADER + merged(there, packet)
    rest = [part for part in parts if not is_jpeg_xmp(part)]
    at = next(i for i, part in enumerate(rest) if not _leads(part))
    return [*rest[:at], Part(bytes([JPEG_APP1]), body), *rest[at:]]


def _leads(part: Part) -> bool:
    """JFIF and EXIF want to be first."""
    return part.marker == JPEG_APP0 or (part.marker == JPEG_APP1 and part.body.startswith(EXIF_HEADER))


def _png(parts: list[Part], packet: bytes) -> list[Part]:
    there = next((found for part in parts if (found := png_xmp(part)) is not None), None)
    # Not compressed, no language, no translated keyword.
    chunk = Part(b"iTXt", PNG_XMP_KEYWORD.encode() + b"\0\0\0\0\0" + merged(there, packet))
    rest = [part for part in parts if png_xmp(part) is None]
    return [rest[0], chunk, *rest[1:]]  # right behind IHDR


def _webp(parts: list[Part], packet: bytes) -> list[Part]:
    there = next((part.body for part in parts if part.name == b"XMP "), None)
    chunk = Part(b"XMP ", merged(there, packet))
    *rest, tail = [part for part in parts if part.name != b"XMP "]
    if rest[0].name != b"VP8X":
        rest.insert(0, _extended(rest[0]))
    flags = rest[0].body[0] | VP8X_XMP
    return [Part(b"VP8X", bytes([flags]) + rest[0].body[1:]), *rest[1:], chunk, tail]


def _extended(picture: Part) -> Part:
    """The header that a simple file does without: size and alpha are in its only chunk. Simple files do not
    move, and have neither profile nor EXIF."""
    body, flags = picture.body, 0
    if picture.name == b"VP8L" and body[0] == VP8L_SIGNATURE:
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags = VP8X_ALPHA if bits >> 28 & 1 else 0
    elif picture.name == b"VP8 " and body[3:6] == VP8_START:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    else:
        raise ValueError("no picture where it has to be")
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return Part(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


PUT: Final[dict[str, Callable[[list[Part], bytes], list[Part]]]] = {
    "jpegload": _jpeg,
    "pngload": _png,
    "webpload": _webp,
}
