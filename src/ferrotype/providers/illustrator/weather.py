"""What falls or drifts in front of everything: rain, snow, fog, lightning, wind."""

from __future__ import annotations

import random

from .canvas import Canvas
from .colours import lighter
from .palette import Palette
from .scene import Scene

INDOORS = frozenset({"room", "table", "studio", "underwater", "space", "moon", "abstract"})


def behind(c: Canvas, scene: Scene, palette: Palette, horizon: float, rng: random.Random) -> None:
    """Lightning and distant fog: drawn on the backdrop, behind the subjects."""
    if scene.setting in INDOORS:
        return
    if "storm" in scene.weather:
        for _ in range(rng.randint(1, 2)):
            _bolt(c, rng.uniform(0.15, 0.85) * c.w, horizon * c.h, rng)
    if "fog" in scene.weather:
        _fog(c, palette, horizon, rng, 0.5)


def front(c: Canvas, scene: Scene, palette: Palette, horizon: float, rng: random.Random) -> bool:
    """What falls in front; False when there is nothing to draw."""
    if scene.setting in INDOORS:
        return False
    drawn = False
    if scene.weather & {"rain", "storm"}:
        slant = c.u * (2.2 if scene.weather & {"wind", "storm"} else 0.8)
        for count, length, width, opacity in ((150, 4.5, 0.16, 0.35), (80, 8.0, 0.28, 0.45)):
            d = ""
            for _ in range(count):
                x, y = rng.uniform(-0.05, 1.1) * c.w, rng.uniform(-0.05, 1) * c.h
                d += f"M{x:.1f},{y:.1f}l{-slant * length / 8:.1f},{c.u * length:.1f}"
            c.stroke(d, "#e6f0fa", c.u * width, opacity)
        drawn = True
    if "snow" in scene.weather:
        for count, low, high, opacity in (
            (120, 0.18, 0.45, 0.75),
            (46, 0.5, 0.95, 0.85),
            (10, 1.2, 2.0, 0.4),
        ):
            for _ in range(count):
                c.circle(
                    rng.uniform(0, c.w), rng.uniform(0, c.h), c.u * rng.uniform(low, high), "#ffffff", opacity
                )
        drawn = True
    if "fog" in scene.weather:
        _fog(c, palette, horizon + 0.16, rng, 0.26)
        drawn = True
    if "wind" in scene.weather:
        for _ in range(9):
            x, y, n = rng.uniform(-0.1, 0.8) * c.w, rng.uniform(0.08, 0.8) * c.h, c.u * rng.uniform(12, 26)
            c.stroke(
                f"M{x:.1f},{y:.1f}q{n * 0.3:.1f},{-c.u * 2:.1f} {n * 0.6:.1f},0t{n * 0.6:.1f}"
                f",{-c.u:.1f}q{c.u * 3:.1f},{-c.u * 3:.1f} {-c.u * 0.5:.1f},{-c.u * 4:.1f}",
                "#ffffff",
                c.u * 0.35,
                0.55,
            )
        for _ in range(14):
            x, y = rng.uniform(0, c.w), rng.uniform(0.2, 0.95) * c.h
            tone = rng.choice(("#d98a2b", "#a8b43f", "#c9572f"))
            c.path(
                f"M{x:.1f},{y:.1f}q{c.u * 1.2:.1f},{-c.u * 1.4:.1f} {c.u * 2.2:.1f},0q{-c.u:.1f}"
                f",{c.u * 1.2:.1f} {-c.u * 2.2:.1f},0z",
                tone,
                0.9,
            )
        drawn = True
    return drawn


def _bolt(c: Canvas, x: float, bottom: float, rng: random.Random) -> None:
    y, d = c.h * 0.02, f"M{x:.1f},{c.h * 0.02:.1f}"
    while y < bottom:
        x, y = x + rng.uniform(-5, 5) * c.u, y + rng.uniform(3, 8) * c.u
        d += f"L{x:.1f},{min(y, bottom):.1f}"
        if rng.random() < 0.25:
            d += f"l{rng.uniform(-9, 9) * c.u:.1f},{rng.uniform(4, 8) * c.u:.1f}M{x:.1f},{y:.1f}"
    for width, colour, opacity in ((3.4, "#b9c8ff", 0.18), (1.5, "#dfe6ff", 0.5), (0.5, "#ffffff", 1.0)):
        c.stroke(d, colour, c.u * width, opacity)


def _fog(c: Canvas, palette: Palette, middle: float, rng: random.Random, strength: float) -> None:
    tone = lighter(palette.haze, 0.35)
    for _ in range(7):
        x, y = rng.uniform(0, c.w), (middle + rng.uniform(-0.14, 0.14)) * c.h
        rx, ry = c.w * rng.uniform(0.3, 0.6), c.u * rng.uniform(4, 10)
        if c.flat:
            c.rect(x - rx, y - ry * 0.5, 2 * rx, ry, tone, strength * 0.7, ry / 2)
        else:
            c.haze(x, y, rx, ry, tone, strength)
