"""Green and dry land: meadow, road, forest, jungle, savanna."""

from __future__ import annotations

from ferrotype.providers.illustrator import props
from ferrotype.providers.illustrator.canvas import crags, height_at, waves
from ferrotype.providers.illustrator.colours import darker, lighter, mix, shift

from .stage import Ground, Stage, paths, scatter, trees_along


def meadow(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    season = g.scene.hour == "golden" and rng.random() < 0.5
    greens = rng.choice(
        (("#7cb844", "#4b8f35"), ("#8cc152", "#3f8f4a"), ("#a3bf4c", "#6a9638"), ("#66b061", "#2f7f52"))
    )
    leaf = (
        rng.choice(("#d98a2b", "#c9572f", "#d9a92f"))
        if season
        else rng.choice(("#4f9a3f", "#3d8b4a", "#6aa53c"))
    )
    if rng.random() < 0.6:
        c.layer(
            crags(c.w, hy + c.u, c.u * rng.uniform(12, 24), rng, 5),
            (p.land("#7d8fb8", 0.62), p.land("#8fa7b0", 0.75)),
        )
    far = waves(c.w, hy - c.u * 2, c.u * 5, rng)
    c.layer(far, (p.land(greens[0], 0.62), p.land(greens[1], 0.5)))
    mid = waves(c.w, hy + c.u * 1.5, c.u * 4, rng)
    trees_along(g, mid, rng.randint(3, 7), (7, 12), p.land(leaf, 0.42), "round")
    c.layer(mid, (p.land(greens[0], 0.36), p.land(greens[1], 0.28)))
    near = waves(c.w, hy + c.u * 7, c.u * 3, rng)
    kind = "round" if season or rng.random() < 0.7 else "pine"
    trees_along(g, near, rng.randint(1, 3), (16, 26), p.land(leaf, 0.14), kind)
    c.layer(near, (p.land(lighter(greens[0], 0.12), 0.08), p.land(greens[1])))
    paths(g, p.land(greens[1]))
    blade = p.land(darker(greens[1], 0.15))
    scatter(
        g,
        g.horizon + 0.1,
        46,
        lambda x, y, s: props.tuft(c, x, y, c.u * 2.4 * s, mix(blade, p.land(greens[0]), rng.random()), rng),
    )
    blossoms = [
        p.land(b) for b in rng.sample(("#f6f3ea", "#f2c230", "#e85d75", "#a86fd0", "#f08a3c", "#5f8fe0"), 2)
    ]
    if not season:
        scatter(
            g,
            g.horizon + 0.12,
            rng.randint(14, 30),
            lambda x, y, s: props.flower(c, x, y, c.u * 0.95 * s, rng.choice(blossoms), blade),
        )
    return Stage(g.horizon, g.horizon + 0.14, 0.93, p.land(greens[1]), "grass")


def road(g: Ground) -> Stage:
    stage = meadow(g)
    c, p, rng = g.c, g.palette, g.rng
    vx = c.w * rng.uniform(0.42, 0.58)
    asphalt = p.land("#6b6e78")
    y0, y1 = c.h * 0.74, c.h * 0.97
    for y, h, tone in ((y0 - c.u * 1.2, y1 - y0 + c.u * 2.4, p.land("#c9bfa4")), (y0, y1 - y0, asphalt)):
        c.rect(-5, y, c.w + 10, h, c.vertical((lighter(tone, 0.12), tone, darker(tone, 0.12)), y, y + h))
    k, x = (y0 + y1) / 2, (vx % (c.u * 16)) - c.u * 16
    while x < c.w:
        c.polygon(
            [(x, k), (x + c.u * 8, k), (x + c.u * 7.4, k + c.u * 1.1), (x - c.u * 0.6, k + c.u * 1.1)],
            p.land("#f3ecd6"),
        )
        x += c.u * 16
    return Stage(stage.horizon, 0.8, 0.94, asphalt)


def forest(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    autumn = g.scene.hour == "golden" and rng.random() < 0.6
    green = (
        rng.choice(("#c9752b", "#b5522c", "#cf9a33"))
        if autumn
        else rng.choice(("#2f6f4a", "#3b7a3a", "#27665a"))
    )
    floor = "#8a6a35" if autumn else rng.choice(("#4f7a3a", "#5d8a3e", "#3f6f45"))
    kind = "round" if autumn or rng.random() < 0.4 else "pine"
    for depth, size, n, drop in ((0.78, (22, 32), 26, -6), (0.55, (28, 42), 18, -2), (0.3, (34, 52), 12, 3)):
        line = waves(c.w, hy + c.u * drop, c.u * 1.5, rng)
        trees_along(g, line, n, size, p.land(green, depth), kind)
        c.layer(line, (p.land(floor, depth), p.land(floor, depth * 0.7)))
    near = waves(c.w, hy + c.u * 8, c.u * 2, rng)
    c.layer(near, (p.land(lighter(floor, 0.12), 0.06), p.land(darker(floor, 0.25))))
    paths(g, p.land(floor))
    if not c.flat and g.scene.hour in ("day", "morning", "golden") and not g.scene.weather:
        for _ in range(5):
            x, w = rng.uniform(0, c.w), c.u * rng.uniform(4, 9)
            lean = c.u * 18
            foot = c.h * 1.05
            shaft = [(x, 0), (x + w, 0), (x + w * 2.4 - lean, foot), (x + w * 0.4 - lean, foot)]
            c.polygon(shaft, "#fff6cf", 0.06)
    bark = p.land("#3a2c22", 0.05)
    for x in (rng.uniform(-0.03, 0.05), rng.uniform(0.95, 1.03)):
        w = c.u * rng.uniform(6, 9)
        foot = (g.horizon + rng.uniform(0.14, 0.22)) * c.h
        d = (
            f"M{x * c.w - w * 0.9:.1f},{foot:.1f}C{x * c.w - w * 0.4:.1f},{foot - c.h * 0.3:.1f}"
            f" {x * c.w - w * 0.5:.1f},{c.h * 0.1:.1f} {x * c.w - w * 0.55:.1f},"
            f"-5L{x * c.w + w * 0.5:.1f},-5C{x * c.w + w * 0.5:.1f},{c.h * 0.2:.1f}"
            f" {x * c.w + w * 0.4:.1f},{foot - c.h * 0.2:.1f} {x * c.w + w:.1f},{foot:.1f}z"
        )
        c.path(d, bark)
        c.path(
            d.replace("M", "M", 1),
            c.radial((x + 0.03) * c.w, c.h * 0.4, c.h * 0.6, ((0, lighter(bark, 0.3), 0.5), (1, bark, 0.0)))
            if not c.flat
            else bark,
        )
    blade = p.land(darker(floor, 0.3))
    scatter(
        g,
        g.horizon + 0.1,
        50,
        lambda x, y, s: props.tuft(
            c, x, y, c.u * 2.6 * s, mix(blade, p.land(lighter(floor, 0.2)), rng.random()), rng
        ),
    )
    return Stage(g.horizon, g.horizon + 0.13, 0.93, p.land(darker(floor, 0.2)), "grass")


def jungle(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    greens = ("#2f8f4a", "#1f7a4f", "#57a83a", "#18664a")
    for depth, size, n, drop in ((0.6, (34, 48), 12, -4), (0.35, (40, 60), 9, 0)):
        line = waves(c.w, hy + c.u * drop, c.u * 2, rng)
        tone = p.land(rng.choice(greens), depth)
        for _ in range(10):
            x = rng.uniform(0, c.w)
            c.ball(
                x,
                height_at(line, x) - c.u * 3,
                c.u * rng.uniform(6, 13),
                shift(tone, light=rng.uniform(-0.03, 0.03)),
            )
        trees_along(g, line, n, size, tone, "palm")
        c.layer(line, (tone, p.land(greens[1], depth * 0.8)))
    near = waves(c.w, hy + c.u * 7, c.u * 2, rng)
    c.layer(near, (p.land("#6fae3f", 0.05), p.land("#2f6f3a")))
    paths(g, p.land("#3f8a3f"))
    for side in (0, 1):
        for k in range(5):
            x, y = side * c.w, (0.12 + 0.17 * k) * c.h
            reach, droop = c.u * rng.uniform(14, 24) * (1 - 2 * side), c.u * rng.uniform(4, 12)
            tone = p.land(rng.choice(greens))
            c.path(
                f"M{x:.1f},{y:.1f}Q{x + reach * 0.5:.1f},{y - c.u * 9:.1f} {x + reach:.1f}"
                f",{y + droop:.1f}Q{x + reach * 0.4:.1f},{y + c.u * 5:.1f} {x:.1f},{y:.1f}z",
                tone,
            )
            c.stroke(
                f"M{x:.1f},{y:.1f}Q{x + reach * 0.48:.1f},{y - c.u * 2:.1f} {x + reach:.1f},{y + droop:.1f}",
                lighter(tone, 0.25),
                c.u * 0.3,
                0.8,
            )
    blade = p.land("#1f6a3a")
    scatter(
        g,
        g.horizon + 0.1,
        60,
        lambda x, y, s: props.tuft(c, x, y, c.u * 3.2 * s, mix(blade, p.land("#7cc04a"), rng.random()), rng),
    )
    return Stage(g.horizon, g.horizon + 0.12, 0.93, p.land("#2f6f3a"), "grass")


def savanna(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    gold, deep = rng.choice((("#d9b04e", "#a87f36"), ("#e0bd63", "#b58a3f"), ("#c9b458", "#8f8a3a")))
    c.layer(waves(c.w, hy - c.u * 3, c.u * 3, rng), (p.land("#a08f6a", 0.6), p.land(gold, 0.55)))
    line = waves(c.w, hy, c.u * 0.8, rng)
    trees_along(g, line, rng.randint(3, 5), (14, 30), p.land("#6f8a3a", 0.25), "acacia")
    c.layer(line, (p.land(gold, 0.3), p.land(deep, 0.05)))
    paths(g, p.land(gold))
    scatter(
        g,
        g.horizon + 0.04,
        80,
        lambda x, y, s: props.tuft(
            c, x, y, c.u * 2.8 * s, mix(p.land(deep), p.land(lighter(gold, 0.2)), rng.random()), rng
        ),
    )
    return Stage(g.horizon, g.horizon + 0.1, 0.93, p.land(deep), "grass")
