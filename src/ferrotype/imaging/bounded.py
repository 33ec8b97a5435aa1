"""A picture within so many bytes, whatever it was."""

from __future__ import annotations

from typing import Final

from ferrotype.imaging.inspect import inspect
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.vips import VipsError, damaged, head_of, kind_of, scaled

CONTENT_TYPE: Final = "image/webp"
#: Longest sides in pixels and qualities that are tried, until one gives few enough bytes. A preview is shown
#: for a moment: at these qualities a photograph of 512 pixels has 15-40 KB.
TRIED: Final = ((512, 60), (384, 50), (256, 40), (128, 30), (64, 20))


def bounded(data: bytes, max_bytes: int, limits: ImagingSettings) -> bytes | None:
    """The first frame as WebP of at most `max_bytes`; None where even the smallest one has more. Blocking.

    Raises what `inspect` raises of what is no picture, or breaks a limit.
    """
    inspect(data, limits)
    kind = kind_of(head_of(data)[0])
    try:
        for side, quality in TRIED:
            made: bytes = scaled(data, kind, side, side).webpsave_buffer(Q=quality, effort=2, keep="none")
            if len(made) <= max_bytes:
                return made
    except VipsError:
        raise damaged(kind) from None
    return None
