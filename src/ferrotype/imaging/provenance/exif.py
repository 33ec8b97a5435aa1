"""EXIF without some of its texts; everything else stays where it is, and as it is (TIFF 6.0, EXIF 3.0)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
#: BYTE (Windows writes UTF-16 there), ASCII, UNDEFINED (the user's comment) and UTF-8.
TEXTS: Final = (1, 2, 7, 129)
EXIF_FOLDER: Final = 0x8769


def without(exif: bytes, is_meant: Callable[[str], bool]) -> bytes | None:
    """`exif`, which begins with its byte order, without the texts of its first folder and of its EXIF folder
    that are meant: their entries are taken out and their bytes made zero. The same bytes where none is, None
    when nothing is left. Raises ValueError or struct.error when it is damaged."""
    order = ORDERS.get(exif[:4])
    if order is None:
        raise ValueError("no byte order")
    cleaner = _Cleaner(exif, order, is_meant)
    (first,) = struct.unpack_from(order + "I", exif, 4)
    left, found = cleaner.clean(first, outer=True)
    if not found:
        return exif
    return bytes(cleaner.data) if left else None


class _Cleaner:
    def __init__(self, exif: bytes, order: str, is_meant: Callable[[str], bool]) -> None:
        self.data = bytearray(exif)
        self._order = order
        self._is_meant = is_meant
        #: Bytes that may still be looked at: in honest files nothing overlaps, in others everything may.
        self._budget = 2 * len(exif)

    def clean(self, at: int, *, outer: bool) -> tuple[int, bool]:
        """How many entries of the folder are left, and whether any went."""
        data, order = self.data, self._order
        (count,) = struct.unpack_from(order + "H", data, at)
        self._budget -= 12 * count
        if self._budget < 0:
            raise ValueError("too many entries")
        start, kept, found = at + 2, [], False
        for place in range(start, start + 12 * count, 12):
            entry = bytes(data[place : place + 12])
            tag, form, length = struct.unpack_from(order + "HHI", entry)
            if outer and tag == EXIF_FOLDER:
                left, gone = self.clean(*struct.unpack_from(order + "I", entry, 8), outer=False)
            else:
                left, gone = 1, form in TEXTS and self._wipe(place, entry, length)
                left -= gone
            found = found or gone
            if left or not gone:
                kept.append(entry)
        end = start + 12 * count
        following = bytes(data[end : end + 4])
        folder = struct.pack(order + "H", len(kept)) + b"".join(kept) + following
        data[at : end + 4] = folder.ljust(end + 4 - at, b"\0")
        # A second folder holds a preview: then there is something left.
        return len(kept) + any(following), found

    def _wipe(self, place: int, entry: bytes, length: int) -> bool:
        """Make the text of the entry zero if it is meant."""
        value = place + 8 if length <= 4 else struct.unpack_from(self._order + "I", entry, 8)[0]
        self._budget -= length
        if value + length > len(self.data) or self._budget < 0:
            raise ValueError("a value is cut short")
        meant = any(self._is_meant(text) for text in _readings(bytes(self.data[value : value + length])))
        if meant:
            self.data[value : value + length] = bytes(length)
        return meant


def _readings(value: bytes) -> Iterator[str]:
    """The text, in every way in which it is written: a comment's first 8 bytes name its alphabet, and its
    UTF-16 comes in either order."""
    for text in (value, value[8:]):
        yield text.decode(errors="replace").strip("\0 ")
        if b"\0" in text[:16]:
            for order in ("utf-16-le", "utf-16-be"):
                yield text.decode(order, errors="replace").strip("\0 \ufeff")
