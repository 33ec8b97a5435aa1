"""The story of a job: route, submit, checkpoint, watch, ingest, conclude.

It is resumable by facts: the attempt row says how far the call to the provider came. `submitting` is
looked up at the provider before anything is submitted again; `submitted` is watched by its id.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Final

import structlog

from ferrotype.db import assets, attempts, generations
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    Overloaded,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.domain.states import ATTEMPT, GENERATION, AttemptState, GenerationState
from ferrotype.engine.backoff import backoff
from ferrotype.engine.base import Engine, Lease
from ferrotype.providers.base import (
    AttemptRequest,
    Finished,
    Found,
    Lookup,
    Output,
    Preview,
    Progress,
    WatchEvent,
)
from ferrotype.services.call import Call, batches
from ferrotype.services.conclude import Conclude
from ferrotype.services.ingest import Ingest
from ferrotype.services.inputs import Inputs
from ferrotype.services.journal import Journal
from ferrotype.services.routing import Routing
from ferrotype.services.settings import ServiceSettings

log = structlog.get_logger(__name__)

#: The call surely made nothing and costs nothing: it may go elsewhere, or be made again.
NEVER_RAN = (ProviderUnavailable, ProviderBusy, AttemptLost)
RETRY_BASE: Final = timedelta(seconds=0.5)
RETRY_CAP: Final = timedelta(seconds=30)
#: Between looks for room in a full spool, in seconds.
ROOM_PAUSE: Final = 2.0


class Run:
    """Handles jobs of the kind `generate`."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        routing: Routing,
        inputs: Inputs,
        ingest: Ingest,
        conclude: Conclude,
        journal: Journal,
        clock: Clock,
        settings: ServiceSettings,
        random: Random | None = None,
    ) -> None:
        self._database = database
        self._engine = engine
        self._routing = routing
        self._inputs = inputs
        self._ingest = ingest
        self._conclude = conclude
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._random = random or Random()

    async def __call__(self, lease: Lease) -> None:
        """Bring the job to its end, or queue it again where the provider surely did nothing."""
        try:
            await self._run(lease)
        except Again as again:
            at = self._clock.now() + timedelta(seconds=again.seconds)
            await self._conclude.again(lease, at, again.problem)
        except Problem as problem:
            await self._conclude.failed(lease, None, problem)

    async def _run(self, lease: Lease) -> None:
        generation, attempt, fresh = await self._database.write(lambda tx: self._take_up(tx, lease))
        if GENERATION.is_terminal(generation.status):
            await self._conclude.stale(lease)
            return
        if attempt is None:
            await self._conclude.canceled(lease, None)
            return
        model = self._routing.model(generation.model)
        try:
            call = await self._call(lease, generation, model, attempt)
        except Problem as problem:  # an input is gone, or the deployment
            await self._conclude.failed(lease, attempt if fresh else None, problem)
            return
        if fresh:
            call = await self._begin(call)
        elif attempt.state is AttemptState.SUBMITTING and not await self._look_up(call):
            if lease.canceled.is_set():
                await self._conclude.canceled(lease, None)
                return
            call = await self._begin(await self._another(call, set()))
        await self._follow(call)

    def _take_up(self, tx: Transaction, lease: Lease) -> tuple[Generation, Attempt | None, bool]:
        """The generation, and the attempt to go on with: the one that a dead process or a drain left behind,
        or a new one (True), written before any provider is called. None where the end was asked for."""
        self._engine.fence(tx, lease)
        assert lease.generation_id is not None
        generation = generations.get(tx, lease.generation_id, lock=True)
        assert generation is not None
        under_way = [a for a in attempts.of_job(tx, lease.job_id) if not ATTEMPT.is_terminal(a.state)]
        if under_way or lease.canceled.is_set() or GENERATION.is_terminal(generation.status):
            return generation, next(iter(under_way), None), False
        deployment = self._routing.pick(self._routing.model(generation.model))
        attempt = self._attempt(lease, generation, deployment)
        if generation.status is GenerationState.QUEUED:
            generations.move(tx, generation, GenerationState.RUNNING, self._clock.now())
            self._journal.record(tx, "started", generation.id)
        attempts.add(tx, attempt)
        return generation, attempt, True

    async def _look_up(self, call: Call) -> bool:
        """Ask the provider about a call without an answer; whether it has it."""
        try:
            found = await call.provider.lookup(call.request)
        except ProviderUnavailable as problem:
            if self._is_impatient(call.generation) or self._is_given_up(call):
                unknown = OutcomeUnknown(f"No answer came and the provider cannot be asked: {problem.detail}")
                await self._end_attempt(call, AttemptState.UNKNOWN, unknown)
                raise unknown from None
            raise Again(self._delay(call.lease, problem), problem) from None
        log.info("looked up at the provider", attempt_id=call.attempt.id, found=str(found))
        if isinstance(found, Found):
            await self._checkpoint(call, found.request_id)
            return True
        if found is Lookup.ABSENT:
            absent = AttemptLost("The provider never accepted the call.")
            await self._end_attempt(call, AttemptState.FAILED, absent)
            return False
        unknown = OutcomeUnknown("No answer came and the provider cannot tell whether it ran.")
        await self._end_attempt(call, AttemptState.UNKNOWN, unknown)
        raise unknown

    async def _begin(self, call: Call) -> Call:
        """Submit the attempt; where it surely did not run, go on to the model's other deployments."""
        avoid: set[tuple[str, str]] = set()
        while True:
            try:
                await self._submit(call)
                return call
            except NEVER_RAN as problem:
                avoid.add((call.deployment.provider, call.deployment.target))
                if all((d.provider, d.target) in avoid for d in call.model.deployments):
                    self._check_patience(call.generation, problem)
                    raise Again(self._delay(call.lease, problem), problem) from None
            call = await self._another(call, avoid)

    async def _another(self, call: Call, avoid: set[tuple[str, str]]) -> Call:
        """A further attempt of the same job, written before its provider is called."""
        attempt = self._attempt(call.lease, call.generation, self._routing.pick(call.model, avoid))

        def story(tx: Transaction) -> None:
            self._engine.fence(tx, call.lease)
            attempts.add(tx, attempt)

        await self._database.write(story)
        return await self._call(call.lease, call.generation, call.model, attempt)

    def _attempt(self, lease: Lease, generation: Generation, deployment: Deployment) -> Attempt:
        return Attempt(
            id=new_id(),
            job_id=lease.job_id,
            generation_id=generation.id,
            provider=deployment.provider,
            target=deployment.target,
            state=AttemptState.SUBMITTING,
            request_id=None,
            created_at=self._clock.now(),
        )

    async def _submit(self, call: Call) -> None:
        try:
            request_id = await call.provider.submit(call.request)
        except OutcomeUnknown:
            if not await self._look_up(call):
                raise AttemptLost("The provider never accepted the call.") from None
            return
        except Problem as problem:
            await self._end_attempt(call, AttemptState.FAILED, problem)
            raise
        await self._checkpoint(call, request_id)

    async def _follow(self, call: Call) -> None:
        """Watch the call to its end; pictures are announced the moment they exist."""
        missing: Problem | None = None
        try:
            async with aclosing(batches(call, self._settings.cancel_grace)) as events:
                async for batch in events:
                    prepared, broken = await self._take(call, batch)
                    missing = missing or broken
                    if isinstance(batch[-1], Finished):
                        finished = batch[-1]
                        await self._conclude.succeeded(
                            call.lease,
                            call.attempt,
                            replace(finished, problem=finished.problem or missing),
                            lambda tx, prepared=prepared: self._ingest.write(  # type: ignore[misc]
                                tx, call.generation, prepared
                            ),
                        )
                        return
                    if prepared:
                        await self._ingest.announce(call.lease, call.generation, prepared)
        except AttemptLost as problem:
            await self._end_attempt(call, AttemptState.FAILED, problem)
            self._check_patience(call.generation, problem)
            made, submitted = await self._database.read(lambda tx: _tried(tx, call.lease))
            if made or submitted >= self._settings.max_attempts:
                await self._conclude.failed(call.lease, None, problem)
                return
            raise Again(self._delay(call.lease, problem), problem) from None
        except OutcomeUnknown as problem:
            await self._end_attempt(call, AttemptState.UNKNOWN, problem)
            await self._conclude.failed(call.lease, None, problem)
        except Problem as problem:
            if call.lease.canceled.is_set():
                await self._conclude.canceled(call.lease, call.attempt)
            else:
                await self._conclude.failed(call.lease, call.attempt, problem)

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
                    self._journal.progress(call.generation.id, call.lease.job_id, fraction, share)
                case Preview(data, content_type):
                    text = base64.b64encode(data).decode()
                    self._journal.preview(call.generation.id, first, content_type, text)
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

    async def _call(self, lease: Lease, generation: Generation, model: Model, attempt: Attempt) -> Call:
        """Everything that goes on with an attempt. Raises NoDeployment or NotFound when something is gone."""
        deployment = self._routing.named(model, attempt.provider, attempt.target)
        order = generation.input
        native = bool(deployment.options.get("native_styles"))
        style = order["style"]
        first, count = int(lease.payload["first"]), int(lease.payload["count"])
        request = AttemptRequest(
            attempt_id=attempt.id,
            operation=generation.operation,
            target=deployment.target,
            prompt=self._routing.prompt(order["prompt"], None if native else style),
            negative_prompt=order["negative_prompt"] or "",
            style=style,
            width=order["width"],
            height=order["height"],
            seed=order["seed"] + first,
            num_images=count,
            format=order["format"],
            images=await self._inputs.open(order["images"], model.capabilities),
            mask=next(
                iter(await self._inputs.open([order["mask"]] if order["mask"] else [], model.capabilities)),
                None,
            ),
            params=order["params"],
            options=deployment.options,
        )
        provider = self._routing.providers[deployment.provider]
        return Call(lease, generation, model, deployment, provider, attempt, request)

    async def _checkpoint(self, call: Call, request_id: str) -> None:
        def story(tx: Transaction) -> Attempt:
            self._engine.fence(tx, call.lease)
            now = self._clock.now()
            return attempts.move(tx, call.attempt, AttemptState.SUBMITTED, now, request_id=request_id)

        call.attempt = await self._database.write(story)

    async def _end_attempt(self, call: Call, to: AttemptState, problem: Problem) -> None:
        def story(tx: Transaction) -> Attempt:
            self._engine.fence(tx, call.lease)
            return attempts.move(tx, call.attempt, to, self._clock.now(), error=problem.to_json())

        call.attempt = await self._database.write(story)

    def _check_patience(self, generation: Generation, problem: Problem) -> None:
        """Raise `problem` once the generation has waited for a provider long enough."""
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


def _tried(tx: Transaction, lease: Lease) -> tuple[int, int]:
    """(pictures that the job has made, calls that a provider accepted)."""
    assert lease.generation_id is not None
    first, count = int(lease.payload["first"]), int(lease.payload["count"])
    accepted = [a for a in attempts.of_job(tx, lease.job_id) if a.submitted_at is not None]
    return assets.count_between(tx, lease.generation_id, first, count), len(accepted)


class Again(Exception):
    """The job goes back to its queue: the provider surely did nothing."""

    def __init__(self, seconds: float, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.seconds = seconds
        self.problem = problem
