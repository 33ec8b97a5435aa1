"""The envelope: one JSON shape for a generation on every road (reply, stream, webhook, command line)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from ferrotype.db import assets, attempts, generations
from ferrotype.db.database import Database, Transaction
from ferrotype.db.schema import jobs
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock, rfc3339, rfc3339_or_none
from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.order import Order
from ferrotype.domain.problems import NotFound
from ferrotype.domain.states import GENERATION, AssetState, GenerationState
from ferrotype.engine.base import Engine
from ferrotype.services.durations import Durations
from ferrotype.services.journal import Journal
from ferrotype.services.reuse import fresh_order

Envelope = dict[str, Any]


class Envelopes:
    """Reads generations and assets as their public JSON. `base_url` makes the URLs absolute."""

    def __init__(
        self, database: Database, engine: Engine, journal: Journal, durations: Durations, clock: Clock
    ) -> None:
        self._database = database
        self._engine = engine
        self._journal = journal
        self._durations = durations
        self._clock = clock

    async def generation(self, generation_id: str, account_id: str, base_url: str) -> Envelope:
        """One generation. Raises NotFound."""

        def story(tx: Transaction) -> Envelope | None:
            generation = generations.get(tx, generation_id)
            if generation is None or generation.account_id != account_id:
                return None
            return self.within(tx, [generation], base_url)[0]

        found = await self._database.read(story)
        if found is None:
            raise NotFound(f"There is no generation {generation_id}.")
        return found

    def fresh(self, generation: Generation, position: int | None, base_url: str) -> Envelope:
        """A generation as it was just made; nothing needs to be read for that."""
        return generation_envelope(
            generation,
            [],
            base_url,
            progress=None,
            position=position,
            eta=self._durations.fresh(generation, position),
            calls=[],
            now=self._clock.now(),
        )

    async def fresh_order(self, generation_id: str, account_id: str) -> Order:
        """A generation's order once more, for pictures of its own. Raises NotFound."""
        generation = await self._database.read(lambda tx: generations.get(tx, generation_id))
        if generation is None or generation.account_id != account_id:
            raise NotFound(f"There is no generation {generation_id}.")
        return fresh_order(generation)

    async def page(
        self, account_id: str, base_url: str, *, limit: int, cursor: str | None, status: str | None
    ) -> tuple[list[Envelope], str | None]:
        """Newest first, and the cursor of the next page when there is one."""

        def story(tx: Transaction) -> tuple[list[Envelope], str | None]:
            found = generations.page(tx, account_id, limit=limit + 1, before=cursor, status=status)
            more = found[limit - 1].id if len(found) > limit else None
            return self.within(tx, found[:limit], base_url), more

        return await self._database.read(story)

    async def unfinished(self, account_id: str, base_url: str, limit: int) -> list[Envelope]:
        """The newest generations that have not ended."""

        def story(tx: Transaction) -> list[Envelope]:
            return self.within(tx, generations.unfinished(tx, account_id, limit), base_url)

        return await self._database.read(story)

    async def asset(self, asset_id: str, account_id: str, base_url: str) -> Envelope:
        """One asset. Raises NotFound."""
        asset = await self._database.read(lambda tx: assets.get(tx, asset_id))
        if asset is None or asset.account_id != account_id:
            raise NotFound(f"There is no asset {asset_id}.")
        return asset_envelope(asset, base_url)

    async def attempts(self, generation_id: str, account_id: str) -> list[Envelope]:
        """Every call to a provider that the generation led to, oldest first. Raises NotFound."""

        def story(tx: Transaction) -> list[Attempt] | None:
            generation = generations.get(tx, generation_id)
            if generation is None or generation.account_id != account_id:
                return None
            return attempts.of_generation(tx, generation_id)

        found = await self._database.read(story)
        if found is None:
            raise NotFound(f"There is no generation {generation_id}.")
        return [attempt_envelope(attempt) for attempt in found]

    def within(self, tx: Transaction, found: list[Generation], base_url: str) -> list[Envelope]:
        """Generations that were read in the same transaction, in their order."""
        pictures = assets.of_generations(tx, list({generation.leader_id for generation in found}))
        return [
            self._envelope(
                tx, generation, pictures[generation.leader_id] if _shows(generation) else [], base_url
            )
            for generation in found
        ]

    def _envelope(
        self, tx: Transaction, generation: Generation, pictures: list[Asset], base_url: str
    ) -> Envelope:
        position = self._position(tx, generation)
        calls = attempts.of_generation(tx, generation.id)
        return generation_envelope(
            generation,
            pictures,
            base_url,
            progress=self._journal.progress_of(generation.leader_id),
            position=position,
            eta=self._durations.eta(tx, generation, position, calls),
            calls=calls,
            now=self._clock.now(),
        )

    def _position(self, tx: Transaction, generation: Generation) -> int | None:
        if generation.status is not GenerationState.QUEUED or generation.reused_from is not None:
            return None
        first = tx.execute(
            select(jobs.c.id).where(jobs.c.generation_id == generation.id).order_by(jobs.c.id).limit(1)
        ).scalar_one_or_none()
        return self._engine.position(tx, first) if first else None


def generation_envelope(
    generation: Generation,
    pictures: list[Asset],
    base_url: str,
    *,
    progress: float | None,
    position: int | None,
    eta: float | None,
    calls: list[Attempt],
    now: datetime,
) -> Envelope:
    """The envelope of a generation; fields that are not known yet are None, never absent.

    `cost` is what is expected until the end, then what it was: credits of the pictures, dollars of the calls.
    """
    ended = GENERATION.is_terminal(generation.status)
    standing = sum(1 for asset in pictures if asset.state is not AssetState.FAILED)
    counted = standing if ended else generation.num_images
    path = f"{base_url}/v1/generations/{generation.id}"
    return {
        "id": generation.id,
        "object": "generation",
        "status": generation.status.value,
        "operation": generation.operation,
        "model": generation.model,
        "input": generation.input,
        "output": [asset_envelope(asset, base_url) for asset in pictures],
        "error": generation.error,
        "progress": 1.0 if generation.status is GenerationState.SUCCEEDED else progress,
        "queue_position": position,
        "eta_s": eta,
        "metrics": _metrics(generation, calls, now),
        "cost": {
            "credits": generation.credits_each * counted,
            "usd": round(
                sum(call.usd or 0.0 for call in calls) if ended else generation.usd_each * counted, 6
            ),
        },
        "reused_from": generation.reused_from,
        "similarity": generation.similarity,
        "batch_id": generation.batch_id,
        "batch_index": generation.batch_index,
        "tags": generation.tags,
        "metadata": generation.metadata,
        "created_at": rfc3339(generation.created_at),
        "started_at": rfc3339_or_none(generation.started_at),
        "completed_at": rfc3339_or_none(generation.completed_at),
        "urls": {
            "get": path,
            "events": f"{path}/events",
            "cancel": f"{path}/cancel",
            "fresh": f"{path}/fresh" if generation.reused_from else None,
        },
    }


def asset_envelope(asset: Asset, base_url: str) -> Envelope:
    """The public face of an asset."""
    return {
        "id": asset.id,
        "object": "asset",
        "state": asset.state.value,
        "url": f"{base_url}/images/{asset.id}",
        "generation_id": asset.generation_id,
        "index": asset.index,
        "seed": asset.seed,
        "width": asset.width,
        "height": asset.height,
        "content_type": asset.content_type,
        "animated": asset.animated,
        "has_alpha": asset.has_alpha,
        "bytes": asset.bytes,
        "sha256": asset.sha256,
        "placeholder": asset.placeholder.model_dump() if asset.placeholder else None,
        "stored": asset.stored,
        "source_type": asset.source_type,
        "credit": asset.credit.model_dump() if asset.credit else None,
        "visibility": asset.visibility.value,
        "favourite": asset.favourite_at is not None,
        "created_at": rfc3339(asset.created_at),
        "expires_at": rfc3339_or_none(asset.expires_at),
        "deleted_at": rfc3339_or_none(asset.deleted_at),
        "purged_at": rfc3339_or_none(asset.purged_at),
    }


def attempt_envelope(attempt: Attempt) -> Envelope:
    """The public face of a call to a provider."""
    return {
        "id": attempt.id,
        "object": "attempt",
        "provider": attempt.provider,
        "target": attempt.target,
        "status": attempt.state.value,
        "request_id": attempt.request_id,
        "error": attempt.error,
        "seconds": attempt.seconds,
        "usd": attempt.usd,
        "created_at": rfc3339(attempt.created_at),
        "submitted_at": rfc3339_or_none(attempt.submitted_at),
        "completed_at": rfc3339_or_none(attempt.completed_at),
    }


def _shows(generation: Generation) -> bool:
    """A follower that ended badly has no part in its leader's pictures."""
    ended_badly = generation.status in (GenerationState.FAILED, GenerationState.CANCELED)
    return generation.reused_from is None or not ended_badly


def _metrics(generation: Generation, calls: list[Attempt], now: datetime) -> dict[str, float | None]:
    """Seconds. `provider_s` is the longest call's: calls of one generation run side by side."""
    started, ended = generation.started_at, generation.completed_at
    spans = [
        call.seconds
        if call.seconds is not None
        else ((call.completed_at or now) - (call.submitted_at or call.created_at)).total_seconds()
        for call in calls
    ]
    return {
        "queued_s": round(((started or ended or now) - generation.created_at).total_seconds(), 4),
        "provider_s": round(max(spans), 4) if spans else None,
        "total_s": round((ended - generation.created_at).total_seconds(), 4) if ended else None,
    }
