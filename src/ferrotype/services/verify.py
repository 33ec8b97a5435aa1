"""The story of a look at every copy: is it there, is it whole, and if not, is there a right one elsewhere?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from ferrotype.db import assets, copies, dead_letters
from ferrotype.db.copies import Held
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset
from ferrotype.domain.problems import NotFound, Problem
from ferrotype.services.chores import Patience, Watcher, for_each, pages
from ferrotype.services.wholes import Wholes
from ferrotype.storage.base import Store
from ferrotype.storage.registry import Stores
from ferrotype.storage.spool import Spool

Fault = Literal["missing", "wrong size", "wrong bytes", "out of reach", "nowhere"]
#: Faults that another right copy mends.
MENDABLE: Final = ("missing", "wrong size", "wrong bytes")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a copy; `store` and `key` are empty for an asset that has none. `mended` tells
    whether it is right now, and `why` what kept it from that."""

    asset_id: str
    store: str
    key: str
    fault: Fault
    detail: str
    mended: bool = False
    why: str = ""


@dataclass(slots=True)
class Verified:
    """What a look found. `unchecked` counts the copies in stores that are not configured, by store;
    `waiting` the assets that are still on their way to their first store. `last` is the asset up to which
    all were looked at."""

    copies: int = 0
    bytes: int = 0
    faults: int = 0
    mended: int = 0
    waiting: int = 0
    unchecked: dict[str, int] = field(default_factory=dict)
    last: str = ""

    @property
    def is_right(self) -> bool:
        """Whether every copy is as it should be now."""
        return self.faults == self.mended and not self.unchecked


class Verify:
    """Looks at copies; `deep` reads every byte of them."""

    def __init__(
        self, database: Database, stores: Stores, spool: Spool, wholes: Wholes, patience: Patience
    ) -> None:
        self._database = database
        self._stores = stores
        self._spool = spool
        self._wholes = wholes
        self._patience = patience

    async def count(self, store: str | None, after: str) -> int:
        """How many assets there are to look at."""
        return await self._database.read(lambda tx: copies.count_assets(tx, store, after))

    async def __call__(
        self,
        store: str | None,
        *,
        deep: bool,
        repair: bool,
        width: int,
        watcher: Watcher,
        tell: Callable[[Finding], None],
        found: Verified,
        after: str = "",
    ) -> None:
        """Look at the copies in `store`, or in all; of the assets after `after`. Each fault is told as it is
        found, and counted in `found`. Raises Hopeless when a store cannot be used."""

        begun: dict[str, bool] = {}

        async def one(held: Held) -> None:
            begun[held.asset.id] = False
            for name, key in held.keys.items():
                if store in (None, name):
                    await self._look(held, name, key, deep, repair, tell, found)
            begun[held.asset.id] = True
            while begun and begun[first := next(iter(begun))]:
                found.last = first
                del begun[first]
            watcher.done()

        walk = pages(
            self._database,
            lambda tx, after: copies.of_store(tx, store, after),
            lambda held: held.asset.id,
            after,
        )
        await for_each(walk, one, width)
        if store is None:
            async for asset in pages(self._database, copies.without, lambda each: each.id, after):
                await self._look_for(asset, tell, found)

    async def _look(
        self,
        held: Held,
        name: str,
        key: str,
        deep: bool,
        repair: bool,
        tell: Callable[[Finding], None],
        found: Verified,
    ) -> None:
        store = self._stores.by_name.get(name)
        if store is None:
            found.unchecked[name] = found.unchecked.get(name, 0) + 1
            return
        found.copies += 1
        fault, detail = await self._fault(held, store, key, deep)
        if fault is None:
            found.bytes += held.asset.bytes or 0
            return
        if not await self._is_still(held.asset.id, name, key):
            found.copies -= 1
            return
        mended, why = False, ""
        if repair and fault in MENDABLE:
            why = await self._mend(held, store, key)
            mended = not why
        found.faults += 1
        found.mended += mended
        tell(Finding(held.asset.id, name, key, fault, detail, mended, why))

    async def _fault(self, held: Held, store: Store, key: str, deep: bool) -> tuple[Fault | None, str]:
        asset = held.asset
        try:
            size = await self._patience(lambda: store.size(key))
            if size is None:
                return "missing", "there is nothing"
            if size != asset.bytes:
                return "wrong size", f"{size} bytes instead of {asset.bytes}"
            if deep and asset.sha256 is not None:
                sha256, size = await self._patience(lambda: self._wholes.sha256(store, key))
                if sha256 != asset.sha256:
                    return "wrong bytes", "the SHA-256 is another"
        except NotFound:
            return "missing", "there is nothing"
        except Problem as problem:
            return "out of reach", problem.detail
        return None, ""

    async def _is_still(self, asset_id: str, name: str, key: str) -> bool:
        """Whether the copy still should be there: a purge or a migration may have been under way."""
        keys = await self._database.read(lambda tx: assets.keys(tx, asset_id))
        return keys.get(name) == key

    async def _mend(self, held: Held, store: Store, key: str) -> str:
        """Put the right bytes there; what kept us from it, empty when nothing did."""
        asset = held.asset
        try:
            async with self._wholes.file(held, without=(store.name,)) as path:
                await self._patience(
                    lambda: store.put(
                        key, path, content_type=asset.content_type or "", sha256=asset.sha256 or ""
                    )
                )
        except (Problem, OSError) as error:
            return error.detail if isinstance(error, Problem) else str(error)
        if not await self._is_still(asset.id, store.name, key):
            await store.delete(key)
        return ""

    async def _look_for(self, asset: Asset, tell: Callable[[Finding], None], found: Verified) -> None:
        """An asset that no store has."""
        under_way = await self._database.read(lambda tx: dead_letters.under_way(tx, [asset.id]))
        if self._spool.path(asset.id):
            if under_way.get(asset.id):
                found.waiting += 1
            else:
                found.faults += 1
                detail = "the spool has it, and no job sees to it: `ferrotype assets retry`"
                tell(Finding(asset.id, "", "", "nowhere", detail))
            return
        keys = await self._database.read(lambda tx: assets.keys(tx, asset.id))
        if not keys:  # else it came to its store in this moment
            found.faults += 1
            tell(Finding(asset.id, "", "", "nowhere", "no store has it, and neither has the spool"))
