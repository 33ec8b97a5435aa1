"""The story of a purge: the bytes of a deleted picture leave every place."""

from __future__ import annotations

from collections.abc import Mapping

from ferrotype.db import assets, imports, prompts
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Overloaded
from ferrotype.domain.states import AssetState, JobState
from ferrotype.engine.base import Engine, Lease
from ferrotype.services.cdn import Uncache
from ferrotype.storage.base import NotForgotten, Store
from ferrotype.storage.levels import Levels
from ferrotype.storage.spool import Spool

KIND = "purge"


class Purge:
    """Handles jobs of the kind `purge`."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        spool: Spool,
        stores: Mapping[str, Store],
        levels: Levels,
        uncache: Uncache,
        clock: Clock,
    ) -> None:
        self._database = database
        self._engine = engine
        self._spool = spool
        self._stores = stores
        self._levels = levels
        self._uncache = uncache
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Every step may be done again. Raises what `purge` raises."""
        await self.purge(str(lease.payload["asset_id"]))
        await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))

    async def purge(self, asset_id: str) -> None:
        """Remove the bytes of a deleted asset from the stores, the spool and the caches; its row stays and
        says so. One that was restored meanwhile stays as it is.

        Raises Overloaded while its copy is still being made, or a store is not configured or out of reach.
        """
        asset, keys = await self._database.read(lambda tx: assets.with_keys(tx, asset_id))
        if asset is None or asset.deleted_at is None or asset.purged_at is not None:
            return
        if asset.state is AssetState.ARRIVING or (asset.state is AssetState.READY and not keys):
            raise Overloaded(f"The copy of asset {asset_id} is still being made.", retry_after=5)
        urls: list[str] = []
        for name, key in keys.items():
            store = self._stores.get(name)
            if store is None:
                raise Overloaded(f"The store {name}, which has asset {asset_id}, is not configured.")
            urls += await self._uncache.urls(store, key)
            await store.delete(key)
        await self._spool.remove(asset_id)
        await forget(self._levels, asset_id)
        now = self._clock.now()

        def story(tx: Transaction) -> None:
            if assets.keys(tx, asset_id) != keys:
                raise Overloaded(f"A copy of asset {asset_id} was made meanwhile.", retry_after=1)
            assets.remove_copies(tx, asset_id)
            self._uncache.enqueue(tx, asset, urls)
            assets.learn(tx, asset_id, purged_at=now, origin=None, placeholder=None)
            imports.forget_purged(tx, asset_id)
            if asset.generation_id is not None:
                prompts.forget_purged(tx, asset.generation_id)

        await self._database.write(story)


async def forget(levels: Levels, asset_id: str) -> None:
    """Have every cache let go of an asset. Raises Overloaded when one could not be told."""
    try:
        await levels.forget(asset_id)
    except NotForgotten as error:
        raise Overloaded(f"A cache could not be told to forget: {error}", retry_after=1) from error
