"""Everything that streams share, as the routes and the front see it."""

from __future__ import annotations

import json
from typing import Final

from starlette.datastructures import Headers

from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import MEDIA_TYPE, NotFound, Overloaded, Problem
from ferrotype.events.base import EventBus
from ferrotype.http.access import Access
from ferrotype.http.asgi import Receive, Scope, Send
from ferrotype.http.settings import HttpSettings
from ferrotype.http.streams.envelope import Writer
from ferrotype.http.streams.feed import Feed
from ferrotype.http.streams.lines import Lines
from ferrotype.http.streams.scopes import Options
from ferrotype.http.streams.scopes import Scope as Of
from ferrotype.http.streams.snapshots import Snapshots
from ferrotype.http.streams.sse import EventStream
from ferrotype.http.streams.websocket import Socket
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.batch_envelopes import BatchEnvelopes
from ferrotype.services.envelopes import Envelopes
from ferrotype.services.event_settings import EventSettings
from ferrotype.services.inline import InlinePictures

PATH: Final = "/v1/ws"
#: For `Access`: no browser keeps foreign pages from opening a socket, so it counts as what changes something.
METHOD: Final = "CONNECT"
#: Seconds after which another server may be there.
RETRY_AFTER: Final = 5


class Streams:
    """The desk that all feeds work at, and the door for WebSockets."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        envelopes: Envelopes,
        batches: BatchEnvelopes,
        inline: InlinePictures,
        access: Access,
        telemetry: Telemetry,
        clock: Clock,
        account_id: str,
        http: HttpSettings,
        settings: EventSettings,
    ) -> None:
        self.database = database
        self.bus = bus
        self.clock = clock
        self.account_id = account_id
        self.max_replay = settings.stream_replay_events
        self.writer = Writer(envelopes, batches, inline, account_id, clock)
        self.snapshots = Snapshots(database, bus, envelopes, batches, clock)
        self.lines = Lines(clock, telemetry, http.keep_alive, settings.stream_stall_seconds)
        self._access = access
        self._public_url = http.public_url
        self._max_subscriptions = settings.socket_subscriptions
        self._telemetry = telemetry
        self._sockets: set[Socket] = set()
        self._stopping = False
        telemetry.gauge("streams", lambda: float(len(self.lines)))
        telemetry.gauge("streams_sockets", lambda: float(len(self._sockets)))
        telemetry.gauge(
            "streams_subscriptions", lambda: float(sum(each.subscriptions for each in self._sockets))
        )
        telemetry.gauge("streams_events_written", lambda: float(self.writer.written))

    def lagged(self) -> None:
        """A reader was told that it lost something."""
        self._telemetry.counter("streams_lagged")

    async def sse(self, of: Of, options: Options, base_url: str, after: int | None) -> EventStream:
        """The answer with the events of `of`. Raises NotFound."""
        feed = await Feed.begin(self, of, options, base_url, after)
        return EventStream(feed, self.bus, self.lines)

    def stop(self) -> None:
        """No more sockets; those that are open get what waits for them, and close. The bus is closed."""
        self._stopping = True
        for socket in self._sockets:
            socket.leave()

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A client that wants a WebSocket."""
        headers = Headers(scope=scope)
        try:
            self._access.check(scope["path"], headers, METHOD)
            if scope["path"] != PATH:
                raise NotFound(f"There is no WebSocket at {scope['path'][:64]!r}.")
            if self._stopping:
                raise Overloaded("The server is stopping.", retry_after=RETRY_AFTER)
        except Problem as problem:
            await refuse(problem, receive, send)
            return
        socket = Socket(
            self, self.lines, self._base_url(scope, headers), self._max_subscriptions, receive, send
        )
        self._sockets.add(socket)
        try:
            await receive()  # websocket.connect
            await socket.run(scope)
        finally:
            self._sockets.discard(socket)

    def _base_url(self, scope: Scope, headers: Headers) -> str:
        if self._public_url is not None:
            return self._public_url.rstrip("/")
        scheme = "https" if scope.get("scheme") in ("wss", "https") else "http"
        return f"{scheme}://{headers.get('host', '')}"


async def refuse(problem: Problem, receive: Receive, send: Send) -> None:
    """Answer the handshake with a problem instead of a WebSocket (ASGI's Websocket Denial Response)."""
    await receive()
    data = json.dumps(problem.to_json()).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(data)),
        (b"cache-control", b"no-store"),
    ]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": data, "more_body": False})
