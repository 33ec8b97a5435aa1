"""Where a picture comes to lie: boxes, fits and gravity. Arithmetic only, in whole pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ferrotype.domain.transform import Focus, Transform
from ferrotype.domain.transform_query import POINTS

Size = tuple[int, int]
#: Each compass point as the shares of the free space that are left and above.
COMPASS: Final[Mapping[str, Focus]] = {name: shares for shares, name in POINTS.items()}


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, pixels from its top left corner."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return self.width, self.height

    def within(self, outer: Size) -> bool:
        """Whether all of it lies in a picture of that size."""
        return self.left + self.width <= outer[0] and self.top + self.height <= outer[1]


@dataclass(frozen=True, slots=True)
class Layout:
    """The picture is scaled to `scaled`; `window` of that is kept, and stands on a canvas of size `canvas`.
    All as shown. The three are equal where nothing is cut off or added."""

    scaled: Size
    window: Size
    canvas: Size


def lay_out(source: Size, transform: Transform) -> Layout:
    """How a picture of that size meets the transform's box.

    Without `enlarge` no side is made longer: `cover` and `fill` then keep the proportions of the box and
    not its size, `contain` keeps the size and leaves more of it empty, the others give the picture as it is.
    """
    if transform.w is None or transform.h is None:
        return _same(_times(source, _to_one_side(source, transform)))
    box = transform.w, transform.h
    ratios = box[0] / source[0], box[1] / source[1]
    match transform.fit:
        case "inside":
            return _same(_times(source, _bounded(min(ratios), transform)))
        case "outside":
            return _same(_times(source, _bounded(max(ratios), transform)))
        case "fill":
            return _same(box if transform.enlarge else _times(box, min(1, 1 / max(ratios))))
        case "contain":
            scaled = _times(source, _bounded(min(ratios), transform))
            # Nothing sticks out of the canvas, however the sides were rounded.
            scaled = min(scaled[0], box[0]), min(scaled[1], box[1])
            return Layout(scaled, scaled, box)
        case _:
            scale = max(ratios)
            if scale > 1 and not transform.enlarge:
                box, scale = _times(box, 1 / scale), 1.0
            scaled = _times(source, scale)
            return Layout((max(scaled[0], box[0]), max(scaled[1], box[1])), box, box)


def placed(outer: Size, inner: Size, gravity: str | Focus | None, *, keep: bool) -> tuple[int, int]:
    """Left and top of a box of the size `inner` in one of the size `outer`.

    A compass point shares out the free space. So does a focal point, unless `keep` is true: then the box
    is the one around that point of `outer`, moved inside where it would stick out.
    """
    if isinstance(gravity, tuple) and keep:
        left, top = (
            min(max(math.floor(share * whole - part / 2 + 0.5), 0), whole - part)
            for share, whole, part in zip(gravity, outer, inner, strict=True)
        )
        return left, top
    shares = gravity if isinstance(gravity, tuple) else COMPASS[gravity or "centre"]
    left, top = (
        math.floor(share * (whole - part)) for share, whole, part in zip(shares, outer, inner, strict=True)
    )
    return left, top


def stored(box: Box, shown: Size, orientation: int) -> Box:
    """The same part in the picture as it is stored, before its EXIF orientation (1-8) is applied; `shown`
    is the size after it."""
    x, y = box.left, box.top
    from_right, from_bottom = shown[0] - x - box.width, shown[1] - y - box.height
    left, top = {
        2: (from_right, y),
        3: (from_right, from_bottom),
        4: (x, from_bottom),
        5: (y, x),
        6: (y, from_right),
        7: (from_bottom, from_right),
        8: (from_bottom, x),
    }.get(orientation, (x, y))
    return Box(left, top, *turned(box.size, orientation))


def turned(size: Size, orientation: int) -> Size:
    """Width and height, exchanged where the orientation lays the picture on its side."""
    return (size[1], size[0]) if orientation >= 5 else size


def rotated(size: Size, degrees: int | None) -> Size:
    """The box around a rotated picture."""
    if not degrees:
        return size
    turn = math.radians(degrees)
    sin, cos = abs(math.sin(turn)), abs(math.cos(turn))
    # A hair less, so that a right angle adds nothing.
    return (
        math.ceil(size[0] * cos + size[1] * sin - 1e-6),
        math.ceil(size[0] * sin + size[1] * cos - 1e-6),
    )


def _same(size: Size) -> Layout:
    return Layout(size, size, size)


def _to_one_side(source: Size, transform: Transform) -> float:
    if transform.w is not None:
        return _bounded(transform.w / source[0], transform)
    return _bounded(transform.h / source[1], transform) if transform.h is not None else 1.0


def _bounded(scale: float, transform: Transform) -> float:
    return scale if transform.enlarge else min(1.0, scale)


def _times(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
