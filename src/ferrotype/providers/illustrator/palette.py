"""The light of an hour: sky colours, what it does to grounds and subjects, haze and clouds."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .colours import hls, lit, mix, shift

RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Palette:
    """`sky` runs from the zenith to the horizon. `ground` and `subject` are channel multipliers."""

    sky: tuple[str, ...]
    sun: str
    haze: str
    cloud: str
    ground: RGB
    subject: RGB
    night: bool

    def land(self, colour: str, depth: float = 0.0) -> str:
        """A ground colour in this light, faded towards the haze with `depth` (0 near, 1 at the horizon)."""
        return mix(lit(colour, self.ground), self.haze, depth)


_SKIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "day": (
        ("#2c79cf", "#7fbdf0", "#dcf0fb"), ("#1b86c4", "#86d0e8", "#f3f7e4"), ("#4a83d9", "#a8c9f2",
        "#fbeede"),
        ("#2ba3c9", "#9adfe3", "#f7f6dc"),
    ),
    "morning": (
        ("#6aaede", "#bfe0ee", "#fdeecb"), ("#7f9fe0", "#eecfe4", "#ffe6c0"), ("#6fc2c8", "#c9ebe0",
        "#fff0c4"),
        ("#8f9be6", "#f6c6c9", "#fff0d2"),
    ),
    "golden": (
        ("#4f87bd", "#f0c184", "#ffe09c"), ("#6f7db5", "#f5b676", "#ffdc90"), ("#3f93a8", "#edd08e",
        "#ffe7ac"),
    ),
    "sunset": (
        ("#2b2a6b", "#c2477f", "#ff9a56", "#ffd27a"), ("#3a1c5f", "#e0536a", "#ffb25e"),
        ("#1e3a6e", "#8a5aa8", "#ff8a6b", "#ffd9a0"), ("#5a2a7a", "#f0658a", "#ffc27a"),
    ),
    "dusk": (("#1c2454", "#54508f", "#d08fa6"), ("#14304f", "#3f6a8a", "#e6ab8c"), ("#2a1f56", "#7a4f96",
    "#f0a3a0")),
    "night": (("#060a24", "#10204f", "#2f4a86"), ("#0a0b2a", "#231a55", "#5b3f8f"), ("#04141f", "#0c3244",
    "#2b6a73")),
}  # fmt: skip

_LIGHT: dict[str, tuple[RGB, RGB, str]] = {
    # hour: light on the ground, light on the subjects, the sun or moon itself
    "day": ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), "#fff6d8"),
    "morning": ((1.04, 0.99, 0.94), (1.03, 1.0, 0.96), "#fff1c2"),
    "golden": ((1.06, 0.94, 0.78), (1.05, 0.97, 0.86), "#ffe7a0"),
    "sunset": ((0.92, 0.68, 0.66), (1.0, 0.9, 0.87), "#ffdf9a"),
    "dusk": ((0.58, 0.54, 0.74), (0.82, 0.78, 0.92), "#ffe2c8"),
    "night": ((0.25, 0.31, 0.5), (0.76, 0.81, 1.0), "#f4f1dc"),
}


def choose(hour: str, weather: frozenset[str], accent: str | None, rng: random.Random) -> Palette:
    """The palette of this hour and weather; the seed picks among its variants and turns the hue a little."""
    turn = rng.uniform(-0.015, 0.015)
    sky = [shift(c, hue=turn) for c in rng.choice(_SKIES[hour])]
    ground, subject, sun = _LIGHT[hour]
    if accent:
        strength = hls(accent)[2]
        sky = [shift(mix(c, accent, 0.62), saturation=1.0 + 0.1 * strength) for c in sky]
        sky[-1] = mix(sky[-1], "#fff4e6", 0.3 if hour != "night" else 0.05)
    if weather & {"storm", "rain"}:
        grey, t = ("#2c3444", 0.72) if "storm" in weather else ("#7d8a99", 0.6)
        if hour == "night":
            grey = "#141a2a"
        sky = [mix(c, grey, t) for c in sky]
        k = 0.68 if "storm" in weather else 0.82
        ground = (ground[0] * k, ground[1] * k, ground[2] * (k + 0.06))
        subject = (subject[0] * (k + 0.12), subject[1] * (k + 0.14), subject[2] * (k + 0.18))
    elif weather & {"snow", "fog"}:
        grey = "#dfe6ee" if hour not in ("night", "dusk") else "#46526e"
        sky = [mix(c, grey, 0.5) for c in sky]
    haze = mix(sky[-1], sky[-2], 0.35)
    cloud = {"day": "#ffffff", "morning": "#fff3ea", "golden": "#ffe9cf", "sunset": "#ffb7a0",
    "dusk": "#b88fb0",
             "night": "#3a4a78"}[hour]  # fmt: skip
    if weather & {"storm", "rain"}:
        cloud = mix(cloud, "#4d5768", 0.7)
    return Palette(tuple(sky), sun, haze, cloud, ground, subject, hour == "night")
