"""What is found out about a picture behind the answer: its true size, its placeholder, whether it moves."""

from __future__ import annotations

from typing import Any

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease
from ferrotype.imaging.inspect import inspect
from ferrotype.imaging.placeholder import placeholder
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.services.journal import Journal
from ferrotype.services.originals import Originals


class Enrich:
    """Handles jobs of the kind `enrich`."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        originals: Originals,
        pool: ImagingPool,
        journal: Journal,
        limits: ImagingSettings,
    ) -> None:
        self._database = database
        self._engine = engine
        self._originals = originals
        self._pool = pool
        self._journal = journal
        self._limits = limits

    async def __call__(self, lease: Lease) -> None:
        """Compute and write the facts; harmless to do again. Raises InvalidField for a damaged picture."""
        asset_id = str(lease.payload["asset_id"])
        # Bytes, not a path: the spool's file may go to its store while libvips reads.
        data = await self._originals.read(asset_id)
        info = await self._pool.run(inspect, data, self._limits)
        made = await self._pool.run(placeholder, data)
        facts: dict[str, Any] = {
            "width": info.width,
            "height": info.height,
            "animated": info.animated,
            "has_alpha": info.has_alpha,
            "placeholder": made.model_dump(),
        }

        def story(tx: Transaction) -> None:
            self._engine.fence(tx, lease)
            assets.learn(tx, asset_id, **facts)
            if lease.generation_id is not None:
                self._journal.spread(tx, "enriched", lease.generation_id, asset_id=asset_id)
            self._engine.finish(tx, lease, JobState.SUCCEEDED)

        # Everything here can be computed again from the picture.
        await self._database.write(story, durable=False)
