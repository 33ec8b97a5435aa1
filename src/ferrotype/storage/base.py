"""The port of the durable stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """One durable place for originals. Keys are relative, `/`-separated and made by the caller."""

    name: str

    async def put(self, key: str, source: Path, *, content_type: str, sha256: str) -> None:
        """Keep the file's bytes under `key`; durable once this returns. Doing it twice is harmless.

        Raises Overloaded when the store is full, OSError or the store's own error otherwise.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """The file to serve from directly, where the store has one."""
        ...

    def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and without `end`. Raises NotFound."""
        ...

    async def size(self, key: str) -> int | None:
        """Bytes under `key`, None when there are none."""
        ...

    async def delete(self, key: str) -> None:
        """Forget `key`; an absent one is no error."""
        ...
