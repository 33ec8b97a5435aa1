"""The story of an output: it becomes an asset whose URL is valid from here on."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.model import Model
from ferrotype.domain.problems import ProviderFailed
from ferrotype.domain.states import AssetState
from ferrotype.engine.base import Engine, Lease
from ferrotype.imaging.inspect import peek
from ferrotype.imaging.sniff import sniff
from ferrotype.imaging.structure import is_whole
from ferrotype.providers.base import Output
from ferrotype.services.journal import Journal
from ferrotype.services.ready import Ready, follow_up
from ferrotype.services.settings import RetentionSettings, ServiceSettings
from ferrotype.services.source_types import source_type_of
from ferrotype.storage.arrivals import Arrivals
from ferrotype.storage.spool import Spool


class Ingest:
    """Turns outputs into assets, each exactly once per generation and index."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        spool: Spool,
        arrivals: Arrivals,
        journal: Journal,
        ready: Ready,
        clock: Clock,
        settings: ServiceSettings,
        retention: RetentionSettings,
        remember: Callable[[str, bytes, str], None],
    ) -> None:
        self._database = database
        self._engine = engine
        self._spool = spool
        self._arrivals = arrivals
        self._journal = journal
        self._ready = ready
        self._clock = clock
        self._settings = settings
        self._retention = retention
        self._remember = remember
        self._forgetting: set[asyncio.Future[None]] = set()

    async def prepare(self, lease: Lease, generation: Generation, model: Model, output: Output) -> Asset:
        """The asset of an output, not announced yet. Inline bytes are in the spool and in memory after this.

        Raises ProviderFailed when inline bytes are no image, Overloaded when the spool is full.
        """
        index, now = int(lease.payload["first"]) + output.index, self._clock.now()
        asset = Asset(
            id=new_id(),
            account_id=generation.account_id,
            state=AssetState.ARRIVING,
            generation_id=generation.id,
            index=index,
            seed=generation.input["seed"] + index if output.seed is None else output.seed,
            origin=output.origin,
            width=output.width,
            height=output.height,
            content_type=output.content_type,
            source_type=await source_type_of(self._database, generation, model),
            credit=output.credit,
            visibility=generation.visibility,
            created_at=now,
            expires_at=self._retention.until(now, generation.tags),
        )
        return asset if output.data is None else await self._keep(asset, output.data)

    async def announce(self, lease: Lease, generation: Generation, prepared: Sequence[Asset]) -> None:
        """Announce pictures while the call goes on. Raises LeaseLost."""

        def story(tx: Transaction) -> None:
            self._engine.fence(tx, lease)
            self.write(tx, generation, prepared)

        await self._database.write(story)

    def write(self, tx: Transaction, generation: Generation, prepared: Sequence[Asset]) -> None:
        """Announce pictures within a story that fences: rows, events, and what comes behind."""
        for asset in prepared:
            assert asset.index is not None
            if assets.has_index(tx, generation.id, asset.index):  # announced before a restart
                tx.on_commit(lambda asset=asset: self._forget(asset))  # type: ignore[misc]
                continue
            assets.add(tx, asset)
            self._journal.spread(tx, "output", generation.id, asset_id=asset.id, index=asset.index)
            if asset.state is AssetState.READY:
                self._ready(tx, generation, asset)
            elif asset.origin is not None:
                self._engine.enqueue(tx, follow_up("arrive", generation, asset, self._settings.arrive_starts))
                tx.on_commit(lambda asset=asset: self._start(asset))  # type: ignore[misc]

    async def _keep(self, asset: Asset, data: bytes) -> Asset:
        kind = sniff(data)
        if kind is None or kind.loader is None:
            raise ProviderFailed("The provider's output is not an image.")
        if not is_whole(data, kind):
            raise ProviderFailed("The provider's picture is cut short.")
        width, height = peek(data) or (asset.width, asset.height)
        await self._spool.write(asset.id, data)
        self._remember(asset.id, data, kind.content_type)
        return asset.model_copy(
            update={
                "state": AssetState.READY,
                "width": width,
                "height": height,
                "content_type": kind.content_type,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )

    def _start(self, asset: Asset) -> None:
        assert asset.origin is not None
        self._arrivals.start(asset.id, asset.origin)

    def _forget(self, asset: Asset) -> None:
        """Bytes of a picture that another asset has already."""
        task = asyncio.ensure_future(self._spool.remove(asset.id))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)
