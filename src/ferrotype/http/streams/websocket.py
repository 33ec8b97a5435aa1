"""Events over a WebSocket (RFC 6455): many subscriptions on one socket.

What cannot be followed is answered by a `problem`; the socket stays open. It is closed with
1001 when the client goes, 1009 for a message that is too large, 1011 when something of ours broke, 1012 when
this process stops, and 1013 when its client takes nothing any more, as far as that can still be told.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any, Final

import structlog

from ferrotype.domain.problems import InvalidField, Problem, UnsupportedMedia
from ferrotype.http.asgi import Receive, Scope, Send
from ferrotype.http.streams.cut import peer_of
from ferrotype.http.streams.envelope import dumps
from ferrotype.http.streams.feed import Desk, Feed
from ferrotype.http.streams.lines import Line, Lines
from ferrotype.http.streams.messages import Ping, Pong, Refused, Subscribe, Unsubscribe, parse

#: Characters of a client's message.
MAX_MESSAGE: Final = 16_384
#: Close codes (RFC 6455, 7.4.1, and IANA's registry).
TOO_LARGE: Final = 1009
BROKEN: Final = 1011
RESTARTS: Final = 1012
STALLED: Final = 1013
#: Seconds for the last words, and for events that wait when this process stops.
LAST_WORDS: Final = 2.0

log = structlog.get_logger(__name__)


class Socket:
    """One accepted WebSocket."""

    def __init__(
        self, desk: Desk, lines: Lines, base_url: str, max_subscriptions: int, receive: Receive, send: Send
    ) -> None:
        self._desk = desk
        self._lines = lines
        self._base_url = base_url
        self._max_subscriptions = max_subscriptions
        self._receive = receive
        self._send = send
        self._turn = asyncio.Lock()
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._line: Line | None = None
        self._leaving = False
        self._telling: asyncio.Task[None] | None = None
        self._main: asyncio.Task[Any] | None = None

    @property
    def subscriptions(self) -> int:
        """How many there are."""
        return len(self._subscriptions)

    async def run(self, scope: Scope) -> None:
        """Serve it until somebody goes."""
        self._main = asyncio.current_task()
        line = self._line = self._lines.open(self._send, peer_of(scope.get("client")))
        scope.clear()
        code: int | None = None
        try:
            await line.send({"type": "websocket.accept"})
            line.on_silence = self._keep_alive
            code = RESTARTS if self._leaving else await self._listen()
        except asyncio.CancelledError:
            if not line.stalled and not self._leaving:
                raise
            code = STALLED if line.stalled else RESTARTS
        except Exception:
            log.exception("a WebSocket broke")
            code = BROKEN
        finally:
            if self._leaving and self._subscriptions and not line.stalled:
                await asyncio.wait(self._subscriptions.values(), timeout=LAST_WORDS)
            await self._end_subscriptions()
            try:
                if code is not None:
                    await self._close(code)
            finally:
                if line.stalled:
                    await self._lines.drop(line)
                self._lines.close(line)

    def leave(self) -> None:
        """This process stops: tell what waits, and close."""
        if self._main is not None and not self._leaving:
            self._main.cancel()
        self._leaving = True

    async def _listen(self) -> int | None:
        """Follow the client's messages; the code to close with, None when it has gone."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return None
            text = message.get("text")
            if text is None:
                await self._refuse(UnsupportedMedia("Send text messages with JSON.", field="message"))
            elif len(text) > MAX_MESSAGE:
                return TOO_LARGE
            else:
                try:
                    await self._follow(text)
                except Refused as refused:
                    await self._refuse(refused.problem, refused.subscription)

    async def _follow(self, text: str) -> None:
        match parse(text):
            case Subscribe() as wish:
                self._subscribe(wish)
            case Unsubscribe(subscription=name):
                task = self._subscriptions.pop(name, None)
                if task is None:
                    problem = InvalidField("There is no such subscription.", field="subscription")
                    raise Refused(problem, name)
                task.cancel()
                await asyncio.wait((task,))
                await self._tell({"type": "unsubscribed", "subscription": name})
            case Ping():
                await self._tell({"type": "pong"})
            case Pong():
                pass

    def _subscribe(self, wish: Subscribe) -> None:
        name = wish.subscription
        if name in self._subscriptions:
            raise Refused(InvalidField("That subscription is there already.", field="subscription"), name)
        if len(self._subscriptions) >= self._max_subscriptions:
            problem = InvalidField(
                f"A socket has at most {self._max_subscriptions} subscriptions.",
                field="subscription",
                limit=self._max_subscriptions,
            )
            raise Refused(problem, name)
        task = asyncio.get_running_loop().create_task(self._serve(wish), name="subscription")
        self._subscriptions[name] = task

    async def _serve(self, wish: Subscribe) -> None:
        """One subscription, to its end."""
        name = wish.subscription
        try:
            scope, options = wish.scope(self._desk.account_id), wish.options()
            feed = await Feed.begin(self._desk, scope, options, self._base_url, wish.after)
            with self._desk.bus.subscribe(scope.id, feed.wants) as mailbox:
                await self._tell({"type": "subscribed", "subscription": name, "id": feed.seen})
                prefix = f'{{"subscription":{dumps_name(name)},'
                async with aclosing(feed.follow(mailbox)) as events:
                    async for told in events:
                        if told is not None:
                            await self._say(told.as_message(prefix))
                if mailbox.closed:
                    return
            self._subscriptions.pop(name, None)
            await self._tell({"type": "unsubscribed", "subscription": name})
        except Problem as problem:
            self._subscriptions.pop(name, None)
            await self._refuse(problem, name)
        except Exception:
            # The client's connection broke, or something of ours did: the socket's end in both cases.
            if self._main is not None and not self._main.done():
                log.debug("a subscription ended with its socket", exc_info=True)

    async def _say(self, text: str) -> None:
        assert self._line is not None
        async with self._turn:
            await self._line.send({"type": "websocket.send", "text": text})

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._say(dumps(message))

    async def _refuse(self, problem: Problem, subscription: str | None = None) -> None:
        named = {} if subscription is None else {"subscription": subscription}
        await self._tell({"type": "problem", **named, "problem": problem.to_json()})

    def _keep_alive(self) -> None:
        """Say something: what stands between drops connections that are silent."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._ping())

    async def _ping(self) -> None:
        with suppress(Exception):  # it is gone: the listener hears of it
            await self._tell({"type": "ping"})

    async def _end_subscriptions(self) -> None:
        tasks = [*self._subscriptions.values()]
        self._subscriptions.clear()
        if self._telling is not None:
            tasks.append(self._telling)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, code: int) -> None:
        with suppress(Exception):
            async with asyncio.timeout(LAST_WORDS):
                await self._send({"type": "websocket.close", "code": code})


def dumps_name(name: str) -> str:
    """A subscription's name as JSON."""
    return dumps({"": name})[4:-1]
