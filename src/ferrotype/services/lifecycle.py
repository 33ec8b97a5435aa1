"""What becomes of an asset after it was made: who may load it, its deletion, its restoration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.ids import is_id
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
#: Assets that one transaction changes: a thousand at once would keep every order waiting.
CHUNK: Final = 50

#: Which of many assets were changed, and which could not be: ids.
Outcome = tuple[list[str], list[str]]


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
            self._delete(tx, asset, now)
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
            if not _restore(tx, asset):
                raise Gone(f"The bytes of asset {asset_id} have been removed.")

        await self._database.write(story)
        self._levels.remember(asset_id)

    async def favour(self, asset_id: str, account_id: str, favourite: bool) -> None:
        """Make it a favourite, or one no more. Raises NotFound, or Gone for a deleted one."""
        now = self._clock.now()

        def story(tx: Transaction) -> None:
            asset = _own(tx, asset_id, account_id)
            if asset.deleted_at is not None:
                raise Gone(f"Asset {asset_id} was deleted.")
            _favour(tx, asset, now if favourite else None)

        await self._database.write(story)

    async def delete_many(self, asset_ids: Sequence[str], account_id: str) -> Outcome:
        """As `delete` each of them; those that do not exist are told."""
        now = self._clock.now()

        def change(tx: Transaction, asset: Asset) -> bool:
            self._delete(tx, asset, now)
            return True

        return await self._each(asset_ids, account_id, change, self._levels.forget_here)

    async def restore_many(self, asset_ids: Sequence[str], account_id: str) -> Outcome:
        """As `restore` each of them; those that do not exist or whose bytes are gone are told."""
        return await self._each(asset_ids, account_id, _restore, self._levels.remember)

    async def favour_many(self, asset_ids: Sequence[str], account_id: str, favourite: bool) -> Outcome:
        """Make each a favourite, or one no more; those that do not exist or were deleted are told."""
        at = self._clock.now() if favourite else None

        def change(tx: Transaction, asset: Asset) -> bool:
            if asset.deleted_at is None:
                _favour(tx, asset, at)
            return asset.deleted_at is None

        return await self._each(asset_ids, account_id, change)

    async def _each(
        self,
        asset_ids: Sequence[str],
        account_id: str,
        change: Callable[[Transaction, Asset], bool],
        then: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Change each asset once, some in a transaction: what is done is done, whatever becomes of the rest.
        `then` is called for each that was changed."""
        wanted = list(dict.fromkeys(asset_ids))
        done: list[str] = []
        for start in range(0, len(wanted), CHUNK):
            chunk = [each for each in wanted[start : start + CHUNK] if is_id(each)]

            def story(tx: Transaction, chunk: list[str] = chunk) -> list[str]:
                found = [assets.get(tx, each) for each in chunk]
                own = [asset for asset in found if asset is not None and asset.account_id == account_id]
                return [asset.id for asset in own if change(tx, asset)]

            changed = await self._database.write(story)
            done += changed
            if then is not None:
                for asset_id in changed:
                    then(asset_id)
        ended = set(done)
        return done, [each for each in wanted if each not in ended]

    def _delete(self, tx: Transaction, asset: Asset, at: datetime) -> None:
        if asset.deleted_at is None:
            assets.learn(tx, asset.id, deleted_at=at)
            self._engine.enqueue(tx, _job(KIND, asset))
            self._uncache.enqueue(tx, asset)


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


def _restore(tx: Transaction, asset: Asset) -> bool:
    """Whether it stands now: not where its bytes have been removed."""
    if asset.deleted_at is not None and asset.purged_at is None:
        assets.learn(tx, asset.id, deleted_at=None, expires_at=None)
    return asset.purged_at is None


def _favour(tx: Transaction, asset: Asset, at: datetime | None) -> None:
    """One that is a favourite already has been one since then."""
    if (asset.favourite_at is None) != (at is None):
        assets.learn(tx, asset.id, favourite_at=at)


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
