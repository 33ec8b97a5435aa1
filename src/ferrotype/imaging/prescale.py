"""A picture on its way to a model: no larger than the model reads, and in a form that it reads.

`plan` decides by the header alone, so that what will be sent can be told before anything is decoded;
`prescale` does it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import pyvips

from ferrotype.domain.model import InputLimits
from ferrotype.imaging.sniff import ImageType
from ferrotype.imaging.vips import (
    Image,
    Source,
    VipsError,
    damaged,
    has_srgb,
    head_of,
    kind_of,
    open_image,
    orientation,
    scaled,
    shown_size,
)

#: Longest side that a format can hold, in pixels (libjpeg's own bound; WebP container specification).
HOLDS: Final = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}
#: The format that each accepted kind is already in; the others are nothing that a model reads.
FORMATS: Final = {"jpeg": "jpeg", "png": "png", "apng": "png", "webp": "webp", "webp-animated": "webp"}
#: What comes without loss goes without loss, where the model reads PNG.
LOSSLESS: Final = frozenset(("png", "apng", "gif", "tiff"))
#: On photographs a filter halves a PNG and takes less time than it saves the compressor.
PNG: Final = {"compression": 3, "filter": "up"}
WEBP: Final = {"effort": 1}
#: Changes whenever the same plan would give other bytes.
VERSION: Final = f"2 libvips {'.'.join(str(pyvips.version(part)) for part in range(3))}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a picture before it is sent.

    `width` and `height` are those of the picture, `sent_width` and `sent_height` of what is sent, in
    pixels as shown; `content_type` is that of what is sent. One that is not `rewritten` is sent byte for
    byte. `quality` (1-100) is for JPEG and WebP. What is transparent becomes white unless `alpha` is true
    and the format has it. A `mask` becomes grey, without loss where the model reads PNG or WebP; where it
    is transparent it says nothing, so it becomes black: nothing is changed there.
    """

    width: int
    height: int
    sent_width: int
    sent_height: int
    content_type: str
    rewritten: bool
    quality: int
    alpha: bool
    mask: bool

    @property
    def recipe(self) -> str:
        """With the picture's own hash a name for the bytes that `prescale` makes of it."""
        size = f"{self.sent_width}x{self.sent_height}"
        return f"{VERSION} {size} {self.content_type} q{self.quality} alpha={self.alpha} mask={self.mask}"


def plan(
    source: Source,
    limits: InputLimits,
    *,
    mask: bool = False,
    size: tuple[int, int] | None = None,
    field: str = "image",
) -> Plan:
    """How the picture goes to a model with those `limits`; `size` is for masks, which must be as large as
    their picture is sent.

    It is sent byte for byte if it is within the limits, in a format that the model reads, still, upright,
    8-bit, grey or RGB in sRGB, and transparent only where the model takes that. Only the header is read.
    Raises UnsupportedMedia and InvalidField, naming `field`; OSError when a file cannot be read.
    """
    kind = kind_of(head_of(source)[0], field)
    try:
        header = open_image(source, kind)
        shown = shown_size(header)
        sent = size or fit(*shown, limits.max_pixels, _max_side(limits))
        alpha = bool(header.hasalpha())
        as_it_is = (
            sent == shown
            and FORMATS.get(kind.name) in limits.formats
            and not kind.animated
            and orientation(header) == 1
            and header.interpretation in ("srgb", "b-w")  # which are those of 8 bits
            and (mask or has_srgb(header))
            and not (alpha and (mask or not limits.alpha))
        )
    except VipsError:
        raise damaged(kind, field) from None
    form = FORMATS[kind.name] if as_it_is else _form(kind, limits, alpha, mask, max(sent))
    return Plan(
        width=shown[0],
        height=shown[1],
        sent_width=sent[0],
        sent_height=sent[1],
        content_type=f"image/{form}",
        rewritten=not as_it_is,
        quality=limits.quality,
        alpha=limits.alpha,
        mask=mask,
    )


def prescale(source: Source, plan: Plan, *, field: str = "image") -> bytes:
    """The picture as it was planned: its first frame, upright, in 8-bit sRGB, without metadata.

    The same bytes for the same source and plan. JPEG and WebP shrink while they are decoded. Blocking.
    Raises UnsupportedMedia and InvalidField, naming `field`; OSError when a file cannot be read.
    """
    kind = kind_of(head_of(source)[0], field)
    size = (plan.sent_width, plan.sent_height)
    try:
        image = _mask(source, kind, *size) if plan.mask else scaled(source, kind, *size, size="force")
        if image.hasalpha() and not (plan.alpha and plan.content_type != "image/jpeg"):
            image = image.flatten(background=[255] * (image.bands - 1))
        return _save(image, plan)
    except VipsError:
        raise damaged(kind, field) from None


def fit(width: int, height: int, max_pixels: int | None, max_side: int | None) -> tuple[int, int]:
    """The largest size of the same proportions within the bounds, sides rounded down but never below 1."""
    scale = 1.0
    if max_side is not None:
        scale = min(scale, max_side / max(width, height))
    if max_pixels is not None:
        scale = min(scale, math.sqrt(max_pixels / (width * height)))
    # A hair more than the product, so that 1024 * (512 / 1024) is not 511.
    w, h = (max(1, int(side * scale * (1 + 1e-12))) for side in (width, height))
    if max_pixels is not None:  # a side that cannot be below 1 may have left too long another
        w, h = min(w, max(1, max_pixels // h)), min(h, max(1, max_pixels // w))
    return w, h


def _max_side(limits: InputLimits) -> int:
    """What some format of the model's can hold, at most."""
    holds = max(HOLDS[name] for name in limits.formats)
    return holds if limits.max_side is None else min(holds, limits.max_side)


def _form(kind: ImageType, limits: InputLimits, alpha: bool, mask: bool, side: int) -> str:
    """The format of what is rewritten: its own, or the first of the model's that can hold what is in it."""
    able = [name for name in limits.formats if side <= HOLDS[name]]
    if alpha and limits.alpha and not mask:
        able = [name for name in able if name != "jpeg"] or able
    own = FORMATS.get(kind.name)
    if mask:
        return next((name for name in ("png", "webp") if name in able), able[0])
    if own in able:
        return own
    return "png" if kind.name in LOSSLESS and "png" in able else able[0]


def _mask(source: Source, kind: ImageType, width: int, height: int) -> Image:
    """The mask in grey, exactly so large. Its values mean what they say: a profile is ignored, and the
    resampling makes no rings around edges that would touch what is to be left alone."""
    image = open_image(source, kind, access="sequential")
    if image.hasalpha():
        image = image.flatten()
    image = image.colourspace("b-w").extract_band(0).cast("uchar")
    if orientation(image) >= 5:
        width, height = height, width
    image = image.resize(width / image.width, vscale=height / image.height, kernel="linear")
    # Sequential pixels can only be read from top to bottom.
    return image if orientation(image) == 1 else image.copy_memory().autorot()


def _save(image: Image, plan: Plan) -> bytes:
    options: dict[str, Any]
    match plan.content_type:
        case "image/jpeg":
            saver, options = "jpegsave_buffer", {"Q": 100 if plan.mask else plan.quality}
        case "image/webp":
            saver, options = "webpsave_buffer", {"Q": plan.quality, "lossless": plan.mask, **WEBP}
        case _:
            saver, options = "pngsave_buffer", PNG
    data: bytes = getattr(image, saver)(keep="none", **options)
    return data
