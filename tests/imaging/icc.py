"""ICC profiles made by hand, as cameras and programs write them (ICC.1:2022, clauses 7 and 10)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

#: Red, green, blue as XYZ adapted to D50.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
WHITE = (0.9642, 1.0, 0.8249)


def srgb_linear(x: float) -> float:
    return x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def gamma(power: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256)) + b"\0\0"


def table(values: Sequence[float]) -> bytes:
    """A sampled curve, 0 to 1 at equal steps."""
    body = struct.pack(f">I{len(values)}H", len(values), *(round(value * 65535) for value in values))
    return b"curv\0\0\0\0" + body + bytes(-len(body) % 4)


def formula(kind: int, *values: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*values)


SRGB_FORMULA = formula(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A display profile of version 2.4 with these tags."""
    at, listed, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        listed += struct.pack(">4sII", name, at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"test", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(*WHITE) + bytes(48)
    return head + struct.pack(">I", len(tags)) + listed + body


def rgb(primaries: Sequence[Sequence[float]], curve: bytes, **more: bytes) -> bytes:
    colours = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz, primaries), strict=True))
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    extra = {name.encode(): data for name, data in more.items()}
    return profile(b"RGB ", {b"wtpt": xyz(WHITE), **colours, **curves, **extra})


def grey(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"wtpt": xyz(WHITE), b"kTRC": curve})
