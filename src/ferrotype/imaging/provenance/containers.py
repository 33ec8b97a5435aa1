"""The parts that a JPEG, PNG or WebP file is made of: where they are, and how they are written.

Only metadata is looked at: the pixels are one opaque part, so nothing here can touch them.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from ferrotype.imaging.sniff import HEAD, ImageType
from ferrotype.imaging.structure import JPEG_BARE, JPEG_SCAN
from ferrotype.imaging.vips import Source, damaged, kind_of

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
#: Of an application extension: before its first sub-block.
GIF_EXTENSION_HEAD: Final = 14
MANIFEST_CHUNKS: Final = {"pngload": b"caBX", "webpload": b"C2PA"}


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk (PNG, WebP) by its name, or a JPEG segment by its marker as one byte; `tail` of a file, behind
    what is looked at, has an empty name. `body` is without length, checksum and padding."""

    name: bytes
    body: bytes

    @property
    def marker(self) -> int:
        return self.name[0] if self.name else 0


@dataclass(frozen=True, slots=True)
class Span:
    """Where a part lies, in bytes from the beginning of the file: all of it from `start` to `stop`, its body
    of `length` bytes at `at`."""

    name: bytes
    start: int
    stop: int
    at: int
    length: int


class Reader:
    """Random access to a picture's bytes, wherever they are. Close it in the end."""

    def __init__(self, source: Source) -> None:
        """Raises OSError when a file cannot be opened."""
        self._data, self._file = b"", None
        if isinstance(source, bytes):
            self._data, self.size = source, len(source)
        else:
            self._file = source.open("rb", buffering=0)
            self.size = os.fstat(self._file.fileno()).st_size

    def read(self, at: int, count: int) -> bytes:
        """So many bytes, fewer at the end. Raises OSError."""
        if self._file is None:
            return self._data[at : at + count]
        return os.pread(self._file.fileno(), count, at)

    def body(self, span: Span) -> Part:
        """The part with its bytes. Raises OSError, also when the file has become shorter."""
        body = self.read(span.at, span.length)
        if len(body) < span.length:
            raise OSError(errno.EIO, "it has become shorter")
        return Part(span.name, body)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def spans(reader: Reader) -> tuple[ImageType, list[Span]]:
    """The type, and where the parts are; none for a type other than JPEG, PNG and WebP.

    Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is damaged.
    """
    kind = kind_of(reader.read(0, HEAD))
    walk = WALKERS.get(kind.loader or "")
    if walk is None:
        return kind, []
    try:
        return kind, walk(reader)
    except (IndexError, struct.error, ValueError):
        raise damaged(kind) from None


def has_manifest(source: Source) -> bool:
    """Whether a C2PA manifest is in the file; nothing is said about its worth. AVIF and GIF too.

    Raises as `manifest_bytes` does.
    """
    return manifest_bytes(source) > 0


def manifest_bytes(source: Source) -> int:
    """How many bytes of the file are a C2PA manifest, 0 without one.

    Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is damaged, OSError when it
    cannot be read.
    """
    reader = Reader(source)
    try:
        kind, found = spans(reader)
        if kind.loader == "heifload":
            return _box_bytes(reader, C2PA_UUID)
        if kind.loader == "gifload":
            return _extension_bytes(reader.read(0, reader.size))
        return _manifest_bytes(reader, kind, found)
    finally:
        reader.close()


def _manifest_bytes(reader: Reader, kind: ImageType, found: list[Span]) -> int:
    if kind.loader != "jpegload":
        name = MANIFEST_CHUNKS.get(kind.loader or "")
        return sum(span.stop - span.start for span in found if span.name == name)
    boxes = [reader.body(span) for span in found if span.name == bytes([JPEG_APP11])]
    boxes = [part for part in boxes if is_manifest(kind, part)]
    # A long one goes on in further segments that do not say whose they are.
    return sum(len(part.body) for part in boxes) if any(JUMBF_C2PA in part.body for part in boxes) else 0


def is_unpadded(chunk: Span) -> bool:
    """Whether a chunk of a WebP lacks the byte behind an odd length, as the last one of a file may."""
    return chunk.length % 2 == 1 and chunk.stop == chunk.at + chunk.length


def is_manifest(kind: ImageType, part: Part) -> bool:
    """Whether it is a part, or a piece, of a C2PA manifest."""
    if kind.loader == "jpegload":
        return part.marker == JPEG_APP11 and part.body.startswith(JUMBF)
    return part.name == MANIFEST_CHUNKS.get(kind.loader or "")


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


def _box_bytes(reader: Reader, uuid: bytes) -> int:
    at = 0
    while at + 24 <= reader.size:
        box = reader.read(at, 32)
        size, name = struct.unpack_from(">I4s", box)
        head = 8
        if size == 1 and len(box) == 32:
            (size,), head = struct.unpack_from(">Q", box, 8), 16
        if name == b"uuid" and box[head : head + 16] == uuid:
            return int(size) or reader.size - at
        if size < head:  # 0 is to the end of the file
            return 0
        at += size
    return 0


def _extension_bytes(data: bytes) -> int:
    """An application extension of GIF with its sub-blocks, up to the empty one."""
    start = data.find(C2PA_GIF)
    if start < 0:
        return 0
    at = start + GIF_EXTENSION_HEAD
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1 - start


def _walk_jpeg(reader: Reader) -> list[Span]:
    """The segments before the first scan; the scans are the tail."""
    found, at = [], len(JPEG_START)
    while (head := reader.read(at, 4))[1] != JPEG_SCAN:
        if head[0] != 0xFF:
            raise ValueError("no marker")
        marker = head[1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in JPEG_BARE:  # it means nothing here, and decoders step over it
            at += 2
        else:
            (length,) = struct.unpack_from(">H", head, 2)
            stop = at + 2 + length
            if length < 2 or stop > reader.size:
                raise ValueError("a segment is cut short")
            found.append(Span(bytes([marker]), at, stop, at + 4, length - 2))
            at = stop
    return [*found, _tail(reader, at)]


def _walk_png(reader: Reader) -> list[Span]:
    found: list[Span] = []
    at = len(PNG_MAGIC)
    while not found or found[-1].name != b"IEND":
        length, name = struct.unpack(">I4s", reader.read(at, 8))
        stop = at + 12 + length
        if stop > reader.size:
            raise ValueError("a chunk is cut short")
        found.append(Span(name, at, stop, at + 8, length))
        at = stop
    if sum(span.name in PNG_TEXTS for span in found) > MAX_TEXTS:
        raise ValueError("too many texts")
    return [*found, _tail(reader, at)]


def _walk_webp(reader: Reader) -> list[Span]:
    (size,) = struct.unpack("<I", reader.read(4, 4))
    found, at, end = [], 12, 8 + size
    if end > reader.size:
        raise ValueError("the file is cut short")
    while at + 8 <= end:
        name, length = struct.unpack("<4sI", reader.read(at, 8))
        if at + 8 + length > end:
            raise ValueError("a chunk is cut short")
        stop = min(at + 8 + length + length % 2, reader.size)
        found.append(Span(name, at, stop, at + 8, length))
        at = stop
    return [*found, _tail(reader, max(at, end))]


def _tail(reader: Reader, at: int) -> Span:
    return Span(b"", at, reader.size, at, max(0, reader.size - at))


def encoded(kind: ImageType, part: Part) -> bytes:
    """The part as it stands in a file of that type."""
    return WRITERS[kind.loader or ""](part) if part.name else part.body


def _jpeg_segment(part: Part) -> bytes:
    return b"\xff" + part.name + struct.pack(">H", len(part.body) + 2) + part.body


def _png_chunk(part: Part) -> bytes:
    checksum = zlib.crc32(part.body, zlib.crc32(part.name))
    return struct.pack(">I4s", len(part.body), part.name) + part.body + struct.pack(">I", checksum)


def _webp_chunk(part: Part) -> bytes:
    return struct.pack("<4sI", part.name, len(part.body)) + part.body + b"\0" * (len(part.body) % 2)


WALKERS: Final = {"jpegload": _walk_jpeg, "pngload": _walk_png, "webpload": _walk_webp}
WRITERS: Final = {"jpegload": _jpeg_segment, "pngload": _png_chunk, "webpload": _webp_chunk}
