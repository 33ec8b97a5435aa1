"""The ports of the durable stores, and of the caches of finished pictures below the memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

#: So long a forgotten asset is not kept again, in seconds: longer than anything that began before and is
#: still under way (a fetch, a transform, a queued write).
FORGOTTEN_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture's bytes and their type."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class LevelHealth:
    """A cache's or a store's answer to "are you well", for people; `mend` says what to do, if something
    is."""

    ok: bool
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing tells of a file: `size` in bytes, and when it was last written or given its name."""

    key: str
    size: int
    modified: datetime


class WrongBytes(OSError):
    """A copy does not have the hash it should have: a disk, a memory or a wire is at fault."""


class NotForgotten(Exception):
    """A cache could not be told to forget an asset; the caller has to ask again."""


class Store(Protocol):
    """One durable place for originals. Keys are relative, `/`-separated and made by the caller. One that is
    `local` has its pictures as files on this machine, or not at all."""

    name: str
    local: bool

    async def put(self, key: str, source: Path, *, content_type: str, sha256: str) -> None:
        """Keep the file's bytes under `key`; durable, and known to be the same bytes, once this returns.
        Doing it twice is harmless, and uploads once. Whatever fails, no part of a picture is under `key`.

        `sha256` is the hash of the file, in hex. Raises Overloaded when the store is full or out of reach,
        StoreMisconfigured when it refuses us, WrongBytes, or OSError for the file.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """The file to serve from directly, where the store has one."""
        ...

    async def public_url(self, key: str) -> str | None:
        """Where anybody can load the picture from, if the store is set up so: answers then lead there. It may
        be good for a while only. Nobody looks whether `key` is there."""
        ...

    def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and without `end`, as far as there are any. Raises NotFound,
        StoreMisconfigured, and Overloaded, also when they break off in the middle."""
        ...

    async def size(self, key: str) -> int | None:
        """Bytes under `key`, None when there are none."""
        ...

    async def delete(self, key: str) -> None:
        """Forget `key`; an absent one is no error."""
        ...

    def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """All that is there, whoever made it, in no order; of `prefix`, which is empty or ends with `/`, all
        below it. A page at a time is in memory. Raises StoreMisconfigured and Overloaded."""
        ...

    async def close(self) -> None:
        """End every connection."""
        ...

    async def health(self) -> LevelHealth:
        """Whether a few bytes can be written, read and deleted now; takes a few seconds at most, and raises
        nothing."""
        ...


class CacheLevel(Protocol):
    """Keeps finished pictures while it can; any of them may be gone at any time.

    A picture is named by its asset's id and its canonical transform, which is empty for the original. What a
    name stands for never changes.
    """

    name: str

    async def get(self, asset_id: str, transform: str) -> Picture | None:
        """The picture, None when it is not here or no longer whole, or when the level cannot be asked."""
        ...

    async def put(self, asset_id: str, transform: str, picture: Picture) -> bool:
        """Keep the picture; whether it is here now. A level without room, or out of reach, says False."""
        ...

    async def forget(self, asset_id: str) -> None:
        """Let go of everything of an asset. Once this returns nothing that was put before is found.

        Raises NotForgotten when that cannot be promised.
        """
        ...


class VariantStore(CacheLevel, Protocol):
    """The last level: outlives the process, and keeps itself within a bound in bytes."""

    async def run(self) -> None:
        """Take stock, then make room whenever it is needed, until canceled."""
        ...

    async def evict(self) -> None:
        """Make room now, where there is little: what was read longest ago leaves first."""
        ...
