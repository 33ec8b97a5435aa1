"""The city and its pavement."""

from __future__ import annotations

from ferrotype.providers.illustrator import props
from ferrotype.providers.illustrator.colours import darker, mix

from .stage import Ground, Stage, trees_along


def city(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    lamp = (
        rng.choice(("#ffe08a", "#ffd06b", "#fff0b5")) if g.scene.hour in ("night", "dusk", "sunset") else None
    )
    walls = rng.choice(
        (
            ("#c7b8a8", "#a9b7c6", "#d9a58a"),
            ("#8fa3bf", "#b5c3d1", "#7f8fae"),
            ("#d7a98f", "#e2c9a8", "#b98fa0"),
        )
    )
    for depth, low, high, width in ((0.68, 24, 46, 9), (0.4, 14, 38, 12), (0.15, 10, 26, 14)):
        x = -c.u * rng.uniform(0, 6)
        while x < c.w:
            w, h = c.u * width * rng.uniform(0.7, 1.3), c.u * rng.uniform(low, high)
            wall = p.land(rng.choice(walls), depth)
            if lamp:
                wall = darker(wall, 0.18)
            props.building(c, x, hy + c.u, w, h, wall, mix(lamp, wall, depth * 0.6) if lamp else None, rng)
            x += w * rng.uniform(0.95, 1.12)
    trees_along(
        g,
        [(0, hy + c.u * 2), (c.w, hy + c.u * 2)],
        rng.randint(3, 6),
        (8, 14),
        p.land("#4f8f4a", 0.12),
        "round",
    )
    pave = p.land(rng.choice(("#a8a6ad", "#b5aca4", "#99a0ab")))
    c.rect(0, hy, c.w, c.h - hy, c.vertical((mix(pave, p.haze, 0.3), pave, darker(pave, 0.25)), hy, c.h))
    c.rect(0, hy, c.w, c.u * 1.2, darker(pave, 0.25))
    vx = c.w * rng.uniform(0.35, 0.65)
    for k in range(-9, 10):
        c.stroke(
            f"M{vx + k * c.u * 7:.1f},{hy + c.u * 1.2:.1f}L{vx + k * c.u * 34:.1f},{c.h:.1f}",
            darker(pave, 0.2),
            c.u * 0.16,
            0.6,
        )
    for k in range(1, 8):
        y = hy + (c.h - hy) * (k / 8) ** 1.7
        c.stroke(f"M0,{y:.1f}H{c.w:.1f}", darker(pave, 0.2), c.u * 0.16, 0.6)
    for x in (0.08, 0.92):
        px, foot, tall = x * c.w, hy + c.u * 7, c.u * 34
        c.stroke(
            f"M{px:.1f},{foot:.1f}v{-tall:.1f}q0,{-c.u * 3:.1f} {c.u * 4 * (1 if x < 0.5 else -1):.1f}"
            f",{-c.u * 3:.1f}",
            p.land("#3a3f4a"),
            c.u * 0.8,
        )
        lx, ly = px + c.u * 4 * (1 if x < 0.5 else -1), foot - tall - c.u * 2.4
        if lamp:
            c.glow(lx, ly, c.u * 11, lamp, 0.7)
        c.circle(lx, ly, c.u * 1.2, lamp or "#f4f1e4")
    return Stage(g.horizon, g.horizon + 0.11, 0.94, pave)
