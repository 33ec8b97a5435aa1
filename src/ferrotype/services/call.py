"""One attempt under way: everything that goes on with it, and its events as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from ferrotype.domain.generation import Attempt, Generation
from ferrotype.domain.model import Deployment, Model
from ferrotype.domain.problems import ProviderInterrupted
from ferrotype.engine.base import Lease
from ferrotype.providers.base import AttemptRequest, Finished, Provider, WatchEvent

#: Events taken together at most.
MAX_BATCH: Final = 64


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


async def batches(call: Call, cancel_grace: float) -> AsyncGenerator[list[WatchEvent], None]:
    """The provider's events, those together that are there together: a last picture and the end behind
    it then cost one transaction.

    When a cancel is asked for, the provider is told and has `cancel_grace` seconds to confirm it. Past them
    ProviderInterrupted is raised.
    """
    assert call.attempt.request_id is not None
    watching = call.provider.watch(call.request, call.attempt.request_id)
    canceled = asyncio.ensure_future(call.lease.canceled.wait())
    told = False
    following: asyncio.Future[WatchEvent] = asyncio.ensure_future(anext(watching))
    try:
        while True:
            if not told:
                await asyncio.wait((following, canceled), return_when=asyncio.FIRST_COMPLETED)
                if canceled.done() and not following.done():
                    told = True
                    await call.provider.cancel(call.request, call.attempt.request_id)
            try:
                limit = cancel_grace if told else None
                batch = [await asyncio.wait_for(following, limit)]
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ProviderInterrupted("The provider did not confirm the cancel in time.") from None
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
