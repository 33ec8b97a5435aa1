"""Whether a file has its end, without decoding it. Some decoders do not even miss it: libpng stops at the
last pixel, and a GIF whose later frames are cut off decodes as a shorter animation."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

from ferrotype.imaging.sniff import ImageType, sniff
from ferrotype.imaging.vips import Source, head_of

PNG_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
JPEG_END: Final = b"\xff\xd9"
JPEG_SCAN: Final = 0xDA
#: Markers that stand alone; all others bring their length (ITU-T T.81, table B.1).
JPEG_BARE: Final = (0x01, *range(0xD0, 0xD8))
RIFF_HEADER: Final = 8
GIF_HEADER: Final = 13
GIF_EXTENSION, GIF_IMAGE, GIF_END = 0x21, 0x2C, 0x3B
#: Sub-blocks hold 255 bytes in honest files; this many bound the walk through dishonest ones.
MAX_SUB_BLOCKS: Final = 1_000_000


def is_whole(source: Source, kind: ImageType) -> bool:
    """True unless a PNG, JPEG, WebP, AVIF or GIF lacks its end; what stands behind the end is ignored."""
    check = CHECKS.get(kind.loader or "")
    if check is None:
        return True
    if isinstance(source, Path):
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return check(view)
    return check(source)


def is_whole_picture(path: Path) -> bool:
    """The same of a file whose type is still to be told; False for what is no picture."""
    kind = sniff(head_of(path)[0])
    return kind is not None and is_whole(path, kind)


def _png(data: bytes | mmap.mmap) -> bool:
    return data.rfind(PNG_END) >= 0


def _jpeg(data: bytes | mmap.mmap) -> bool:
    """The end behind the first scan: a thumbnail in the metadata before it has an end of its own. Within a
    scan a byte 0xFF is followed by zero (T.81, B.1.1.5), so that nothing there looks like the end."""
    at = 2
    try:
        while (marker := data[at + 1]) != JPEG_SCAN:
            if data[at] != 0xFF:
                return False
            if marker == 0xFF:  # fill byte
                at += 1
            elif marker in JPEG_BARE:
                at += 2
            else:
                at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    except IndexError:
        return False
    return data.rfind(JPEG_END, at) >= 0


def _webp(data: bytes | mmap.mmap) -> bool:
    """RIFF says how long it is (WebP container specification, RIFF header)."""
    (size,) = struct.unpack_from("<I", data, 4)
    return len(data) >= RIFF_HEADER + int(size)


def _avif(data: bytes | mmap.mmap) -> bool:
    """Every top-level box says how long it is (ISO/IEC 14496-12, 4.2); the pixels are in an `mdat`."""
    at, has_pixels = 0, False
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        elif size == 0:  # to the end of the file, wherever that is
            size = len(data) - at
        if size < 8 or at + size > len(data):
            return has_pixels  # what stands behind the pixels may be anything
        has_pixels = has_pixels or name == b"mdat"
        at += size
    return has_pixels


def _gif(data: bytes | mmap.mmap) -> bool:
    """Walk the blocks to the trailer (GIF89a specification, appendix B)."""
    try:
        at, budget = GIF_HEADER + _colour_table(data[10]), MAX_SUB_BLOCKS
        while data[at] != GIF_END:
            if data[at] == GIF_EXTENSION:
                at += 2
            elif data[at] == GIF_IMAGE:
                at += 11 + _colour_table(data[at + 9])  # descriptor, table, code size
            else:
                return False
            while data[at]:
                at += 1 + data[at]
                budget -= 1
                if not budget:
                    return False
            at += 1
    except IndexError:
        return False
    return True


def _colour_table(flags: int) -> int:
    """Bytes of the colour table that the packed field announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


CHECKS: Final = {"pngload": _png, "jpegload": _jpeg, "webpload": _webp, "heifload": _avif, "gifload": _gif}
