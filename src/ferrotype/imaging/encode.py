"""Writing a picture: what each format can hold, and how hard its encoder tries.

The default qualities look alike. Measured on photographs and drawings of 512 pixels (SSIM of the
luminance): JPEG 80 and AVIF 60 are equal, WebP 80 is a little better; WebP has two thirds of the bytes of
JPEG, AVIF half. So `q` means the same look everywhere: it is on the scale of JPEG and WebP, and the AVIF
encoder is given what looks like that.

Efforts are chosen for answers that somebody waits for:

- WebP 2 takes half the time of libvips's 4 and gives files 3-6 % larger; 1 saves a little more time and
  costs 13-28 %, since it leaves out the trellis of the coefficients.
- AVIF 1 takes three times as long as WebP and a twelfth of libvips's 4; 0 gives up 5-20 % of the bytes.
- JPEG is progressive: 3-6 % smaller on photographs, and there at once on slow lines.
- PNG tries every filter: a quarter smaller than none on photographs, at compression 6; 9 takes five times
  as long for 3 %.
- GIF 3: 7 takes five times as long for 10 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from ferrotype.imaging.vips import Image

#: What JPEG gives at these qualities, AVIF gives at those (SSIM, the mean of four pictures, at effort 1).
AVIF_SCALE: Final = ((1, 1), (30, 33), (40, 40), (60, 47), (80, 60), (90, 77), (100, 100))


@dataclass(frozen=True, slots=True)
class Encoder:
    """One format. `quality` is the default, None where nothing is lost; `scale` leads from what is asked for
    to what the encoder is given. `grey`: it has a form with one channel. `max_side` is in pixels;
    `max_frame_pixels` bounds formats whose encoder cannot be stopped. `xmp`: it writes a packet
    where readers look for it."""

    content_type: str
    saver: str
    options: Mapping[str, Any]
    quality: int | None = None
    scale: Sequence[tuple[int, int]] = ((1, 1), (100, 100))
    alpha: bool = True
    animated: bool = False
    profile: bool = True
    grey: bool = False
    max_side: int = 65_535
    max_frame_pixels: int | None = None
    xmp: bool = True


ENCODERS: Final[Mapping[str, Encoder]] = {
    "jpeg": Encoder(
        "image/jpeg",
        "jpegsave_buffer",
        {"optimize_coding": True, "interlace": True},
        quality=80,
        alpha=False,
        grey=True,
        max_side=65_500,  # libjpeg's own bound
    ),
    "webp": Encoder(
        "image/webp",
        "webpsave_buffer",
        {"effort": 2},
        quality=80,
        animated=True,
        max_side=16_383,  # WebP container specification
    ),
    "avif": Encoder(
        "image/avif",
        "heifsave_buffer",
        {"compression": "av1", "effort": 1, "bitdepth": 8},
        quality=80,
        scale=AVIF_SCALE,
        max_side=16_384,
        max_frame_pixels=10_000_000,  # half a second and 20 MB for each million
    ),
    "png": Encoder(
        "image/png",
        "pngsave_buffer",
        {"compression": 6, "filter": "all"},
        grey=True,
        xmp=False,  # libvips writes a compressed zTXt; XMP part 3, 1.1.5 wants a plain iTXt
    ),
    "gif": Encoder(
        "image/gif",
        "gifsave_buffer",
        {"effort": 3},
        animated=True,
        profile=False,
        max_frame_pixels=4_000_000,  # a second for each million
        xmp=False,
    ),
}
#: The formats that an animation stays one in.
ANIMATED: Final = frozenset(name for name, encoder in ENCODERS.items() if encoder.animated)


def encode(image: Image, encoder: Encoder, *, q: int | None, keep: str) -> bytes:
    """The picture's file. `q` is 1-100, None for the default; of the metadata goes along what `keep` says, in
    libvips's words: `none`, `xmp`, `all`.

    Raises VipsError.
    """
    options = dict(encoder.options)
    if encoder.quality is not None:
        options["Q"] = _scaled(q or encoder.quality, encoder.scale)
    data: bytes = getattr(image, encoder.saver)(keep=keep, **options)
    return data


def _scaled(q: int, scale: Sequence[tuple[int, int]]) -> int:
    """On the straight line between the two points that are nearest."""
    for (low, start), (high, end) in pairwise(scale):
        if q <= high:
            return round(start + (q - low) * (end - start) / (high - low))
    return scale[-1][1]
