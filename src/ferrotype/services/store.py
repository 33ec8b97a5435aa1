"""The story of a durable copy: from the spool to the primary store, once."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path
from typing import Final

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.media import extension
from ferrotype.domain.states import AssetState, JobState
from ferrotype.engine.base import Engine, Lease
from ferrotype.services.journal import Journal
from ferrotype.storage.base import Store
from ferrotype.storage.spool import Spool

#: Hex digits of a key that cannot be guessed.
SECRET_DIGITS: Final = 24


def store_key(asset: Asset, secret: bytes) -> str:
    """`2026/01/31/{asset id}-{digits}.{ext}`: folders stay small and sort by day. A store may be open to the
    world, so the name of a picture must not follow from its URL here: the digits come from the `secret`."""
    digits = hmac.digest(secret, asset.id.encode(), "sha256").hex()[:SECRET_DIGITS]
    return f"{asset.created_at:%Y/%m/%d}/{asset.id}-{digits}.{extension(asset.content_type)}"


class StoreCopy:
    """Handles jobs of the kind `store`."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        spool: Spool,
        store: Store,
        journal: Journal,
        clock: Clock,
        secret: bytes,
    ) -> None:
        """`secret` is what makes keys unguessable."""
        self._database = database
        self._engine = engine
        self._spool = spool
        self._store = store
        self._journal = journal
        self._clock = clock
        self._secret = secret

    async def __call__(self, lease: Lease) -> None:
        """Copy, confirm, then let the spool go. Every step may be done again after a crash."""
        asset_id = str(lease.payload["asset_id"])
        asset, known = await self._database.read(lambda tx: self._load(tx, asset_id))
        spooled = self._spool.path(asset_id)
        if asset is not None and known is None and spooled is not None:
            await self._copy(lease, asset, spooled)
        elif known is not None or (asset is not None and asset.purged_at is not None):
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))
        else:
            error = {"detail": "The spool no longer has the bytes and no store ever got them."}
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.FAILED, error))
            return
        await self._spool.remove(asset_id)

    def _load(self, tx: Transaction, asset_id: str) -> tuple[Asset | None, str | None]:
        return assets.get(tx, asset_id), assets.copy_key(tx, asset_id, self._store.name)

    async def _copy(self, lease: Lease, asset: Asset, spooled: Path) -> None:
        key = store_key(asset, self._secret)
        await self._store.put(key, spooled, content_type=asset.content_type or "", sha256=asset.sha256 or "")

        def story(tx: Transaction) -> None:
            self._engine.fence(tx, lease)
            if (
                assets.add_copy(tx, asset.id, self._store.name, key, self._clock.now())
                and asset.generation_id
            ):
                self._journal.record(
                    tx, "stored", asset.generation_id, asset_id=asset.id, store=self._store.name
                )
            self._engine.finish(tx, lease, JobState.SUCCEEDED)

        await self._database.write(story)


async def tidy_spool(database: Database, spool: Spool, store: Store) -> None:
    """At start-up: forget spooled files that a crash left without a standing asset, or after their copy."""
    for asset_id in await asyncio.to_thread(spool.recover):
        asset, key = await database.read(
            lambda tx, asset_id=asset_id: (  # type: ignore[misc]
                assets.get(tx, asset_id),
                assets.copy_key(tx, asset_id, store.name),
            )
        )
        if asset is None or asset.state is AssetState.FAILED or key is not None:
            await spool.remove(asset_id)
