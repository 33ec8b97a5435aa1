"""The rounds that see to it that pictures stay no longer than they should."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock
from ferrotype.services.lifecycle import Lifecycle
from ferrotype.services.purge import Purge
from ferrotype.services.settings import RetentionSettings

#: Assets that one round takes up; what is left waits for the next.
ROUND: Final = 500

log = structlog.get_logger(__name__)


class Retention:
    """Deletes what has expired, and removes the bytes of what was deleted long enough ago."""

    def __init__(
        self,
        database: Database,
        lifecycle: Lifecycle,
        purge: Purge,
        clock: Clock,
        settings: RetentionSettings,
    ) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._purge = purge
        self._clock = clock
        self._restorable = timedelta(days=settings.restore_days)

    async def clean(self) -> None:
        """One round. What cannot be removed now is tried in the next one."""
        now = self._clock.now()
        expired = await self._database.read(lambda tx: assets.expired(tx, now, ROUND))
        for asset in expired:
            await self._lifecycle.delete(asset.id, asset.account_id)
        gone, kept = 0, 0
        for asset in await self._database.read(
            lambda tx: assets.deleted_before(tx, now - self._restorable, ROUND)
        ):
            try:
                await self._purge.purge(asset.id)
                gone += 1
            except Exception as error:
                kept += 1
                log.warning(
                    "a deleted picture could not be removed yet", asset_id=asset.id, reason=repr(error)
                )
        if expired or gone or kept:
            log.info("retention", expired=len(expired), purged=gone, waiting=kept)
