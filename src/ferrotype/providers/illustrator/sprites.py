"""Subjects as pictures: trimmed, filled, shaded, lit. Each function takes and gives RGBA `pyvips` images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pyvips

from . import artwork
from .looks import Look
from .palette import RGB
from .vocabulary import codes

#: Drawings whose holes are holes; every other closed outline is filled with paper white.
_OPEN = codes(
    "1F6B2 1F48D 1F453 1F3A7 26D3 1F517 1F369 1F968 1F578 1F3B5 1F3B6 1F3BC 1F3FB 1F945 1F94D 1F3F8 "
    "1F9AF 1F4FF 1F3A1 "
    "1F3A2 1F6B4 1F3C3 1F483 1F57A 1F93A 1F939 1FA81 1F3A3 2604 1F320 1F387 1F386 1F33C 1F339 1F3F9 "
    "2697 1F490 1F3D7 "
    "1F32A 1F6F4 E200 1F6F7 1F333 1F331 1F33F 1F1E6 1F52D 1F9DC-200D-2640-FE0F 1F9DC-200D-2642-FE0F 1F6DD"
)
#: Drawings that bring their own strip of water or lawn: how much of their height to leave out at the bottom.
_PLINTHS: dict[str, float] = {"E212": 0.14, "E205": 0.07, "E20A": 0.07}


@dataclass(frozen=True, slots=True)
class Outline:
    """The drawn part of an artwork in its own grid units."""

    left: float
    top: float
    width: float
    height: float

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


@lru_cache(maxsize=512)
def outline(code: str, place: str) -> Outline:
    """Where the drawing has ink, measured once on a small rendering."""
    drawing = artwork.load(code, place, None, 0)
    whole = drawing.markup(artwork.LineStyle(1.0, None))
    alpha = pyvips.Image.svgload_buffer(artwork.document(drawing, whole), scale=2)[3]
    left, top, width, height = alpha.find_trim(background=[0], threshold=60)
    if width < 4 or height < 4:
        return Outline(0, 0, 72, 72)
    keep = 1 - _PLINTHS.get(code, 0.0)
    return Outline(left / 2 - 0.25, top / 2 - 0.25, width / 2 + 0.5, (height / 2 + 0.5) * keep)


def aspect(code: str, place: str) -> float:
    """Width over height of the drawn part."""
    return outline(code, place).aspect


def _raster(markup: str, box: Outline, width: float) -> pyvips.Image:
    scale = width / box.width
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box.left} {box.top} {box.width} {box.height}" '
        f'width="{max(1, round(box.width * scale))}" '
        f'height="{max(1, round(box.height * scale))}">{markup}</svg>'
    )
    return pyvips.Image.svgload_buffer(text.encode()).copy_memory()


def _filled(image: pyvips.Image) -> pyvips.Image:
    """`image` with everything its outlines enclose backed by paper white."""
    solid = (image[3] > 150).ifthenelse(255, 0).cast("uchar").embed(1, 1, image.width + 2, image.height + 2)
    outside = solid.copy_memory().draw_flood([128], 0, 0).copy_memory() == 128
    inside = outside.invert().crop(1, 1, image.width, image.height)
    ink = image[3] / 255
    rgb = image[0:3] * ink + (1 - ink) * [246, 244, 240]
    alpha = (image[3] > inside).ifthenelse(image[3], inside)
    # Half-covered pixels at the rim keep their own colour: only what is enclosed gets paper behind it.
    rgb = (inside > 0).ifthenelse(rgb.cast("uchar"), image[0:3])
    return rgb.bandjoin(alpha).copy(interpretation="srgb").copy_memory()


def render(code: str, place: str, colour: str | None, tone: int, width: float, look: Look) -> pyvips.Image:
    """The subject at `width` pixels in the outlines of `look`, flat: no light yet."""
    drawing = artwork.load(code, place, colour, tone)
    box = outline(code, place)
    image = _raster(drawing.markup(look.line(artwork.ink(code, colour), code in _OPEN)), box, width)
    return image if code in _OPEN else _filled(image)


def shaded(
    image: pyvips.Image,
    code: str,
    place: str,
    look: Look,
    light: RGB,
    side: float,
    depth: tuple[str, float],
    *,
    flipped: bool = False,
) -> pyvips.Image:
    """`image` under the scene's light; `side` is -1 with the light on the left, 1 on the right.

    `depth` fades it towards a haze colour (colour, 0-1); `flipped` says that it was mirrored already.
    """
    haze = [int(depth[0][i : i + 2], 16) * depth[1] for i in (1, 3, 5)]
    keep = [channel * (1 - depth[1]) for channel in light]
    rgb = image[0:3]
    if look.relief:
        shade, shine = relief_of(code, place, flipped, look, side)
        rgb = rgb * (_fit(shade, image) * keep)
        if look.gloss:
            rgb = rgb + _fit(shine, image) * (255 * look.gloss)
    elif keep != [1.0, 1.0, 1.0]:
        rgb = rgb * keep
    if any(haze):
        rgb = rgb + haze
    return rgb.cast("uchar").bandjoin(image[3]).copy(interpretation="srgb").copy_memory()


def _fit(small: pyvips.Image, image: pyvips.Image) -> pyvips.Image:
    grown = small.resize(image.width / small.width, vscale=image.height / small.height, kernel="linear")
    return grown.gravity("centre", image.width, image.height, extend="copy")


#: Pixels on the longer side of a height map: shading is soft, so it needs few.
_RELIEF_SIDE = 144


@lru_cache(maxsize=96)
def relief_of(
    code: str, place: str, flipped: bool, look: Look, side: float
) -> tuple[pyvips.Image, pyvips.Image]:
    """Diffuse factor and shine of a drawing, small; they do not depend on the size it is drawn at."""
    box = outline(code, place)
    width = min(_RELIEF_SIDE, _RELIEF_SIDE * box.aspect)
    drawing = artwork.load(code, place, None, 0)
    solid = _raster(drawing.markup(look.line("#000000")), box, width)
    alpha = (solid if code in _OPEN else _filled(solid))[3]
    lines = _raster(drawing.line_only(), box, width)[3]
    if flipped:
        alpha, lines = alpha.fliphor(), lines.fliphor()
    return _relief(_height_map(alpha.cast("float") / 255, lines), look, side)


def _height_map(alpha: pyvips.Image, lines: pyvips.Image) -> pyvips.Image:
    """A pillow over every outlined part, about 0-2: parts swell between outlines, and the whole a little."""
    size = max(alpha.width, alpha.height)
    parts = (alpha * (1 - lines * (0.85 / 255))).copy_memory()
    soft = parts.gaussblur(size * 0.022).copy_memory()
    wide = soft.gaussblur(size * 0.045).copy_memory()
    whole = alpha.resize(0.5, kernel="linear").gaussblur(size * 0.05)
    whole = whole.resize(alpha.width / whole.width, vscale=alpha.height / whole.height, kernel="linear")
    whole = whole.gravity("centre", alpha.width, alpha.height, extend="copy")
    return (soft * 0.6 + wide * 0.8 + whole * 0.9).copy_memory()


def _relief(bump: pyvips.Image, look: Look, side: float) -> tuple[pyvips.Image, pyvips.Image]:
    """Diffuse factor (around 1) and shine (0-1) of a height map lit from above on one side."""
    sobel = pyvips.Image.new_from_array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], scale=8)
    gain = bump.width * 0.16
    gx = (bump.conv(sobel, precision="float") * gain).copy_memory()
    gy = (bump.conv(sobel.rot90(), precision="float") * gain).copy_memory()
    lx, ly, lz = 0.5 * side, -0.62, 0.6
    length = ((gx * gx + gy * gy + 1) ** 0.5).copy_memory()
    # The surface leans down-slope: its normal is (-gx, -gy, 1) / length.
    facing = (gx * -lx + gy * -ly + lz) / length
    shade = (facing - lz) * (0.72 * look.relief) + 1.0
    shade = (shade > 0.5).ifthenelse(shade, shade * 0.5 + 0.25)
    shade = (shade < 1.42).ifthenelse(shade, 1.42)
    if look.rim:
        back = (gx * lx * 1.2 + gy * -0.25) / length - 0.42
        shade = shade + (back > 0).ifthenelse(back, 0) * look.rim
    if not look.gloss:
        return shade.copy_memory(), shade
    hx, hy, hz = lx * 0.55, ly * 0.55, 1.0
    norm = (hx * hx + hy * hy + hz * hz) ** 0.5
    half = (gx * -hx + gy * -hy + hz) / (length * norm)
    power = 26 if look.gloss > 0.5 else 9
    level = (hz / norm) ** power
    shine = ((half > 0).ifthenelse(half, 0) ** power - level * 1.05) / (1 - level)
    return shade.copy_memory(), (shine > 0).ifthenelse(shine, 0).copy_memory()
