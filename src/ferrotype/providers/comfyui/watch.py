"""Following one prompt to its end: by its websocket messages, and by queue and history where those fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    AttemptLost,
    ProviderInterrupted,
    ProviderProblem,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.providers.base import (
    AttemptRequest,
    Finished,
    Output,
    Preview,
    Progress,
    Queued,
    Started,
    WatchEvent,
)
from ferrotype.providers.comfyui.finder import Finder, Pending, Running
from ferrotype.providers.comfyui.origins import Origins
from ferrotype.providers.comfyui.outputs import HistoryEntry, failed_node
from ferrotype.providers.comfyui.results import results
from ferrotype.providers.comfyui.run import Run, SentPicture
from ferrotype.providers.comfyui.socket import Socket
from ferrotype.providers.workflows.graph import picture_size

#: Without a websocket, or when another process submitted it, a running prompt shows no progress: only
#: after so many times the stall time-out is it taken for hung.
BLIND_FACTOR: Final = 4
#: Smallest growth of the overall progress that is told.
_STEP: Final = 0.002


@dataclass(frozen=True, slots=True)
class Pace:
    """When to look at queue and history, in seconds; the defaults never poll a healthy local server."""

    first_look: float = 1.0  # for the position of a prompt that does not start at once
    silence: float = 30.0  # after so long without a message, in case the socket is cut off
    grace: float = 0.5  # for `executing{node: null}` to follow an ending message
    polls: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)  # without a websocket
    rereads: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)  # of a history entry that is not there yet
    shared: float = 0.2  # in which one look at the queue serves all watchers: it is a large answer
    tick: float = 5.0  # longest wait, for clocks that do not follow real time
    ask: float = 2.0  # for a host of a pool to tell how long its queue is
    health: float = 10.0  # and for its health, which others wait for
    rests: tuple[float, ...] = (
        2.0,
        5.0,
        15.0,
        30.0,
    )  # of a host of a pool that failed, before it is asked again


class Watch:
    """One watcher of one run. `events` may be iterated once."""

    def __init__(
        self,
        run: Run,
        request: AttemptRequest,
        finder: Finder,
        socket: Socket,
        clock: Clock,
        stall_timeout: float,
        pace: Pace,
        origins: Origins,
    ) -> None:
        self._run, self._request, self._finder, self._socket = run, request, finder, socket
        self._origins = origins
        self._clock, self._stall_timeout, self._pace = clock, stall_timeout, pace
        now = clock.monotonic()
        self._alive_at = self._contact_at = self._checked_at = now
        self._ending_at: float | None = None
        self._signs = run.signs
        self._looked = self._failed = self._started = self._waited = False
        self._polls = 0
        self._rest = 0.0  # seconds that the server asked for when it refused the last look
        self._position: int | None = None
        self._fraction = 0.0
        self._index = 0

    async def events(self) -> AsyncGenerator[WatchEvent]:
        """Ends with Finished or raises; once a picture is handed out, a bad end is told in Finished."""
        self._socket.start()
        try:
            entry: HistoryEntry | None = None
            while entry is None:
                for event in self._news():
                    yield event
                if self._run.over:
                    entry = await self._result()
                elif (seconds := self._until_check()) <= 0:
                    entry = await self._check()
                else:
                    await self._run.wait(min(seconds, self._pace.tick))
            self._run.learn(entry.graph)
            for event in self._news():
                yield event
            for event in results(entry, self._run, self._request, self._index, self._origins):
                yield event
        except ProviderProblem as problem:
            for event in self._pictures():
                yield event
            if self._index == 0:
                raise
            yield Finished(problem)

    def _news(self) -> Iterator[WatchEvent]:
        """What changed since the last look."""
        run = self._run
        if run.stale and not self._looked:
            return  # nothing is known yet
        if not self._started and (not self._waited or (not run.started and run.position != self._position)):
            if not (self._looked and run.started):
                yield Queued(run.position)
            self._waited, self._position = True, run.position
        if run.started and not self._started:
            self._started = True
            yield Started()
        if run.progress.fraction >= self._fraction + _STEP:
            self._fraction = run.progress.fraction
            yield Progress(self._fraction)
        if run.preview is not None:
            preview, run.preview = run.preview, None
            yield Preview(preview.data, preview.content_type)
        yield from self._pictures()

    def _pictures(self) -> Iterator[WatchEvent]:
        while self._run.pictures:
            yield self._output(self._run.pictures.popleft())

    def _output(self, picture: SentPicture) -> Output:
        index, self._index = self._index, self._index + 1
        width, height = picture_size(self._run.graph, picture.node) or (None, None)
        seed = self._request.seed if index == 0 else None
        return Output(
            index,
            data=picture.data,
            content_type=picture.content_type,
            seed=seed,
            width=width,
            height=height,
        )

    def _until_check(self) -> float:
        """Seconds until queue and history should be asked; 0 or less for now."""
        run, pace, now = self._run, self._pace, self._clock.monotonic()
        if run.signs != self._signs:
            self._signs, self._alive_at, self._contact_at = run.signs, now, now
        if run.ending is not None and self._ending_at is None:
            self._ending_at = now
        if self._socket.connected and not self._failed:
            self._polls = 0
        if self._failed and self._rest:
            return self._checked_at + self._rest - now
        if self._failed or (not self._socket.connected and not run.stale):
            due = self._checked_at + pace.polls[min(self._polls, len(pace.polls) - 1)]
        elif run.stale:
            return 0
        elif self._ending_at is not None:
            due = max(self._ending_at, self._checked_at) + pace.grace
        elif run.started:
            due = max(self._alive_at, self._checked_at) + pace.silence
        else:
            due = self._checked_at + (pace.silence if self._looked and not run.vanished else pace.first_look)
        deadline = self._alive_at + self._limit()
        return (min(due, deadline) if self._checked_at < deadline else due) - now

    def _limit(self) -> float:
        """Seconds without a sign of life after which the prompt is taken for hung."""
        blind = self._run.foreign or not self._socket.connected
        return self._stall_timeout * (BLIND_FACTOR if blind else 1)

    async def _result(self) -> HistoryEntry | None:
        """The history entry of a prompt that is over; it is there at once (recording 16). None when it
        cannot be had: then queue and history decide."""
        for seconds in (0.0, *self._pace.rereads):
            if seconds:
                await asyncio.sleep(seconds)
            try:
                entry = await self._finder.ended(self._run.prompt_id)
            except ProviderProblem:
                break
            if entry is not None:
                return entry
        self._run.over = False
        self._run.doubt()
        return None

    async def _check(self) -> HistoryEntry | None:
        """Ask the server itself. Raises when the prompt is lost, stopped or hung."""
        run = self._run
        expected = not self._socket.connected or run.stale or run.foreign or run.ending is not None
        self._checked_at = self._clock.monotonic()
        self._looked, self._failed, run.stale, run.vanished = True, False, False, False
        self._polls += 1
        try:
            found = await self._finder.find(run, self._request.attempt_id)
        except ProviderProblem as problem:
            self._failed = True
            self._unreachable(problem)
            return None
        now = self._contact_at = self._clock.monotonic()
        match found:
            case HistoryEntry():
                if not expected:
                    self._socket.suspect()
                return found
            case None:
                raise self._gone()
            case Pending(position=position, behind_others=behind_others):
                run.position = position
                if behind_others:
                    self._alive_at = now
            case Running():
                run.started = True
        if now - self._alive_at >= self._limit():
            await self._give_up(found)
            raise ProviderTimeout(f"ComfyUI showed no progress for {self._limit():g} seconds.")
        return None

    async def _give_up(self, place: Running | Pending) -> None:
        """Take the hung prompt out of the way of those behind it, if the server can be told."""
        with suppress(ProviderProblem):
            await self._finder.stop(place)

    def _unreachable(self, problem: ProviderProblem) -> None:
        """Nobody knows how the prompt fares: whoever watches comes back with its id, if that takes long."""
        self._rest = problem.retry_after or 0.0
        silent = self._clock.monotonic() - self._contact_at
        if silent >= self._stall_timeout:
            raise ProviderUnavailable(
                f"ComfyUI could not be asked for {self._stall_timeout:g} seconds. {problem.detail}",
                retry_after=problem.retry_after,
            ) from None
        if silent + self._rest >= self._stall_timeout:
            raise problem

    def _gone(self) -> ProviderProblem:
        """Neither in the queue nor in the history."""
        ending = self._run.ending
        if self._run.canceled or (ending is not None and ending.type == "execution_interrupted"):
            return ProviderInterrupted("It was canceled at ComfyUI.")
        if ending is not None and ending.type == "execution_error":
            return failed_node(ending.data)
        return AttemptLost("ComfyUI no longer knows the prompt; it was restarted, or its queue was cleared.")
