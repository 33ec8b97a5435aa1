"""Generations that have their pictures from another: a *follower* shows the pictures of its *leader*.

A follower has its own row, hold, events and end. One that joined a leader on its way holds the full price,
for it may have to make its pictures itself: when the leader fails, the oldest follower takes over and the
others follow that one, once; when that fails too, all of them have failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.db import assets, generations
from ferrotype.db.database import Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Generation, shares
from ferrotype.domain.model import Model
from ferrotype.domain.problems import Problem
from ferrotype.domain.states import GENERATION, AssetState, GenerationState
from ferrotype.engine.base import Engine, NewJob, Priority
from ferrotype.net.telemetry import Telemetry
from ferrotype.services import credits
from ferrotype.services.journal import Journal
from ferrotype.services.reuse import Leader
from ferrotype.services.routing import Routing
from ferrotype.services.settings import RetentionSettings, ReuseSettings

#: Counters of the metrics.
REUSED: Final = "generations_reused"
JOINED: Final = "generations_joined"
MISSED: Final = "reuse_missed"
SAVED_USD: Final = "reuse_saved_usd"


@dataclass(frozen=True, slots=True)
class Followers:
    """What a leader's life means for those that follow it. All within the leader's transactions."""

    engine: Engine
    routing: Routing
    journal: Journal
    telemetry: Telemetry
    clock: Clock
    settings: ReuseSettings
    retention: RetentionSettings
    max_starts: int

    def answered(self, tx: Transaction, follower: Generation, leader: Leader) -> Generation:
        """Write a generation that finished pictures answer; as it is then. Raises InsufficientCredits."""
        now = self.clock.now()
        generation = follower.following(leader.generation.leader_id, leader.similarity).ended_well(
            now, self.settings.price(follower.credits_each)
        )
        generations.add(tx, generation)
        credits.hold(tx, generation, now)
        for asset in leader.pictures:
            self.journal.record(tx, "output", generation.id, asset_id=asset.id, index=asset.index)
        self._settle(tx, generation, leader.pictures)
        self._keep(tx, generation, leader.pictures)
        self.journal.record(tx, "succeeded", generation.id, images=len(leader.pictures))
        self._count(tx, REUSED, generation, len(leader.pictures))
        return generation

    def joined(self, tx: Transaction, follower: Generation, leader: Leader) -> Generation:
        """Write a generation that waits for one on its way; as it is then. Raises InsufficientCredits."""
        now = self.clock.now()
        running = leader.generation.status is GenerationState.RUNNING
        generation = follower.following(leader.generation.id, None)
        generations.add(tx, generation)
        credits.hold(tx, generation, now)
        self.journal.record(tx, "queued", generation.id, position=None)
        if running:
            generation = self._started(tx, generation)
        for asset in leader.pictures:
            self.journal.record(tx, "output", generation.id, asset_id=asset.id, index=asset.index)
        self.journal.follow(tx, generation, leader.generation.id)
        return generation

    def missed(self, tx: Transaction) -> None:
        """An order that looked for a leader makes its own pictures."""
        tx.on_commit(lambda: self.telemetry.counter(MISSED))

    def started(self, tx: Transaction, leader_id: str) -> None:
        """The leader has begun."""
        for follower in generations.followers(tx, leader_id):
            if follower.status is GenerationState.QUEUED:
                self._started(tx, follower)

    def delivered(self, tx: Transaction, asset: Asset) -> None:
        """All bytes of a picture are here: those that have ended are charged for it now."""
        assert asset.generation_id is not None
        for follower in generations.followers(tx, asset.generation_id):
            self.journal.record(tx, "ready", follower.id, asset_id=asset.id, index=asset.index)
            if follower.status is GenerationState.SUCCEEDED:
                self._settle(tx, follower, [asset.model_copy(update={"state": AssetState.READY})])

    def lost(
        self, tx: Transaction, asset: Asset, error: dict[str, Any], standing: int, why: dict[str, Any] | None
    ) -> None:
        """The bytes of a picture will never come. `standing` pictures of the leader are left, and `why` is
        its own error; None while it has not ended."""
        assert asset.generation_id is not None
        now = self.clock.now()
        for follower in generations.followers(tx, asset.generation_id):
            self.journal.record(tx, "failed", follower.id, asset_id=asset.id, error=error)
            if follower.status is not GenerationState.SUCCEEDED or why is None:
                continue
            credits.release_share(tx, follower, asset, now)
            if standing:
                generations.explain(tx, follower, why)
            else:
                self._fail(tx, follower, why)

    def ended(
        self,
        tx: Transaction,
        leader: Generation,
        ending: GenerationState,
        error: dict[str, Any] | None,
        *,
        canceled: bool,
    ) -> None:
        """The leader has ended: so have those that wait for it, unless one of them must take over. What was
        `canceled` of it nobody else had asked for."""
        waiting = [
            follower
            for follower in generations.followers(tx, leader.id)
            if not GENERATION.is_terminal(follower.status)
        ]
        if not waiting:
            return
        pictures = [
            asset
            for asset in assets.of_generations(tx, [leader.id])[leader.id]
            if asset.state is not AssetState.FAILED
        ]
        cut = canceled and len(pictures) < leader.num_images
        if ending is GenerationState.SUCCEEDED and not cut:
            for follower in waiting:
                self._answer(tx, follower, pictures, error)
        elif ending is GenerationState.FAILED and not cut and leader.retry_of is not None:
            assert error is not None
            for follower in waiting:
                self._release_and_fail(tx, follower, error)
        else:
            retry_of = leader.retry_of if cut else leader.id
            self._take_over(tx, leader, waiting, retry_of)

    def canceled(self, tx: Transaction, follower: Generation) -> None:
        """Somebody asked for the follower's end; its leader goes on."""
        now = self.clock.now()
        credits.release_rest(tx, follower, follower.credits_each * follower.num_images, now)
        generations.move(tx, follower, GenerationState.CANCELED, now)
        self.journal.record(tx, "canceled", follower.id)

    def _take_over(
        self, tx: Transaction, leader: Generation, waiting: Sequence[Generation], retry_of: str | None
    ) -> None:
        now = self.clock.now()
        following, others = waiting[0], waiting[1:]
        try:
            model = self.routing.model(following)
        except Problem as problem:
            for follower in waiting:
                self._release_and_fail(tx, follower, problem.to_json())
            return
        generations.lead(tx, following, now, retry_of=retry_of)
        generations.follow(tx, [each.id for each in others], following.id)
        for each in others:
            self.journal.follow(tx, each, following.id)
        for job in calls(following, model, self.max_starts):
            self.engine.enqueue(tx, job)

    def _started(self, tx: Transaction, follower: Generation) -> Generation:
        now = self.clock.now()
        generations.move(tx, follower, GenerationState.RUNNING, now)
        self.journal.record(tx, "started", follower.id)
        return follower.started(now)

    def _answer(
        self, tx: Transaction, follower: Generation, pictures: Sequence[Asset], error: dict[str, Any] | None
    ) -> None:
        now, held = self.clock.now(), follower.credits_each * follower.num_images
        generation = follower.ended_well(now, self.settings.price(follower.credits_each))
        generations.answer(tx, follower, now, credits_each=generation.credits_each, error=error)
        credits.release_rest(tx, follower, held - generation.credits_each * len(pictures), now)
        self._settle(tx, generation, pictures)
        self._keep(tx, generation, pictures)
        self.journal.record(tx, "succeeded", generation.id, images=len(pictures))
        self._count(tx, JOINED, generation, len(pictures))

    def _settle(self, tx: Transaction, follower: Generation, pictures: Iterable[Asset]) -> None:
        if follower.credits_each == 0:
            return
        for asset in pictures:
            if asset.state is AssetState.READY and credits.settle_share(
                tx, follower, asset, self.clock.now()
            ):
                told = {"asset_id": asset.id, "credits": follower.credits_each}
                self.journal.record(tx, "settled", follower.id, **told)

    def _keep(self, tx: Transaction, follower: Generation, pictures: Iterable[Asset]) -> None:
        """The pictures stay as long as the last order for them wants."""
        until = self.retention.until(follower.created_at, follower.tags)
        for asset in pictures:
            if asset.expires_at is not None and (until is None or until > asset.expires_at):
                assets.learn(tx, asset.id, expires_at=until)

    def _release_and_fail(self, tx: Transaction, follower: Generation, error: dict[str, Any]) -> None:
        credits.release_rest(tx, follower, follower.credits_each * follower.num_images, self.clock.now())
        self._fail(tx, follower, error)

    def _fail(self, tx: Transaction, follower: Generation, error: dict[str, Any]) -> None:
        generations.move(tx, follower, GenerationState.FAILED, self.clock.now(), error=error)
        self.journal.record(tx, "failed", follower.id, error=error)

    def _count(self, tx: Transaction, name: str, follower: Generation, pictures: int) -> None:
        def count() -> None:
            self.telemetry.counter(name)
            self.telemetry.counter(SAVED_USD, follower.usd_each * pictures)

        tx.on_commit(count)


def calls(
    generation: Generation, model: Model, max_starts: int, priority: int = Priority.INTERACTIVE
) -> list[NewJob]:
    """The jobs that make a generation's pictures: one per provider call."""
    return [
        NewJob(
            kind="generate",
            class_=generation.class_,
            account_id=generation.account_id,
            generation_id=generation.id,
            payload={"first": first, "count": count},
            priority=priority,
            max_starts=max_starts,
        )
        for first, count in shares(generation.num_images, model.capabilities.max_per_call)
    ]
