"""The story of a CDN that has to forget: a durable job for each picture that was deleted or became
private."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import urlsplit

import structlog

from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease, NewJob
from ferrotype.storage.base import Store
from ferrotype.storage.cdn import Purger
from ferrotype.storage.levels import Levels

KIND: Final = "cdn"
#: Tries where the CDN is out of reach; with the engine's back-off that is days.
STARTS: Final = 1_000

log = structlog.get_logger(__name__)


class Uncache:
    """Queues and handles jobs of the kind `cdn`. Without a CDN none is queued, and those that were queued for
    one which is configured no more end at once."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        levels: Levels,
        purger: Purger | None,
        hosts: Collection[str] = (),
    ) -> None:
        """`hosts` are those of the stores' public URLs that the CDN is in front of."""
        self._database = database
        self._engine = engine
        self._levels = levels
        self._purger = purger
        self._hosts = frozenset(hosts)

    async def urls(self, store: Store, key: str) -> list[str]:
        """What the CDN may keep of a store's copy. Raises what `Store.public_url` raises."""
        if self._purger is None or not self._hosts:
            return []
        url = await store.public_url(key)
        # A signed one is another each time, and is not kept for long.
        return [url] if url and "?" not in url and urlsplit(url).hostname in self._hosts else []

    def enqueue(self, tx: Transaction, asset: Asset, urls: Iterable[str] = ()) -> None:
        """Have it forgotten once `tx` holds, and those of `urls`."""
        if self._purger is None:
            return
        job = NewJob(
            kind=KIND,
            class_=KIND,
            account_id=asset.account_id,
            payload={"asset_id": asset.id, "urls": list(urls)},
            max_starts=STARTS,
        )
        self._engine.enqueue(tx, job)

    async def __call__(self, lease: Lease) -> None:
        """Harmless to do again. Raises what `Purger.purge` raises."""
        asset_id = str(lease.payload["asset_id"])
        if self._purger is None:
            log.warning("no CDN is configured that could forget a picture", asset_id=asset_id)
        else:
            # First here, or the CDN would fetch it again as it was.
            self._levels.forget_in_memory(asset_id)
            await self._purger.purge(asset_id, lease.payload.get("urls") or [])
        await self._database.write(
            lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED), durable=False
        )
