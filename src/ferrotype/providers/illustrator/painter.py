"""A picture redrawn in brush strokes that follow its forms."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import pyvips


@dataclass(frozen=True, slots=True)
class _Brush:
    """Lengths in hundredths of the shorter side; it paints where the form's force is `least` to `most`."""

    step: float
    width: float
    length: float
    least: float
    most: float
    wander: float
    hairs: bool


_BRUSHES = (
    _Brush(3.1, 4.0, 10.0, 0.0, 90.0, 11.0, True),
    _Brush(2.1, 1.9, 5.2, 22.0, 150.0, 9.0, False),
    _Brush(1.6, 1.0, 2.5, 95.0, 1e9, 5.0, False),
)


class Painter:
    """Redraws a picture as brush strokes that follow its forms."""

    def __init__(self, image: pyvips.Image, rng: random.Random) -> None:
        self.w, self.h, self.rng = image.width, image.height, rng
        self.u = min(self.w, self.h) / 100
        grid = image.resize(208 / max(self.w, self.h))
        self.gw, self.gh = grid.width, grid.height
        self.colours = bytes(grid.write_to_memory())
        grey = grid.colourspace("b-w").gaussblur(1.6).cast("float")
        sobel = pyvips.Image.new_from_array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        slopes = grey.conv(sobel, precision="float").bandjoin(grey.conv(sobel.rot90(), precision="float"))
        self.slopes = memoryview(slopes.cast("float").write_to_memory()).cast("B").cast("f")
        self.phase = rng.uniform(0, 6.28)

    def _at(self, x: float, y: float) -> int:
        gx = min(self.gw - 1, max(0, int(x * self.gw / self.w)))
        gy = min(self.gh - 1, max(0, int(y * self.gh / self.h)))
        return int(gy * self.gw + gx)

    def _angle(self, x: float, y: float, at: int) -> tuple[float, float]:
        """Direction along the form at a point, and how strong the form is there."""
        sx, sy = self.slopes[2 * at], self.slopes[2 * at + 1]
        force = math.hypot(sx, sy)
        if force > 24:
            return math.atan2(sx, -sy), force
        u = 100 * x / self.w, 100 * y / self.h
        return 0.55 * math.sin(u[0] * 0.06 + self.phase) + 0.45 * math.cos(
            u[1] * 0.08 + u[0] * 0.03 - self.phase
        ), force

    def strokes(self) -> bytes:
        """The strokes as one SVG: broad ones everywhere, finer ones where there is form."""
        rng, u = self.rng, self.u
        layers: list[str] = []
        for brush in _BRUSHES:
            pieces: list[str] = []
            step = brush.step * u
            for row in range(math.ceil(self.h / step)):
                for column in range(math.ceil(self.w / step)):
                    x, y = (column + rng.random()) * step, (row + rng.random()) * step
                    at = self._at(x, y)
                    angle, force = self._angle(x, y, at)
                    if brush.least <= force <= brush.most:
                        pieces.append(self._stroke(brush, x, y, angle, self.colours[3 * at : 3 * at + 3]))
            rng.shuffle(pieces)
            layers += pieces
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.w}" '
            f'height="{self.h}">{"".join(layers)}</svg>'
        ).encode()

    def _stroke(self, brush: _Brush, x: float, y: float, angle: float, colour: bytes) -> str:
        """One stroke: a ragged, slightly bent ribbon, and for a broad brush the trace of its hairs.

        Filled polygons rather than stroked paths: they render in half the time.
        """
        rng, random_ = self.rng, self.rng.random
        half = brush.length * self.u * 0.5 * (0.7 + 0.5 * random_())
        dx, dy = math.cos(angle) * half, math.sin(angle) * half
        wide = brush.width * self.u * (0.37 + 0.2 * random_())
        nx, ny = -dy / half * wide, dx / half * wide
        bow = rng.uniform(-0.22, 0.22)
        bx, by = -dy * bow, dx * bow
        tone = rng.uniform(-brush.wander, brush.wander)
        paint = _hex(
            colour[0] + tone + rng.uniform(-5, 5), colour[1] + tone, colour[2] + tone + rng.uniform(-6, 6)
        )
        end, start = 0.85 + 0.3 * random_(), 0.85 + 0.3 * random_()
        d = (
            f"M{x - dx * start + nx * 0.7:.1f},{y - dy * start + ny * 0.7:.1f}"
            f"L{x + bx + nx:.1f},{y + by + ny:.1f} {x + dx * end + nx * 0.6:.1f}"
            f",{y + dy * end + ny * 0.6:.1f} "
            f"{x + dx * 0.93 - nx * 0.1:.1f},{y + dy * 0.93 - ny * 0.1:.1f} "
            f"{x + dx * start - nx * 0.8:.1f},{y + dy * start - ny * 0.8:.1f} {x + bx - nx:.1f}"
            f",{y + by - ny:.1f} "
            f"{x - dx * end - nx * 0.6:.1f},{y - dy * end - ny * 0.6:.1f}z"
        )
        piece = f'<path fill="{paint}" d="{d}"/>'
        if brush.hairs:
            across, trace = rng.uniform(-0.7, 0.7), rng.choice((18, -17))
            ox, oy, tx, ty = nx * across, ny * across, nx * 0.16, ny * 0.16
            hair = _hex(colour[0] + trace, colour[1] + trace, colour[2] + trace)
            piece += (
                f'<path fill="{hair}" d="M{x - dx * 0.8 + ox:.1f},{y - dy * 0.8 + oy:.1f}'
                f"L{x + bx + ox + tx:.1f},{y + by + oy + ty:.1f} {x + dx * 0.8 + ox:.1f}"
                f",{y + dy * 0.8 + oy:.1f} "
                f'{x + bx + ox - tx:.1f},{y + by + oy - ty:.1f}z"/>'
            )
        return piece


def _hex(red: float, green: float, blue: float) -> str:
    return f"#{_clip(red):02x}{_clip(green):02x}{_clip(blue):02x}"


def _clip(value: float) -> int:
    return 0 if value < 0 else 255 if value > 255 else int(value)


def paint(image: pyvips.Image, detail: pyvips.Image | None, rng: random.Random) -> pyvips.Image:
    """`image` in oils: strokes, some of the original let through where `detail` (0-255) asks, and a canvas
    relief."""
    layers = [pyvips.Image.svgload_buffer(Painter(image, rng).strokes())]
    if detail is not None:
        layers.append(image.bandjoin((detail * 0.5).cast("uchar")).copy(interpretation="srgb"))
    stroked = image.composite(layers, ["over"] * len(layers))[0:3].copy_memory()
    # Thick paint catches the light: the slope of the brightness, with 128 as level ground.
    emboss = pyvips.Image.new_from_array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], scale=6, offset=128)
    relief = stroked[1].conv(emboss, precision="integer").copy_memory()
    table = pyvips.Image.identity().cast("float")
    height = ((table - 128) < 22).ifthenelse(((table - 128) > -22).ifthenelse(table - 128, -22), 22) * -0.62
    return (
        (stroked + relief.maplut(height.cast("short")))
        .cast("uchar")
        .copy(interpretation="srgb")
        .copy_memory()
    )
