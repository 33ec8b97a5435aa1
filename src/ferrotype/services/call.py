"""One attempt under way: everything that goes on with it, and its events as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

import structlog

from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import OutcomeUnknown, ProviderInterrupted, ProviderProblem, ProviderTimeout
from ferrotype.engine.base import Lease
from ferrotype.providers.base import AttemptRequest, Finished, Provider, Queued, Started, WatchEvent

#: Events taken together at most.
MAX_BATCH: Final = 64
#: Seconds before a provider that could not be told to stop is told again.
TELL_AGAIN: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Call:
    """One attempt with everything that is needed to go on with it."""

    lease: Lease
    generation: Generation
    model: Model
    deployment: Deployment
    provider: Provider
    attempt: Attempt
    request: AttemptRequest


class Stopped(Exception):
    """The end was asked for in mid submit, and the connection was closed: nobody knows what came of it."""


class Ended(Exception):
    """The job has ended together with its attempt: nothing is left to do for it."""


async def submit(call: Call) -> str:
    """Hand the call over; the provider's request id.

    When the end is asked for meanwhile: an inline call is broken off (Stopped), any other is waited for,
    because it is stopped by the id that its answer brings. An inline call that is not answered within its
    time is broken off too. Raises what the provider raises.
    """
    inline = call.provider.traits.inline
    submitting = asyncio.ensure_future(call.provider.submit(call.request))
    canceled = asyncio.ensure_future(call.lease.canceled.wait())
    try:
        await asyncio.wait(
            (submitting, canceled),
            timeout=call.request.timeout if inline else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not submitting.done() and inline:
            raise Stopped if canceled.done() else too_late(call.provider, call.request.timeout)
        return await submitting
    finally:
        canceled.cancel()
        if not submitting.done():
            submitting.cancel()
            await asyncio.gather(submitting, return_exceptions=True)


class Patience:
    """How long a call may take, and what happens when that is over or its end is asked for. Seconds.

    It has `request.timeout` from the watch's beginning, or from when it is told to have been started; one
    that waits over there has `queue_timeout` each time that its place is told. Who has to stop is told,
    again and again until it could be, and has `cancel_grace` in all.
    """

    def __init__(self, call: Call, cancel_grace: float, queue_timeout: float) -> None:
        self._call = call
        self._grace = cancel_grace
        self._queue_timeout = queue_timeout
        self._canceled = asyncio.ensure_future(call.lease.canceled.wait())
        self._now = asyncio.get_running_loop().time
        self._limit = call.request.timeout
        self._due = self._now() + self._limit
        self._stopped_by: float | None = None
        self._told = False
        #: Whether the end was not asked for: it took too long.
        self.late = False

    def hear(self, event: WatchEvent) -> None:
        """It is further on."""
        if isinstance(event, Queued | Started):
            self._limit = self._queue_timeout if isinstance(event, Queued) else self._call.request.timeout
            self._due = self._now() + self._limit

    async def wait(self, following: asyncio.Future[WatchEvent]) -> None:
        """Return when `following` is done. Raises ProviderInterrupted where the provider was told to stop and
        did not, OutcomeUnknown where it could not be told."""
        if self._stopped_by is None:
            await asyncio.wait(
                (following, self._canceled),
                timeout=max(0.0, self._due - self._now()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if following.done():
                return
            self.late, self._stopped_by = not self._canceled.done(), self._now() + self._grace
        while True:
            self._told = self._told or await _tell(self._call)
            pause = max(0.0, self._stopped_by - self._now())
            await asyncio.wait((following,), timeout=pause if self._told else min(pause, TELL_AGAIN))
            if following.done():
                return
            if self._now() >= self._stopped_by:
                break
        if self._told:
            raise ProviderInterrupted("The provider did not confirm the cancel in time.")
        raise OutcomeUnknown("The provider could not be told to stop.")

    def problem(self) -> ProviderProblem:
        """That of a call which took too long and was stopped."""
        return too_late(self._call.provider, self._limit)

    def close(self) -> None:
        """Nobody waits any more."""
        self._canceled.cancel()


async def batches(
    call: Call, cancel_grace: float, queue_timeout: float
) -> AsyncGenerator[list[WatchEvent], None]:
    """The provider's events, those together that are there together: a last picture and the end behind
    it then cost one transaction.

    Pictures that come after the provider was told to stop are taken. A call that took too long (see Patience)
    and stopped raises ProviderTimeout (OutcomeUnknown where only a connection was closed), a canceled one
    ProviderInterrupted, and either OutcomeUnknown where the provider could not even be told.
    """
    assert call.attempt.request_id is not None
    watching = call.provider.watch(call.request, call.attempt.request_id)
    patience = Patience(call, cancel_grace, queue_timeout)
    following: asyncio.Future[WatchEvent] = asyncio.ensure_future(anext(watching))
    try:
        while True:
            await patience.wait(following)
            try:
                batch = [await following]
            except StopAsyncIteration:
                return
            while not isinstance(batch[-1], Finished):
                following = asyncio.ensure_future(anext(watching))
                await asyncio.sleep(0)  # one turn: what needs no waiting is there after it
                if len(batch) >= MAX_BATCH or not following.done() or following.exception():
                    break
                batch.append(following.result())
            for event in batch:
                patience.hear(event)
            yield batch
            if isinstance(batch[-1], Finished):
                return
    except ProviderInterrupted:
        if patience.late:
            raise patience.problem() from None
        raise
    finally:
        patience.close()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await watching.aclose()  # type: ignore[attr-defined]


def too_late(provider: Provider, seconds: float) -> ProviderProblem:
    """The problem of a call that was not done within so many seconds, and was stopped."""
    detail = f"{provider.name} was not done within {seconds:g} s"
    if provider.traits.cancel == "connection":
        return OutcomeUnknown(f"{detail}, and its connection was closed.")
    return ProviderTimeout(f"{detail}, and was told to stop.")


async def _tell(call: Call) -> bool:
    """Ask the provider to stop; whether it could be asked."""
    assert call.attempt.request_id is not None
    try:
        await call.provider.cancel(call.request, call.attempt.request_id)
    except ProviderProblem as problem:
        log.warning("the provider could not be told to stop", detail=problem.detail)
        return False
    return True
