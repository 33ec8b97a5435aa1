"""One call followed to its end: by fal's stream of states while it holds, else by asking.

A webhook, where there is one, rings the bell: it ends the wait, and brings the result along if its signature
was good.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderProblem,
    ProviderUnavailable,
)
from ferrotype.providers.base import Progress, Queued, Started, WatchEvent
from ferrotype.providers.fal import problems, results
from ferrotype.providers.fal.endpoint import Links
from ferrotype.providers.hosted.api import Api, Reply
from ferrotype.providers.hosted.logs import progress_of
from ferrotype.providers.hosted.polling import Bell, Pace
from ferrotype.providers.hosted.sse import server_events

#: Seconds without a byte after which a stream of states counts as dead.
SILENCE: Final = 30.0
#: Longest wait for a bell beside a stream, in seconds; the stream ends long before.
FOREVER: Final = 86_400.0
#: States behind which nothing comes. fal says COMPLETED of every end; proxies in front of it say the others.
ENDED: Final = frozenset({"COMPLETED", "FAILED", "ERROR", "CANCELED", "CANCELLED"})
#: Statuses that speak of us and of the moment, not of the call, unless they name a type of error.
PASSING: Final = frozenset({401, 403, 408, 425, 429})

FOLLOWING: Final = "Following a call"
GETTING: Final = "Getting a result"

T = TypeVar("T")


@dataclass
class Watch:
    """Follows the request `request_id`. `stopped` says whether we asked for its end ourselves; `usd_per_unit`
    is the price, in dollars, of what fal bills by: pictures, megapixels."""

    api: Api
    links: Links
    request_id: str
    bell: Bell
    pace: Pace
    clock: Clock
    streams: bool
    hooked: bool
    stopped: Callable[[], bool]
    usd_per_unit: float | None = None
    _state: str = field(default="", init=False)
    _position: int | None = field(default=None, init=False)
    _fraction: float = field(default=-1.0, init=False)
    _units: float | None = field(default=None, init=False)

    async def events(self) -> AsyncGenerator[WatchEvent, None]:
        """What `Provider.watch` tells."""
        status: Mapping[str, Any] = {}
        async with aclosing(self._statuses()) as statuses:
            async for status in statuses:
                for event in self._news(status):
                    yield event
        told = self._told() if self.usd_per_unit is None else None  # only the result's own answer tells units
        result = await self._patiently(self._result) if told is None else told
        outputs, problem = results.pictures_of(result, self.api.name)
        for output in outputs:
            yield output
        if told is not None:  # a webhook tells everything but how long it took
            status = await self._last_status()
        yield results.finished(status, result, problem, self._usd())

    # States

    async def _statuses(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """Every state that is heard of, until the call has ended."""
        if self.streams and self._told() is None:
            try:
                async with aclosing(self._streamed()) as statuses:
                    async for status in statuses:
                        yield status
                        if status.get("status") in ENDED:
                            return
            except (ProviderUnavailable, ProviderBusy, ProviderFailed):
                pass  # it broke, or has no end: asking will tell what is the matter
        for pause in self.pace.seconds(hooked=self.hooked):
            if self._told() is not None:
                return
            status = await self._patiently(self._status)
            yield status
            if status.get("status") in ENDED:
                return
            await self.bell.wait(pause)

    async def _streamed(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """States as fal sends them; ends when the stream does, and when the bell rings."""
        path, headers = f"{self.links.stream}?logs=1", {"Accept": "text/event-stream"}
        async with self.api.open(FOLLOWING, "GET", path, headers=headers, read_timeout=SILENCE) as response:
            if response.status != 200 or response.content_type != "text/event-stream":
                return
            chunks = self.api.chunks(FOLLOWING, response)
            events = server_events(chunks)
            async with aclosing(chunks), aclosing(events), aclosing(_until(events, self.bell)) as heard:
                async for data in heard:
                    yield self._object(data)

    async def _status(self) -> Mapping[str, Any]:
        reply = await self.api.send(FOLLOWING, "GET", f"{self.links.status}?logs=1")
        if not reply.ok:
            raise self._unsure(reply)
        return self._object(reply.body)

    async def _last_status(self) -> Mapping[str, Any]:
        """A state after the end, for what it tells of the time; empty where it cannot be had."""
        try:
            return await self._status()
        except ProviderProblem:
            return {}

    async def _result(self) -> Any:
        """The result. Raises what the call came to, where that is an error."""
        reply = await self.api.send(GETTING, "GET", self.links.result)
        if reply.ok:
            self._units = results.units_of(reply.headers)
            return self.api.decoded(GETTING, reply)
        if problems.is_unfinished(reply):
            raise ProviderUnavailable(f"{GETTING}: {self.api.name} has none yet.")
        ours = reply.status in PASSING and not problems.types_of(reply)
        gateway = reply.status < 400 or (reply.status >= 500 and problems.error_of(reply) is None)
        if ours or gateway or problems.is_unknown(reply):
            raise self._unsure(reply)
        raise problems.problem_of(self.api.name, reply, self.api.secrets)

    def _unsure(self, reply: Reply) -> ProviderProblem:
        """The problem of a call that cannot be followed now. It was accepted once, so that no answer here
        means that it never ran."""
        if problems.is_unknown(reply):
            if self.stopped():
                return ProviderInterrupted(f"{self.api.name} took the call out of its queue.")
            return OutcomeUnknown(f"{self.api.name} does not know the call any more; it may have run.")
        problem = self.api.refused(FOLLOWING, reply)
        return problem if isinstance(problem, ProviderBusy) else ProviderUnavailable(problem.detail)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` answers; it is asked again where it cannot tell, as long as our patience lasts."""
        since: float | None = None
        pauses = self.pace.seconds()
        while True:
            try:
                return await ask()
            except (ProviderUnavailable, ProviderBusy, OutcomeUnknown) as problem:
                now = self.clock.monotonic()
                since = now if since is None else since
                pause = max(next(pauses), problem.retry_after or 0.0)
                if now + pause - since > self.pace.patience:
                    raise
            await self.bell.wait(pause)

    def _object(self, data: str | bytes) -> Mapping[str, Any]:
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, Mapping):
            raise ProviderUnavailable(f"{FOLLOWING}: {self.api.name}'s answer cannot be read.")
        return value

    def _usd(self) -> float | None:
        return None if self.usd_per_unit is None or self._units is None else self.usd_per_unit * self._units

    # What is told on

    def _told(self) -> Any:
        """The result out of a webhook that is surely fal's, and about this request: whoever has an account
        there can have webhooks signed."""
        word = self.bell.word
        if not isinstance(word, Mapping) or word.get("request_id") != self.request_id:
            return None
        payload = word.get("payload")
        return payload if word.get("status") == "OK" and isinstance(payload, Mapping) else None

    def _news(self, status: Mapping[str, Any]) -> Iterator[WatchEvent]:
        """What is new in a state. A call that a runner dropped goes back into the queue: that is not told."""
        state = status.get("status")
        if state == "IN_QUEUE" and self._state in ("", "IN_QUEUE"):
            ahead = status.get("queue_position")
            position = ahead + 1 if isinstance(ahead, int) and ahead >= 0 else None
            if not self._state or position != self._position:
                yield Queued(position)
            self._state, self._position = "IN_QUEUE", position
        elif state == "IN_PROGRESS":
            if self._state != "IN_PROGRESS":
                yield Started()
            self._state = "IN_PROGRESS"
            fraction = progress_of(_words(status.get("logs")))
            if fraction is not None and fraction > self._fraction:
                self._fraction = fraction
                yield Progress(fraction)


def _words(logs: Any) -> str:
    """The messages of a list of log entries."""
    entries = logs if isinstance(logs, list) else []
    messages = [entry.get("message") if isinstance(entry, Mapping) else entry for entry in entries]
    return "\n".join(message for message in messages if isinstance(message, str))


async def _until(events: AsyncIterator[Any], bell: Bell) -> AsyncGenerator[str, None]:
    """The data of the events until they end, or until the bell rings."""
    rung = asyncio.ensure_future(bell.wait(FOREVER))
    following: asyncio.Future[Any] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(events, None))
            await asyncio.wait((following, rung), return_when=asyncio.FIRST_COMPLETED)
            event = following.result() if following.done() else None
            if event is None:
                return
            yield event.data
    finally:
        waiting = [future for future in (rung, following) if future is not None]
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
