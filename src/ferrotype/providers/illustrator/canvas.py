"""A small SVG writer: shapes in pixel coordinates, gradients made on demand, every number formatted here."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence

from .colours import darker, lighter, mix

Point = tuple[float, float]
Stop = tuple[float, str, float]


class Canvas:
    """Collects shapes. `flat` refuses gradients; `clay` rounds and shades everything.

    `u` is a hundredth of the shorter side, the unit that keeps a scene alike at every size.
    """

    def __init__(
        self, width: int, height: int, *, flat: bool = False, clay: bool = False, light_x: float = 0.3
    ) -> None:
        self.w, self.h = float(width), float(height)
        self.u = min(width, height) / 100
        self.flat, self.clay, self.light_x = flat, clay, light_x
        self._defs: list[str] = []
        self._body: list[str] = []

    def document(self) -> bytes:
        """The whole SVG file."""
        w, h = round(self.w), round(self.h)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}">'
            f"<defs>{''.join(self._defs)}</defs>{''.join(self._body)}</svg>"
        ).encode()

    def _paint(self, markup: str) -> str:
        name = f"p{len(self._defs)}"
        self._defs.append(markup.replace("@", name, 1))
        return f"url(#{name})"

    def vertical(self, stops: Sequence[str], top: float, bottom: float) -> str:
        """A top-to-bottom gradient over these y coordinates; the middle colour where the canvas is flat."""
        if self.flat:
            return stops[len(stops) // 2]
        step = 1 / max(1, len(stops) - 1)
        body = "".join(f'<stop offset="{i * step:.3f}" stop-color="{c}"/>' for i, c in enumerate(stops))
        return self._paint(
            f'<linearGradient id="@" gradientUnits="userSpaceOnUse" x1="0" y1="{top:.1f}" x2="0" '
            f'y2="{bottom:.1f}">'
            f"{body}</linearGradient>"
        )

    def radial(self, cx: float, cy: float, r: float, stops: Iterable[Stop]) -> str:
        """A radial gradient of (offset, colour, opacity) stops."""
        body = "".join(
            f'<stop offset="{o:.3f}" stop-color="{c}" stop-opacity="{a:.3f}"/>' for o, c, a in stops
        )
        return self._paint(
            f'<radialGradient id="@" gradientUnits="userSpaceOnUse" cx="{cx:.1f}" cy="{cy:.1f}" r="{r:.1f}">'
            f"{body}</radialGradient>"
        )

    def rect(
        self, x: float, y: float, w: float, h: float, fill: str, opacity: float = 1.0, rx: float = 0.0
    ) -> None:
        self._body.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{rx:.1f}" '
            f'fill="{fill}"{_o(opacity)}/>'
        )

    def circle(self, x: float, y: float, r: float, fill: str, opacity: float = 1.0) -> None:
        self._body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.2f}" fill="{fill}"{_o(opacity)}/>')

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: str, opacity: float = 1.0) -> None:
        self._body.append(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}"{_o(opacity)}/>'
        )

    def polygon(self, points: Iterable[Point], fill: str, opacity: float = 1.0) -> None:
        d = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points) + "z"
        self.path(d, fill, opacity)

    def path(self, d: str, fill: str, opacity: float = 1.0) -> None:
        self._body.append(f'<path d="{d}" fill="{fill}"{_o(opacity)}/>')

    def stroke(self, d: str, colour: str, width: float, opacity: float = 1.0) -> None:
        fade = f' stroke-opacity="{opacity:.3f}"' if opacity < 1 else ""
        self._body.append(
            f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width:.2f}" stroke-linecap="round" '
            f'stroke-linejoin="round"{fade}/>'
        )

    def glow(self, x: float, y: float, r: float, colour: str, strength: float = 0.8) -> None:
        """Light that fades out from a point."""
        self.circle(
            x,
            y,
            r,
            self.radial(x, y, r, ((0, colour, strength), (0.35, colour, strength * 0.4), (1, colour, 0))),
        )

    def ball(self, x: float, y: float, r: float, colour: str) -> None:
        """A round volume: foliage, planets, puffs."""
        if self.flat:
            self.circle(x, y, r, colour)
            return
        side = -0.35 if self.light_x < 0.5 else 0.35
        near, far = (0.42, 0.42) if self.clay else (0.2, 0.26)
        stops = ((0, lighter(colour, near), 1.0), (0.55, colour, 1.0), (1, darker(colour, far), 1.0))
        self.circle(x, y, r, self.radial(x + r * side, y - r * 0.4, r * 1.45, stops))

    def haze(self, x: float, y: float, rx: float, ry: float, colour: str, strength: float) -> None:
        """A bank of mist: a wide, low, soft ellipse."""
        fill = self.radial(x, y, rx, ((0, colour, strength), (0.5, colour, strength * 0.7), (1, colour, 0)))
        self._body.append(
            f'<g transform="translate(0 {y:.1f}) scale(1 {ry / rx:.4f}) translate(0 {-y:.1f})">'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{rx:.1f}" fill="{fill}"/></g>'
        )

    def layer(self, top: Sequence[Point], colours: tuple[str, str], bottom: float | None = None) -> None:
        """Land below the line `top`, its two colours from the crest to the foot."""
        low = self.h if bottom is None else bottom
        crest = min(y for _, y in top)
        points = [*top, (top[-1][0], low), (top[0][0], low)]
        if self.clay:  # a soft shadow on what lies behind makes layers of clay out of silhouettes
            for step, opacity in ((1.6, 0.05), (1.0, 0.07), (0.5, 0.1)):
                self.polygon([(x, y - step * self.u) for x, y in points], "#0b1030", opacity)
        if self.flat:
            self.polygon(points, mix(*colours, 0.35))
            return
        reach = min(low, crest + max(self.h * 0.3, (low - crest) * 0.9))
        stops = (lighter(colours[0], 0.25), *colours) if self.clay else colours
        self.polygon(points, self.vertical(stops, crest, reach))


def _o(opacity: float) -> str:
    return f' fill-opacity="{opacity:.3f}"' if opacity < 1 else ""


def waves(
    w: float, y: float, amplitude: float, rng: random.Random, pieces: int = 72, rough: float = 1.0
) -> list[Point]:
    """A rolling line across the width."""
    terms = [
        (rng.uniform(0.5, 1.4) * f, rng.uniform(0, 6.28), a)
        for f, a in ((1, 0.6), (2.3, 0.28 * rough), (5.1, 0.12 * rough))
    ]
    return [
        (w * i / pieces, y + amplitude * sum(a * math.sin(f * 6.28 * i / pieces + p) for f, p, a in terms))
        for i in range(pieces + 1)
    ]


def crags(w: float, y: float, amplitude: float, rng: random.Random, depth: int = 6) -> list[Point]:
    """A broken mountain line across the width (midpoint displacement); `y` is its foot."""
    line = [
        rng.uniform(0.0, 0.6),
        rng.uniform(0.3, 1.0),
        rng.uniform(0.0, 0.5),
        rng.uniform(0.3, 1.0),
        rng.uniform(0, 0.6),
    ]
    spread = 0.3
    for _ in range(depth - 2):
        finer = []
        for a, b in itertools.pairwise(line):
            finer += [a, (a + b) / 2 + rng.uniform(-spread, spread) * 0.5]
        line = [*finer, line[-1]]
        spread *= 0.52
    n = len(line) - 1
    return [(w * i / n, y - amplitude * max(0.0, v)) for i, v in enumerate(line)]


def height_at(line: Sequence[Point], x: float) -> float:
    """The y of a line from `waves` or `crags` at `x` (nearest vertex)."""
    width = line[-1][0] or 1.0
    index = round((len(line) - 1) * min(1.0, max(0.0, x / width)))
    return line[index][1]
