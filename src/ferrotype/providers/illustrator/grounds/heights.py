"""Mountains, snow and desert."""

from __future__ import annotations

from ferrotype.providers.illustrator import props
from ferrotype.providers.illustrator.canvas import crags, waves
from ferrotype.providers.illustrator.colours import darker, lighter, mix

from .stage import Ground, Stage, paths, scatter, trees_along


def peaks(g: Ground, y: float, tall: float, colour: str, depth: float, snow: bool) -> None:
    """One mountain range with a lit and a shaded side and snow on its tops."""
    c, p = g.c, g.palette
    line = crags(c.w, y, tall, g.rng, 6)
    base = p.land(colour, depth)
    c.layer(line, (base, mix(base, p.haze, 0.45)))
    if not snow:
        return
    limit = y - tall * 0.62
    cap = mix(p.land("#ffffff"), p.haze, depth * 0.4)
    for i in range(1, len(line) - 1):
        x, top = line[i]
        if top < line[i - 1][1] and top <= line[i + 1][1] and top < limit:
            reach = (y - top) * 0.42
            left, right = i, i
            while left > 0 and line[left][1] < top + reach:
                left -= 1
            while right < len(line) - 1 and line[right][1] < top + reach:
                right += 1
            low = top + reach
            teeth = [
                (
                    line[right][0] + (line[left][0] - line[right][0]) * k / 6,
                    low + (reach * (0.22 if k % 2 else -0.2)) * (0 < k < 6),
                )
                for k in range(7)
            ]
            c.polygon([*line[left : right + 1], *teeth], cap, 0.95)
            half = [q for q in line[left : right + 1] if (q[0] >= x) == (c.light_x < 0.5)]
            if len(half) > 1:
                c.polygon([(x, top), *half, (x, low)], darker(cap, 0.25), 0.4)


def mountains(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    tone = rng.choice(("#6f7fa8", "#7a7f96", "#64849c", "#8a7f9c"))
    peaks(g, hy, c.u * rng.uniform(42, 50), lighter(tone, 0.2), 0.55, True)
    peaks(g, hy + c.u * 2, c.u * rng.uniform(26, 34), tone, 0.25, True)
    greens = rng.choice((("#6fa14a", "#3f7a3f"), ("#88a94f", "#56803a"), ("#5f9a5a", "#336f4a")))
    mid = waves(c.w, hy - c.u * 1, c.u * 3, rng)
    trees_along(g, mid, 26, (5, 10), p.land("#2f6650", 0.3), "pine")
    c.layer(mid, (p.land(greens[0], 0.3), p.land(greens[1], 0.2)))
    near = waves(c.w, hy + c.u * 6, c.u * 2.5, rng)
    trees_along(g, near, rng.randint(3, 6), (14, 24), p.land("#27594a", 0.1), "pine")
    c.layer(near, (p.land(lighter(greens[0], 0.1), 0.05), p.land(greens[1])))
    paths(g, p.land(greens[1]))
    stone = p.land("#8b8f96")
    scatter(g, g.horizon + 0.12, 7, lambda x, y, s: props.rock(c, x, y, c.u * 2.2 * s, stone, rng))
    scatter(
        g,
        g.horizon + 0.1,
        40,
        lambda x, y, s: props.tuft(c, x, y, c.u * 2.2 * s, p.land(darker(greens[1], 0.15)), rng),
    )
    return Stage(g.horizon, g.horizon + 0.12, 0.93, p.land(greens[1]), "grass")


def snow(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    white, blue = "#f7fafd", rng.choice(("#b9cfe8", "#c3c9ea", "#b5d8e6"))
    peaks(g, hy, c.u * rng.uniform(20, 36), "#8fa3c4", 0.5, True)
    far = waves(c.w, hy - c.u, c.u * 4, rng)
    snow = p.land(white, 0.1)
    trees_along(g, far, 16, (7, 13), p.land("#3f6a6f", 0.45), "pine", p.land(white, 0.3))
    c.layer(far, (p.land(white, 0.25), p.land(blue, 0.3)))
    near = waves(c.w, hy + c.u * 5, c.u * 3, rng)
    trees_along(g, near, rng.randint(3, 5), (18, 30), p.land("#2f5f5a", 0.12), "pine", snow)
    c.layer(near, (snow, p.land(blue, 0.05)))
    paths(g, p.land(blue))
    return Stage(g.horizon, g.horizon + 0.11, 0.93, p.land(white, 0.02), "snow")


def desert(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    sand, dark = rng.choice((("#e8b96a", "#b9773c"), ("#eac48a", "#c08a55"), ("#e09a5a", "#a85a3a")))
    if rng.random() < 0.55:
        for _ in range(rng.randint(1, 3)):
            x, w, h = rng.uniform(0.05, 0.8) * c.w, c.u * rng.uniform(16, 30), c.u * rng.uniform(9, 18)
            tone = p.land("#b5653f", 0.4)
            c.polygon(
                [
                    (x - w * 0.12, hy + c.u * 3),
                    (x, hy - h),
                    (x + w * 0.8, hy - h * 0.94),
                    (x + w, hy + c.u * 3),
                ],
                c.vertical((lighter(tone, 0.15), tone, mix(tone, p.haze, 0.4)), hy - h, hy + c.u * 3),
            )
    for depth, drop, amp in ((0.5, -2, 4), (0.3, 2, 4), (0.12, 8, 4)):
        line = waves(c.w, hy + c.u * drop, c.u * amp, rng, rough=0.5)
        c.layer(line, (p.land(lighter(sand, 0.1), depth), p.land(dark, depth)))
        crest = min(line, key=lambda q: q[1])
        slope = [q for q in line if (q[0] >= crest[0]) == (c.light_x < 0.5)]
        if len(slope) > 2:
            end = slope[-1] if c.light_x < 0.5 else slope[0]
            c.polygon(
                [
                    *slope,
                    (end[0], end[1] + c.u * 7),
                    (crest[0] + (c.u * 12 if c.light_x < 0.5 else -c.u * 12), crest[1] + c.u * 9),
                ],
                p.land(dark, depth),
                0.38,
            )
    for _ in range(rng.randint(2, 4)):
        x = rng.choice((rng.uniform(0.02, 0.25), rng.uniform(0.75, 0.98))) * c.w
        h = c.u * rng.uniform(8, 17)
        props.cactus(c, x, hy + c.u * 10 + h * 0.2, h, p.land("#4f8a4a", 0.1))
    for _ in range(16):
        x, y = rng.uniform(0, c.w), rng.uniform(g.horizon + 0.14, 1) * c.h
        c.stroke(
            f"M{x:.1f},{y:.1f}q{c.u * 6:.1f},{-c.u:.1f} {c.u * 13:.1f},0",
            p.land(lighter(sand, 0.3)),
            c.u * 0.25,
            0.5,
        )
    return Stage(g.horizon, g.horizon + 0.14, 0.93, p.land(sand), "sand")
