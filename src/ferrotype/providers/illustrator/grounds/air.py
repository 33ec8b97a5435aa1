"""Above the clouds, and pictures of nothing in particular."""

from __future__ import annotations

from ferrotype.providers.illustrator import props
from ferrotype.providers.illustrator.canvas import waves
from ferrotype.providers.illustrator.colours import darker, from_hls, hls, lighter, mix

from .stage import Ground, Stage


def sky(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    shade = mix(p.sky[0], p.sky[-1], 0.4)
    for v, n, size in ((0.5, 4, 9), (0.68, 5, 14), (0.84, 6, 20), (0.97, 7, 26)):
        for k in range(n):
            props.cloud(
                c,
                (k + rng.uniform(0.1, 0.9)) / n * c.w,
                v * c.h + c.u * rng.uniform(-4, 4),
                c.u * size * rng.uniform(0.8, 1.2),
                mix(p.cloud, p.haze, 0.5 * (1 - v)),
                shade,
                rng,
            )
    return Stage(g.horizon, 0.84, 0.93, p.cloud)


def abstract(g: Ground) -> Stage:
    c, rng = g.c, g.rng
    words = "|".join(g.scene.unknown)
    hue = (sum(ord(ch) * (i + 7) for i, ch in enumerate(words)) % 360) / 360 + rng.uniform(-0.08, 0.08)
    if g.scene.accent:
        hue = hls(g.scene.accent)[0]
    span = rng.choice((0.12, 0.3, 0.45))
    night = g.palette.night
    base = 0.16 if night else 0.62
    c.rect(
        0,
        0,
        c.w,
        c.h,
        c.vertical(
            (
                from_hls(hue + span, base, 0.6),
                from_hls(hue + span * 0.5, base + 0.18, 0.7),
                from_hls(hue, base + 0.26, 0.8),
            ),
            0,
            c.h,
        ),
    )
    cx, cy, r = c.w * rng.uniform(0.25, 0.75), c.h * rng.uniform(0.25, 0.45), c.u * rng.uniform(16, 28)
    disc = from_hls(hue + 0.5, 0.7, 0.8)
    if not c.flat:
        c.glow(cx, cy, r * 2.6, lighter(disc, 0.4), 0.6)
    c.ball(cx, cy, r, disc)
    for k in range(3):
        c.stroke(
            f"M{cx - r * (1.25 + 0.28 * k):.1f},{cy:.1f}a{r * (1.25 + 0.28 * k):.1f}"
            f",{r * (1.25 + 0.28 * k):.1f} 0 1 1 {2 * r * (1.25 + 0.28 * k):.1f},0",
            lighter(disc, 0.5),
            c.u * 0.3,
            0.5 - 0.12 * k,
        )
    for k in range(7):
        v = 0.42 + 0.085 * k
        tone = from_hls(hue + span * (k / 6) + 0.02 * k, (0.55 if not night else 0.34) - 0.05 * k, 0.62)
        line = waves(c.w, v * c.h, c.u * (9 - 0.7 * k), rng, rough=1.3)
        c.layer(line, (lighter(tone, 0.22), darker(tone, 0.12)))
        c.stroke("M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in line), lighter(tone, 0.55), c.u * 0.28, 0.7)
    for _ in range(rng.randint(5, 12)):
        x, y = rng.uniform(0, c.w), rng.uniform(0.05, 0.9) * c.h
        c.ball(x, y, c.u * rng.uniform(0.8, 3.4), from_hls(hue + rng.choice((0.5, 0.42, span)), 0.68, 0.8))
    return Stage(0.75, 0.8, 0.93, from_hls(hue, 0.4, 0.5))
