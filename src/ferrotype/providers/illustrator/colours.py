"""Colour arithmetic on `#rrggbb` text, and the colour words that a prompt may use."""

from __future__ import annotations

import colorsys

COLOURS: dict[str, str] = {
    "red": "#d92b2b", "crimson": "#b3122d", "scarlet": "#e3241b", "ruby": "#a8123c", "maroon": "#7b1c2e",
    "burgundy": "#7a1733", "orange": "#f28a1c", "amber": "#f5b31a", "coral": "#f5735a", "peach": "#f9b48f",
    "yellow": "#f6d32d", "golden": "#e2ab1e", "gold": "#e2ab1e", "lemon": "#f4e04a", "cream": "#f6ecd2",
    "beige": "#dcc9a4", "tan": "#c9a26c", "brown": "#7d4f2b", "chocolate": "#5b3420", "bronze": "#a8672c",
    "copper": "#b8693a", "green": "#3f9b3a", "lime": "#9ccb2b", "emerald": "#109a62", "olive": "#7f8431",
    "mint": "#8fdcb4", "teal": "#138a8a", "turquoise": "#2cc3bd", "cyan": "#2fc4e0", "aqua": "#43cbd6",
    "blue": "#2b6fd6", "navy": "#1c2f66", "azure": "#3b95ee", "indigo": "#44379c", "sapphire": "#1d4fb4",
    "purple": "#8341b5", "violet": "#8d56d6", "lavender": "#b79ae0", "lilac": "#c3a1dd", "magenta": "#d12b94",
    "pink": "#f27fb2", "rose": "#e8688c", "white": "#f4f3ef", "ivory": "#f5f0dd", "silver": "#b9bec6",
    "grey": "#8b8f96", "gray": "#8b8f96", "black": "#2c2d33", "charcoal": "#3a3d42",
}  # fmt: skip


def rgb(colour: str) -> tuple[int, int, int]:
    """The three 0-255 channels of `#rgb` or `#rrggbb`."""
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(c * 2 for c in digits)
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def text(r: float, g: float, b: float) -> str:
    """Channels (0-255, clamped) as `#rrggbb`."""
    return "#" + "".join(f"{max(0, min(255, round(v))):02x}" for v in (r, g, b))


def mix(a: str, b: str, t: float) -> str:
    """`a` at t=0, `b` at t=1."""
    x, y = rgb(a), rgb(b)
    return text(*(p + (q - p) * t for p, q in zip(x, y, strict=True)))


def lit(colour: str, light: tuple[float, float, float]) -> str:
    """`colour` under a coloured light (channel multipliers)."""
    return text(*(c * m for c, m in zip(rgb(colour), light, strict=True)))


def hls(colour: str) -> tuple[float, float, float]:
    """Hue, lightness, saturation, each 0-1."""
    r, g, b = rgb(colour)
    return colorsys.rgb_to_hls(r / 255, g / 255, b / 255)


def from_hls(h: float, lightness: float, s: float) -> str:
    """The colour of a hue (wraps), lightness and saturation (clamped)."""
    r, g, b = colorsys.hls_to_rgb(h % 1.0, max(0.0, min(1.0, lightness)), max(0.0, min(1.0, s)))
    return text(r * 255, g * 255, b * 255)


def shift(colour: str, hue: float = 0.0, light: float = 0.0, saturation: float = 1.0) -> str:
    """`colour` with its hue turned, its lightness moved and its saturation multiplied."""
    h, lightness, s = hls(colour)
    return from_hls(h + hue, lightness + light, s * saturation)


def darker(colour: str, t: float) -> str:
    """Towards a cool black: shadows in a picture are blue rather than grey."""
    return mix(colour, "#0b1030", t)


def lighter(colour: str, t: float) -> str:
    """Towards a warm white."""
    return mix(colour, "#fffaf0", t)
