"""A placed thing, and the measures of its artwork that placing needs."""

from __future__ import annotations

from dataclasses import dataclass

from . import sprites
from .scene import Subject


@dataclass(frozen=True, slots=True)
class Item:
    """One drawn thing, in pixels: `x` is its centre, `y` its foot (or its lowest point), `w` x `h` its size.

    `sunk` is the fraction of its height under water; `airborne` casts no shadow at its foot; `depth` is 0
    near to
    1 far; `order` sorts the painting.
    """

    subject: Subject
    copy: int
    x: float
    y: float
    w: float
    h: float
    flip: bool
    order: float
    sunk: float = 0.0
    airborne: bool = False
    floating: bool = False
    depth: float = 0.0
    tilt: float = 0.0

    @property
    def top(self) -> float:
        return self.y - self.h


def aspect_of(s: Subject) -> float:
    """Width over height as drawn."""
    return sprites.aspect(s.code, s.place)


def relative(s: Subject) -> float:
    """Height in units of a person, compressed so that a mouse beside an elephant is still seen."""
    return float(s.height**0.72) * s.size
