"""Space and the surface of the moon."""

from __future__ import annotations

import math
import random

from ferrotype.providers.illustrator.canvas import Canvas, waves
from ferrotype.providers.illustrator.colours import darker, from_hls, hls, lighter, mix

from .stage import Ground, Stage


def space(g: Ground) -> Stage:
    c, rng = g.c, g.rng
    hue = rng.choice((0.62, 0.7, 0.78, 0.55, 0.9))
    if g.scene.accent:
        hue = hls(g.scene.accent)[0]
    deep = from_hls(hue, 0.07, 0.6)
    c.rect(0, 0, c.w, c.h, deep)
    for k in range(7 if not c.flat else 5):
        tone = from_hls(hue + rng.uniform(-0.14, 0.14), rng.uniform(0.28, 0.48), 0.65)
        x, y, r = rng.uniform(0, c.w), rng.uniform(0, c.h), rng.uniform(0.25, 0.6) * max(c.w, c.h)
        if c.flat:
            c.circle(x, y, r * 0.6, mix(deep, tone, 0.16 + 0.03 * k), 0.8)
        else:
            c.circle(x, y, r, c.radial(x, y, r, ((0, tone, 0.42), (0.5, tone, 0.14), (1, tone, 0))))
    for _ in range(210):
        c.circle(
            rng.uniform(0, c.w),
            rng.uniform(0, c.h),
            c.u * rng.uniform(0.06, 0.24),
            rng.choice(("#ffffff", "#cfe0ff", "#ffe9c9")),
            rng.uniform(0.4, 1),
        )
    for _ in range(8):
        x, y, s = rng.uniform(0, c.w), rng.uniform(0, c.h), c.u * rng.uniform(0.8, 2)
        if not c.flat:
            c.glow(x, y, s * 2.2, "#bcd0ff", 0.5)
        c.path(
            f"M{x:.1f},{y - s:.1f}Q{x:.1f},{y:.1f} {x + s:.1f},{y:.1f}Q{x:.1f},{y:.1f} {x:.1f}"
            f",{y + s:.1f}Q{x:.1f},{y:.1f} {x - s:.1f},{y:.1f}Q{x:.1f},{y:.1f} {x:.1f},{y - s:.1f}z",
            "#ffffff",
        )
    corners = [(0.06, 0.1), (0.95, 0.12), (0.02, 0.95), (0.98, 0.9)]
    rng.shuffle(corners)
    for (fx, fy), size in zip(
        corners[: rng.randint(1, 2)], (rng.uniform(16, 26), rng.uniform(7, 12)), strict=False
    ):
        tone = from_hls(hue + rng.choice((0.3, 0.45, -0.35)), 0.55, 0.6)
        planet(c, fx * c.w, fy * c.h, c.u * size, tone, rng)
    return Stage(1.0, 0.2, 0.9, deep, free=True)


def planet(c: Canvas, x: float, y: float, r: float, tone: str, rng: random.Random) -> None:
    if not c.flat:
        c.glow(x, y, r * 1.5, lighter(tone, 0.3), 0.5)
    c.ball(x, y, r, tone)
    for _ in range(4):
        v = rng.uniform(-0.7, 0.7)
        half = math.sqrt(1 - v * v) * r
        c.ellipse(
            x,
            y + v * r,
            half * 0.97,
            r * rng.uniform(0.03, 0.09),
            rng.choice((lighter(tone, 0.3), darker(tone, 0.3))),
            0.4,
        )


def moon(g: Ground) -> Stage:
    c, rng = g.c, g.rng
    space(g)
    hy = g.horizon * c.h
    x, y, r = c.w * rng.choice((0.2, 0.8)), hy * 0.4, c.u * 12
    c.glow(x, y, r * 1.7, "#8fc4ff", 0.45)
    c.ball(x, y, r, "#3f8fe0")
    for dx, dy, s in ((-0.3, -0.2, 0.32), (0.25, 0.25, 0.36), (0.1, -0.5, 0.2), (-0.35, 0.4, 0.2)):
        c.ellipse(x + dx * r, y + dy * r, s * r, s * r * 0.7, "#6fb86a", 0.85)
    grey = rng.choice(("#b9b7b4", "#a9adb8", "#c2b8a8"))
    c.layer(waves(c.w, hy - c.u * 2, c.u * 4, rng, rough=2), (darker(grey, 0.35), darker(grey, 0.5)))
    near = waves(c.w, hy + c.u * 3, c.u * 2, rng)
    c.layer(near, (lighter(grey, 0.1), darker(grey, 0.3)))
    for v in sorted(rng.random() for _ in range(15)):
        cx, cy = rng.uniform(0, c.w), (g.horizon + 0.07 + (0.93 - g.horizon) * v) * c.h
        rx = c.u * rng.uniform(2, 6) * (0.4 + v)
        c.ellipse(cx, cy, rx, rx * 0.3, darker(grey, 0.35))
        c.ellipse(cx + rx * 0.06, cy + rx * 0.07, rx * 0.88, rx * 0.22, lighter(grey, 0.12), 0.7)
    return Stage(g.horizon, g.horizon + 0.12, 0.92, grey)
