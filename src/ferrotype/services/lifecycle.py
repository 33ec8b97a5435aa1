"""What becomes of an asset after it was made: who may load it, its deletion, its restoration."""

from __future__ import annotations

from datetime import datetime

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Gone, NotFound
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease, NewJob
from ferrotype.services.cdn import Uncache
from ferrotype.services.purge import KIND as PURGE
from ferrotype.services.purge import forget
from ferrotype.storage.levels import Levels

#: Tries where a cache or a store is out of reach; with the engine's back-off that is days.
STARTS = 1_000
KIND = "forget"


class Lifecycle:
    """Changes assets of an account."""

    def __init__(
        self, database: Database, engine: Engine, levels: Levels, uncache: Uncache, clock: Clock
    ) -> None:
        self._database = database
        self._engine = engine
        self._levels = levels
        self._uncache = uncache
        self._clock = clock

    async def show_to(self, asset_id: str, account_id: str, visibility: Visibility) -> None:
        """Say who may load it from here on. What browsers keep already, they keep; a CDN that is configured
        is told to forget what becomes private.

        Raises NotFound, or Gone for a deleted one.
        """

        def story(tx: Transaction) -> None:
            asset = _own(tx, asset_id, account_id)
            if asset.deleted_at is not None:
                raise Gone(f"Asset {asset_id} was deleted.")
            assets.learn(tx, asset_id, visibility=visibility)
            if visibility is Visibility.PRIVATE and asset.visibility is not Visibility.PRIVATE:
                self._uncache.enqueue(tx, asset)

        await self._database.write(story)
        self._levels.forget_in_memory(asset_id)

    async def delete(self, asset_id: str, account_id: str, *, purge: bool = False) -> datetime:
        """Serve it no more, in any size; when it was deleted, which may be long ago. The stores keep the
        original until it can no longer be restored, with `purge` no longer than it takes to remove it.

        Raises NotFound.
        """
        now = self._clock.now()

        def story(tx: Transaction) -> datetime:
            asset = _own(tx, asset_id, account_id)
            if asset.deleted_at is None:
                assets.learn(tx, asset_id, deleted_at=now)
                self._engine.enqueue(tx, _job(KIND, asset))
                self._uncache.enqueue(tx, asset)
            if purge and asset.purged_at is None:
                self._engine.enqueue(tx, _job(PURGE, asset))
            return asset.deleted_at or now

        deleted_at = await self._database.write(story)
        self._levels.forget_here(asset_id)
        return deleted_at

    async def restore(self, asset_id: str, account_id: str) -> None:
        """Serve a deleted asset again; one that stands stays as it is. It expires no more.

        Raises NotFound, or Gone when its bytes have been removed.
        """

        def story(tx: Transaction) -> None:
            asset = _own(tx, asset_id, account_id)
            if asset.purged_at is not None:
                raise Gone(f"The bytes of asset {asset_id} have been removed.")
            if asset.deleted_at is not None:
                assets.learn(tx, asset_id, deleted_at=None, expires_at=None)

        await self._database.write(story)
        self._levels.remember(asset_id)


class Forget:
    """Handles jobs of the kind `forget`: every cache lets go of a deleted asset."""

    def __init__(self, database: Database, engine: Engine, levels: Levels) -> None:
        self._database = database
        self._engine = engine
        self._levels = levels

    async def __call__(self, lease: Lease) -> None:
        """Harmless to do again. Raises Overloaded when a cache could not be told."""
        await forget(self._levels, str(lease.payload["asset_id"]))
        await self._database.write(
            lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED), durable=False
        )


def _job(kind: str, asset: Asset) -> NewJob:
    return NewJob(
        kind=kind,
        class_=kind,
        account_id=asset.account_id,
        payload={"asset_id": asset.id},
        max_starts=STARTS,
    )


def _own(tx: Transaction, asset_id: str, account_id: str) -> Asset:
    asset = assets.get(tx, asset_id)
    if asset is None or asset.account_id != account_id:
        raise NotFound(f"There is no asset {asset_id}.")
    return asset
