"""The furniture of landscapes, drawn by us: trees, tufts, clouds, houses, celestial bodies."""

from __future__ import annotations

import math
import random

from .canvas import Canvas
from .colours import darker, lighter, mix


def cloud(
    c: Canvas,
    x: float,
    y: float,
    r: float,
    colour: str,
    shade: str,
    rng: random.Random,
    opacity: float = 0.95,
) -> None:
    """A heap of puffs with a flat foot; `r` is about half its width."""
    puffs = [
        (-0.62, 0.0, 0.3),
        (-0.28, -0.22, 0.4),
        (0.12, -0.32, 0.46),
        (0.5, -0.08, 0.36),
        (0.78, 0.06, 0.22),
    ]
    if rng.random() < 0.5:
        puffs = [(-dx, dy, s) for dx, dy, s in puffs]
    foot = y + r * 0.24
    if c.clay:
        for dx, dy, s in puffs:
            c.ball(x + dx * r, y + dy * r, s * r * 1.05, colour)
        return
    d = ""
    for dx, dy, s in puffs:
        s *= rng.uniform(0.9, 1.12)
        cx, cy, cr = x + dx * r, y + dy * r, s * r
        d += (
            f"M{cx - cr:.1f},{cy:.1f}a{cr:.1f},{cr:.1f} 0 1 1 {2 * cr:.1f},0a{cr:.1f},{cr:.1f} 0 1 "
            f"1 {-2 * cr:.1f},0z"
        )
    base_w = r * 0.86
    d += (
        f"M{x - base_w:.1f},{foot - r * 0.3:.1f}h{2 * base_w:.1f}a{r * 0.15:.1f},{r * 0.15:.1f} 0 0 1 "
        f"0,{r * 0.3:.1f}h{-2 * base_w:.1f}a{r * 0.15:.1f},{r * 0.15:.1f} 0 0 1 0,{-r * 0.3:.1f}z"
    )
    c.path(
        d, c.vertical((colour, mix(colour, shade, 0.25), mix(colour, shade, 0.7)), y - r * 0.7, foot), opacity
    )


def pine(c: Canvas, x: float, foot: float, h: float, colour: str, snow: str | None = None) -> None:
    """A fir of height `h` standing at `foot`."""
    c.rect(x - h * 0.035, foot - h * 0.14, h * 0.07, h * 0.15, darker("#6b4a2f", 0.3))
    for k, (top, bottom, half) in enumerate(((0.5, 0.1, 0.3), (0.76, 0.34, 0.235), (1.0, 0.58, 0.165))):
        t, b, s = foot - top * h, foot - bottom * h, half * h
        c.polygon([(x, t), (x + s, b), (x, b + h * 0.035), (x - s, b)], lighter(colour, 0.05 * k))
        lit = (
            [(x, t), (x - s, b), (x - s * 0.15, b + h * 0.03)]
            if c.light_x < 0.5
            else [(x, t), (x + s, b), (x + s * 0.15, b + h * 0.03)]
        )
        c.polygon(lit, lighter(colour, 0.16 + 0.05 * k))
        if snow:
            m = t + (b - t) * 0.5
            c.polygon(
                [
                    (x, t),
                    (x + s * 0.5, m),
                    (x + s * 0.2, m - h * 0.02),
                    (x, m + h * 0.03),
                    (x - s * 0.2, m - h * 0.02),
                    (x - s * 0.5, m),
                ],
                snow,
            )


def round_tree(c: Canvas, x: float, foot: float, h: float, colour: str, rng: random.Random) -> None:
    """A leafy tree: a trunk and a crown of balls."""
    trunk = mix("#6b4a2f", colour, 0.25)
    c.path(
        f"M{x - h * 0.045:.1f},{foot:.1f}L{x - h * 0.025:.1f},{foot - h * 0.5:.1f}h{h * 0.05:.1f}"
        f"L{x + h * 0.045:.1f},{foot:.1f}z",
        trunk,
    )
    crown = [(-0.2, 0.5, 0.2), (0.2, 0.52, 0.2), (-0.1, 0.72, 0.22), (0.13, 0.76, 0.2), (0.0, 0.56, 0.24)]
    for dx, up, r in crown:
        c.ball(
            x + dx * h * rng.uniform(0.9, 1.1),
            foot - up * h,
            r * h * rng.uniform(0.92, 1.08),
            mix(colour, lighter(colour, 0.15), rng.random()),
        )
    if c.flat:
        c.circle(x - h * 0.08, foot - h * 0.76, h * 0.12, lighter(colour, 0.16))


def acacia(c: Canvas, x: float, foot: float, h: float, colour: str) -> None:
    """The flat-topped tree of the savanna."""
    trunk = darker("#6b4a2f", 0.25)
    c.stroke(
        f"M{x:.1f},{foot:.1f}C{x:.1f},{foot - h * 0.4:.1f} {x - h * 0.05:.1f},{foot - h * 0.5:.1f}"
        f" {x - h * 0.22:.1f},{foot - h * 0.78:.1f}M{x:.1f},{foot - h * 0.35:.1f}Q{x + h * 0.08:.1f}"
        f",{foot - h * 0.6:.1f} {x + h * 0.26:.1f},{foot - h * 0.76:.1f}",
        trunk,
        h * 0.05,
    )
    for dx, up, rx, ry in ((-0.2, 0.84, 0.3, 0.09), (0.24, 0.82, 0.28, 0.08), (0.0, 0.93, 0.34, 0.1)):
        c.ellipse(
            x + dx * h,
            foot - up * h,
            rx * h,
            ry * h,
            c.vertical(
                (lighter(colour, 0.15), colour, darker(colour, 0.3)),
                foot - (up + ry) * h,
                foot - (up - ry) * h,
            ),
        )


def palm(c: Canvas, x: float, foot: float, h: float, colour: str, lean: float) -> None:
    """A palm whose crown hangs `lean` heights to the side."""
    top_x, top_y = x + lean * h, foot - h * 0.86
    d = f"M{x:.1f},{foot:.1f}Q{x + lean * h * 0.2:.1f},{foot - h * 0.5:.1f} {top_x:.1f},{top_y:.1f}"
    c.stroke(d, darker("#8a6a45", 0.35), h * 0.06)
    c.stroke(d, "#8a6a45", h * 0.04)
    for k in range(8):
        a = -2.9 + k * 0.75
        ex, ey = top_x + math.cos(a) * h * 0.36, top_y + math.sin(a) * h * 0.2 + h * 0.1
        mx, my = top_x + math.cos(a) * h * 0.22, top_y + math.sin(a) * h * 0.24 - h * 0.06
        shade = lighter(colour, 0.18) if k % 2 else colour
        c.path(
            f"M{top_x:.1f},{top_y:.1f}Q{mx:.1f},{my - h * 0.05:.1f} {ex:.1f},{ey:.1f}Q{mx:.1f}"
            f",{my + h * 0.06:.1f} {top_x:.1f},{top_y:.1f}z",
            shade,
        )


def cactus(c: Canvas, x: float, foot: float, h: float, colour: str) -> None:
    """A saguaro."""
    d = (
        f"M{x:.1f},{foot:.1f}v{-h:.1f}M{x:.1f},{foot - h * 0.35:.1f}h{-h * 0.26:.1f}v{-h * 0.3:.1f}"
        f"M{x:.1f},{foot - h * 0.5:.1f}h{h * 0.26:.1f}v{-h * 0.26:.1f}"
    )
    c.stroke(d, darker(colour, 0.3), h * 0.2)
    c.stroke(d, colour, h * 0.15)
    c.stroke(f"M{x - h * 0.03:.1f},{foot - h * 0.05:.1f}v{-h * 0.92:.1f}", lighter(colour, 0.25), h * 0.03)


def tuft(c: Canvas, x: float, y: float, s: float, colour: str, rng: random.Random) -> None:
    """A few blades of grass of height `s`."""
    d = ""
    for _ in range(rng.randint(3, 5)):
        lean = rng.uniform(-0.6, 0.6) * s
        bx = x + rng.uniform(-0.4, 0.4) * s
        d += f"M{bx:.1f},{y:.1f}q{lean * 0.2:.1f},{-s * 0.6:.1f} {lean:.1f},{-s * rng.uniform(0.7, 1.1):.1f}"
    c.stroke(d, colour, max(0.6, s * 0.13))


def flower(c: Canvas, x: float, y: float, s: float, colour: str, stem: str) -> None:
    """A small blossom on a stem."""
    c.stroke(f"M{x:.1f},{y:.1f}v{-s * 1.4:.1f}", stem, s * 0.16)
    for k in range(5):
        a = k * 1.2566
        c.circle(x + math.cos(a) * s * 0.34, y - s * 1.5 + math.sin(a) * s * 0.34, s * 0.3, colour)
    c.circle(x, y - s * 1.5, s * 0.22, "#f9d45c")


def rock(c: Canvas, x: float, y: float, s: float, colour: str, rng: random.Random) -> None:
    """A boulder about 2s wide."""
    k = rng.uniform(0.8, 1.2)
    c.path(
        f"M{x - s:.1f},{y:.1f}C{x - s * 1.05:.1f},{y - s * 0.7 * k:.1f} {x - s * 0.4:.1f}"
        f",{y - s * k:.1f} {x:.1f},{y - s * 0.92 * k:.1f}C{x + s * 0.6:.1f},{y - s * 0.8:.1f}"
        f" {x + s * 1.1:.1f},{y - s * 0.4:.1f} {x + s:.1f},{y:.1f}z",
        c.vertical((lighter(colour, 0.3), colour, darker(colour, 0.4)), y - s, y),
    )


def building(
    c: Canvas, x: float, foot: float, w: float, h: float, wall: str, lamp: str | None, rng: random.Random
) -> None:
    """A tower with windows; `lamp` lights some of them."""
    side = w * 0.22
    c.rect(x, foot - h, w, h, c.vertical((lighter(wall, 0.12), wall), foot - h, foot))
    shade_x = x + w - side if c.light_x < 0.5 else x
    c.rect(shade_x, foot - h, side, h, darker(wall, 0.28), 0.8)
    roof = rng.random()
    if roof < 0.25:
        c.rect(x + w * 0.44, foot - h - w * 0.5, w * 0.06, w * 0.5, darker(wall, 0.3))
    elif roof < 0.5:
        c.rect(x + w * 0.2, foot - h - w * 0.14, w * 0.6, w * 0.15, darker(wall, 0.15))
    cols = max(2, round(w / (c.u * 2.2)))
    cell = w / cols
    rows = max(2, round(h / (cell * 1.25)))
    dark, pane_w, pane_h = "", cell * 0.5, h / rows * 0.52
    lights = ""
    for r in range(rows):
        for k in range(cols):
            px, py = x + (k + 0.25) * cell, foot - h + (r + 0.3) * h / rows
            piece = f"M{px:.1f},{py:.1f}h{pane_w:.1f}v{pane_h:.1f}h{-pane_w:.1f}z"
            if lamp and rng.random() < 0.45:
                lights += piece
            else:
                dark += piece
    c.path(dark, darker(wall, 0.4) if lamp else mix(wall, "#bfe0f5", 0.45), 0.8)
    if lights and lamp:
        c.path(lights, lamp)


def moon_disc(c: Canvas, x: float, y: float, r: float, colour: str, crescent: bool, sky: str) -> None:
    """The moon with its seas, or a crescent."""
    if not c.flat:
        c.glow(x, y, r * 3.4, colour, 0.34)
    else:
        for k in (2.1, 1.55):
            c.circle(x, y, r * k, colour, 0.09)
    if crescent:
        c.path(
            f"M{x + r * 0.35:.1f},{y - r * 0.94:.1f}A{r:.1f},{r:.1f} 0 1 0 {x + r * 0.94:.1f}"
            f",{y + r * 0.35:.1f}A{r * 0.78:.1f},{r * 0.78:.1f} 0 0 1 {x + r * 0.35:.1f},{y - r * 0.94:.1f}z",
            colour,
        )
        return
    c.ball(x, y, r, colour) if c.clay else c.circle(
        x,
        y,
        r,
        colour
        if c.flat
        else c.radial(
            x - r * 0.3,
            y - r * 0.3,
            r * 1.5,
            ((0, "#ffffff", 1), (0.6, colour, 1), (1, mix(colour, sky, 0.35), 1)),
        ),
    )
    for dx, dy, s in (
        (-0.3, -0.25, 0.24),
        (0.28, 0.12, 0.3),
        (-0.15, 0.42, 0.18),
        (0.38, -0.42, 0.14),
        (-0.55, 0.2, 0.12),
    ):
        c.circle(x + dx * r, y + dy * r, s * r, mix(colour, sky, 0.4), 0.35)
