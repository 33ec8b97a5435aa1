"""Room, table and studio."""

from __future__ import annotations

from ferrotype.providers.illustrator.colours import darker, lighter, lit, mix

from .stage import Ground, Stage


def room(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    wall = g.scene.accent or rng.choice(
        ("#e8d3b8", "#bcd3c8", "#d9c2d4", "#c3d0e2", "#e6c3a8", "#9fb8b0", "#e3dcc4")
    )
    dim = (0.62, 0.6, 0.72) if p.night else (1.0, 0.98, 0.95)
    wall = lit(wall, dim)
    c.rect(0, 0, c.w, hy, c.vertical((darker(wall, 0.12), wall, lighter(wall, 0.12)), 0, hy))
    pattern = rng.choice(("stripes", "dots", "plain"))
    if pattern == "stripes":
        for k in range(0, int(c.w / (c.u * 6)) + 1, 1):
            c.rect(k * c.u * 6, 0, c.u * 2.6, hy, darker(wall, 0.3), 0.12)
    elif pattern == "dots":
        for i in range(int(c.w / (c.u * 7)) + 1):
            for j in range(int(hy / (c.u * 7)) + 1):
                c.circle(i * c.u * 7 + (j % 2) * c.u * 3.5, j * c.u * 7, c.u * 0.6, lighter(wall, 0.5), 0.5)
    window(g, hy)
    frames(g, hy)
    c.rect(0, hy - c.u * 3.4, c.w, c.u * 3.4, lighter(wall, 0.55))
    c.rect(0, hy - c.u * 0.5, c.w, c.u * 0.5, darker(wall, 0.3), 0.6)
    wood = lit(rng.choice(("#b5804f", "#9c6a42", "#c99a66")), dim)
    c.rect(0, hy, c.w, c.h - hy, c.vertical((darker(wood, 0.15), wood, lighter(wood, 0.08)), hy, c.h))
    for board in range(-12, 13):
        c.stroke(
            f"M{c.w / 2 + board * c.u * 9:.1f},{hy:.1f}L{c.w / 2 + board * c.u * 22:.1f},{c.h:.1f}",
            darker(wood, 0.35),
            c.u * 0.18,
            0.6,
        )
    rug = lit(rng.choice(("#b5495a", "#3f6f8f", "#d9a441", "#6f8f5a", "#7a5a9a")), dim)
    ry = (c.h - hy) * 0.34
    cy = hy + (c.h - hy) * 0.58
    for reach, tone in ((1.0, rug), (0.86, lighter(rug, 0.45)), (0.8, rug), (0.45, lighter(rug, 0.2))):
        c.ellipse(c.w / 2, cy, c.w * 0.42 * reach, ry * reach, tone)
    return Stage(g.horizon, g.horizon + 0.1, 0.93, wood)


def window(g: Ground, hy: float) -> None:
    c, rng, p = g.c, g.rng, g.palette
    w, h = c.u * 34, min(c.u * 40, hy * 0.6)
    x, y = c.w * rng.choice((0.1, 0.58)), hy * 0.14
    x = min(max(c.u * 4, x), c.w - w - c.u * 4)
    frame = "#f5efe2" if not p.night else "#9a94a6"
    c.rect(x - c.u * 1.6, y - c.u * 1.6, w + c.u * 3.2, h + c.u * 3.2, frame)
    c.rect(x, y, w, h, c.vertical(p.sky, y, y + h))
    if p.night:
        for _ in range(14):
            c.circle(x + rng.random() * w, y + rng.random() * h * 0.8, c.u * 0.2, "#ffffff", 0.9)
        c.circle(x + w * 0.7, y + h * 0.28, c.u * 3, "#f4f1dc")
    elif not g.scene.weather:
        c.ellipse(x + w * 0.3, y + h * 0.3, w * 0.16, h * 0.05, "#ffffff", 0.8)
        c.ellipse(x + w * 0.42, y + h * 0.27, w * 0.12, h * 0.06, "#ffffff", 0.8)
    hill = p.land("#6fae5a", 0.25)
    c.path(
        f"M{x:.1f},{y + h:.1f}v{-h * 0.24:.1f}q{w * 0.3:.1f},{-h * 0.16:.1f} {w * 0.55:.1f}"
        f",{h * 0.02:.1f}t{w * 0.45:.1f},{-h * 0.02:.1f}v{h * 0.24:.1f}z",
        hill,
    )
    if g.scene.weather & {"rain", "storm"}:
        d = "".join(
            f"M{x + rng.random() * w:.1f},{y + rng.random() * h * 0.9:.1f}l{-c.u * 0.4:.1f},{c.u * 2:.1f}"
            for _ in range(26)
        )
        c.stroke(d, "#dfeaf5", c.u * 0.2, 0.7)
    if "snow" in g.scene.weather:
        for _ in range(24):
            c.circle(x + rng.random() * w, y + rng.random() * h, c.u * 0.4, "#ffffff", 0.9)
    c.rect(x + w / 2 - c.u * 0.6, y, c.u * 1.2, h, frame)
    c.rect(x, y + h * 0.48, w, c.u * 1.2, frame)
    c.rect(x - c.u * 3, y + h + c.u * 1.2, w + c.u * 6, c.u * 1.8, lighter(frame, 0.4))
    curtain = rng.choice(("#d98a7a", "#7a9fb5", "#e2c27a", "#a58fc0"))
    if p.night:
        curtain = darker(curtain, 0.4)
    for side in (0, 1):
        cx = x - c.u * 5 if side == 0 else x + w + c.u * 5
        inner = x + c.u * 5 if side == 0 else x + w - c.u * 5
        c.path(
            f"M{cx:.1f},{y - c.u * 3:.1f}H{inner:.1f}Q{(inner + cx) / 2:.1f},{y + h * 0.6:.1f}"
            f" {(cx * 0.6 + inner * 0.4):.1f},{y + h + c.u * 7:.1f}H{cx:.1f}z",
            curtain,
        )
        c.stroke(
            f"M{cx * 0.7 + inner * 0.3:.1f},{y - c.u * 2:.1f}V{y + h + c.u * 6:.1f}",
            darker(curtain, 0.25),
            c.u * 0.3,
            0.5,
        )
    c.stroke(f"M{x - c.u * 7:.1f},{y - c.u * 3:.1f}H{x + w + c.u * 7:.1f}", "#7a5a3a", c.u * 0.9)
    if not c.flat and not p.night:
        c.polygon(
            [(x, y + h), (x + w, y + h), (x + w * 1.15, c.h), (x - w * 0.5, c.h)],
            c.vertical(("#fff3cf", "#fff3cf"), hy, c.h),
            0.1,
        )


def frames(g: Ground, hy: float) -> None:
    c, rng = g.c, g.rng
    for x, y, w, h in ((0.47, 0.18, 13, 16), (0.9, 0.24, 12, 10)):
        if rng.random() < 0.7:
            px, py = x * c.w, y * hy
            c.rect(px, py, c.u * w, c.u * h, darker("#7a5230", 0.1))
            tone = rng.choice(("#e8a86f", "#7fb0c9", "#c98fa8"))
            c.rect(px + c.u, py + c.u, c.u * (w - 2), c.u * (h - 2), tone)
            c.circle(px + c.u * w * 0.6, py + c.u * h * 0.42, c.u * 2, lighter(tone, 0.6))
            c.path(
                f"M{px + c.u:.1f},{py + c.u * (h - 1):.1f}l{c.u * (w - 2) * 0.4:.1f}"
                f",{-c.u * h * 0.4:.1f}l{c.u * (w - 2) * 0.6:.1f},{c.u * h * 0.4:.1f}z",
                darker(tone, 0.35),
            )


def table(g: Ground) -> Stage:
    c, rng, p = g.c, g.rng, g.palette
    hy = g.horizon * c.h
    wall = g.scene.accent or rng.choice(
        ("#7f9a8f", "#d9b892", "#8fa3b8", "#c98f7a", "#a8a27f", "#b89fb5", "#55677a")
    )
    if p.night:
        wall = darker(wall, 0.55)
    c.rect(0, 0, c.w, hy, c.vertical((darker(wall, 0.28), wall, lighter(wall, 0.22)), 0, hy))
    for _ in range(16):
        x, y, r = rng.uniform(0, c.w), rng.uniform(0, hy), c.u * rng.uniform(3, 9)
        tone = rng.choice((lighter(wall, 0.5), "#ffe3b0", lighter(wall, 0.3)))
        c.circle(x, y, r, tone, 0.22 if not c.flat else 0.14)
    shelf = darker(wall, 0.3)
    if rng.random() < 0.6:
        y = hy * rng.uniform(0.35, 0.5)
        c.rect(0, y, c.w, c.u * 2, shelf, 0.7)
        x = c.u * rng.uniform(2, 10)
        while x < c.w:
            w, h = c.u * rng.uniform(4, 9), c.u * rng.uniform(7, 15)
            tone = mix(wall, rng.choice(("#d9674a", "#e2b04a", "#5f8f9a", "#f0e6d2", "#7a9a5a")), 0.5)
            c.rect(
                x,
                y - h,
                w,
                h,
                c.vertical((lighter(tone, 0.2), tone, darker(tone, 0.2)), y - h, y),
                0.85,
                c.u * 1.4,
            )
            x += w + c.u * rng.uniform(1, 9)
    wood = rng.choice(("#a8734a", "#8a5f3f", "#c79a6b", "#d8b98f"))
    if p.night:
        wood = darker(wood, 0.4)
    c.rect(0, hy, c.w, c.h - hy, c.vertical((lighter(wood, 0.22), wood, darker(wood, 0.22)), hy, c.h))
    for k in range(1, 5):
        y = hy + (c.h - hy) * (k / 5) ** 1.5
        c.stroke(f"M0,{y:.1f}H{c.w:.1f}", darker(wood, 0.45), c.u * 0.3, 0.6)
    for _ in range(34):
        v = rng.random()
        x, y = rng.uniform(-0.1, 1) * c.w, hy + (c.h - hy) * v
        c.stroke(
            f"M{x:.1f},{y:.1f}q{c.u * 12:.1f},{c.u * rng.uniform(-0.8, 0.8):.1f}"
            f" {c.u * rng.uniform(14, 40):.1f},0",
            rng.choice((darker(wood, 0.3), lighter(wood, 0.25))),
            c.u * 0.2,
            0.4,
        )
    return Stage(g.horizon, g.horizon + 0.12, 0.92, wood)


def studio(g: Ground) -> Stage:
    c, rng = g.c, g.rng
    base = g.scene.accent or rng.choice(
        ("#f2e3cf", "#cfe3ea", "#e9cfd8", "#d5e2c8", "#dcd3ee", "#f5d9b0", "#c9d3df")
    )
    c.rect(
        0,
        0,
        c.w,
        c.h,
        c.vertical(
            (darker(base, 0.2), base, lighter(base, 0.25), lighter(base, 0.1), darker(base, 0.14)), 0, c.h
        ),
    )
    cx, cy = c.w * 0.5, c.h * 0.42
    if c.flat:
        c.rect(0, c.h * g.horizon, c.w, c.h, darker(base, 0.1))
        c.circle(cx, cy, c.u * 38, lighter(base, 0.45))
    else:
        c.glow(cx, cy, c.u * 60, "#ffffff", 0.3)
    for _ in range(3):
        x, y, r = rng.uniform(0, c.w), rng.uniform(0, 0.5) * c.h, c.u * rng.uniform(4, 14)
        c.circle(x, y, r, lighter(base, 0.5), 0.25)
    return Stage(g.horizon, 0.7, 0.9, darker(base, 0.08))
