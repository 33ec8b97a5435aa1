"""The sky: gradient or bands, sun or moon, stars, aurora, rainbow, clouds."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from . import props
from .canvas import Canvas
from .colours import lighter, mix
from .palette import Palette
from .scene import Scene


@dataclass(frozen=True, slots=True)
class Light:
    """Where the light comes from, in fractions of the picture; `visible` when a disc is drawn there."""

    x: float
    y: float
    visible: bool
    radius: float


def light_of(scene: Scene, rng: random.Random, horizon: float) -> Light:
    """Sun or moon: high by day, at the horizon at sunset, out of the subjects' way."""
    x = rng.choice((rng.uniform(0.14, 0.34), rng.uniform(0.66, 0.86)))
    wants = bool(scene.sky & {"moon", "crescent", "sun"})
    if scene.hour in ("sunset", "golden") and not scene.sky & {"moon", "crescent"}:
        return Light(rng.uniform(0.2, 0.8), horizon - rng.uniform(0.02, 0.1), True, 0.085)
    visible = wants or (scene.hour == "night" and rng.random() < 0.75) or rng.random() < 0.45
    if scene.weather & {"rain", "storm", "fog", "snow"} and not wants:
        visible = False
    size = 0.115 if scene.sky & {"moon", "crescent"} else 0.06
    return Light(x, min(0.2, horizon * 0.42) + rng.uniform(-0.02, 0.04), visible, size)


def paint(
    c: Canvas, scene: Scene, palette: Palette, light: Light, horizon: float, rng: random.Random
) -> None:
    """The whole sky down to the horizon (a fraction of the height)."""
    hy = horizon * c.h
    lx, ly, r = light.x * c.w, light.y * c.h, light.radius * min(c.w, c.h * 1.4)
    if c.flat:
        _bands(c, palette, light, hy)
    else:
        c.rect(0, 0, c.w, c.h, c.vertical(palette.sky, 0, hy * 1.05))
    if palette.night or "stars" in scene.sky:
        _stars(c, hy, rng, many="stars" in scene.sky)
    if "aurora" in scene.sky:
        _aurora(c, hy, rng)
    if light.visible:
        _disc(c, scene, palette, lx, ly, r)
    if "rainbow" in scene.sky:
        _rainbow(c, hy, rng)
    _clouds(c, scene, palette, hy, light, rng)
    _birds(c, scene, palette, hy, scene.rng("flock"))


def _bands(c: Canvas, palette: Palette, light: Light, hy: float) -> None:
    stops = palette.sky
    cx, cy = light.x * c.w, min(light.y * c.h, hy)
    c.rect(0, 0, c.w, c.h, stops[0])
    reach = math.hypot(max(cx, c.w - cx), max(cy, hy)) * 1.02
    for k in range(1, 6):
        t = k / 5 * (len(stops) - 1)
        i = min(len(stops) - 2, int(t))
        c.circle(cx, cy, reach * (1 - k / 6.2), mix(stops[i], stops[i + 1], t - i))


def _stars(c: Canvas, hy: float, rng: random.Random, many: bool) -> None:
    n = 170 if many else 90
    for _ in range(n):
        x, y = rng.uniform(0, c.w), rng.uniform(0, hy) ** 1.0
        c.circle(
            x,
            y,
            c.u * rng.uniform(0.08, 0.22),
            rng.choice(("#ffffff", "#dfe8ff", "#fff2cf")),
            rng.uniform(0.35, 1.0),
        )
    for _ in range(9 if many else 4):
        x, y, s = rng.uniform(0, c.w), rng.uniform(0, hy * 0.8), c.u * rng.uniform(0.7, 1.5)
        k = s * 0.12
        c.path(
            f"M{x:.1f},{y - s:.1f}L{x + k:.1f},{y - k:.1f}L{x + s:.1f},{y:.1f}L{x + k:.1f}"
            f",{y + k:.1f}L{x:.1f},{y + s:.1f}"
            f"L{x - k:.1f},{y + k:.1f}L{x - s:.1f},{y:.1f}L{x - k:.1f},{y - k:.1f}"
            f"z",
            "#ffffff",
            0.9,
        )


def _aurora(c: Canvas, hy: float, rng: random.Random) -> None:
    for tone in ("#4dffb4", "#48e0d0", "#a56bff"):
        base, amplitude, phase = hy * rng.uniform(0.4, 0.68), hy * 0.12, rng.uniform(0, 6)
        for k in range(56):
            x = c.w * k / 55
            y = (
                base
                + amplitude * math.sin(k * 0.16 + phase)
                + amplitude * 0.4 * math.sin(k * 0.43 + phase * 2)
            )
            tall = hy * (0.3 + 0.12 * math.sin(k * 0.9 + phase))
            if c.flat:
                c.rect(x, y - tall, c.w / 54, tall, tone, 0.16)
            elif k % 2 == 0:
                c.ellipse(
                    x,
                    y - tall / 2,
                    c.w / 30,
                    tall / 1.4,
                    c.radial(x, y - tall * 0.2, tall * 0.7, ((0, tone, 0.32), (1, tone, 0))),
                )


def _disc(c: Canvas, scene: Scene, palette: Palette, x: float, y: float, r: float) -> None:
    if palette.night or scene.sky & {"moon", "crescent"}:
        props.moon_disc(c, x, y, r, palette.sun, "crescent" in scene.sky, palette.sky[0])
        return
    low = scene.hour in ("sunset", "golden")
    if c.flat:
        c.circle(x, y, r * 1.5, palette.sun, 0.35)
    else:
        c.glow(x, y, r * (7 if low else 5), palette.sun, 0.75 if low else 0.55)
    if c.clay:
        c.ball(x, y, r, "#ffd65c")
    else:
        c.circle(x, y, r, lighter(palette.sun, 0.5) if not c.flat else "#ffd84a")


def _rainbow(c: Canvas, hy: float, rng: random.Random) -> None:
    cx, r = c.w * rng.uniform(0.4, 0.6), max(hy * 0.86, c.w * 0.34)
    thick = r * 0.035
    for k, tone in enumerate(("#e8413c", "#f59a2e", "#f7df47", "#58b953", "#3f8fe0", "#7a55c7")):
        rr = r - k * thick
        c.stroke(
            f"M{cx - rr:.1f},{hy + r * 0.08:.1f}A{rr:.1f},{rr:.1f} 0 0 1 {cx + rr:.1f},{hy + r * 0.08:.1f}",
            tone,
            thick * 1.08,
            0.8 if c.flat or c.clay else 0.5,
        )


def _birds(c: Canvas, scene: Scene, palette: Palette, hy: float, rng: random.Random) -> None:
    """A far flock over a landscape that has nobody else in it."""
    if scene.subjects or scene.weather or palette.night or rng.random() < 0.3:
        return
    x, y = rng.uniform(0.2, 0.7) * c.w, rng.uniform(0.3, 0.6) * hy
    for _ in range(rng.randint(4, 8)):
        bx, by, s = x + rng.uniform(-12, 12) * c.u, y + rng.uniform(-6, 6) * c.u, c.u * rng.uniform(0.7, 1.5)
        c.stroke(
            f"M{bx - s:.1f},{by - s * 0.4:.1f}Q{bx - s * 0.4:.1f},{by - s * 0.6:.1f} {bx:.1f},{by:.1f}"
            f"Q{bx + s * 0.4:.1f},{by - s * 0.6:.1f} {bx + s:.1f},{by - s * 0.4:.1f}",
            mix(palette.sky[0], "#1a1c2c", 0.6),
            s * 0.2,
        )


def _clouds(c: Canvas, scene: Scene, palette: Palette, hy: float, light: Light, rng: random.Random) -> None:
    heavy = bool(scene.weather & {"clouds", "storm", "rain"})
    n = rng.randint(8, 11) if heavy else rng.randint(2, 5)
    if palette.night and not heavy:
        n = rng.randint(1, 3)
    if "clear" in scene.weather:
        n = 0
    shade = mix(palette.sky[0], palette.sky[-1], 0.4)
    spots = sorted(rng.uniform(0.06, 0.82) for _ in range(n))
    for k, v in enumerate(spots):
        size = c.u * rng.uniform(7, 14) * (1.15 - 0.7 * v) * (1.35 if heavy else 1.0)
        x = c.w * ((k + rng.uniform(0.1, 0.9)) / n if not heavy else rng.random())
        y = hy * (0.04 + 0.84 * v * (0.75 if heavy else 1.0))
        asked = bool(scene.sky & {"moon", "crescent", "sun"})
        near = math.hypot(x - light.x * c.w, y - light.y * c.h) < size + light.radius * c.u * 100
        if asked and near:
            continue  # nobody asks for a moon to see it behind a cloud
        props.cloud(
            c, x, y, size, mix(palette.cloud, palette.haze, 0.35 * v), shade, rng, 0.92 if heavy else 0.86
        )
