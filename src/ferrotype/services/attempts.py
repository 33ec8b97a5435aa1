"""The rows of attempts: each is written before its provider is called, and says how far the call came."""

from __future__ import annotations

from typing import Any

from ferrotype.db import assets, attempts
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Attempt
from ferrotype.domain.ids import new_id
from ferrotype.domain.model import Deployment
from ferrotype.domain.problems import Problem
from ferrotype.domain.states import AttemptState
from ferrotype.engine.base import Engine, Lease
from ferrotype.services.call import Call


class Attempts:
    """Writes them, each time behind the job's fence."""

    def __init__(self, database: Database, engine: Engine, clock: Clock) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock

    def new(self, lease: Lease, deployment: Deployment) -> Attempt:
        """An attempt that is about to be made; not written yet."""
        assert lease.generation_id is not None
        return Attempt(
            id=new_id(),
            job_id=lease.job_id,
            generation_id=lease.generation_id,
            provider=deployment.provider,
            target=deployment.target,
            state=AttemptState.SUBMITTING,
            request_id=None,
            created_at=self._clock.now(),
        )

    async def add(self, lease: Lease, attempt: Attempt) -> None:
        """Write a further attempt of a job. Raises LeaseLost."""

        def story(tx: Transaction) -> None:
            self._engine.fence(tx, lease)
            attempts.add(tx, attempt)

        await self._database.write(story)

    async def checkpoint(self, call: Call, request_id: str) -> None:
        """The provider has the call under that id. Raises LeaseLost."""
        await self._move(call, AttemptState.SUBMITTED, request_id=request_id)

    async def end(self, call: Call, to: AttemptState, problem: Problem) -> None:
        """The attempt ended without the job. Raises LeaseLost."""
        await self._move(call, to, error=problem.to_json())

    async def tried(self, lease: Lease) -> tuple[int, int]:
        """(pictures that the job has made, calls that a provider accepted)."""

        def story(tx: Transaction) -> tuple[int, int]:
            assert lease.generation_id is not None
            first, count = int(lease.payload["first"]), int(lease.payload["count"])
            accepted = [a for a in attempts.of_job(tx, lease.job_id) if a.submitted_at is not None]
            return assets.count_between(tx, lease.generation_id, first, count), len(accepted)

        return await self._database.read(story)

    async def _move(self, call: Call, to: AttemptState, **values: Any) -> None:
        def story(tx: Transaction) -> Attempt:
            self._engine.fence(tx, call.lease)
            return attempts.move(tx, call.attempt, to, self._clock.now(), **values)

        call.attempt = await self._database.write(story)
