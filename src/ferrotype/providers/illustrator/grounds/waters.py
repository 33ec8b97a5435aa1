"""Sea, lake, beach and what lies under water."""

from __future__ import annotations

import math
import random

from ferrotype.providers.illustrator import props
from ferrotype.providers.illustrator.canvas import Canvas, height_at, waves
from ferrotype.providers.illustrator.colours import darker, lighter, mix

from .heights import peaks
from .stage import Ground, Stage, paths, scatter, trees_along


def water(g: Ground, top: float, bottom: float, deep: str) -> None:
    """A sheet of water with the sky in it, streaks of waves and the light's track."""
    c, rng, p = g.c, g.rng, g.palette
    y0, y1 = top * c.h, bottom * c.h
    body = p.land(deep, 0.0)
    stops = (
        mix(p.sky[-1], body, 0.3),
        mix(p.sky[-2], body, 0.6),
        mix(body, p.sky[0], 0.25),
        darker(body, 0.18),
    )
    if c.flat:
        for k, tone in enumerate(stops):
            c.rect(0, y0 + (y1 - y0) * (k / 4) ** 1.3, c.w, c.h - y0, tone)
    else:
        c.rect(0, y0, c.w, y1 - y0 + 1, c.vertical(stops, y0, y1))
    if g.light.visible and g.light.y < top:
        lx = g.light.x * c.w
        for k in range(34):
            v = (k / 34) ** 1.3
            half = c.u * (3 + 13 * v) * rng.uniform(0.3, 1.0)
            y = y0 + (y1 - y0) * v + c.u * 0.4
            c.ellipse(
                lx + rng.uniform(-1, 1) * c.u * (1 + 5 * v),
                y,
                half,
                c.u * (0.16 + 0.5 * v),
                lighter(g.palette.sun, 0.2),
                0.55 - 0.35 * v,
            )
    for _ in range(58):
        v = rng.random() ** 1.2
        x, y = rng.uniform(-0.05, 1) * c.w, y0 + (y1 - y0) * v
        length, bow = c.u * (3 + 16 * v) * rng.uniform(0.5, 1.2), c.u * (0.15 + 1.1 * v)
        tone = lighter(mix(p.sky[-1], body, 0.4), 0.25) if rng.random() < 0.6 else darker(body, 0.25)
        c.stroke(
            f"M{x:.1f},{y:.1f}q{length / 4:.1f},{-bow:.1f} {length / 2:.1f},0t{length / 2:.1f},0",
            tone,
            c.u * (0.12 + 0.42 * v),
            0.5,
        )


def sea(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    if rng.random() < 0.4:
        hy = g.horizon * c.h
        c.layer(waves(c.w, hy - c.u, c.u * 3, rng), (p.land("#7a8fa8", 0.6), p.land("#7a8fa8", 0.7)))
    deep = rng.choice(("#1f6fa8", "#137d93", "#2a5fa0", "#1a8a9a"))
    water(g, g.horizon, 1.0, deep)
    rough = 2.2 if "storm" in g.scene.weather else 1.0
    for k, y in enumerate((0.82, 0.93)):
        line = waves(c.w, y * c.h, c.u * 1.3 * rough, rng, rough=2.5)
        tone = p.land(deep)
        c.layer(line, (mix(tone, p.sky[-1], 0.25 - 0.1 * k), darker(tone, 0.2 + 0.1 * k)))
        c.stroke(
            "M" + "L".join(f"{x:.1f},{y2:.1f}" for x, y2 in line),
            lighter(mix(tone, p.sky[-1], 0.5), 0.4),
            c.u * 0.35,
            0.7,
        )
    return Stage(g.horizon, g.horizon + 0.06, 0.9, p.land(deep), "", (g.horizon + 0.06, 0.88))


def lake(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    greens = rng.choice((("#7cab4c", "#447f3c"), ("#8fb554", "#5a8a3f"), ("#62a06a", "#2f7450")))
    if g.scene.setting == "lake":
        peaks(g, hy, c.u * rng.uniform(22, 34), "#74839f", 0.45, True)
    far = waves(c.w, hy - c.u * 1.5, c.u * 2, rng)
    trees_along(g, far, 20, (6, 12), p.land("#3a6f4f", 0.35), "pine" if rng.random() < 0.6 else "round")
    c.layer(far, (p.land(greens[0], 0.4), p.land(greens[1], 0.35)))
    deep = rng.choice(("#2a7f96", "#2f6fa0", "#3a8a8a"))
    water(g, g.horizon + 0.01, 0.86, deep)
    bank = waves(c.w, c.h * 0.83, c.u * 2.2, rng)
    c.layer(bank, (p.land(lighter(greens[0], 0.1), 0.03), p.land(greens[1])))
    for _ in range(rng.randint(6, 10)):
        x = rng.choice((rng.uniform(0, 0.22), rng.uniform(0.78, 1))) * c.w
        y, s = c.h * rng.uniform(0.84, 0.9), c.u * rng.uniform(9, 15)
        c.stroke(
            f"M{x:.1f},{y:.1f}q{c.u:.1f},{-s * 0.6:.1f} {c.u * 1.5:.1f},{-s:.1f}",
            p.land("#4f7f3a"),
            c.u * 0.45,
        )
        c.ellipse(x + c.u * 1.5, y - s, c.u * 0.6, c.u * 2, p.land("#6b4a2f"))
    blade = p.land(darker(greens[1], 0.15))
    scatter(g, 0.86, 40, lambda x, y, s: props.tuft(c, x, y, c.u * 2.6 * s, blade, rng))
    return Stage(g.horizon, 0.87, 0.95, p.land(greens[1]), "grass", (g.horizon + 0.1, 0.78))


def beach(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    deep = rng.choice(("#1f8fb5", "#16a0a8", "#2a7fc0"))
    shore = g.horizon + 0.2
    if rng.random() < 0.5:
        x, w = rng.choice((0.05, 0.7)) * c.w, c.u * rng.uniform(26, 44)
        line = [
            (x + w * k / 20, g.horizon * c.h - math.sin(k / 20 * 3.14) * c.u * 7 * rng.uniform(0.85, 1))
            for k in range(21)
        ]
        c.layer(line, (p.land("#5f8f6a", 0.5), p.land("#5f8f6a", 0.6)), g.horizon * c.h + 2)
    water(g, g.horizon, shore + 0.06, deep)
    sand = rng.choice(("#f0d9a4", "#ead0a0", "#f5e0b5"))
    edge = waves(c.w, shore * c.h, c.u * 1.6, rng, rough=0.6)
    for step, tone, opacity in ((-2.6, lighter(p.land(deep), 0.5), 0.6), (-1.2, p.land("#ffffff"), 0.85)):
        c.layer(
            [(x, y + step * c.u) for x, y in edge], (tone, tone), (shore + 0.08) * c.h
        ) if c.flat else c.polygon(
            [*((x, y + step * c.u) for x, y in edge), (c.w, c.h), (0, c.h)], tone, opacity
        )
    flat_edge = [(x, y + c.u * 0.6) for x, y in edge]
    c.polygon(
        [*flat_edge, (c.w, c.h), (0, c.h)],
        c.vertical((p.land(darker(sand, 0.12)), p.land(sand), p.land(darker(sand, 0.06))), shore * c.h, c.h),
    )
    paths(g, p.land(sand))
    for _ in range(26):
        x, y = rng.uniform(0, c.w), rng.uniform(shore + 0.05, 1) * c.h
        c.ellipse(x, y, c.u * rng.uniform(0.2, 0.6), c.u * 0.2, p.land(darker(sand, 0.25)), 0.5)
    if rng.random() < 0.75:
        side = rng.choice((-1, 1))
        x = c.w * (0.07 if side > 0 else 0.93)
        for k in range(rng.randint(1, 2)):
            props.palm(
                c,
                x + side * c.u * 7 * k,
                (shore + 0.1 + 0.04 * k) * c.h,
                c.u * rng.uniform(40, 54),
                p.land("#3f8f4a"),
                side * rng.uniform(0.12, 0.3),
            )
    return Stage(g.horizon, shore + 0.09, 0.94, p.land(sand), "sand", (g.horizon + 0.05, shore - 0.02))


def underwater(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    top, mid, low = rng.choice(
        (
            ("#7fe0e6", "#1f93b8", "#0a3f74"),
            ("#8fd3f2", "#2a7fc4", "#0f2f6f"),
            ("#9aeccf", "#1fa095", "#064a5f"),
        )
    )
    if p.night:
        top, mid, low = darker(top, 0.55), darker(mid, 0.5), darker(low, 0.5)
    if g.scene.accent:
        top, mid, low = (mix(t, g.scene.accent, 0.5) for t in (top, mid, low))
    if c.flat:
        for k in range(6):
            y = c.h * k / 6
            c.rect(0, y, c.w, c.h, mix(top, mid, k / 3) if k < 3 else mix(mid, low, (k - 3) / 3))
    else:
        c.rect(0, 0, c.w, c.h, c.vertical((top, mid, low), 0, c.h))
    for _ in range(7):
        x, w, lean = rng.uniform(-0.1, 1) * c.w, c.u * rng.uniform(4, 10), c.u * rng.uniform(-14, 14)
        c.polygon(
            [(x, -5), (x + w, -5), (x + w * 2.6 + lean, c.h * 0.85), (x - w + lean, c.h * 0.85)],
            c.vertical((lighter(top, 0.6), mid), 0, c.h),
            0.1,
        )
    for depth, y in ((0.6, 0.8), (0.35, 0.86)):
        c.layer(waves(c.w, c.h * y, c.u * 5, rng), (mix("#3a6f8a", mid, depth), low))
    sand = mix(rng.choice(("#e8d3a0", "#d9c9a8")), mid, 0.35)
    floor = waves(c.w, c.h * 0.89, c.u * 2, rng)
    weeds(g, mid)
    c.layer(floor, (sand, darker(sand, 0.35)))
    for _ in range(9):
        x = rng.uniform(0, 1) * c.w
        y = height_at(floor, x) + c.u * rng.uniform(0.5, 6)
        if rng.random() < 0.5:
            props.rock(c, x, y + c.u, c.u * rng.uniform(1.5, 4), mix("#7d7f8f", mid, 0.3), rng)
        else:
            coral(
                c,
                x,
                y,
                c.u * rng.uniform(4, 9),
                mix(rng.choice(("#f2668b", "#f2994a", "#b76be0", "#f25a4a")), mid, 0.15),
                rng,
            )
    for _ in range(26):
        x, y, r = rng.uniform(0, c.w), rng.uniform(0, 0.9) * c.h, c.u * rng.uniform(0.25, 1.0)
        c.circle(x, y, r, "#ffffff", 0.22)
        c.circle(x - r * 0.3, y - r * 0.3, r * 0.3, "#ffffff", 0.7)
    return Stage(0.0, 0.9, 0.96, sand, "sand", (0.06, 0.84))


def weeds(g: Ground, mid: str) -> None:
    c, rng = g.c, g.rng
    for _ in range(13):
        x = rng.choice((rng.uniform(0, 0.3), rng.uniform(0.7, 1.0), rng.random())) * c.w
        foot, h, sway = c.h * 0.93, c.u * rng.uniform(10, 30), c.u * rng.uniform(1.5, 4)
        tone = mix(rng.choice(("#2f8f5a", "#5fae4a", "#1f7a6f")), mid, 0.25)
        d = f"M{x:.1f},{foot:.1f}"
        for _ in range(4):
            d += f"q{sway:.1f},{-h / 8:.1f} 0,{-h / 4:.1f}"
            sway = -sway
        c.stroke(d, tone, c.u * rng.uniform(0.8, 1.6))


def coral(c: Canvas, x: float, y: float, s: float, colour: str, rng: random.Random) -> None:
    d = ""
    for k in range(5):
        lean = (k - 2) * 0.28 * s
        d += f"M{x:.1f},{y:.1f}q{lean * 0.3:.1f},{-s * 0.5:.1f} {lean:.1f},{-s * rng.uniform(0.7, 1.1):.1f}"
    c.stroke(d, darker(colour, 0.25), s * 0.2)
    c.stroke(d, colour, s * 0.14)
