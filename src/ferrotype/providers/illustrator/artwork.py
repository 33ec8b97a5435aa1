"""OpenMoji SVG text: loaded, given a body where it needs one, and recoloured. Text in, text out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import pyvips

from . import bodies
from .colours import darker, from_hls, hls, rgb
from .lexicon import artwork_folder

GRID = 72
_SKIN = "#fcea2b"
_SKIN_SHADOW = "#f1b31c"
#: Skin and hair for people whose colour the prompt leaves open: pairs of (skin, shadow), then hair.
SKINS = (
    ("#fadcbc", "#ddb28e"),
    ("#e0bb95", "#bf8f68"),
    ("#bf8f68", "#9b643d"),
    ("#9b643d", "#594539"),
    ("#6f4a33", "#4a2f20"),
)
HAIRS = ("#3b2a22", "#6a462f", "#a57939", "#e2ab4a", "#1f1d22")
#: Green or blue for a reason: zombie, troll, genie.
_OWN_SKIN = frozenset({"1F9DF", "1F9CC", "1F9DE"})
_CLOTHES = ("#d9534a", "#3f7fbf", "#4f9d69", "#e2a33a", "#8a5fb0", "#e07a9a", "#2f8f93", "#f0e6d2", "#54606e")
_FILL = re.compile(r'fill="(#[0-9a-fA-F]{3,6})"')
_LINE_START = re.compile(r'<g id="line[^"]*"')


@dataclass(frozen=True, slots=True)
class Artwork:
    """One drawing: `colour` and `line` are the markup of its two layers, `height` its viewBox height (width
    72)."""

    layers: tuple[tuple[str, bool], ...]
    height: int

    def markup(self, line: LineStyle) -> str:
        """All layers, the outlines drawn as `line` says."""
        return "".join(line.apply(text) if is_line else text for text, is_line in self.layers)

    def colour_only(self) -> str:
        return "".join(text for text, is_line in self.layers if not is_line)

    def line_only(self) -> str:
        return "".join(text for text, is_line in self.layers if is_line)


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How outlines look: `width` is a factor on OpenMoji's 2 units, `colour` None keeps their black."""

    width: float
    colour: str | None

    def apply(self, markup: str) -> str:
        if self.width != 1.0:
            markup = re.sub(
                r'stroke-width="([\d.]+)"', lambda m: f'stroke-width="{float(m[1]) * self.width:.2f}"', markup
            )
        if self.colour:
            markup = re.sub(r'stroke="#0+"', f'stroke="{self.colour}"', markup)
        return markup


def _inner(code: str) -> str:
    text = (artwork_folder() / f"{code}.svg").read_text(encoding="utf-8")
    return text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]


def _split(inner: str) -> tuple[str, str]:
    """The colour part and the line part of a drawing; a drawing without line groups is all colour."""
    match = _LINE_START.search(inner)
    return (inner[: match.start()], inner[match.start() :]) if match else (inner, "")


def _svg(inner: str, height: int) -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {GRID} {height}" width="{GRID}" height="{height}">{inner}</svg>'
    ).encode()


@lru_cache(maxsize=512)
def _weights(code: str) -> tuple[tuple[str, float], ...]:
    """How much of the drawing each fill really covers, largest first (measured on a small rendering)."""
    colour, _ = _split(_base(code))
    fills = {f.lower() for f in _FILL.findall(colour)}
    palette = {rgb(f): f for f in fills}
    image = pyvips.Image.svgload_buffer(_svg(colour, GRID), scale=0.6)
    data = bytes(image.write_to_memory())
    seen: Counter[str] = Counter()
    for i in range(0, len(data), 4):
        if data[i + 3] > 250:
            fill = palette.get((data[i], data[i + 1], data[i + 2]))
            if fill:
                seen[fill] += 1
    total = sum(seen.values()) or 1
    return tuple((fill, n / total) for fill, n in seen.most_common())


def _base(code: str) -> str:
    if code == "unicorn":
        return bodies.unicorn(_inner("1F40E"))
    if code == "hot-air-balloon":
        return bodies.balloon()
    if code == "tree":
        return bodies.tree()
    return _inner(code)


def dominant(code: str) -> str:
    """The fill that a viewer would name as the colour of this drawing."""
    weights = _weights(code)
    if not weights:
        return "#9b9b9a"

    def interest(item: tuple[str, float]) -> float:
        _, _, saturation = hls(item[0])
        return item[1] * (1.0 if saturation > 0.18 else 0.45)

    return max(weights, key=interest)[0]


def _recolour(markup: str, code: str, base: str, target: str) -> str:
    """`markup` with the family of fills around `base` moved to `target`, their light and dark kept."""
    base_h, base_l, base_s = hls(base)
    target_h, target_l, target_s = hls(target)
    swaps: dict[str, str] = {}
    for fill in {f.lower() for f in _FILL.findall(markup)}:
        h, lightness, s = hls(fill)
        apart = min(abs(h - base_h), 1 - abs(h - base_h))
        same_hue = s > 0.15 and apart < 0.1
        same_grey = s <= 0.18 and abs(lightness - base_l) < 0.4
        if same_hue if base_s > 0.18 else same_grey:
            swaps[fill] = from_hls(target_h, target_l + (lightness - base_l) * 0.8, target_s)
    return _FILL.sub(lambda m: f'fill="{swaps.get(m[1].lower(), m[1])}"', markup)


@lru_cache(maxsize=256)
def load(code: str, place: str, colour: str | None, tone: int) -> Artwork:
    """The drawing `code` as it stands in a scene of ours.

    `tone` picks skin and hair of a person (0-24) and is ignored for everything else.
    """
    inner = _base(code)
    colour_part, line_part = _split(inner)
    if place == "person":
        return _person(code, colour_part, line_part, colour, tone)
    if has_skin(code) and not colour:
        skin, shadow = SKINS[tone % len(SKINS)]
        colour_part = _in_group(colour_part, "skin", {_SKIN: skin, _SKIN_SHADOW: shadow})
    if colour and code not in ("1F30D", "1F30E"):
        colour_part = _recolour(colour_part, code, dominant(code), colour)
    if place == "plush":
        return _plush(code, colour_part, line_part, colour)
    return Artwork(((colour_part, False), (line_part, True)), GRID)


def _person(code: str, colour_part: str, line_part: str, colour: str | None, tone: int) -> Artwork:
    skin, shadow = SKINS[tone % len(SKINS)]
    cloth = _cloth(code)
    wanted = colour or (_CLOTHES[tone % len(_CLOTHES)] if cloth == "#92d3f5" and len(code) == 5 else None)
    if wanted:
        colour_part = _recolour(colour_part, code, cloth, wanted)
        cloth = wanted
    if code not in _OWN_SKIN:
        hair = HAIRS[(tone // len(SKINS) + tone) % len(HAIRS)]
        colour_part = _in_group(colour_part, "skin", {_SKIN: skin, _SKIN_SHADOW: shadow})
        colour_part = _in_group(colour_part, "hair", {_SKIN_SHADOW: hair, "#e27022": hair, "#a57939": hair})
    else:
        skin = dominant(code)
    body = bodies.person(cloth, skin)
    return Artwork((*body, (colour_part, False), (line_part, True)), bodies.PERSON_HEIGHT)


@lru_cache(maxsize=512)
def has_skin(code: str) -> bool:
    """Whether the drawing shows a person whose skin colour may be chosen."""
    return code not in _OWN_SKIN and '<g id="skin">' in _base(code)


def _in_group(markup: str, group: str, swaps: dict[str, str]) -> str:
    """`markup` with fills swapped inside the groups whose id starts with `group` only: crowns stay gold."""
    pieces = re.split(r'(?=<g id=")', markup)
    for i, piece in enumerate(pieces):
        if piece.startswith(f'<g id="{group}'):
            pieces[i] = _FILL.sub(lambda m: f'fill="{swaps.get(m[1].lower(), m[1])}"', piece)
    return "".join(pieces)


@lru_cache(maxsize=256)
def _cloth(code: str) -> str:
    """The colour at the cut of a bust, which its torso has to go on with; unfilled parts are white."""
    colour, _ = _split(_base(code))
    image = pyvips.Image.svgload_buffer(_svg(colour, GRID))
    seen: Counter[str] = Counter()
    for y in (54, 57, 59):
        for x in range(22, 52, 2):
            r, g, b, a = image.getpoint(x, y)
            seen[f"#{int(r):02x}{int(g):02x}{int(b):02x}" if a > 250 else "#f4f4f4"] += 1
    for fill in (_SKIN, _SKIN_SHADOW):
        seen.pop(fill, None)
    return seen.most_common(1)[0][0] if seen else "#5f8fc0"


def _plush(code: str, colour_part: str, line_part: str, colour: str | None) -> Artwork:
    body = bodies.plush(code, dominant(code))
    if colour:
        base = bodies.fur(code) or dominant(code)
        body = [(part if line else _recolour(part, code, base, colour), line) for part, line in body]
    placed = '<g transform="translate(36 34) scale(.94) translate(-36 -36)">'
    face = ((f"{placed}{colour_part}</g>", False), (f"{placed}{line_part}</g>", True))
    return Artwork((*body, *face), bodies.PLUSH_HEIGHT)


def ink(code: str, colour: str | None) -> str:
    """A dark tone of the drawing's own colour, for styles that do not want black outlines."""
    base = colour or dominant(code)
    h, lightness, s = hls(base)
    return darker(from_hls(h, min(lightness, 0.36) * 0.72, s * 0.75), 0.15)


def document(artwork: Artwork, markup: str) -> bytes:
    """`markup` as a whole SVG file on the artwork's own grid."""
    return _svg(markup, artwork.height)
