"""The port to whatever turns texts into vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Protocol

#: A direction: one signed byte for each dimension. Only directions count, so no scale goes with it, and equal
#: texts have equal bytes. The similarity of two is the cosine of the angle between them, from -1 to 1.
Vector = bytes


class Embedder(Protocol):
    """Turns texts into vectors of `size` dimensions. Vectors are comparable where `name` is the same: it
    stands for the network, its weights and how texts are read."""

    name: str
    size: int

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vector of each text, in their order; a text has the same one whatever comes with it.

        Raises Overloaded when too many wait, after `close` too, and EmbeddingFailed when the network cannot
        be loaded or run.
        """
        ...

    async def close(self) -> None:
        """Finish what runs and let go of the network."""
        ...


def similarity(one: Vector, other: Vector) -> float:
    """Of two vectors of the same embedder, from -1 to 1."""
    mine, theirs = (memoryview(each).cast("b").tolist() for each in (one, other))
    product = sum(map(mul, mine, theirs))
    return float(product / math.sqrt(sum(map(mul, mine, mine)) * sum(map(mul, theirs, theirs))))
