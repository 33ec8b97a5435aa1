"""What the fonts in a file are called. A renderer that is asked for a name that is not there, or is given a
file without a font, draws in another one and says nothing."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

#: First bytes of a font, and of several in one file (OpenType 1.9, "Organization of an OpenType font").
SIGNATURES: Final = (b"\0\1\0\0", b"OTTO", b"true")
COLLECTION: Final = b"ttcf"
MAX_FONTS: Final = 256
#: Entries of the table `name`: the family, as old programs group it and as its designer does; the style.
FAMILIES: Final = (1, 16)
STYLE: Final = 2
#: Styles that a renderer knows by these words; others are in the name of a family.
STYLES: Final = frozenset(("bold", "italic", "oblique"))
#: Platforms. The names of Unicode and Windows are UTF-16.
WIDE: Final = (0, 3)
MACINTOSH: Final = 1


@dataclass(frozen=True, slots=True)
class FontFile:
    """The families in a file, each once, and the style of its first font, empty for a regular one."""

    families: tuple[str, ...]
    style: str

    def called(self, wanted: str | None = None) -> str:
        """The name to ask a renderer for, as Pango reads it: `Inter, Bold`. The comma ends the family, whose
        last word could mean a style or a size.

        `wanted` is a family with or without a style, the file's first font when None. Raises ValueError when
        the file does not have that family.
        """
        if wanted is None:
            return f"{self.families[0]}, {self.style}".rstrip()
        text = f"{wanted.casefold()} ".replace(",", " ")
        for family in sorted(self.families, key=len, reverse=True):
            if text.startswith(f"{family.casefold()} "):
                return f"{family}, {wanted[len(family) :].strip(' ,')}".rstrip()
        raise ValueError(f"the file has {' and '.join(self.families)}, not {wanted}")


def read_font(data: bytes) -> FontFile:
    """What a TrueType or OpenType font, or a collection of them, says of itself. Raises ValueError for
    anything else."""
    try:
        starts: tuple[int, ...] = (0,)
        if data[:4] == COLLECTION:
            (count,) = struct.unpack_from(">I", data, 8)
            starts = struct.unpack_from(f">{min(count, MAX_FONTS)}I", data, 12)
        entries = [_entries(data, start) for start in starts]
    except struct.error:
        entries = []
    families = [text for each in entries for number in FAMILIES for text in each.get(number, ())]
    if not families:
        raise ValueError("it is no TrueType or OpenType font (.ttf, .otf, .ttc)")
    style = next(iter(entries[0].get(STYLE, ())), "")
    known = STYLES.issuperset(style.casefold().split())
    return FontFile(tuple(dict.fromkeys(families)), style if known else "")


def _entries(data: bytes, start: int) -> dict[int, list[str]]:
    """The texts of a font's table `name` by their number."""
    found: dict[int, list[str]] = {}
    if data[start : start + 4] not in SIGNATURES:
        return found
    (tables,) = struct.unpack_from(">H", data, start + 4)
    for index in range(tables):
        tag, _, table, _ = struct.unpack_from(">4sIII", data, start + 12 + 16 * index)
        if tag != b"name":
            continue
        _, count, storage = struct.unpack_from(">HHH", data, table)
        for record in range(count):
            platform, _, _, number, length, offset = struct.unpack_from(">6H", data, table + 6 + 12 * record)
            place = table + storage + offset
            if text := _text(platform, data[place : place + length]):
                found.setdefault(number, []).append(text)
    return found


def _text(platform: int, data: bytes) -> str:
    if platform in WIDE:
        return data.decode("utf-16-be", "replace").strip()
    return data.decode("mac-roman").strip() if platform == MACINTOSH else ""
