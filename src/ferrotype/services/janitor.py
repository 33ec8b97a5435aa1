"""What is forgotten in time: outdated idempotency keys, the records of ended jobs, pictures that expired."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from ferrotype.db import generations
from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock
from ferrotype.engine.base import Engine
from ferrotype.services.retention import Retention
from ferrotype.services.settings import ServiceSettings
from ferrotype.services.store import tidy_spool
from ferrotype.storage.spool import Spool

log = structlog.get_logger(__name__)

PAUSE: Final = 600.0  # seconds


class Janitor:
    """Cleans up every ten minutes."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        clock: Clock,
        settings: ServiceSettings,
        keep_jobs_days: float,
        retention: Retention,
        spool: Spool,
    ) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._retention = retention
        self._spool = spool
        self._keep_jobs = timedelta(days=keep_jobs_days)
        self._orphans: set[str] = set()

    async def clean(self) -> None:
        """One round."""
        now = self._clock.now()
        keys_before = now - timedelta(hours=self._settings.idempotency_hours)
        keys = await self._database.write(lambda tx: generations.forget_keys(tx, keys_before), durable=False)
        jobs = await self._engine.purge(self._keep_jobs)
        if keys or jobs:
            log.info("cleaned up", idempotency_keys=keys, jobs=jobs)
        await self._retention.clean()
        self._orphans = await tidy_spool(self._database, self._spool, orphans=self._orphans)

    async def run(self) -> None:
        """Round after round, until canceled."""
        while True:
            try:
                await self.clean()
            except Exception:
                log.exception("the janitor failed; it comes back")
            await asyncio.sleep(PAUSE)
