"""The port of collections: pictures elsewhere, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ferrotype.domain.problems import Problem


@dataclass(frozen=True, slots=True)
class Item:
    """A picture of a collection. `source` names it for good, without any secret: it is imported once.
    `address` is where the app had it, `former_id` what the app called it. `size` is in bytes, if that is
    known. `open` gives the bytes, as they are, and raises Problem. `private` tells that not everybody could
    load it there; `surely` that it claims to be a picture, by its name or by where it is. Where facts stand
    beside the bytes, `know` reads both at once: the item with its facts, and bytes that are here. It raises
    Problem."""

    source: str
    address: str
    former_id: str
    open: Callable[[], AsyncIterator[bytes]]
    size: int | None = None
    created_at: datetime | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    private: bool = False
    surely: bool = True
    know: Callable[[], Awaitable[Item]] | None = None


class Collection(Protocol):
    """Pictures elsewhere. `where` says for people which ones."""

    where: str

    def items(self) -> AsyncIterator[Item]:
        """Each of them, in an order of the place's own, a page at a time in memory. What cannot be read is
        an item whose `open` says so. Raises Problem when the place cannot be listed."""
        ...

    async def close(self) -> None:
        """End every connection."""
        ...


class Broken:
    """Bytes that cannot be had: says why."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def __call__(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise self._problem


def whole(data: bytes) -> AsyncIterator[bytes]:
    """Bytes that are here already."""

    async def give() -> AsyncIterator[bytes]:
        yield data

    return give()
