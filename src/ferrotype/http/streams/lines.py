"""The connections that events are sent over: which of them are silent, and which are stuck.

One task looks after all of them and runs only while there are any, so that an idle connection costs no
timer. What the server buffers for a client is bounded: a `send` returns when there is room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from ferrotype.domain.clock import Clock
from ferrotype.http.asgi import Message, Send
from ferrotype.http.streams.cut import Peer, cut
from ferrotype.net.telemetry import Telemetry

#: Looks during the shortest of the times that are watched, and seconds between two looks at most.
LOOKS: Final = 4
LONGEST_PAUSE: Final = 1.0

log = structlog.get_logger(__name__)


class Line:
    """The sending side of one connection. `on_silence` is called when nothing was sent for a while."""

    __slots__ = ("_clock", "_send", "_task", "_waits_since", "on_silence", "peer", "sent_at", "stalled")

    def __init__(self, send: Send, peer: Peer | None, clock: Clock) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._send = send
        self._clock = clock
        self._waits_since: float | None = None
        self.peer = peer
        self.sent_at = clock.monotonic()
        self.on_silence: Callable[[], None] | None = None
        #: Its client takes nothing any more: the task that serves it was canceled.
        self.stalled = False

    async def send(self, message: Message) -> None:
        """Send; one at a time. Returns when there is room again."""
        self._waits_since = self._clock.monotonic()
        try:
            await self._send(message)
        finally:
            self._waits_since = None
            self.sent_at = self._clock.monotonic()

    def look(self, now: float, keep_alive: float, stall: float) -> bool:
        """Whether it has just been found stuck."""
        if self._waits_since is not None:
            if now - self._waits_since < stall or self.stalled:
                return False
            self.stalled = True
            self._task.cancel()
            return True
        if now - self.sent_at >= keep_alive and self.on_silence is not None:
            self.sent_at = now
            self.on_silence()
        return False


class Lines:
    """All of them. A connection that is silent for `keep_alive` seconds is told so, one whose client takes
    nothing for `stall` seconds has its task canceled."""

    def __init__(self, clock: Clock, telemetry: Telemetry, keep_alive: float, stall: float) -> None:
        self._clock = clock
        self._telemetry = telemetry
        self._keep_alive = keep_alive
        self._stall = stall
        self._open: set[Line] = set()
        self._looking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def open(self, send: Send, peer: Peer | None) -> Line:
        """A line of the task that calls, until `close`."""
        line = Line(send, peer, self._clock)
        self._open.add(line)
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="streams")
        return line

    def close(self, line: Line) -> None:
        """It is over."""
        self._open.discard(line)
        if not self._open and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def drop(self, line: Line) -> None:
        """End the connection of a stalled line; what was not sent is lost."""
        self._telemetry.counter("streams_stalled")
        done = line.peer is not None and await asyncio.to_thread(cut, line.peer)
        log.warning("a client took no events any more and was cut off", peer=line.peer, done=done)

    async def _look(self) -> None:
        pause = min(LONGEST_PAUSE, self._keep_alive / LOOKS, self._stall / LOOKS)
        while True:
            await asyncio.sleep(pause)
            now = self._clock.monotonic()
            for line in list(self._open):
                line.look(now, self._keep_alive, self._stall)
