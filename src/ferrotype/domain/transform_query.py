"""Reading transforms out of a query; bad values are named with the bound they broke."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform import ORIGINAL, Crop, Focus, Transform

FITS: Final = ("cover", "contain", "inside", "fill", "outside")
FORMATS: Final = ("auto", "avif", "webp", "jpeg", "png", "gif")
COMPASS: Final = (
    "centre", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest",
)  # fmt: skip
#: Focal points in the corners and in the middles of the edges keep what the compass names there.
POINTS: Final[Mapping[Focus, str]] = {
    (0.5, 0.5): "centre", (0.5, 0.0): "north", (1.0, 0.0): "northeast", (1.0, 0.5): "east",
    (1.0, 1.0): "southeast", (0.5, 1.0): "south", (0.0, 1.0): "southwest", (0.0, 0.5): "west",
    (0.0, 0.0): "northwest",
}  # fmt: skip
SMART: Final = ("attention", "entropy")
GRAVITIES: Final = (*COMPASS, *SMART)
#: The sixteen basic colours of CSS Color Level 4 (section 6.1), and `transparent`.
COLORS: Final = {
    "aqua": "00ffff", "black": "000000", "blue": "0000ff", "fuchsia": "ff00ff", "gray": "808080",
    "green": "008000", "lime": "00ff00", "maroon": "800000", "navy": "000080", "olive": "808000",
    "purple": "800080", "red": "ff0000", "silver": "c0c0c0", "teal": "008080", "white": "ffffff",
    "yellow": "ffff00", "transparent": "00000000",
}  # fmt: skip
#: Formats whose encoders know no quality.
LOSSLESS: Final = ("png", "gif")
SPELLINGS: Final = {"center": "centre", "jpg": "jpeg"}
HEX: Final = re.compile(r"[0-9a-f]{6}([0-9a-f]{2})?")
SHORT_HEX: Final = re.compile(r"[0-9a-f]{3,4}")
INTEGER: Final = re.compile(r"[0-9]{1,6}")
NUMBER: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4})?|\.[0-9]{1,4}")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_DPR: Final = 4.0
MAX_BLUR: Final = 250.0
MAX_SHARPEN: Final = 10.0
#: Longest part of a value that a problem repeats.
MAX_SHOWN: Final = 40


@dataclass(frozen=True)
class Vocabulary:
    """What an operator allows: bounds, presets and watermarks by name, sides to snap to."""

    max_side: int = 8192
    max_pixels: int = 40_000_000
    presets: Mapping[str, Transform] = field(default_factory=dict)
    #: name -> the name with what the mark looks like, `logo.3fa9c12b4d5e`: what a transform holds, so that
    #: its canonical form changes with the mark. This spelling is read as well.
    watermarks: Mapping[str, str] = field(default_factory=dict)
    #: Sorted. Widths and heights go up to the next of these; empty: any.
    sides: Sequence[int] = ()


def parse(query: Sequence[tuple[str, str]], known: Vocabulary) -> Transform:
    """The transform of a query's (name, value) pairs, those of other meanings taken out before.

    Raises InvalidField naming the parameter and its limit.
    """
    found: dict[str, str] = {}
    for name, value in query:
        if name not in READERS:
            raise InvalidField(f"There is no parameter {name[:MAX_SHOWN]!r}.", field=name[:MAX_SHOWN])
        if name in found:
            raise InvalidField(f"{name} is given twice.", field=name)
        found[name] = value
    if not found:
        return ORIGINAL
    if "preset" in found:
        if len(found) > 1:
            others = ", ".join(sorted(found.keys() - {"preset"}))
            raise InvalidField(f"A preset goes with no other parameter: {others}.", field="preset")
        return _preset(found["preset"], known)
    values = {name: READERS[name](name, value, known) for name, value in found.items()}
    return tidy(values, known)


def tidy(values: dict[str, Any], known: Vocabulary) -> Transform:
    """The canonical transform of values that were read: what changes nothing is left out."""
    dpr = values.pop("dpr", 1.0)
    if dpr != 1.0 and not values.keys() & {"w", "h"}:
        raise InvalidField("dpr multiplies w and h, and neither is given.", field="dpr")
    for name in ("w", "h"):
        if name in values:
            values[name] = _side(name, values[name], dpr, known)
    transform = replace(ORIGINAL, **values)
    width, height = transform.w, transform.h
    if width and height and width * height > known.max_pixels:
        raise InvalidField(
            f"{width} x {height} pixels are more than {known.max_pixels}.", field="w", limit=known.max_pixels
        )
    changes: dict[str, Any] = {}
    if width is None or height is None:  # there is no box to meet
        changes |= {"fit": None, "gravity": None}
        if transform.fit in ("cover", "contain", "fill"):
            raise InvalidField(f"fit={transform.fit} needs w and h.", field="fit")
        if width is None and height is None:
            changes["enlarge"] = False
    elif transform.fit is None:
        changes["fit"] = "cover"
    fit = changes.get("fit", transform.fit)
    if fit not in ("cover", "contain") or transform.gravity == "centre":
        changes["gravity"] = None
    elif fit == "contain" and transform.gravity in SMART:
        raise InvalidField(
            "fit=contain keeps all of the picture: name a place.", field="gravity", limit=COMPASS
        )
    changes |= _turn(transform.rotate or 0, transform.flip)
    if transform.format in LOSSLESS:
        changes["q"] = None
    transform = replace(transform, **changes)
    # Metadata alone changes no picture: the original has its own.
    return ORIGINAL if transform == replace(ORIGINAL, strip=transform.strip) else transform


def _turn(degrees: int, flip: str | None) -> dict[str, Any]:
    """One spelling for every turn and mirror: both mirrors are half a turn, and a mirrored picture is turned
    by less than half."""
    if flip == "hv":
        degrees, flip = degrees + 180, None
    elif flip is not None and degrees >= 180:
        degrees, flip = degrees - 180, "v" if flip == "h" else "h"
    return {"rotate": degrees % 360 or None, "flip": flip}


def _preset(value: str, known: Vocabulary) -> Transform:
    transform = known.presets.get(value)
    if transform is None:
        raise InvalidField(
            f"There is no preset {value[:MAX_SHOWN]!r}.", field="preset", limit=sorted(known.presets)
        )
    return transform


def _side(name: str, value: int, dpr: float, known: Vocabulary) -> int:
    side = max(1, round(value * dpr))
    if known.sides:
        side = next((each for each in known.sides if each >= side), known.sides[-1])
    if side > known.max_side:
        raise InvalidField(f"{name} is at most {known.max_side} pixels.", field=name, limit=known.max_side)
    return side


# Readers of single values: (name, text, vocabulary) -> value


def _integer(low: int, high: int | None) -> Callable[[str, str, Vocabulary], int]:
    def read(name: str, text: str, known: Vocabulary) -> int:
        most = known.max_side if high is None else high
        if not INTEGER.fullmatch(text) or not low <= int(text) <= most:
            raise _wrong(name, text, f"a whole number from {low} to {most}", [low, most])
        return int(text)

    return read


def _number(low: float, high: float) -> Callable[[str, str, Vocabulary], float]:
    def read(name: str, text: str, known: Vocabulary) -> float:
        if not NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise _wrong(name, text, f"a number from {low:g} to {high:g}", [low, high])
        return round(float(text), 2)

    return read


def _one_of(choices: Sequence[str]) -> Callable[[str, str, Vocabulary], str]:
    def read(name: str, text: str, known: Vocabulary) -> str:
        value = SPELLINGS.get(text, text)
        if value not in choices:
            raise _wrong(name, text, f"one of {', '.join(choices)}", list(choices))
        return value

    return read


def _flag(name: str, text: str, known: Vocabulary) -> bool:
    if text not in ("0", "1"):
        raise _wrong(name, text, "0 or 1", [0, 1])
    return text == "1"


def _gravity(name: str, text: str, known: Vocabulary) -> str | Focus:
    x, comma, y = text.partition(",")
    if not comma:
        return _one_of(GRAVITIES)(name, text, known)
    share = _number(0, 1)
    found = share(name, x, known), share(name, y, known)
    return POINTS.get(found, found)


def _crop(name: str, text: str, known: Vocabulary) -> Crop:
    parts = text.split(",")
    if len(parts) != 4 or not all(INTEGER.fullmatch(part) for part in parts):
        raise _wrong(name, text, "x,y,width,height in pixels", "x,y,width,height")
    x, y, width, height = map(int, parts)
    if not (width and height):
        raise _wrong(name, text, "of at least one pixel", 1)
    return x, y, width, height


def _flip(name: str, text: str, known: Vocabulary) -> str:
    return "hv" if text == "vh" else _one_of(("h", "v", "hv"))(name, text, known)


def _rotate(name: str, text: str, known: Vocabulary) -> int:
    return _integer(0, 360)(name, text, known) % 360


def _color(name: str, text: str, known: Vocabulary) -> str:
    value = text.lower().removeprefix("#")
    value = COLORS.get(value, value)
    if SHORT_HEX.fullmatch(value):
        value = "".join(2 * digit for digit in value)
    if not HEX.fullmatch(value):
        raise _wrong(name, text, "rrggbb, rrggbbaa or a basic CSS colour", "rrggbb")
    return value.removesuffix("ff") if len(value) == 8 else value


def _watermark(name: str, text: str, known: Vocabulary) -> str:
    found = known.watermarks.get(text)
    if found is None and text in known.watermarks.values():  # a canonical form, read again
        found = text
    if found is None:
        raise _wrong(name, text, "the name of a watermark", sorted(known.watermarks))
    return found


def _text(name: str, text: str, known: Vocabulary) -> str:
    return text


def _wrong(name: str, text: str, wanted: str, limit: Any) -> InvalidField:
    return InvalidField(f"{name}={text[:MAX_SHOWN]!r}: {wanted} is wanted.", field=name, limit=limit)


READERS: Final[Mapping[str, Callable[[str, str, Vocabulary], Any]]] = {
    "crop": _crop,
    "trim": _integer(0, 254),
    "w": _integer(1, None),
    "h": _integer(1, None),
    "fit": _one_of(FITS),
    "gravity": _gravity,
    "enlarge": _flag,
    "dpr": _number(1, MAX_DPR),
    "rotate": _rotate,
    "flip": _flip,
    "blur": _number(0.3, MAX_BLUR),
    "sharpen": _number(0.1, MAX_SHARPEN),
    "bg": _color,
    "watermark": _watermark,
    "format": _one_of(FORMATS),
    "q": _integer(1, 100),
    "strip": _flag,
    "preset": _text,
}
#: Every parameter that changes the picture.
NAMES: Final = frozenset(READERS)
