"""XMP in finished files, put there without touching a pixel. Variants get theirs from the encoder.

Where it stands: XMP specification, part 3 (JPEG 1.1.3, PNG 1.1.5), WebP container specification. What is to
be changed of a file is found out first, as a few splices: so a file of any size is labelled while it is read,
and its new length is known before.
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
    PNG_TEXTS,
    PNG_XMP_KEYWORD,
    XMP_HEADER,
    Part,
    Reader,
    Span,
    encoded,
    has_manifest,
    is_unpadded,
    png_text,
    spans,
)
from ferrotype.imaging.provenance.packet import merged
from ferrotype.imaging.provenance.splices import Splice, growth, ordered, riff_size, spliced, without
from ferrotype.imaging.sniff import ImageType
from ferrotype.imaging.vips import Source, damaged

#: Formats that finished files of are labelled.
LABELLED_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/webp"})
VP8X_ALPHA, VP8X_EXIF, VP8X_XMP = 0x10, 0x08, 0x04
VP8L_SIGNATURE: Final = 0x2F
#: RFC 9649: a key frame's start code, before its sizes.
VP8_START: Final = b"\x9d\x01\x2a"
#: Bytes of a picture's chunk that its sizes are in.
WEBP_SIZES: Final = 10


def splices(source: Source, packet: bytes | None) -> list[Splice]:
    """What puts `packet` into the JPEG, PNG or WebP, merged into XMP that is there; in the file's order.

    Nothing for None, for other formats (AVIF and GIF among them), and for a file with a C2PA manifest, which
    says the same and would be broken by a change. Only metadata is read of the file.

    Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is damaged, OSError when it
    cannot be read.
    """
    if packet is None or has_manifest(source):
        return []
    reader = Reader(source)
    try:
        kind, found = spans(reader)
        put = PUT.get(kind.loader or "")
        try:
            return put(reader, kind, found, packet) if put else []
        except (IndexError, StopIteration, struct.error, ValueError):
            raise damaged(kind) from None
    finally:
        reader.close()


def embedded(data: bytes, packet: bytes | None) -> bytes:
    """The file with `packet` in it, or the same bytes: see `splices`, also for what it raises."""
    return spliced(data, splices(data, packet))


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


def _jpeg(reader: Reader, kind: ImageType, found: list[Span], packet: bytes) -> list[Splice]:
    there: bytes | None = None
    leads, at, old = True, found[-1].start, []
    for span in found[:-1]:
        part = reader.body(span) if span.name == bytes([JPEG_APP1]) else Part(span.name, b"")
        if is_jpeg_xmp(part):
            there = there or part.body[len(XMP_HEADER) :]
            old.append(span)
        elif leads and not _leads(part):
            leads, at = False, span.start
    new = encoded(kind, Part(bytes([JPEG_APP1]), XMP_HEADER + merged(there, packet)))
    return ordered([Splice(at, 0, new), *map(without, old)])


def _leads(part: Part) -> bool:
    """JFIF and EXIF want to be first."""
    return part.marker == JPEG_APP0 or (part.marker == JPEG_APP1 and part.body.startswith(EXIF_HEADER))


def _png(reader: Reader, kind: ImageType, found: list[Span], packet: bytes) -> list[Splice]:
    texts = [(span, png_xmp(reader.body(span))) for span in found if span.name in PNG_TEXTS]
    old = [(span, text) for span, text in texts if text is not None]
    there = old[0][1] if old else None
    # Not compressed, no language, no translated keyword.
    chunk = Part(b"iTXt", PNG_XMP_KEYWORD.encode() + b"\0\0\0\0\0" + merged(there, packet))
    new = Splice(found[0].stop, 0, encoded(kind, chunk))  # right behind IHDR
    return ordered([new, *(without(span) for span, _ in old)])


def _webp(reader: Reader, kind: ImageType, found: list[Span], packet: bytes) -> list[Splice]:
    *chunks, tail = found
    old = [span for span in chunks if span.name == b"XMP "]
    there = reader.body(old[0]).body if old else None
    end = min(tail.start, reader.size)
    missing = b"\0" if is_unpadded(chunks[-1]) and chunks[-1] not in old else b""
    changes = [Splice(end, 0, missing + encoded(kind, Part(b"XMP ", merged(there, packet))))]
    changes += map(without, old)
    first = next(span for span in chunks if span.name != b"XMP ")
    if first.name == b"VP8X":
        flags = reader.read(first.at, 1)[0] | VP8X_XMP
        changes.append(Splice(first.at, 1, bytes([flags])))
    else:
        changes.append(Splice(first.start, 0, encoded(kind, _extended(reader, first))))
    return ordered([riff_size(end - 8 + growth(changes)), *changes])


def _extended(reader: Reader, picture: Span) -> Part:
    """The header that a simple file does without: size and alpha are in its only chunk. Simple files do not
    move, and have neither profile nor EXIF."""
    body, flags = reader.read(picture.at, WEBP_SIZES), VP8X_XMP
    if picture.name == b"VP8L" and body[0] == VP8L_SIGNATURE:
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags |= VP8X_ALPHA if bits >> 28 & 1 else 0
    elif picture.name == b"VP8 " and body[3:6] == VP8_START:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    else:
        raise ValueError("no picture where it has to be")
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return Part(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


PUT: Final[dict[str, Callable[[Reader, ImageType, list[Span], bytes], list[Splice]]]] = {
    "jpegload": _jpeg,
    "pngload": _png,
    "webpload": _webp,
}
