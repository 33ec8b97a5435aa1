"""The story of a picture whose bytes are all in the spool: it is charged for, and what follows is queued."""

from __future__ import annotations

from dataclasses import dataclass

from ferrotype.db.database import Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Generation
from ferrotype.engine.base import Engine, NewJob
from ferrotype.services import credits
from ferrotype.services.followers import Followers
from ferrotype.services.journal import Journal
from ferrotype.services.settings import ENRICH_STARTS, ServiceSettings


@dataclass(frozen=True, slots=True)
class Ready:
    """Told within the transaction that makes an asset ready."""

    engine: Engine
    journal: Journal
    followers: Followers
    clock: Clock
    settings: ServiceSettings

    def __call__(self, tx: Transaction, generation: Generation, asset: Asset) -> None:
        """Say so, charge for it once, and queue its copy and its placeholder."""
        self.journal.record(tx, "ready", generation.id, asset_id=asset.id, index=asset.index)
        if credits.settle(tx, generation, asset, self.clock.now()):
            told = {"asset_id": asset.id, "credits": generation.credits_each}
            self.journal.record(tx, "settled", generation.id, **told)
        self.followers.delivered(tx, asset)
        self.engine.enqueue(tx, follow_up("store", generation, asset, self.settings.store_starts))
        self.engine.enqueue(tx, follow_up("enrich", generation, asset, ENRICH_STARTS))


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
