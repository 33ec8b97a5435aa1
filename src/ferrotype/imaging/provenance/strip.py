"""How a picture was made, taken out of it: the workflow and the prompt that ComfyUI and its like write.

What they write where:

- ComfyUI `SaveImage`: PNG `tEXt` chunks `prompt` and `workflow`, and one for whatever else its caller sent
  along, all JSON. `SaveAnimatedPNG`: chunks `comf` behind the first `IDAT`.
- ComfyUI `SaveAnimatedWEBP`: EXIF `Model` "prompt:{...}", `Make` "workflow:{...}", and on downwards through
  the tags that come before for whatever else was sent along.
- Nodes by others: PNG `parameters` (the words of AUTOMATIC1111), JPEG and WebP EXIF `UserComment` and
  `ImageDescription`, JPEG comments, XMP.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Final

from ferrotype.domain.problems import InvalidField
from ferrotype.imaging.provenance.containers import (
    EXIF_HEADER,
    JPEG_APP1,
    JPEG_APP11,
    JPEG_COMMENT,
    JPEG_START,
    PNG_MAGIC,
    PNG_TEXTS,
    PNG_XMP_KEYWORD,
    XMP_EXTENSION,
    XMP_HEADER,
    Part,
    Reader,
    Span,
    encoded,
    is_manifest,
    png_text,
    spans,
)
from ferrotype.imaging.provenance.exif import without
from ferrotype.imaging.provenance.splices import RIFF_SIZE, Splice, growth, ordered, riff_size, spliced
from ferrotype.imaging.provenance.splices import without as without_span
from ferrotype.imaging.provenance.xmp import VP8X_EXIF, VP8X_XMP
from ferrotype.imaging.sniff import HEAD, ImageType, sniff
from ferrotype.imaging.structure import JPEG_SCAN
from ferrotype.imaging.vips import Source

#: PNG keywords, in small letters.
KEYWORDS: Final = frozenset(
    {"prompt", "negative_prompt", "workflow", "parameters", "extra_pnginfo", "generation_data"}
    | {"invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata", "dream", "fooocus_scheme"}
)
#: JSON, with or without its name in front, or a text that says itself what it is.
JSON: Final = re.compile(r"\s*(?:[\w .-]{1,64}:\s*)?(?:\{\s*[\"}]|\[\s*[\[{\"\]])")
NAMED: Final = re.compile(r"\s*(?:negative[ _])?(?:prompt|workflow|parameters)\s*:", re.IGNORECASE)
#: AUTOMATIC1111 writes it into one line, behind the prompt.
SETTINGS: Final = re.compile(r"\bSteps: \d+, (?:Sampler|Schedule type|CFG scale): ")
#: In XMP it is enough that one of them is there. `parameters` alone is not: photo editors write their own.
XMP: Final = re.compile(
    rb"class_type|last_node_id|AIPromptInformation|[:\"'<](?:prompt|workflow)\b|\bSteps: \d+, ", re.IGNORECASE
)
#: In every node of ComfyUI's own form of a graph.
NODE: Final = b"class_type"
#: Where a workflow may stand.
TELLING: Final = {
    "jpegload": frozenset({bytes([JPEG_APP1]), bytes([JPEG_COMMENT])}),
    "pngload": frozenset({b"comf", b"eXIf", *PNG_TEXTS}),
    "webpload": frozenset({b"EXIF", b"XMP "}),
}


def stripped(data: bytes) -> bytes:
    """The JPEG, PNG or WebP without workflow and prompt; its pixels, profile, orientation and all else stay.

    The same bytes where there is nothing of the kind, and for other formats. A C2PA manifest goes together
    with what it vouched for. Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is
    damaged.
    """
    reader = Reader(data)
    kind, found = spans(reader)
    changes, gone = [], set()
    for span in found:
        if span.name not in TELLING.get(kind.loader or "", ()):
            continue
        part = reader.body(span)
        new = CLEAN[kind.loader or ""](part)
        if new is None:
            gone.add(span)
        elif new != part:
            changes.append(without_span(span, encoded(kind, new)))
    if not changes and not gone:
        return data
    gone.update(span for span in found if _is_manifest(reader, kind, span))
    changes += map(without_span, gone)
    if kind.loader == "webpload":
        changes += _header(reader, [span for span in found if span not in gone], growth(changes))
    return spliced(data, ordered(changes))


def _is_manifest(reader: Reader, kind: ImageType, span: Span) -> bool:
    """Only of a JPEG's segment the name is not enough."""
    named = span.name == bytes([JPEG_APP11])
    return is_manifest(kind, reader.body(span) if named else Part(span.name, b""))


def tells(source: Source) -> bool:
    """Whether there is anything to be taken out. Only metadata is read of the file; all of it where it is too
    damaged for that.

    Raises UnsupportedMedia for no picture, OSError when the file cannot be read.
    """
    reader = Reader(source)
    try:
        kind, found = spans(reader)
        return any(_is_told(reader, kind, span) for span in found)
    except InvalidField:
        return _is_suspect(reader.read(0, reader.size))
    finally:
        reader.close()


def cleaned(data: bytes) -> bytes:
    """`stripped`, and the same bytes also for a file that is too damaged to be taken apart, as long as
    nothing in it looks like a workflow.

    Raises UnsupportedMedia for no picture, InvalidField (`image`) for a damaged one that may tell something.
    """
    try:
        return stripped(data)
    except InvalidField:
        if _is_suspect(data):
            raise
        return data


def passes(head: bytes) -> bool | None:
    """Whether a picture that begins so may be passed on while the rest of it still arrives: what tells of its
    making stands in front of the pixels, and nothing does. None when more of it is needed to say so; False
    also where metadata may come behind the pixels.
    """
    kind = sniff(head)
    if kind is None:
        return True if len(head) >= HEAD else None
    walk = HEADS.get(kind.loader or "")
    if walk is None:
        return True
    try:
        return walk(Reader(head), kind)
    except (IndexError, struct.error):
        return None


def _passes_jpeg(reader: Reader, kind: ImageType) -> bool:
    at = len(JPEG_START)
    while (head := reader.read(at, 4))[1] != JPEG_SCAN:
        if head[0] != 0xFF:
            return False
        (length,) = struct.unpack_from(">H", head, 2)
        if _tells_ahead(reader, kind, Span(head[1:2], at, at + 2 + length, at + 4, length - 2)):
            return False
        at += 2 + length
    return True


def _passes_png(reader: Reader, kind: ImageType) -> bool:
    at = len(PNG_MAGIC)
    while True:
        length, name = struct.unpack(">I4s", reader.read(at, 8))
        if name == b"IDAT":
            return not kind.animated  # ComfyUI tells of those between the pixels
        if _tells_ahead(reader, kind, Span(name, at, at + 12 + length, at + 8, length)):
            return False
        at += 12 + length


def _passes_webp(reader: Reader, kind: ImageType) -> bool:
    name, _, flags = struct.unpack("<4sIB", reader.read(12, 9))
    return name != b"VP8X" or not flags & (VP8X_EXIF | VP8X_XMP)


def _tells_ahead(reader: Reader, kind: ImageType, span: Span) -> bool:
    """Raises IndexError where not all of it is there."""
    if span.name in TELLING[kind.loader or ""] and span.at + span.length > reader.size:
        raise IndexError("more is needed")
    return _is_told(reader, kind, span)


def _is_told(reader: Reader, kind: ImageType, span: Span) -> bool:
    if span.name not in TELLING.get(kind.loader or "", ()):
        return False
    part = reader.body(span)
    return CLEAN[kind.loader or ""](part) != part


def tells_text(field: bytes) -> bool:
    """Whether a piece of metadata of any format (EXIF, XMP, a comment) is, or has in it, a workflow or a
    prompt."""
    if XMP.search(field) or NODE in field or _tells(field.decode(errors="replace").strip("\0")):
        return True
    exif = field.removeprefix(EXIF_HEADER)
    try:
        return without(exif, _tells) != exif
    except (ValueError, struct.error):
        return False


def _is_suspect(data: bytes) -> bool:
    return XMP.search(data) is not None


def _tells(text: str) -> bool:
    """Whether a text is a workflow, or a prompt with its settings."""
    return bool(JSON.match(text) or NAMED.match(text) or SETTINGS.search(text))


def _png(part: Part) -> Part | None:
    if part.name == b"comf":
        return None
    if part.name == b"eXIf":
        return _with_exif(part, b"")
    try:
        found = png_text(part)
    except zlib.error:
        return None  # nobody can read it, and nobody knows what it is
    if found is None:
        return part
    keyword, text = found
    if keyword == PNG_XMP_KEYWORD:
        return None if XMP.search(text) else part
    return None if keyword.lower() in KEYWORDS or _tells(text.decode(errors="replace")) else part


def _jpeg(part: Part) -> Part | None:
    if part.marker == JPEG_COMMENT:
        return None if _tells(part.body.decode(errors="replace").strip("\0")) else part
    if part.marker != JPEG_APP1:
        return part
    if part.body.startswith(EXIF_HEADER):
        return _with_exif(part, EXIF_HEADER)
    if part.body.startswith((XMP_HEADER, XMP_EXTENSION)):
        return None if XMP.search(part.body) else part
    return part


def _webp(part: Part) -> Part | None:
    if part.name == b"EXIF":
        # Some writers put JPEG's header before it.
        return _with_exif(part, EXIF_HEADER if part.body.startswith(EXIF_HEADER) else b"")
    if part.name == b"XMP ":
        return None if XMP.search(part.body) else part
    return part


def _with_exif(part: Part, header: bytes) -> Part | None:
    try:
        left = without(part.body[len(header) :], _tells)
    except (ValueError, struct.error):
        return None if NODE in part.body or b"orkflow" in part.body else part
    if left is None or NODE in left:
        return None
    return Part(part.name, header + left)


def _header(reader: Reader, left: list[Span], longer: int) -> list[Splice]:
    """The header of a WebP says how long it is, and what metadata it has."""
    names = {span.name for span in left}
    gone = (0 if b"EXIF" in names else VP8X_EXIF) | (0 if b"XMP " in names else VP8X_XMP)
    (size,) = struct.unpack("<I", reader.read(RIFF_SIZE, 4))
    header = [span for span in left if span.name == b"VP8X"]
    flags = [Splice(span.at, 1, bytes([reader.read(span.at, 1)[0] & ~gone])) for span in header]
    return [riff_size(size + longer), *flags]


HEADS: Final = {"jpegload": _passes_jpeg, "pngload": _passes_png, "webpload": _passes_webp}
CLEAN: Final = {"jpegload": _jpeg, "pngload": _png, "webpload": _webp}
