"""Files that live for a moment: pictures on their way from one store to another."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from ferrotype.storage.filesystem import full_is_overloaded, write_all


class Scratch:
    """A folder that one process owns; whoever takes it clears what the last one left."""

    def __init__(self, root: Path) -> None:
        self._root = self.root = root

    def clear(self) -> None:
        """Remove every file, those of a process that was killed among them."""
        self._root.mkdir(parents=True, exist_ok=True)
        with os.scandir(self._root) as entries:
            for entry in entries:
                os.unlink(entry.path)

    def path(self) -> Path:
        """A name that nobody has."""
        return self._root / secrets.token_hex(12)

    def forget(self, path: Path) -> None:
        """Remove the file, if there is one."""
        with suppress(FileNotFoundError):
            path.unlink()

    async def keep(self, path: Path, chunks: AsyncIterator[bytes]) -> None:
        """Write what comes, a piece at a time; durable once this returns, so that a store may link the file.
        Raises Overloaded when the disk is full, and what `chunks` raises."""
        with full_is_overloaded():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            async for data in chunks:
                with full_is_overloaded():
                    await asyncio.to_thread(write_all, fd, data)
            with full_is_overloaded():
                await asyncio.to_thread(os.fsync, fd)
        finally:
            os.close(fd)
