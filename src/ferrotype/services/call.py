"""One attempt under way: everything that goes on with it, and its events as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

import structlog

from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import OutcomeUnknown, ProviderInterrupted, ProviderProblem
from ferrotype.engine.base import Lease
from ferrotype.providers.base import AttemptRequest, Finished, Provider, WatchEvent

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


async def submit(call: Call) -> str:
    """Hand the call over; the provider's request id.

    When the end is asked for meanwhile: an inline call is broken off (Stopped), any other is waited for,
    because it is stopped by the id that its answer brings. Raises what the provider raises.
    """
    submitting = asyncio.ensure_future(call.provider.submit(call.request))
    canceled = asyncio.ensure_future(call.lease.canceled.wait())
    try:
        await asyncio.wait((submitting, canceled), return_when=asyncio.FIRST_COMPLETED)
        if not submitting.done() and call.provider.traits.inline:
            raise Stopped
        return await submitting
    finally:
        canceled.cancel()
        if not submitting.done():
            submitting.cancel()
            await asyncio.gather(submitting, return_exceptions=True)


async def batches(call: Call, cancel_grace: float) -> AsyncGenerator[list[WatchEvent], None]:
    """The provider's events, those together that are there together: a last picture and the end behind
    it then cost one transaction.

    When a cancel is asked for, the provider is told, again and again until it could be, and has
    `cancel_grace` seconds in all. Past them ProviderInterrupted is raised; OutcomeUnknown where it could
    not even be told.
    """
    assert call.attempt.request_id is not None
    loop = asyncio.get_running_loop()
    watching = call.provider.watch(call.request, call.attempt.request_id)
    canceled = asyncio.ensure_future(call.lease.canceled.wait())
    deadline: float | None = None
    told = False
    following: asyncio.Future[WatchEvent] = asyncio.ensure_future(anext(watching))
    try:
        while True:
            if deadline is None:
                await asyncio.wait((following, canceled), return_when=asyncio.FIRST_COMPLETED)
                if canceled.done() and not following.done():
                    deadline = loop.time() + cancel_grace
            if deadline is not None:
                told = told or await _tell(call, call.attempt.request_id)
                pause = deadline - loop.time()
                await asyncio.wait((following,), timeout=max(0.0, pause if told else min(pause, TELL_AGAIN)))
                if not following.done():
                    if loop.time() < deadline:
                        continue
                    if told:
                        raise ProviderInterrupted("The provider did not confirm the cancel in time.")
                    raise OutcomeUnknown("The provider could not be told to stop.")
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
            yield batch
    finally:
        canceled.cancel()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await watching.aclose()  # type: ignore[attr-defined]


async def _tell(call: Call, request_id: str) -> bool:
    """Ask the provider to stop; whether it could be asked."""
    try:
        await call.provider.cancel(call.request, request_id)
    except ProviderProblem as problem:
        log.warning("the provider could not be told to stop", detail=problem.detail)
        return False
    return True
