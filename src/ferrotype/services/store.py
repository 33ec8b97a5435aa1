"""The story of a durable copy: from the spool to the primary store and on to its mirrors, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
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
        primary, *mirrors = self._stores.written
        name = str(lease.payload.get("store") or primary)
        asset, keys = await self._database.read(lambda tx: assets.with_keys(tx, asset_id))
        if name not in self._stores.by_name:
            raise Overloaded(f"The store {name} is not configured.", retry_after=60)
        try:
            if asset is None or asset.purged_at is not None or name in keys:
                await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))
            else:
                await self._copy(lease, asset, keys, name)
                if name == primary and not mirrors:
                    await self._spool.remove(asset_id)
        finally:
            # Mirrors are queued behind the primary's copy and find the bytes here; the first that was started
            # lets them go, whatever became of it. What stays for another reason `tidy_spool` finds.
            if asset is None or asset.purged_at is not None or keys:
                await self._spool.remove(asset_id)

    async def _copy(self, lease: Lease, asset: Asset, keys: Mapping[str, str], name: str) -> None:
        store, key = self._stores.by_name[name], self._stores.templates[name].key(asset, self._secret)
        try:
            async with self._originals.file(asset, keys) as source:
                await store.put(key, source, content_type=asset.content_type or "", sha256=asset.sha256 or "")
        except NotFound:
            error = {"detail": "The spool no longer has the bytes and no store ever got them."}
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.FAILED, error))
            return

        def story(tx: Transaction) -> bool:
            self._engine.fence(tx, lease)
            now = assets.get(tx, asset.id)
            if now is None or now.purged_at is not None:
                return False
            new = assets.add_copy(tx, asset.id, name, key, self._clock.now())
            if new and asset.generation_id:
                self._journal.spread(tx, "stored", asset.generation_id, asset_id=asset.id, store=name)
            if name == self._stores.written[0]:
                for mirror in self._stores.written[1:]:
                    self._engine.enqueue(tx, self._job(asset, mirror))
            self._engine.finish(tx, lease, JobState.SUCCEEDED)
            return True

        if not await self._database.write(story):
            await store.delete(key)  # it was purged meanwhile
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))

    def _job(self, asset: Asset, store: str) -> NewJob:
        return NewJob(
            kind=KIND,
            class_=KIND,
            account_id=asset.account_id,
            generation_id=asset.generation_id,
            payload={"asset_id": asset.id, "store": store},
            max_starts=MIRROR_STARTS,
        )


async def tidy_spool(
    database: Database, spool: Spool, *, recover: bool = False, orphans: Collection[str] = ()
) -> set[str]:
    """Let go of spooled files that nobody needs: after their copy, without a standing asset. With `recover`,
    once at the start, also of what a crash left half-written.

    A picture's bytes are here before its asset is written. While the server runs a file without an asset
    therefore stays, unless it is one of the `orphans` of an earlier look. Returns those of this look.
    """
    found = set()
    for asset_id in await asyncio.to_thread(spool.recover if recover else spool.complete):
        asset, keys = await database.read(lambda tx, asset_id=asset_id: assets.with_keys(tx, asset_id))  # type: ignore[misc]
        if asset is None and not recover and asset_id not in orphans:
            found.add(asset_id)
        elif asset is None or asset.state is AssetState.FAILED or keys:
            await spool.remove(asset_id)
    return found
