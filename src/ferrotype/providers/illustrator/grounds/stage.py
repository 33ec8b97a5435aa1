"""What every ground painter gets and gives, and the helpers they share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from ferrotype.providers.illustrator import props
from ferrotype.providers.illustrator.canvas import Canvas, height_at
from ferrotype.providers.illustrator.colours import darker, lighter, shift
from ferrotype.providers.illustrator.palette import Palette
from ferrotype.providers.illustrator.scene import Scene
from ferrotype.providers.illustrator.skies import Light


@dataclass(frozen=True, slots=True)
class Stage:
    """Where things may go, in fractions of the height.

    Feet stand between `back` and `front`; `horizon` ends the sky; `water` is the band (top,
    bottom) that floats;
    `free` means no ground at all: everything drifts. `soil` is the colour that grows in front of feet and
    `growth` what grows there ("grass", "snow", "sand", "").
    """

    horizon: float
    back: float
    front: float
    soil: str
    growth: str = ""
    water: tuple[float, float] | None = None
    free: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What every painter gets."""

    c: Canvas
    scene: Scene
    palette: Palette
    light: Light
    horizon: float
    rng: random.Random


def trees_along(
    g: Ground,
    line: list[tuple[float, float]],
    n: int,
    size: tuple[float, float],
    colour: str,
    kind: str,
    snow: str | None = None,
) -> None:
    c, rng = g.c, g.rng
    for _ in range(round(n * 0.7) if kind == "round" and n > 10 else n):  # a round crown covers more
        x, h = rng.uniform(-0.02, 1.02) * c.w, rng.uniform(*size) * c.u
        foot = height_at(line, x) + h * 0.06
        tone = shift(colour, light=rng.uniform(-0.03, 0.04))
        if kind == "pine":
            props.pine(c, x, foot, h, tone, snow)
        elif kind == "round":
            props.round_tree(c, x, foot, h * 0.85, tone, rng)
        elif kind == "acacia":
            props.acacia(c, x, foot, h * 0.8, tone)
        else:
            props.palm(c, x, foot, h, tone, rng.choice((-1, 1)) * rng.uniform(0.12, 0.3))


def scatter(g: Ground, top: float, n: int, draw: Callable[[float, float, float], None]) -> None:
    """Calls `draw(x, y, scale)` over the ground from `top` down, denser and smaller to the back."""
    spots = sorted(g.rng.random() ** 1.4 for _ in range(n))
    for v in spots:
        draw(g.rng.uniform(0, g.c.w), (top + (1 - top) * v) * g.c.h, 0.35 + 0.9 * v)


def paths(g: Ground, colour: str) -> None:
    """Long soft strips of light and shade that give the ground its lie."""
    c, rng = g.c, g.rng
    for _ in range(6):
        y = rng.uniform(g.horizon + 0.14, 0.98) * c.h
        x, rx = rng.uniform(0, c.w), rng.uniform(0.25, 0.6) * c.w
        tone = lighter(colour, 0.35) if rng.random() < 0.5 else darker(colour, 0.3)
        ry = c.u * rng.uniform(1.2, 3.2)
        if c.flat:
            c.ellipse(x, y, rx, ry, tone, 0.22)
        else:
            c.ellipse(x, y, rx, ry, soft(c, x, y, rx, tone, 0.3))


def soft(c: Canvas, x: float, y: float, r: float, colour: str, strength: float) -> str:
    return c.radial(x, y, r, ((0, colour, strength), (1, colour, 0)))
