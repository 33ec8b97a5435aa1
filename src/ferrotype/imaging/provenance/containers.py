"""The parts that a JPEG, PNG or WebP file is made of, taken apart and put together again byte for byte.

Only metadata is looked at: the pixels are one opaque part, so nothing here can touch them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ferrotype.imaging.sniff import HEAD, ImageType
from ferrotype.imaging.structure import JPEG_BARE, JPEG_SCAN
from ferrotype.imaging.vips import damaged, kind_of

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
JPEG_START: Final = b"\xff\xd8"
JPEG_APP0, JPEG_APP1, JPEG_APP11, JPEG_COMMENT = 0xE0, 0xE1, 0xEB, 0xFE
EXIF_HEADER: Final = b"Exif\0\0"
#: XMP specification, part 3, 1.1.3.
XMP_HEADER: Final = b"http://ns.adobe.com/xap/1.0/\0"
#: Where one packet is too small: more of it, found by its hash (XMP specification, part 3, 1.1.3.1).
XMP_EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
#: XMP specification, part 3, 1.1.5.
PNG_XMP_KEYWORD: Final = "XML:com.adobe.xmp"
PNG_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt")
#: So many may be in a file, as for libpng, and so many bytes of a compressed one are unpacked.
MAX_TEXTS, MAX_TEXT = 1000, 256 * 1024
#: Boxes of JUMBF inside APP11 (ISO/IEC 19566-5, annex D), and how the one of C2PA describes itself.
JUMBF, JUMBF_C2PA = b"JP", b"jumdc2pa"
#: C2PA specification, embedding manifests: the `uuid` box of ISO base media files.
C2PA_UUID: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
C2PA_GIF: Final = b"\x21\xff\x0bC2PA_GIF"


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk (PNG, WebP) by its name, or a JPEG segment by its marker as one byte; `tail` of a file, behind
    what is looked at, has an empty name. `body` is without length, checksum and padding."""

    name: bytes
    body: bytes

    @property
    def marker(self) -> int:
        return self.name[0] if self.name else 0


def split(data: bytes) -> tuple[ImageType, list[Part]]:
    """The type and the parts; none for a type other than JPEG, PNG and WebP.

    Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is damaged.
    """
    kind = kind_of(data[:HEAD])
    reader = READERS.get(kind.loader or "")
    if reader is None:
        return kind, []
    try:
        return kind, reader(data)
    except (IndexError, struct.error, ValueError):
        raise damaged(kind) from None


def join(kind: ImageType, parts: Iterable[Part]) -> bytes:
    """The file again; what `split` gave gives the same bytes, for honest files."""
    return WRITERS[kind.loader or ""](parts)


def has_manifest(data: bytes) -> bool:
    """Whether a C2PA manifest is in the file; nothing is said about its worth. AVIF and GIF too.

    Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is damaged.
    """
    kind, parts = split(data)
    if kind.loader == "heifload":
        return _has_box(data, C2PA_UUID)
    if kind.loader == "gifload":
        return C2PA_GIF in data
    if kind.loader == "jpegload":  # a long one goes on in further segments that do not say whose they are
        return any(is_manifest(kind, part) and JUMBF_C2PA in part.body for part in parts)
    return any(is_manifest(kind, part) for part in parts)


def is_manifest(kind: ImageType, part: Part) -> bool:
    """Whether it is a part, or a piece, of a C2PA manifest."""
    if kind.loader == "jpegload":
        return part.marker == JPEG_APP11 and part.body.startswith(JUMBF)
    return part.name == (b"caBX" if kind.loader == "pngload" else b"C2PA")


def png_text(part: Part) -> tuple[str, bytes] | None:
    """Keyword and text of a PNG's text chunk, None for any other (PNG specification, 11.3.3). Of a compressed
    text the first `MAX_TEXT` bytes. Raises zlib.error for what cannot be unpacked."""
    if part.name not in PNG_TEXTS:
        return None
    keyword, _, text = part.body.partition(b"\0")
    compressed = part.name == b"zTXt"
    if compressed:
        text = text[1:]
    elif part.name == b"iTXt":
        compressed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]
    return keyword.decode("latin-1"), zlib.decompressobj().decompress(text, MAX_TEXT) if compressed else text


def _has_box(data: bytes, uuid: bytes) -> bool:
    at = 0
    while at + 24 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        if name == b"uuid" and data[at + head : at + head + 16] == uuid:
            return True
        if size < head:  # 0 is to the end of the file
            return False
        at += size
    return False


def _read_jpeg(data: bytes) -> list[Part]:
    """The segments before the first scan; the scans are the tail."""
    parts, at = [], len(JPEG_START)
    while data[at + 1] != JPEG_SCAN:
        if data[at] != 0xFF:
            raise ValueError("no marker")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in JPEG_BARE:  # it means nothing here, and decoders step over it
            at += 2
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            if length < 2 or at + 2 + length > len(data):
                raise ValueError("a segment is cut short")
            parts.append(Part(bytes([marker]), data[at + 4 : at + 2 + length]))
            at += 2 + length
    return [*parts, Part(b"", data[at:])]


def _write_jpeg(parts: Iterable[Part]) -> bytes:
    return JPEG_START + b"".join(
        b"\xff" + part.name + struct.pack(">H", len(part.body) + 2) + part.body if part.name else part.body
        for part in parts
    )


def _read_png(data: bytes) -> list[Part]:
    parts: list[Part] = []
    at = len(PNG_MAGIC)
    while not parts or parts[-1].name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise ValueError("a chunk is cut short")
        parts.append(Part(name, data[at + 8 : at + 8 + length]))
        at += 12 + length
    if sum(part.name in PNG_TEXTS for part in parts) > MAX_TEXTS:
        raise ValueError("too many texts")
    return [*parts, Part(b"", data[at:])]


def _write_png(parts: Iterable[Part]) -> bytes:
    return PNG_MAGIC + b"".join(
        struct.pack(">I4s", len(part.body), part.name)
        + part.body
        + struct.pack(">I", zlib.crc32(part.body, zlib.crc32(part.name)))
        if part.name
        else part.body
        for part in parts
    )


def _read_webp(data: bytes) -> list[Part]:
    (size,) = struct.unpack_from("<I", data, 4)
    parts, at, end = [], 12, 8 + size
    if end > len(data):
        raise ValueError("the file is cut short")
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise ValueError("a chunk is cut short")
        parts.append(Part(name, data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return [*parts, Part(b"", data[max(at, end) :])]


def _write_webp(parts: Iterable[Part]) -> bytes:
    chunks, tail = [], b""
    for part in parts:
        if part.name:
            chunks.append(
                struct.pack("<4sI", part.name, len(part.body)) + part.body + b"\0" * (len(part.body) % 2)
            )
        else:
            tail = part.body
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body + tail


READERS: Final = {"jpegload": _read_jpeg, "pngload": _read_png, "webpload": _read_webp}
WRITERS: Final = {"jpegload": _write_jpeg, "pngload": _write_png, "webpload": _write_webp}
