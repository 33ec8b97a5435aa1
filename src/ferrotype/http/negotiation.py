"""`format=auto`: the smallest format that the client says it reads (RFC 9110, 12.5.1).

Only formats that `Accept` names count: `*/*` and `image/*` come from clients that read no AVIF as well.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from cachebox import LRUCache

from ferrotype.domain.asset import Asset
from ferrotype.domain.transform import Format, Transform
from ferrotype.domain.transform_query import LOSSLESS
from ferrotype.http.asgi import Headers

Accepts = frozenset[str]

#: Formats that not every client reads.
NEW: Final = {b"image/avif": "avif", b"image/webp": "webp"}
_NOT: Final = re.compile(rb";\s*q\s*=\s*0(\.0*)?\s*(;|$)", re.IGNORECASE)
#: Bytes of `Accept` that are looked at.
MAX_HEADER: Final = 4096
#: Types whose files may move; of those it is not known before the whole picture was looked at.
MOVING: Final = ("image/gif", "image/webp", "image/apng")
NONE: Final[Accepts] = frozenset()

#: There are a few dozen of these headers in the world.
_seen: LRUCache[bytes, Accepts] = LRUCache(512)


def accepts_of(headers: Headers) -> Accepts:
    """Which of the new formats a request's client reads."""
    value = b""
    for name, line in headers:
        if name == b"accept":
            value = value + b"," + line if value else line
    if not value:
        return NONE
    found: Accepts | None = _seen.get(value)
    if found is None:
        found = read_accept(value)
        if len(value) <= MAX_HEADER:
            _seen[value] = found
    return found


def read_accept(value: bytes) -> Accepts:
    """The new formats that an `Accept` header names with any weight."""
    ranges = (part.strip(b" \t") for part in value[:MAX_HEADER].lower().split(b","))
    named = ((part.partition(b";")[0].rstrip(b" \t"), part) for part in ranges)
    return frozenset(NEW[name] for name, part in named if name in NEW and not _NOT.search(part))


def formats(transform: Transform, asset: Asset, accepts: Accepts) -> tuple[Transform, Transform | None]:
    """What to send for `format=auto`; and, where that is slow to make, what to send until it is there.

    AVIF and JPEG do not move, so an animation becomes WebP, or stays a GIF. Where it is not known yet
    whether the picture moves or is transparent, the choice keeps both.
    """
    moves = asset.animated
    if moves is None and asset.content_type not in (None, *MOVING):
        moves = False
    if "avif" in accepts and moves is False:
        return _as(transform, "avif"), _as(transform, "webp") if "webp" in accepts else None
    if "webp" in accepts:
        return _as(transform, "webp"), None
    if moves is not False:
        return _as(transform, "gif" if asset.content_type in ("image/gif", "image/webp") else "png"), None
    see_through = asset.has_alpha
    if see_through is None:
        see_through = asset.content_type != "image/jpeg"
    return _as(transform, "png" if see_through else "jpeg"), None


def is_known(asset: Asset) -> bool:
    """Whether everything is known that `formats` looks at: before that a choice is good for a moment only."""
    return asset.animated is not None and asset.has_alpha is not None


def _as(transform: Transform, name: Format) -> Transform:
    """The transform in that format. The original itself is never meant, though it may be in it: it may be
    turned by EXIF, in other colours, or tell where it was taken."""
    return replace(transform, format=name, q=None if name in LOSSLESS else transform.q)
