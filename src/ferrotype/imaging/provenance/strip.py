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

from ferrotype.imaging.provenance.containers import (
    EXIF_HEADER,
    JPEG_APP1,
    JPEG_COMMENT,
    PNG_XMP_KEYWORD,
    XMP_EXTENSION,
    XMP_HEADER,
    Part,
    is_manifest,
    join,
    png_text,
    split,
)
from ferrotype.imaging.provenance.exif import without
from ferrotype.imaging.provenance.xmp import VP8X_EXIF, VP8X_XMP

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


def stripped(data: bytes) -> bytes:
    """The JPEG, PNG or WebP without workflow and prompt; its pixels, profile, orientation and all else stay.

    The same bytes where there is nothing of the kind, and for other formats. A C2PA manifest goes together
    with what it vouched for. Raises UnsupportedMedia for no picture, InvalidField (`image`) when the file is
    damaged.
    """
    kind, parts = split(data)
    clean = CLEAN.get(kind.loader or "")
    if clean is None:
        return data
    kept = [new for part in parts if (new := clean(part)) is not None]
    if kept == parts:
        return data
    kept = [part for part in kept if not is_manifest(kind, part)]
    return join(kind, _flagged(kept) if kind.loader == "webpload" else kept)


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


def _flagged(parts: list[Part]) -> list[Part]:
    """The header of a WebP says what metadata it has."""
    names = {part.name for part in parts}
    gone = (0 if b"EXIF" in names else VP8X_EXIF) | (0 if b"XMP " in names else VP8X_XMP)
    return [
        Part(part.name, bytes([part.body[0] & ~gone]) + part.body[1:]) if part.name == b"VP8X" else part
        for part in parts
    ]


CLEAN: Final = {"jpegload": _jpeg, "pngload": _png, "webpload": _webp}
