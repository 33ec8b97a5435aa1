"""What a prompt asks for, as data: the only thing that the drawing code sees of the words."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

#: Part of every seed: raise it when the same order is to give another picture.
ILLUSTRATOR_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of thing, `count` times (1-24).

    `place` and `height` come from the lexicon; `size` is the prompt's own factor (1.0 unless it says tiny,
    huge,
    ...); `colour` is `#rrggbb` or None for the artwork's own. `relation` ties it to the earlier subject at
    index
    `anchor` and reads "<the anchor> <relation> <this one>": under, above, on, in, front, behind, beside,
    with,
    wearing, holding; None when it stands for itself.
    """

    code: str
    name: str
    place: str
    height: float
    count: int = 1
    colour: str | None = None
    size: float = 1.0
    relation: str | None = None
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that decides the picture except its size and style argument.

    `sky` holds moon, crescent, sun, stars, rainbow, aurora; `weather` rain, snow, fog, storm, clouds, wind.
    `accent` is a colour asked of the backdrop ("a purple sky"). `style` is the one that the prompt's own
    words
    suggest. `key` is the digest that all randomness hangs on.
    """

    subjects: tuple[Subject, ...]
    setting: str
    hour: str
    weather: frozenset[str]
    sky: frozenset[str]
    accent: str | None
    style: str | None
    unknown: tuple[str, ...]
    key: str

    def rng(self, purpose: str) -> random.Random:
        """An independent stream per purpose, so that one part's draws never move another part."""
        digest = hashlib.sha256(f"{ILLUSTRATOR_VERSION}|{self.key}|{purpose}".encode()).digest()
        return random.Random(int.from_bytes(digest[:8], "big"))
