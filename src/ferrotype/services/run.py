"""The story of a job: route, submit, checkpoint, watch, ingest, conclude.

It is resumable by facts: the attempt row says how far the call to the provider came. `submitting` is
looked up at the provider before anything is submitted again; `submitted` is watched by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Final, NoReturn

import structlog

from ferrotype.db import attempts, generations
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    Overloaded,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.domain.states import ATTEMPT, GENERATION, AttemptState, GenerationState
from ferrotype.engine.backoff import backoff
from ferrotype.engine.base import Engine, Lease
from ferrotype.providers.base import Finished, Found, Lookup, Output, Preview, Progress, WatchEvent
from ferrotype.services.attempts import Attempts
from ferrotype.services.call import Call, Ended, Stopped, batches, submit
from ferrotype.services.conclude import Conclude
from ferrotype.services.costs import usd_of
from ferrotype.services.followers import Followers
from ferrotype.services.ingest import Ingest
from ferrotype.services.journal import Journal
from ferrotype.services.places import Places
from ferrotype.services.requests import Requests
from ferrotype.services.routing import Again, Routing
from ferrotype.services.settings import ServiceSettings
from ferrotype.services.standing import Key, key_of

log = structlog.get_logger(__name__)

#: The call surely made nothing and costs nothing: it may go elsewhere, or be made again.
NEVER_RAN = (ProviderUnavailable, ProviderBusy, ProviderMisconfigured, AttemptLost)
RETRY_BASE: Final = timedelta(seconds=0.5)
RETRY_CAP: Final = timedelta(seconds=30)
#: Between looks for room in a full spool, in seconds.
ROOM_PAUSE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Begun:
    """What was written together with a job that began with its order."""

    generation: Generation
    attempt: Attempt
    places: Places


class Run:
    """Handles jobs of the kind `generate`."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        routing: Routing,
        requests: Requests,
        ingest: Ingest,
        conclude: Conclude,
        journal: Journal,
        followers: Followers,
        clock: Clock,
        settings: ServiceSettings,
        random: Random | None = None,
    ) -> None:
        self._database = database
        self._engine = engine
        self._routing = routing
        self._requests = requests
        self._ingest = ingest
        self._conclude = conclude
        self._journal = journal
        self._followers = followers
        self._clock = clock
        self._settings = settings
        self._random = random or Random()
        self._attempts = Attempts(database, engine, clock)
        self._begun: dict[str, Begun] = {}

    def begin(self, tx: Transaction, lease: Lease, generation: Generation) -> Generation:
        """Within the order's transaction: choose a deployment and write the first attempt of a job that was
        leased with it; the generation as it is now. Where that must wait, the job itself finds out.

        Raises nothing that would undo the order. After a roll-back call `undo`.
        """
        places = Places(self._database, self._engine, self._routing, lease)
        try:
            deployment = places.take(self._routing.model(generation))
        except (Again, Problem):
            return generation
        attempt = self._attempts.new(lease, deployment)
        self._begun[lease.job_id] = Begun(generation, attempt, places)
        if generation.status is GenerationState.QUEUED:
            generation = self._started(tx, generation)
        attempts.add(tx, attempt)
        return generation

    def undo(self, leases: Iterable[Lease]) -> None:
        """The transaction of these jobs was rolled back: their places are free again."""
        for lease in leases:
            begun = self._begun.pop(lease.job_id, None)
            if begun is not None:
                begun.places.abandon()

    def _started(self, tx: Transaction, generation: Generation) -> Generation:
        now = self._clock.now()
        generations.move(tx, generation, GenerationState.RUNNING, now)
        self._journal.record(tx, "started", generation.id)
        self._followers.started(tx, generation.id)
        return generation.started(now)

    async def __call__(self, lease: Lease) -> None:
        """Bring the job to its end, or queue it again where the provider surely did nothing."""
        begun = self._begun.pop(lease.job_id, None)
        places = begun.places if begun else Places(self._database, self._engine, self._routing, lease)
        try:
            if begun is None:
                await self._run(lease, places)
            else:
                await self._go_on(lease, begun.generation, begun.attempt, places, fresh=True)
        except Again as again:
            seconds = again.seconds + places.park(again.full)
            at = self._clock.now() + timedelta(seconds=seconds)
            await self._conclude.again(lease, at, again.problem)
        except Stopped:
            await self._conclude.canceled(lease, None)
        except Ended:
            pass
        except Problem as problem:
            await self._conclude.failed(lease, None, problem)
        finally:
            await places.leave()

    async def _run(self, lease: Lease, places: Places) -> None:
        try:
            generation, attempt, fresh = await self._database.write(
                lambda tx: self._take_up(tx, lease, places)
            )
        except Again as again:
            await self._check_wait(lease, again)
            raise
        if GENERATION.is_terminal(generation.status):
            await self._conclude.stale(lease)
            return
        if attempt is None:
            await self._conclude.canceled(lease, None)
            return
        await self._go_on(lease, generation, attempt, places, fresh=fresh)

    async def _go_on(
        self, lease: Lease, generation: Generation, attempt: Attempt, places: Places, *, fresh: bool
    ) -> None:
        """Make the attempt's call, or find out what became of it."""
        if fresh and lease.canceled.is_set():
            await self._conclude.canceled(lease, attempt)
            return
        model = self._routing.model(generation)
        try:
            deployment = self._routing.named(model, attempt.provider, attempt.target)
            places.hold(deployment)
            call = await self._call(lease, generation, model, deployment, attempt)
        except Problem as problem:  # an input is gone, or the deployment
            await self._conclude.failed(lease, attempt if fresh else None, problem)
            return
        if fresh:
            call = await self._begin(call, places)
        elif attempt.state is AttemptState.SUBMITTING and not await self._look_up(call):
            if lease.canceled.is_set():
                raise Stopped
            call = await self._begin(await self._another(call, places, set()), places)
        await self._follow(call)

    def _take_up(
        self, tx: Transaction, lease: Lease, places: Places
    ) -> tuple[Generation, Attempt | None, bool]:
        """The generation, and the attempt to go on with: the one that a dead process or a drain left behind,
        or a new one (True), written before any provider is called. None where the end was asked for."""
        self._engine.fence(tx, lease)
        assert lease.generation_id is not None
        generation = generations.get(tx, lease.generation_id, lock=True)
        assert generation is not None
        under_way = [a for a in attempts.of_job(tx, lease.job_id) if not ATTEMPT.is_terminal(a.state)]
        if under_way or lease.canceled.is_set() or GENERATION.is_terminal(generation.status):
            return generation, next(iter(under_way), None), False
        deployment = places.take(self._routing.model(generation))
        attempt = self._attempts.new(lease, deployment)
        if generation.status is GenerationState.QUEUED:
            self._started(tx, generation)
        attempts.add(tx, attempt)
        return generation, attempt, True

    async def _look_up(self, call: Call) -> bool:
        """Ask the provider about a call without an answer; whether it has it."""
        try:
            found = await call.provider.lookup(call.request)
        except ProviderUnavailable as problem:
            if self._is_impatient(call.generation) or self._is_given_up(call):
                unknown = OutcomeUnknown(f"No answer came and the provider cannot be asked: {problem.detail}")
                await self._unknown(call, unknown)
            raise Again(self._delay(call.lease, problem), problem) from None
        log.info("looked up at the provider", attempt_id=call.attempt.id, found=str(found))
        if isinstance(found, Found):
            await self._attempts.checkpoint(call, found.request_id)
            return True
        if found is Lookup.ABSENT:
            await self._never_ran(call, AttemptLost("The provider never accepted the call."))
            return False
        unknown = OutcomeUnknown("No answer came and the provider cannot tell whether it ran.")
        return await self._unknown(call, unknown)

    async def _begin(self, call: Call, places: Places) -> Call:
        """Submit the attempt; where it surely did not run, go on to the model's other deployments."""
        avoid: set[Key] = set()
        while True:
            try:
                await self._submit(call)
                return call
            except NEVER_RAN as problem:
                avoid.add(key_of(call.deployment))
                if not self._routing.deployments(call.model, avoid):
                    self._give_up_or_wait(call, problem)
            call = await self._another(call, places, avoid)

    def _give_up_or_wait(self, call: Call, problem: Problem) -> None:
        """No deployment took the call. Raises `problem` where waiting does not help, else Again."""
        self._routing.check_settings(self._routing.deployments(call.model))
        self._check_patience(call.generation, problem)
        full = [call.deployment] if isinstance(problem, ProviderBusy) and problem.retry_after is None else []
        raise Again(self._delay(call.lease, problem), problem, full) from None

    async def _another(self, call: Call, places: Places, avoid: set[Key]) -> Call:
        """A further attempt of the same job, written before its provider is called."""
        await places.leave()
        deployment = places.take(call.model, avoid)
        attempt = self._attempts.new(call.lease, deployment)
        await self._attempts.add(call.lease, attempt)
        return await self._call(call.lease, call.generation, call.model, deployment, attempt)

    async def _submit(self, call: Call) -> None:
        try:
            request_id = await submit(call)
        except Stopped:
            await self._attempts.end(
                call, AttemptState.UNKNOWN, OutcomeUnknown("It was stopped in mid call.")
            )
            raise
        except OutcomeUnknown as problem:
            self._routing.standings.record(call.deployment, problem)
            if not await self._look_up(call):
                raise AttemptLost("The provider never accepted the call.") from None
            return
        except NEVER_RAN as problem:
            await self._never_ran(call, problem)
            raise
        except Problem as problem:
            self._routing.standings.record(call.deployment, problem)
            await self._over(call, problem, AttemptState.FAILED)
        await self._attempts.checkpoint(call, request_id)

    async def _never_ran(self, call: Call, problem: Problem) -> None:
        log.warning(
            "a deployment did not run a call",
            provider=call.deployment.provider,
            target=call.deployment.target,
            code=problem.code,
            detail=problem.detail,
        )
        self._routing.standings.record(call.deployment, problem)
        await self._attempts.end(call, AttemptState.FAILED, problem)

    async def _unknown(self, call: Call, problem: OutcomeUnknown) -> NoReturn:
        """End an attempt whose outcome nobody can tell: the job with it, or Again where the model's entry
        allows a second call that may be paid twice."""
        if await self._may_repeat(call):
            await self._attempts.end(call, AttemptState.UNKNOWN, problem)
            raise Again(self._delay(call.lease, problem), problem)
        await self._over(call, problem, AttemptState.UNKNOWN)

    async def _may_repeat(self, call: Call) -> bool:
        if call.model.on_unknown != "retry" or call.lease.canceled.is_set():
            return False
        _, submitted = await self._attempts.tried(call.lease)
        return submitted < self._settings.max_attempts and not self._is_impatient(call.generation)

    async def _over(self, call: Call, problem: Problem, ending: AttemptState) -> NoReturn:
        """Fail the job in the transaction that ends its attempt: a job that was stopped between the two would
        be found without a call under way, and make another. Raises Ended."""
        await self._conclude.failed(call.lease, call.attempt, problem, ending)
        raise Ended from None

    async def _follow(self, call: Call) -> None:
        """Watch the call to its end; pictures are announced the moment they exist."""
        standings, settings, missing = self._routing.standings, self._settings, None
        try:
            async with aclosing(batches(call, settings.cancel_grace, settings.generation_timeout)) as events:
                async for batch in events:
                    prepared, broken = await self._take(call, batch)
                    missing = missing or broken
                    if isinstance(batch[-1], Finished):
                        finished = replace(batch[-1], problem=batch[-1].problem or missing)
                        standings.record(call.deployment, finished.problem)
                        await self._finish(call, finished, prepared)
                        return
                    if prepared:
                        await self._ingest.announce(call.lease, call.generation, prepared)
        except AttemptLost as problem:
            made, submitted = await self._attempts.tried(call.lease)
            if made or submitted >= self._settings.max_attempts:
                standings.record(call.deployment, problem)
                await self._over(call, problem, AttemptState.FAILED)
            await self._never_ran(call, problem)
            self._check_patience(call.generation, problem)
            raise Again(self._delay(call.lease, problem), problem) from None
        except (ProviderUnavailable, ProviderBusy) as problem:
            # It has the call and cannot be asked now: the attempt stays, and is watched by its id again.
            standings.record(call.deployment, problem)
            if self._is_impatient(call.generation) or self._is_given_up(call):
                unknown = OutcomeUnknown(f"The provider could not be asked any more: {problem.detail}")
                if not call.lease.canceled.is_set():
                    await self._over(call, unknown, AttemptState.UNKNOWN)
                await self._attempts.end(call, AttemptState.UNKNOWN, unknown)
                raise Stopped from None
            raise Again(self._delay(call.lease, problem), problem) from None
        except OutcomeUnknown as problem:
            standings.record(call.deployment, problem)
            await self._unknown(call, problem)
        except Problem as problem:
            if call.lease.canceled.is_set():
                await self._conclude.canceled(call.lease, call.attempt)
            else:
                standings.record(call.deployment, problem)
                await self._conclude.failed(call.lease, call.attempt, problem)

    async def _finish(self, call: Call, finished: Finished, prepared: list[Asset]) -> None:
        await self._conclude.succeeded(
            call.lease,
            call.attempt,
            finished,
            lambda tx: self._ingest.write(tx, call.generation, prepared),
            lambda made: usd_of(call.model, call.deployment, finished, made),
        )

    async def _take(self, call: Call, batch: list[WatchEvent]) -> tuple[list[Asset], Problem | None]:
        """Pass on what is only for watching; the assets of the batch's pictures, and what is wrong with those
        that are no pictures."""
        first, count = int(call.lease.payload["first"]), int(call.lease.payload["count"])
        prepared: list[Asset] = []
        broken: Problem | None = None
        for event in batch:
            match event:
                case Progress(fraction):
                    share = count / call.generation.num_images
                    self._journal.progress(call.generation, call.lease.job_id, fraction, share)
                case Preview(data, content_type):
                    self._journal.preview(call.generation, first, content_type, data)
                case Output(index) if index < count:
                    # Only what was asked for is kept: a workflow may make more.
                    try:
                        prepared.append(await self._prepare(call, event))
                    except ProviderFailed as problem:
                        broken = broken or problem
                case _:
                    pass
        return prepared, broken

    async def _prepare(self, call: Call, output: Output) -> Asset:
        """The output's asset. Where there is no room for its bytes they are held until there is: the provider
        may not have them a second time."""
        while True:
            try:
                return await self._ingest.prepare(call.lease, call.generation, call.model, output)
            except Overloaded as problem:
                self._check_patience(call.generation, problem)
                log.warning("no room for a picture that was made; waiting", detail=problem.detail)
                await asyncio.sleep(ROOM_PAUSE)

    async def _call(
        self, lease: Lease, generation: Generation, model: Model, deployment: Deployment, attempt: Attempt
    ) -> Call:
        """Everything that goes on with an attempt. Raises NotFound when an input is gone."""
        first, count = int(lease.payload["first"]), int(lease.payload["count"])
        request = await self._requests.of(generation, model, deployment, attempt, first, count)
        provider = self._routing.providers[deployment.provider]
        return Call(lease, generation, model, deployment, provider, attempt, request)

    async def _check_wait(self, lease: Lease, again: Again) -> None:
        """Raise ProviderTimeout for a job that waits for a place too long already."""
        assert lease.generation_id is not None
        generation_id = lease.generation_id
        generation = await self._database.read(lambda tx: generations.get(tx, generation_id))
        assert generation is not None
        self._check_patience(generation, again.problem)

    def _check_patience(self, generation: Generation, problem: Problem) -> None:
        """Raise ProviderTimeout once the generation has waited for a provider long enough."""
        if self._is_impatient(generation):
            limit = f"{self._settings.generation_timeout:.0f} s"
            raise ProviderTimeout(f"No provider took the call within {limit}: {problem.detail}")

    def _is_impatient(self, generation: Generation) -> bool:
        """Whether it was started too long ago to be given to providers any more."""
        since = generation.started_at
        if since is None:
            return False
        return (self._clock.now() - since).total_seconds() > self._settings.generation_timeout

    def _is_given_up(self, call: Call) -> bool:
        """Whether somebody asked for the end, and the provider had its time to be asked."""
        age = (self._clock.now() - call.attempt.created_at).total_seconds()
        return call.lease.canceled.is_set() and age > self._settings.cancel_grace

    def _delay(self, lease: Lease, problem: Problem) -> float:
        if problem.retry_after is not None:
            return problem.retry_after
        # Claims, not starts: the starts of jobs that go back uncounted do not grow.
        return backoff(max(lease.fence, 1), base=RETRY_BASE, cap=RETRY_CAP, rng=self._random).total_seconds()
