"""Whether a file has its end. Some decoders do not miss it: libpng stops at the last pixel, and a GIF
whose later frames are cut off decodes as a shorter animation."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from ferrotype.imaging.sniff import ImageType
from ferrotype.imaging.vips import Source

PNG_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
GIF_HEADER: Final = 13
GIF_EXTENSION, GIF_IMAGE, GIF_END = 0x21, 0x2C, 0x3B
#: Sub-blocks hold 255 bytes in honest files; this many bound the walk through dishonest ones.
MAX_SUB_BLOCKS: Final = 1_000_000


def is_whole(source: Source, kind: ImageType) -> bool:
    """True unless a PNG or GIF lacks its end; what stands behind the end is ignored."""
    check = {"pngload": _png, "gifload": _gif}.get(kind.loader or "")
    if check is None:
        return True
    if isinstance(source, Path):
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return check(view)
    return check(source)


def _png(data: bytes | mmap.mmap) -> bool:
    return data.rfind(PNG_END) >= 0


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
