"""Copies of input pictures, made to fit what a model reads; the originals stay as they are."""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakValueDictionary

from cachebox import LRUCache

from ferrotype.domain.problems import Overloaded
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.prescale import Plan, prescale
from ferrotype.services.originals import Originals

#: Bytes of copies that are kept for the next call: those of one generation come close behind each other.
KEPT_BYTES: Final = 32 * 1024 * 1024


class Copies:
    """Makes each copy once, however many calls of a generation ask for it at about the same time."""

    def __init__(self, originals: Originals, pool: ImagingPool, kept_bytes: int = KEPT_BYTES) -> None:
        self._originals = originals
        self._pool = pool
        self._kept_bytes = kept_bytes
        self._kept: LRUCache[str, bytes] = LRUCache(kept_bytes, getsizeof=lambda _name, data: len(data))
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, asset_id: str, name: str, plan: Plan) -> bytes:
        """The asset's picture as planned; `name` is unique to the picture and the plan.

        Waits while the imaging pool is full, for the order was accepted already. Raises NotFound when the
        original is gone, and InvalidField when it cannot be decoded.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            data: bytes | None = self._kept.get(name)
            if data is None:
                data = await self._make(asset_id, plan)
                if len(data) <= self._kept_bytes:
                    self._kept[name] = data
            return data

    async def _make(self, asset_id: str, plan: Plan) -> bytes:
        original = await self._originals.read(asset_id)
        while True:
            try:
                return await self._pool.run(prescale, original, plan)
            except Overloaded as busy:
                await asyncio.sleep(busy.retry_after or 1)
