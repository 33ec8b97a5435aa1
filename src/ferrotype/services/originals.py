"""Where the bytes of an original are right now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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
    """Reads complete originals: from the spool, else from the stores, those on this machine first."""

    def __init__(self, database: Database, spool: Spool, stores: Mapping[str, Store]) -> None:
        self._database = database
        self._spool = spool
        self._stores = stores

    async def path(self, asset_id: str) -> Path | None:
        """A file with all the bytes, None when no place on this machine has one."""
        return self._path(asset_id, await self._keys(asset_id))

    async def read(self, asset_id: str) -> bytes:
        """All the bytes. Raises NotFound when no place has them, and what a store raises."""
        for _ in range(MOVES):
            path = await self.path(asset_id)
            if path is None:
                break
            try:
                return await asyncio.to_thread(path.read_bytes)
            except FileNotFoundError:
                continue  # it went from the spool to its store meanwhile
        for store, key in self._away(await self._keys(asset_id)):
            return b"".join([chunk async for chunk in store.open(key)])
        raise NotFound(f"The bytes of asset {asset_id} are nowhere.")

    @asynccontextmanager
    async def file(self, asset_id: str, keys: Mapping[str, str]) -> AsyncIterator[Path]:
        """A file with all the bytes, fetched from a store where there is none here; `keys` are those of its
        copies, by store. Raises NotFound when no place has them, and what a store raises."""
        path = self._path(asset_id, keys)
        if path is not None:
            yield path
            return
        for store, key in self._away(keys):
            part = self._spool.open_part(asset_id)
            try:
                async for chunk in store.open(key):
                    part.write(chunk)
                yield part.path
            finally:
                part.discard()
            return
        raise NotFound(f"The bytes of asset {asset_id} are nowhere.")

    def _path(self, asset_id: str, keys: Mapping[str, str]) -> Path | None:
        spooled = self._spool.path(asset_id)
        if spooled is not None:
            return spooled
        paths = (self._stores[name].local_path(key) for name, key in keys.items() if name in self._stores)
        return next((path for path in paths if path is not None), None)

    def _away(self, keys: Mapping[str, str]) -> list[tuple[Store, str]]:
        known = [(self._stores[name], key) for name, key in keys.items() if name in self._stores]
        return [(store, key) for store, key in known if not store.local]

    async def _keys(self, asset_id: str) -> Mapping[str, str]:
        found = await self._database.read(lambda tx: assets.copy_keys(tx, [asset_id]))
        return found.get(asset_id, {})
