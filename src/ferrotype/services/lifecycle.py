"""What becomes of an asset after it was made: who may load it, and its deletion."""

from __future__ import annotations

from datetime import datetime

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Gone, NotFound, Overloaded
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease, NewJob
from ferrotype.storage.base import NotForgotten
from ferrotype.storage.levels import Levels

#: Tries to tell a cache that is out of reach; with the engine's back-off that is days.
FORGET_STARTS = 1_000
KIND = "forget"


class Lifecycle:
    """Changes assets of an account."""

    def __init__(self, database: Database, engine: Engine, levels: Levels, clock: Clock) -> None:
        self._database = database
        self._engine = engine
        self._levels = levels
        self._clock = clock

    async def show_to(self, asset_id: str, account_id: str, visibility: Visibility) -> None:
        """Say who may load it from here on. What browsers and CDNs keep already, they keep.

        Raises NotFound, or Gone for a deleted one.
        """

        def story(tx: Transaction) -> None:
            asset = _own(tx, asset_id, account_id)
            if asset.deleted_at is not None:
                raise Gone(f"Asset {asset_id} was deleted.")
            assets.learn(tx, asset_id, visibility=visibility)

        await self._database.write(story)
        self._levels.forget_in_memory(asset_id)

    async def delete(self, asset_id: str, account_id: str) -> datetime:
        """Serve it no more, in any size; when it was deleted, which may be long ago. The stores keep the
        original. Raises NotFound."""
        now = self._clock.now()

        def story(tx: Transaction) -> datetime:
            asset = _own(tx, asset_id, account_id)
            if asset.deleted_at is not None:
                return asset.deleted_at
            assets.learn(tx, asset_id, deleted_at=now)
            job = NewJob(
                kind=KIND,
                class_=KIND,
                account_id=account_id,
                payload={"asset_id": asset_id},
                max_starts=FORGET_STARTS,
            )
            self._engine.enqueue(tx, job)
            return now

        deleted_at = await self._database.write(story)
        self._levels.forget_here(asset_id)
        return deleted_at


class Forget:
    """Handles jobs of the kind `forget`: every cache lets go of a deleted asset."""

    def __init__(self, database: Database, engine: Engine, levels: Levels) -> None:
        self._database = database
        self._engine = engine
        self._levels = levels

    async def __call__(self, lease: Lease) -> None:
        """Harmless to do again. Raises Overloaded when a cache could not be told."""
        try:
            await self._levels.forget(str(lease.payload["asset_id"]))
        except NotForgotten as error:
            raise Overloaded(f"A cache could not be told to forget: {error}", retry_after=1) from error
        await self._database.write(
            lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED), durable=False
        )


def _own(tx: Transaction, asset_id: str, account_id: str) -> Asset:
    asset = assets.get(tx, asset_id)
    if asset is None or asset.account_id != account_id:
        raise NotFound(f"There is no asset {asset_id}.")
    return asset
