"""The story of an upload: bytes that a user sent become an asset, or are refused with nothing written."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from ferrotype.engine.base import Engine, NewJob
from ferrotype.imaging.inspect import ImageInfo, inspect
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.services.settings import ENRICH_STARTS, RetentionSettings
from ferrotype.storage.spool import Spool


@dataclass(frozen=True, slots=True)
class Checked:
    """A picture that may be kept."""

    data: bytes
    info: ImageInfo
    sha256: str


class Uploads:
    """Accepts pictures from users."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        spool: Spool,
        pool: ImagingPool,
        clock: Clock,
        limits: ImagingSettings,
        remember: Callable[[str, bytes, str], None],
        store_starts: int,
        default_visibility: Visibility,
        retention: RetentionSettings,
    ) -> None:
        self._database = database
        self._engine = engine
        self._spool = spool
        self._pool = pool
        self._clock = clock
        self._limits = limits
        self._remember = remember
        self._store_starts = store_starts
        self._default_visibility = default_visibility
        self._retention = retention

    async def __call__(
        self, data: bytes, account_id: str, *, field: str = "file", visibility: Visibility | None = None
    ) -> Asset:
        """Check an uploaded picture and keep it for ever; raises what `check` raises."""
        return await self.keep(await self.check(data, field=field), account_id, visibility)

    async def check(self, data: bytes, *, field: str) -> Checked:
        """Decode the picture once, whole. Raises UnsupportedMedia, TooLarge or InvalidField naming `field`
        and the limit."""
        info = await self._pool.run(inspect, data, self._limits, verify=True, field=field)
        digest = await asyncio.to_thread(hashlib.sha256, data)
        return Checked(data, info, digest.hexdigest())

    async def keep_once(
        self, checked: Checked, account_id: str, visibility: Visibility | None = None
    ) -> Asset:
        """The account's upload of the same bytes that anybody may load who may load this one, else a new one:
        an app that sends its input with every order fills no store."""
        seen_by = visibility or self._default_visibility
        found = await self._database.read(lambda tx: assets.uploaded(tx, account_id, checked.sha256, seen_by))
        if found is None:
            return await self.keep(checked, account_id, visibility)
        if found.expires_at is not None:
            until = self._retention.until(self._clock.now(), None)
            await self._database.write(lambda tx: assets.learn(tx, found.id, expires_at=until))
        return found

    async def keep(self, checked: Checked, account_id: str, visibility: Visibility | None = None) -> Asset:
        """Make the asset."""
        data, info, now = checked.data, checked.info, self._clock.now()
        asset = Asset(
            id=new_id(),
            account_id=account_id,
            state=AssetState.READY,
            width=info.width,
            height=info.height,
            content_type=info.content_type,
            animated=info.animated,
            has_alpha=info.has_alpha,
            bytes=len(data),
            sha256=checked.sha256,
            visibility=visibility or self._default_visibility,
            created_at=now,
            expires_at=self._retention.until(now, None),
        )
        await self._spool.write(asset.id, data)
        self._remember(asset.id, data, info.content_type)

        def story(tx: Transaction) -> None:
            assets.add(tx, asset)
            for kind, starts in (("store", self._store_starts), ("enrich", ENRICH_STARTS)):
                job = NewJob(
                    kind=kind,
                    class_=kind,
                    account_id=account_id,
                    payload={"asset_id": asset.id},
                    max_starts=starts,
                )
                self._engine.enqueue(tx, job)

        await self._database.write(story)
        return asset
