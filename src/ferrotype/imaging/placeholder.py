"""The placeholder of a picture: ThumbHash, dominant colour and a tiny picture to show while it loads."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from typing import Final

from ferrotype.domain.asset import Placeholder
from ferrotype.imaging.thumbhash import thumbhash
from ferrotype.imaging.vips import Source, VipsError, damaged, head_of, kind_of, scaled

#: Longest side of the tiny picture, pixels.
SIDE: Final = 32
QUALITY: Final = 40


def placeholder(source: Source, *, field: str = "image") -> Placeholder:
    """The placeholder of the first frame of the picture in `source`. Blocking: a few milliseconds.

    Bounds are not checked here: call `inspect` first on what comes from strangers. Raises
    UnsupportedMedia and InvalidField, naming `field`; OSError when a file cannot be read.
    """
    kind = kind_of(head_of(source)[0], field)
    try:
        image = scaled(source, kind, SIDE, SIDE)
        if not image.hasalpha():
            image = image.bandjoin(255)
        image = image.copy_memory()
        rgba = bytes(image.write_to_memory())
        tiny = image.webpsave_buffer(Q=QUALITY, effort=4, keep="none")
    except VipsError:
        raise damaged(kind, field) from None
    return Placeholder(
        thumbhash=b64encode(thumbhash(image.width, image.height, rgba)).decode(),
        color=dominant(rgba),
        data_uri="data:image/webp;base64," + b64encode(tiny).decode(),
    )


def dominant(rgba: bytes) -> str:
    """The colour that most of the opaque pixels are near to, `#rrggbb`; black if none is opaque.

    Pixels vote in cells of 32 levels per channel; the winner is the mean of its voters, so that a flat
    colour comes out exact.
    """
    cells: defaultdict[tuple[int, int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for r, g, b, a in zip(rgba[::4], rgba[1::4], rgba[2::4], rgba[3::4], strict=True):
        if a >= 128:
            cells[r >> 5, g >> 5, b >> 5].append((r, g, b))
    if not cells:
        return "#000000"
    voters = max(cells.values(), key=len)
    return "#" + "".join(f"{round(sum(channel) / len(voters)):02x}" for channel in zip(*voters, strict=True))
