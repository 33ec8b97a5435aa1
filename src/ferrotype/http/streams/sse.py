"""Events as server-sent events (WHATWG HTML, 9.2).

A stream is answered by the API, which checks what is asked and finds out how things are, and then runs behind
it: of all that the framework holds for a request nothing is left while events are waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

from starlette.responses import Response

from ferrotype.events.base import EventBus
from ferrotype.http.asgi import Receive, Scope, Send, body, start
from ferrotype.http.streams.cut import peer_of
from ferrotype.http.streams.feed import Feed
from ferrotype.http.streams.lines import Lines

#: Where, in a request's scope, the front takes a stream from that it is to run.
BEHIND: Final = "ferrotype.behind"
MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
KEEP_ALIVE: Final = body(b": keep-alive\n\n", more=True)


class EventStream(Response):
    """The answer that is a stream of `feed`'s events."""

    media_type = MEDIA_TYPE

    def __init__(self, feed: Feed, bus: EventBus, lines: Lines) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = list(HEADERS)
        self._feed = feed
        self._bus = bus
        self._lines = lines

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Leave the stream to the front; without one it is run here."""
        behind = scope.get(BEHIND)
        if behind is None:
            await self.run(scope, receive, send)
        else:
            behind.append(self.run)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the last, until the client goes, or until this process stops."""
        feed = self._feed
        line = self._lines.open(send, peer_of(scope.get("client")))
        scope.clear()  # the request is answered: what the framework left in it is not needed any more
        try:
            await line.send(start(200, HEADERS))
            with self._bus.subscribe(feed.scope.id, feed.wants) as mailbox:
                hearing = Hearing(receive, mailbox.close)
                line.on_silence = mailbox.nudge
                try:
                    async with aclosing(feed.follow(mailbox)) as events:
                        async for told in events:
                            if hearing.gone:
                                return
                            await line.send(
                                KEEP_ALIVE if told is None else body(told.as_sse(feed.seen), more=True)
                            )
                finally:
                    hearing.stop()
            if not hearing.gone:
                await line.send(body(b""))
        except asyncio.CancelledError:
            if not line.stalled:
                raise
            await self._lines.drop(line)
        finally:
            self._lines.close(line)


class Hearing:
    """Listens for the client's going, without a task of its own where the server hands out futures.

    Those keep their callbacks for ever and the garbage collector does not see into them, so none is kept here
    once it is done: both would stay.
    """

    def __init__(self, receive: Receive, on_gone: Callable[[], None]) -> None:
        self._receive = receive
        self._on_gone = on_gone
        self._next: asyncio.Future[Any] | None = None
        self.gone = False
        self._listen()

    def stop(self) -> None:
        """Listen no more."""
        heard, self._next = self._next, None
        if heard is not None:
            heard.remove_done_callback(self._heard)
            heard.cancel()

    def _listen(self) -> None:
        self._next = asyncio.ensure_future(self._receive())
        self._next.add_done_callback(self._heard)

    def _heard(self, heard: asyncio.Future[Any]) -> None:
        if self._next is None:  # stopped
            return
        self._next = None
        try:
            message = heard.result()
        except asyncio.CancelledError:
            return
        except Exception:
            message = {"type": "http.disconnect"}
        if message["type"] == "http.disconnect":
            self.gone = True
            self._on_gone()
        else:
            self._listen()  # a piece of a body that nobody reads
