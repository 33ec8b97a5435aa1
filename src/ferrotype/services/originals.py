"""Where the bytes of an original are right now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.problems import NotFound
from ferrotype.storage.base import Store
from ferrotype.storage.spool import Spool

#: Looks before bytes that keep moving count as gone: spool, then store, then once more.
MOVES: Final = 3


class Originals:
    """Reads complete originals: from the spool, else from the stores, in their order."""

    def __init__(self, database: Database, spool: Spool, stores: Mapping[str, Store]) -> None:
        self._database = database
        self._spool = spool
        self._stores = stores

    async def path(self, asset_id: str) -> Path | None:
        """A file with all the bytes, None when no place here has one."""
        spooled = self._spool.path(asset_id)
        if spooled is not None:
            return spooled
        for name, store in self._stores.items():
            key = await self._database.read(lambda tx, name=name: assets.copy_key(tx, asset_id, name))  # type: ignore[misc]
            if key is not None:
                path = store.local_path(key)
                if path is not None:
                    return path
        return None

    async def read(self, asset_id: str) -> bytes:
        """All the bytes. Raises NotFound when no place has them."""
        for _ in range(MOVES):
            path = await self.path(asset_id)
            if path is None:
                break
            try:
                return await asyncio.to_thread(path.read_bytes)
            except FileNotFoundError:
                continue  # it went from the spool to its store meanwhile
        raise NotFound(f"The bytes of asset {asset_id} are nowhere.")
