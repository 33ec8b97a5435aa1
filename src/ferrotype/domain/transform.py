"""The parsed transform of a delivery; its canonical form is the cache key.

The query of a picture's URL is read by `transform_query.parse` and written again by `Transform.canonical`:
the same text for every spelling that gives the same picture. Names and meanings are those that users know
from sharp and imgproxy:

| parameter | value | meaning |
| --- | --- | --- |
| `w`, `h` | pixels | the box; one alone keeps the proportions |
| `fit` | `cover`, `contain`, `inside`, `fill`, `outside` | how the picture meets a box of both sides |
| `gravity` | compass point, `centre`, `attention`, `entropy`, `x,y` | what is kept, or where it stands |
| `enlarge` | `1` | more pixels than there are may be made; without it a small picture stays small |
| `dpr` | 1-4 | multiplies `w` and `h` |
| `crop` | `x,y,width,height` | in pixels of the upright original, before everything else |
| `trim` | 0-254 | cuts off a border of the top left corner's colour, up to so far from it; before scaling |
| `rotate` | degrees, clockwise | after scaling |
| `flip` | `h`, `v`, `hv` | after rotation |
| `blur`, `sharpen` | sigma | in pixels of the result |
| `bg` | `rrggbb`, `rrggbbaa` or a basic CSS name | behind transparency and new edges |
| `watermark` | a name | of the operator's |
| `format` | `auto`, `avif`, `webp`, `jpeg`, `png`, `gif` | the original's where none is named |
| `q` | 1-100 | quality, on the scale of JPEG for every format that loses some |
| `strip` | `0` | keep metadata, and the colours of an RGB profile |
| `preset` | a name | of the operator's; goes with nothing else |
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Final, Literal

from ferrotype.domain.edition import is_signed

#: Goes into every ETag: raise it when the same transform starts to give other bytes.
IMAGING_VERSION: Final = "3"

Fit = Literal["cover", "contain", "inside", "fill", "outside"]
Format = Literal["auto", "avif", "webp", "jpeg", "png", "gif"]
#: A share of width and height, 0-1: what stays in the picture.
Focus = tuple[float, float]
Crop = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Transform:
    """The steps between an original and what is sent. None, and False, leave a step out.

    `w` and `h` are pixels of the result, `dpr` already multiplied; `gravity` is a name or a focal point;
    `bg` is `rrggbb` or `rrggbbaa`; `watermark` is the name with what the mark looks like
    (`Vocabulary.watermarks`). Made by `parse`, so that equal pictures are equal transforms.
    """

    crop: Crop | None = None
    trim: int | None = None
    w: int | None = None
    h: int | None = None
    fit: Fit | None = None
    gravity: str | Focus | None = None
    enlarge: bool = False
    rotate: int | None = None
    flip: str | None = None
    blur: float | None = None
    sharpen: float | None = None
    bg: str | None = None
    watermark: str | None = None
    format: Format | None = None
    q: int | None = None
    strip: bool = True

    def canonical(self) -> str:
        """The same text for every spelling of the same transform; empty for the original."""
        return "&".join(
            f"{each.name}={_written(value)}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        )

    @property
    def is_original(self) -> bool:
        """Whether the original's own bytes are meant."""
        return self == ORIGINAL


ORIGINAL: Final = Transform()


def _written(value: object) -> str:
    match value:
        case bool():
            return str(int(value))
        case tuple():
            return ",".join(_written(each) for each in value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def etag(asset_id: str, name: str = "") -> str:
    """The entity tag, known before the bytes are (RFC 9110, 8.8.3), quotes included. `name` is that of the
    edition, which may be the canonical transform alone, empty for the original. It is strong unless the
    edition is signed."""
    text = f"{asset_id}\n{name}\n{IMAGING_VERSION}"
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    return f"W/{tag}" if is_signed(name) else tag
