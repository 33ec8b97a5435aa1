"""Whether an ICC profile says what sRGB says, however it is spelled (ICC.1:2022, clauses 7.2, 10.6, 10.18).

Cameras and programs write sRGB in many ways; a picture that carries any of them needs no conversion.
"""

from __future__ import annotations

import struct
from typing import Final

#: Red, green and blue of sRGB as XYZ, adapted to D50, the white of profiles.
PRIMARIES: Final = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
#: How far a primary may be off; profiles round, and adapt in slightly different ways.
NEAR: Final = 0.003
#: How far a curve may be off, of full scale: one of 255 steps, which small tables are.
CLOSE: Final = 1 / 255
SAMPLES: Final = 64
MAX_TAGS: Final = 100


def is_srgb(profile: bytes) -> bool:
    """True when colours mean the same with the profile as without; False for what cannot be read."""
    try:
        return _is_srgb(profile)
    except (struct.error, ValueError, TypeError, ArithmeticError):
        return False  # TypeError: a negative base to a broken power is a complex number


def _is_srgb(profile: bytes) -> bool:
    if profile[16:20] != b"RGB " or profile[36:40] != b"acsp":
        return False
    tags = _tags(profile)
    if b"A2B0" in tags:  # a table rules then, and not the primaries
        return False
    for name, expected in PRIMARIES.items():
        found = struct.unpack_from(">3i", tags[name], 8) if name in tags else (0, 0, 0)
        if any(abs(value / 65536 - want) > NEAR for value, want in zip(found, expected, strict=True)):
            return False
    return all(_is_srgb_curve(tags.get(name, b"")) for name in (b"rTRC", b"gTRC", b"bTRC"))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    found = {}
    for index in range(min(count, MAX_TAGS)):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        found[name] = profile[offset : offset + size]
    return found


def _is_srgb_curve(tag: bytes) -> bool:
    """Compared where it matters: what a value becomes once it is encoded again."""
    steps = (step / SAMPLES for step in range(SAMPLES + 1))
    return all(abs(_encoded(_linear(tag, step)) - step) <= CLOSE for step in steps)


def _linear(tag: bytes, x: float) -> float:
    """What the curve makes of `x`. Raises ValueError for curves that are never sRGB's (a bare power)."""
    if tag[:4] == b"curv":
        return _from_table(tag, x)
    if tag[:4] == b"para":
        return _from_formula(tag, x)
    raise ValueError(tag[:4])


def _from_table(tag: bytes, x: float) -> float:
    (count,) = struct.unpack_from(">I", tag, 8)
    if count < 2:
        raise ValueError(count)
    at = x * (count - 1)
    below = min(int(at), count - 2)
    low, high = struct.unpack_from(">2H", tag, 12 + 2 * below)
    return float((low + (high - low) * (at - below)) / 65535)


def _from_formula(tag: bytes, x: float) -> float:
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = {3: 5, 4: 7}.get(kind)
    if count is None:
        raise ValueError(kind)
    values = [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]
    g, a, b, c, d, e, f = [*values, 0.0, 0.0][:7]
    return float((a * x + b) ** g + e if x >= d else c * x + f)


def _encoded(linear: float) -> float:
    """The transfer function of sRGB (IEC 61966-2-1)."""
    if linear <= 0.0031308:
        return 12.92 * linear
    return float(1.055 * linear ** (1 / 2.4) - 0.055)
