"""The story of an output: it becomes an asset whose URL is valid from here on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ferrotype.db import assets
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset, Origin
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.model import Model
from ferrotype.domain.problems import ProviderFailed
from ferrotype.domain.states import AssetState
from ferrotype.engine.base import Engine, Lease, NewJob
from ferrotype.imaging.inspect import peek
from ferrotype.imaging.sniff import sniff
from ferrotype.providers.base import Output
from ferrotype.services import credits
from ferrotype.services.journal import Journal
from ferrotype.services.settings import ServiceSettings
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
        clock: Clock,
        settings: ServiceSettings,
        remember: Callable[[str, bytes, str], None],
    ) -> None:
        self._database = database
        self._engine = engine
        self._spool = spool
        self._arrivals = arrivals
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._remember = remember

    async def __call__(self, lease: Lease, generation: Generation, model: Model, output: Output) -> None:
        """Announce the output. Inline bytes are in the spool and in memory first; others start to arrive.

        Raises ProviderFailed when inline bytes are no image, LeaseLost from the fence.
        """
        index = int(lease.payload["first"]) + output.index
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
            source_type=model.source_type,
            credit=output.credit,
            created_at=self._clock.now(),
        )
        if output.data is not None:
            asset = await self._keep(asset, output.data)

        def story(tx: Transaction) -> bool:
            self._engine.fence(tx, lease)
            if assets.has_index(tx, generation.id, index):
                return False  # announced before a restart
            assets.add(tx, asset)
            self._journal.record(tx, "output", generation.id, asset_id=asset.id, index=index)
            if asset.state is AssetState.READY:
                delivered(tx, self._engine, self._journal, generation, asset, self._clock, self._settings)
                return True
            self._engine.enqueue(tx, follow_up("arrive", generation, asset, self._settings.arrive_starts))
            origin = asset.origin
            assert origin is not None
            tx.on_commit(lambda: self._start(asset.id, origin))
            return True

        if not await self._database.write(story) and output.data is not None:
            await self._spool.remove(asset.id)

    async def _keep(self, asset: Asset, data: bytes) -> Asset:
        kind = sniff(data)
        if kind is None or kind.loader is None:
            raise ProviderFailed("The provider's output is not an image.")
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

    def _start(self, asset_id: str, origin: Origin) -> None:
        self._arrivals.start(asset_id, origin)


def follow_up(kind: str, generation: Generation, asset: Asset, max_starts: int) -> NewJob:
    """A job behind the answer; its class is its own, so that it never takes a provider seat."""
    return NewJob(
        kind=kind,
        class_=kind,
        account_id=generation.account_id,
        generation_id=generation.id,
        payload={"asset_id": asset.id},
        max_starts=max_starts,
    )


def delivered(
    tx: Transaction,
    engine: Engine,
    journal: Journal,
    generation: Generation,
    asset: Asset,
    clock: Clock,
    settings: ServiceSettings,
) -> None:
    """All bytes are in the spool: say so, charge for it, and queue what comes behind."""
    journal.record(tx, "ready", generation.id, asset_id=asset.id, index=asset.index)
    if credits.settle(tx, generation, asset, clock.now()):
        journal.record(tx, "settled", generation.id, asset_id=asset.id, credits=generation.credits_each)
    engine.enqueue(tx, follow_up("store", generation, asset, settings.store_starts))
    engine.enqueue(tx, follow_up("enrich", generation, asset, 5))
