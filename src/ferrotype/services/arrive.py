"""The story of a picture on its way: its bytes reach the spool, or never do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ferrotype.db import assets, generations
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import OriginProblem, Overloaded
from ferrotype.domain.states import AssetState, GenerationState, JobState
from ferrotype.engine.base import Engine, Lease
from ferrotype.imaging.inspect import peek
from ferrotype.services import credits
from ferrotype.services.conclude import calls_of, outcome
from ferrotype.services.followers import Followers
from ferrotype.services.journal import Journal
from ferrotype.services.ready import Ready
from ferrotype.storage.arrivals import Arrivals, Arrived


class Arrive:
    """Handles jobs of the kind `arrive`: joins the fetch that already runs, or starts it again."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        arrivals: Arrivals,
        journal: Journal,
        followers: Followers,
        ready: Ready,
        clock: Clock,
    ) -> None:
        self._database = database
        self._engine = engine
        self._arrivals = arrivals
        self._journal = journal
        self._followers = followers
        self._tell_ready = ready
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Wait for the bytes, then make the asset ready. Raises OriginProblem to be tried again."""
        asset = await self._database.read(lambda tx: assets.get(tx, lease.payload["asset_id"]))
        assert asset is not None
        if asset.state is not AssetState.ARRIVING or asset.origin is None:
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))
            return
        try:
            arrived = await self._arrivals.start(asset.id, asset.origin).finished()
        except Overloaded as problem:  # ours to mend, and no reason to count the picture as lost
            error = problem.to_json()
            at = self._clock.now() + timedelta(seconds=problem.retry_after or 30)
            await self._database.write(lambda tx: self._engine.retry(tx, lease, at, error, counted=False))
            return
        except OriginProblem as problem:
            if problem.retryable:
                raise
            error = problem.to_json()
            await self._database.write(lambda tx: self._lost(tx, lease, asset, error))
            return
        await self._database.write(lambda tx: self._ready(tx, lease, asset, arrived))

    def _ready(self, tx: Transaction, lease: Lease, asset: Asset, arrived: Arrived) -> None:
        self._engine.fence(tx, lease)
        size = peek(arrived.path)
        facts: dict[str, Any] = {
            "bytes": arrived.bytes,
            "sha256": arrived.sha256,
            "content_type": arrived.content_type,
        }
        if size is not None:
            facts |= {"width": size[0], "height": size[1]}
        assets.move(tx, asset, AssetState.READY, **facts)
        assert asset.generation_id is not None
        generation = generations.get(tx, asset.generation_id, lock=True)
        assert generation is not None
        self._tell_ready(tx, generation, asset)
        self._engine.finish(tx, lease, JobState.SUCCEEDED)

    def _lost(self, tx: Transaction, lease: Lease, asset: Asset, error: dict[str, Any]) -> None:
        self._engine.finish(tx, lease, JobState.FAILED, error)
        self.lose(tx, asset, error)

    def gave_up(self, tx: Transaction, payload: Mapping[str, Any], error: Mapping[str, Any]) -> None:
        """The engine failed the job: every fetch that was allowed has failed."""
        asset = assets.get(tx, payload["asset_id"])
        if asset is not None and asset.state is AssetState.ARRIVING:
            self.lose(tx, asset, dict(error))

    def lose(self, tx: Transaction, asset: Asset, error: dict[str, Any]) -> None:
        """The bytes will never come: give the money back, say so, and fail a generation left with nothing.
        Of one that has not ended yet its end will tell."""
        assets.move(tx, asset, AssetState.FAILED)
        assert asset.generation_id is not None
        generation = generations.get(tx, asset.generation_id, lock=True)
        assert generation is not None
        now = self._clock.now()
        credits.release_asset(tx, generation, asset, now)
        self._journal.record(tx, "failed", generation.id, asset_id=asset.id, error=error)
        if generation.status is not GenerationState.SUCCEEDED:
            self._followers.lost(tx, asset, error, 0, None)
            return
        standing, why = outcome(tx, generation, calls_of(tx, generation))
        assert why is not None
        if standing:
            generations.explain(tx, generation, why)
        else:
            generations.move(tx, generation, GenerationState.FAILED, now, error=why)
            self._journal.record(tx, "failed", generation.id, error=why)
        self._followers.lost(tx, asset, error, standing, why)
