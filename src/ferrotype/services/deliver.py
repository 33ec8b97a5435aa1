"""The story of a GET for a picture that is not in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.problems import NotFound, OriginUnavailable
from ferrotype.domain.states import AssetState
from ferrotype.imaging.sniff import HEAD, sniff
from ferrotype.storage.arrivals import Arrival, Arrivals, OriginUnusable
from ferrotype.storage.base import Store
from ferrotype.storage.memory import Cached, MemoryCache
from ferrotype.storage.spool import Spool

UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class File:
    """A complete picture on this machine's disk, too large for the memory cache. `size` is in bytes."""

    path: Path
    size: int
    content_type: str


#: Whole and in memory; whole and on disk; or on its way.
Delivery = Cached | File | Arrival


class Deliver:
    """Finds a picture's bytes, nearest place first, however many ask: once."""

    def __init__(
        self,
        database: Database,
        cache: MemoryCache,
        spool: Spool,
        stores: Mapping[str, Store],
        arrivals: Arrivals,
    ) -> None:
        self._database = database
        self._cache = cache
        self._spool = spool
        self._arrivals = arrivals
        self._stores = stores
        self._opening: dict[str, asyncio.Task[Delivery]] = {}

    async def open(self, asset_id: str) -> Delivery:
        """Where the bytes are now, after the caller has looked in memory in vain.

        Raises NotFound for an asset that never was, OriginUnavailable for one whose bytes never came.
        """
        if arrival := self._arrivals.get(asset_id):
            return arrival
        task = self._opening.get(asset_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._open(asset_id))
            self._opening[asset_id] = task
            task.add_done_callback(lambda _: self._opening.pop(asset_id))
        return await asyncio.shield(task)

    async def check(self, asset_id: str) -> None:
        """Whether there is such a picture, without touching its bytes. Raises as `open` does."""
        if self._arrivals.get(asset_id) is None and self._spool.path(asset_id) is None:
            await self._find(asset_id)

    async def _open(self, asset_id: str) -> Delivery:
        if found := await self._from_file(asset_id, self._spool.path(asset_id)):
            return found
        asset, keys = await self._find(asset_id)
        for name, key in keys.items():
            if found := await self._from_file(asset_id, self._stores[name].local_path(key)):
                return found
        if asset.origin is not None:
            return self._arrivals.start(asset_id, asset.origin)
        raise OriginUnavailable("The picture's bytes are not here yet.", retry_after=1)

    async def _find(self, asset_id: str) -> tuple[Asset, dict[str, str]]:
        def story(tx: Transaction) -> tuple[Asset | None, dict[str, str]]:
            keys = {name: assets.copy_key(tx, asset_id, name) for name in self._stores}
            return assets.get(tx, asset_id), {name: key for name, key in keys.items() if key}

        asset, keys = await self._database.read(story)
        if asset is None:
            raise NotFound("There is no such picture.")
        if asset.state is AssetState.FAILED:
            raise OriginUnusable("The bytes of this picture never came from its provider.")
        return asset, keys

    async def _from_file(self, asset_id: str, path: Path | None) -> Cached | File | None:
        """None when the file is not there, or is gone by now because a store has it."""
        if path is None:
            return None

        def read() -> tuple[int, str, bytes | None]:
            with path.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                body = file.read() if size <= self._cache.max_object_bytes else None
                head = file.read(HEAD) if body is None else body[:HEAD]
            kind = sniff(head)
            return size, kind.content_type if kind else UNKNOWN_TYPE, body

        try:
            size, content_type, body = await asyncio.to_thread(read)
        except FileNotFoundError:
            return None
        if body is None:
            return File(path, size, content_type)
        return self._cache.put(asset_id, body, content_type)
