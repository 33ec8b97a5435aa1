"""How jobs end, and what their ends make of the generation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, select

from ferrotype.db import assets, attempts, generations
from ferrotype.db.database import Database, Transaction
from ferrotype.db.schema import jobs
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.problems import OriginUnavailable, Problem, ProviderFailed, from_json
from ferrotype.domain.states import (
    ATTEMPT,
    GENERATION,
    JOB,
    AssetState,
    AttemptState,
    GenerationState,
    JobState,
)
from ferrotype.engine.base import Ending, Engine, Lease
from ferrotype.providers.base import Finished
from ferrotype.services import credits
from ferrotype.services.followers import Followers
from ferrotype.services.journal import Journal

#: The provider calls of a generation, in the order of their pictures.
JOBS: Final = (
    select(jobs.c.id, jobs.c.state, jobs.c.payload, jobs.c.error)
    .where(jobs.c.generation_id == bindparam("of_generation"), jobs.c.kind == "generate")
    .order_by(jobs.c.id)
)


class Conclude:
    """Ends jobs of the kind `generate`: attempt, job, money and generation in one transaction."""

    def __init__(
        self, database: Database, engine: Engine, journal: Journal, followers: Followers, clock: Clock
    ) -> None:
        self._database = database
        self._engine = engine
        self._journal = journal
        self._followers = followers
        self._clock = clock

    async def succeeded(
        self,
        lease: Lease,
        attempt: Attempt,
        finished: Finished,
        announce: Callable[[Transaction], None],
        usd: Callable[[int], float],
    ) -> None:
        """The provider is done; without a single picture that is a failure all the same.

        `announce` writes the last pictures in the same transaction; `usd` prices so many pictures.
        Like every ending here it goes through `finish`, which fences: a lost lease rolls all of it back.
        """

        def story(tx: Transaction) -> None:
            announce(tx)
            assert lease.generation_id is not None
            first, count = int(lease.payload["first"]), int(lease.payload["count"])
            made = assets.count_between(tx, lease.generation_id, first, count)
            problem = finished.problem
            if made == 0 and problem is None:
                problem = ProviderFailed("The provider reported success and no picture.")
            elif made < count and problem is None:
                problem = ProviderFailed(f"The provider made {made} of {count} pictures.")
            error = problem.to_json() if problem else None
            attempt_ending = AttemptState.SUCCEEDED if made else AttemptState.FAILED
            attempts.move(
                tx,
                attempt,
                attempt_ending,
                self._clock.now(),
                error=error,
                seconds=finished.seconds,
                usd=usd(made),
                notes=dict(finished.notes) or None,
            )
            self._end(tx, lease, JobState.SUCCEEDED if made else JobState.FAILED, error)

        await self._database.write(story)

    async def failed(
        self,
        lease: Lease,
        attempt: Attempt | None,
        problem: Problem,
        attempt_ending: AttemptState = AttemptState.FAILED,
    ) -> None:
        """The job cannot be done."""
        await self._ended(lease, attempt, attempt_ending, JobState.FAILED, problem.to_json())

    async def canceled(self, lease: Lease, attempt: Attempt | None) -> None:
        """The provider call has ended because somebody asked for it."""
        await self._ended(lease, attempt, AttemptState.CANCELED, JobState.CANCELED, None)

    async def again(self, lease: Lease, at: datetime, problem: Problem) -> None:
        """Queue the job for later; its start is not held against it."""
        await self._database.write(
            lambda tx: self._engine.retry(tx, lease, at, problem.to_json(), counted=False)
        )

    async def stale(self, lease: Lease) -> None:
        """A job of a generation that has ended already."""
        await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.CANCELED))

    def gave_up(
        self,
        tx: Transaction,
        job_id: str,
        generation_id: str,
        payload: Mapping[str, Any],
        error: Mapping[str, Any],
    ) -> None:
        """The engine failed the job by itself (started too often): same money, same roll-up."""
        self._leave_unknown(tx, job_id, dict(error))
        self.job_ended(tx, job_id, generation_id, payload)

    async def _ended(
        self,
        lease: Lease,
        attempt: Attempt | None,
        attempt_ending: AttemptState,
        ending: Ending,
        error: dict[str, Any] | None,
    ) -> None:
        def story(tx: Transaction) -> None:
            if attempt is not None:
                attempts.move(tx, attempt, attempt_ending, self._clock.now(), error=error)
            else:
                self._leave_unknown(tx, lease.job_id, error)
            self._end(tx, lease, ending, error)

        await self._database.write(story)

    def _leave_unknown(self, tx: Transaction, job_id: str, error: dict[str, Any] | None) -> None:
        """Attempts that nobody will follow any more: how they end is not known."""
        for attempt in attempts.of_job(tx, job_id):
            if not ATTEMPT.is_terminal(attempt.state):
                attempts.move(tx, attempt, AttemptState.UNKNOWN, self._clock.now(), error=error)

    def _end(self, tx: Transaction, lease: Lease, ending: Ending, error: dict[str, Any] | None) -> None:
        self._engine.finish(tx, lease, ending, error)
        assert lease.generation_id is not None
        self.job_ended(tx, lease.job_id, lease.generation_id, lease.payload)

    def job_ended(self, tx: Transaction, job_id: str, generation_id: str, payload: Mapping[str, Any]) -> None:
        """Release what the job did not make, then end the generation if this was its last job."""
        generation = generations.get(tx, generation_id, lock=True)
        assert generation is not None
        first, count = int(payload["first"]), int(payload["count"])
        made = assets.count_between(tx, generation_id, first, count)
        credits.release_job(tx, generation, job_id, count - made, self._clock.now())
        self.roll_up(tx, generation)

    def roll_up(self, tx: Transaction, generation: Generation) -> None:
        """End the generation once all its jobs have ended."""
        if GENERATION.is_terminal(generation.status):
            return
        calls = calls_of(tx, generation)
        if not all(JobState(call.state) in JOB.terminal for call in calls):
            return
        standing, error = outcome(tx, generation, calls)
        now = self._clock.now()
        if standing:
            ending = GenerationState.SUCCEEDED
            self._journal.record(tx, "succeeded", generation.id, images=standing)
        elif error is not None:
            ending = GenerationState.FAILED
            self._journal.record(tx, "failed", generation.id, error=error)
        else:
            ending = GenerationState.CANCELED
            self._journal.record(tx, "canceled", generation.id)
        generations.move(tx, generation, ending, now, error=error)
        canceled = any(JobState(call.state) is JobState.CANCELED for call in calls)
        self._followers.ended(tx, generation, ending, error, canceled=canceled)


def calls_of(tx: Transaction, generation: Generation) -> Sequence[Row[Any]]:
    """The generation's jobs that call providers."""
    calls: Sequence[Row[Any]] = tx.execute(JOBS, {"of_generation": generation.id}).all()
    return calls


def outcome(
    tx: Transaction, generation: Generation, calls: Iterable[Row[Any]]
) -> tuple[int, dict[str, Any] | None]:
    """(pictures that stand, the generation's `error`) once all its calls have ended. The error tells of those
    that made less than they should and of pictures whose bytes were lost, before or after the end."""
    pictures = assets.states(tx, generation.id)
    lost = sum(state is AssetState.FAILED for state in pictures)
    errors = [call.error for call in calls if call.error]
    if lost:
        errors.append(_never_arrived(lost).to_json())
    standing = len(pictures) - lost
    return standing, _summary(generation, standing, errors)


def _never_arrived(pictures: int) -> Problem:
    """Of pictures that exist at the provider and nowhere else, for ever."""
    what = "a picture whose bytes" if pictures == 1 else f"{pictures} pictures whose bytes"
    return OriginUnavailable(f"The provider made {what} never arrived.")


def _summary(generation: Generation, standing: int, errors: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The generation's `error`: the one problem there was, or what is missing and every reason."""
    if not errors:
        return None
    if len(errors) == 1 and standing == 0:
        return errors[0]
    first = from_json(errors[0])
    detail = f"{standing} of {generation.num_images} pictures were made. {first.detail}"
    summary = type(first)(detail, field=first.field, limit=first.limit, retry_after=first.retry_after)
    return summary.to_json() | {"errors": errors}
