"""The story of a durable copy: from the spool to the primary store and on to its mirrors, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import NotFound, Overloaded
from ferrotype.domain.states import AssetState, JobState
from ferrotype.engine.base import Engine, Lease, NewJob
from ferrotype.services.journal import Journal
from ferrotype.services.originals import Originals
from ferrotype.storage.registry import Stores
from ferrotype.storage.spool import Spool

KIND: Final = "store"
#: Copies to a mirror that are tried; with the engine's back-off that is days.
MIRROR_STARTS: Final = 1_000


class StoreCopy:
    """Handles jobs of the kind `store`: one per asset and store. A payload without `store` means the primary,
    whose confirmation lets the spool go and queues the mirrors."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        spool: Spool,
        originals: Originals,
        stores: Stores,
        journal: Journal,
        clock: Clock,
        secret: bytes,
    ) -> None:
        """`secret` is what makes keys unguessable."""
        self._database = database
        self._engine = engine
        self._spool = spool
        self._originals = originals
        self._stores = stores
        self._journal = journal
        self._clock = clock
        self._secret = secret

    async def __call__(self, lease: Lease) -> None:
        """Copy, confirm, then let the spool go. Every step may be done again after a crash.

        Raises what `Store.put` raises, and Overloaded for a store that is not configured (any more).
        """
        asset_id = str(lease.payload["asset_id"])
        primary = self._stores.written[0]
        name = str(lease.payload.get("store") or primary)
        asset, keys = await self._database.read(lambda tx: assets.with_keys(tx, asset_id))
        if name not in self._stores.by_name:
            raise Overloaded(f"The store {name} is not configured.", retry_after=60)
        if asset is None or asset.purged_at is not None or name in keys:
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))
        else:
            await self._copy(lease, asset, keys, name)
        if name == primary:
            await self._spool.remove(asset_id)

    async def _copy(self, lease: Lease, asset: Asset, keys: Mapping[str, str], name: str) -> None:
        store, key = self._stores.by_name[name], self._stores.templates[name].key(asset, self._secret)
        try:
            async with self._originals.file(asset.id, keys) as source:
                await store.put(key, source, content_type=asset.content_type or "", sha256=asset.sha256 or "")
        except NotFound:
            error = {"detail": "The spool no longer has the bytes and no store ever got them."}
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.FAILED, error))
            return

        def story(tx: Transaction) -> None:
            self._engine.fence(tx, lease)
            new = assets.add_copy(tx, asset.id, name, key, self._clock.now())
            if new and asset.generation_id:
                self._journal.record(tx, "stored", asset.generation_id, asset_id=asset.id, store=name)
            if name == self._stores.written[0]:
                for mirror in self._stores.written[1:]:
                    self._engine.enqueue(tx, self._job(asset, mirror))
            self._engine.finish(tx, lease, JobState.SUCCEEDED)

        await self._database.write(story)

    def _job(self, asset: Asset, store: str) -> NewJob:
        return NewJob(
            kind=KIND,
            class_=KIND,
            account_id=asset.account_id,
            generation_id=asset.generation_id,
            payload={"asset_id": asset.id, "store": store},
            max_starts=MIRROR_STARTS,
        )


async def tidy_spool(database: Database, spool: Spool, *, recover: bool = False) -> None:
    """Let go of spooled files that nobody needs: without a standing asset, or after their copy. With
    `recover`, once at the start, also of what a crash left half-written."""
    for asset_id in await asyncio.to_thread(spool.recover if recover else spool.complete):
        asset, keys = await database.read(lambda tx, asset_id=asset_id: assets.with_keys(tx, asset_id))  # type: ignore[misc]
        if asset is None or asset.state is AssetState.FAILED or keys:
            await spool.remove(asset_id)
