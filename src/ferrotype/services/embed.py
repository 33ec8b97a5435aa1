"""What prompts mean is computed behind the answer, and for older generations once that is switched on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import select

from ferrotype.db import generations, prompts
from ferrotype.db.database import Database, Transaction
from ferrotype.db.schema import jobs
from ferrotype.domain.event import Event
from ferrotype.domain.generation import Generation
from ferrotype.domain.states import JobState
from ferrotype.embedding import Embedder
from ferrotype.engine.base import Engine, Lease, NewJob, Priority
from ferrotype.services.terms import Terms

KIND: Final = "embed"
#: The job that works through older generations, a few at a time.
OLDER: Final = "embed_older"
#: So many that an order's own prompt, which waits for the same network, hardly notices.
BATCH: Final = 16
#: Above every id.
NEWEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"

log = structlog.get_logger(__name__)


class Embed:
    """Handles jobs of the kinds `embed` and `embed_older`. Without an embedder they end with nothing done."""

    def __init__(self, database: Database, engine: Engine, embedder: Embedder | None, terms: Terms) -> None:
        self._database = database
        self._engine = engine
        self._embedder = embedder
        self._terms = terms

    def follow(self, tx: Transaction, event: Event) -> None:
        """Queue the job of a generation that went well, in the transaction that says so."""
        if self._embedder is None or event.generation_id is None:
            return
        generation = generations.get(tx, event.generation_id)
        if generation is None or not _has_words(generation):
            return
        job = NewJob(KIND, KIND, generation.account_id, generation.id, priority=Priority.BATCH)
        self._engine.enqueue(tx, job)

    async def __call__(self, lease: Lease) -> None:
        """Write the vector of one generation's prompt; harmless to do again. Raises Overloaded, and
        InternalError when the network cannot be run."""
        assert lease.generation_id is not None
        generation_id = lease.generation_id
        generation = await self._database.read(lambda tx: generations.get(tx, generation_id))
        found = [generation] if generation is not None and _has_words(generation) else []
        await self._embed(lease, found, last=None)

    async def older(self, lease: Lease) -> None:
        """The same for some older generations, and another job for the rest."""
        before, embedder = str(lease.payload["before"]), self._embedder
        if embedder is None:
            await self._embed(lease, [], last=None)
            return
        found = await self._database.read(lambda tx: prompts.without(tx, embedder.name, before, BATCH))
        last = found[-1].id if len(found) == BATCH else None
        await self._embed(lease, [each for each in found if _has_words(each)], last=last)

    async def catch_up(self) -> None:
        """Queue the work on older generations, if some have no vector and it is not queued yet."""
        embedder = self._embedder
        if embedder is None:
            return
        unfinished = select(jobs.c.id).where(
            jobs.c.kind == OLDER, jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING])
        )

        def story(tx: Transaction) -> None:
            newest = prompts.without(tx, embedder.name, NEWEST, 1)
            if newest and tx.execute(unfinished.limit(1)).first() is None:
                log.info("older prompts get their vectors")
                self._engine.enqueue(tx, _older(newest[0].account_id, NEWEST))

        await self._database.write(story)

    async def _embed(self, lease: Lease, found: Sequence[Generation], *, last: str | None) -> None:
        embedder = self._embedder
        texts = [generation.input["prompt"] for generation in found]
        vectors = await embedder.embed(texts) if embedder is not None and texts else []

        def story(tx: Transaction) -> None:
            self._engine.fence(tx, lease)
            for generation, vector in zip(found, vectors, strict=bool(vectors)):
                if embedder is not None and prompts.has_bytes(tx, generation.id):
                    prompts.put(tx, generation, embedder.name, self._terms.of(tx, generation), vector)
            if last is not None:
                self._engine.enqueue(tx, _older(lease.account_id, last))
            self._engine.finish(tx, lease, JobState.SUCCEEDED)

        # All of it can be computed again, and the job is lost no sooner than what it wrote.
        await self._database.write(story, durable=False)


def _has_words(generation: Generation) -> bool:
    """Whether there is something to compare, and the pictures are its own."""
    return generation.reused_from is None and bool(str(generation.input.get("prompt") or "").strip())


def _older(account_id: str, before: str) -> NewJob:
    # Of the same class, which has one seat: the network is one, and new prompts go first.
    return NewJob(OLDER, KIND, account_id, payload={"before": before}, priority=Priority.SCHEDULED)
