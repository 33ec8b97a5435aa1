"""The one websocket that a provider keeps open: connect, read, reconnect while anything is watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import ProviderProblem
from ferrotype.providers.comfyui.demux import Demux
from ferrotype.providers.comfyui.errors import WebsocketRefused
from ferrotype.providers.comfyui.frames import HELLO

#: Seconds between attempts to connect. The first is short, so that a drop goes unnoticed, and not 0: the
#: server forgets a client id when it has seen the old socket close, also if a new one is there (02).
BACKOFF: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: A connection that lasted so many seconds was a good one: the next attempt is immediate again.
STEADY_SECONDS: Final = 5.0
#: Seconds before a server or proxy that refuses websockets is asked again.
REFUSED_SECONDS: Final = 60.0

Connect = Callable[[], Awaitable[aiohttp.ClientWebSocketResponse]]


class Socket:
    """Feeds the demux. `connected` is False while messages may be lost."""

    def __init__(self, connect: Connect, demux: Demux, clock: Clock) -> None:
        self._connect = connect
        self._demux = demux
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._refused_at: float | None = None
        self.connected = False

    async def ready(self) -> bool:
        """Connect now, unless it was refused of late; whether it is connected."""
        if self.connected:
            return True
        if self._lately_refused():
            return False
        self.start()
        await self._tried.wait()
        return self.connected

    def listen(self) -> None:
        """Connect in the background, unless it was refused of late; nobody waits for it."""
        if not self.connected and not self._lately_refused():
            self.start()

    def start(self) -> None:
        """Connect in the background, and stay connected while anything is watched."""
        if self._task is None or self._task.done():
            self._tried.clear()
            self._task = asyncio.create_task(self._serve(), name="comfyui-socket")

    def suspect(self) -> None:
        """It stayed silent about something that happened: a second socket with our client id, or a
        half-dead connection that the server buried late, cuts us off without closing (recording 02)."""
        if self._ws is not None and (self._closing is None or self._closing.done()):
            self._closing = asyncio.create_task(self._shut(self._ws), name="comfyui-socket-close")

    async def close(self) -> None:
        """Close the connection and stop."""
        tasks = [task for task in (self._task, self._closing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = self._closing = None

    async def _serve(self) -> None:
        failures = 0
        try:
            while True:
                began = self._clock.monotonic()
                await self._session()
                self._tried.set()
                if self._clock.monotonic() - began >= STEADY_SECONDS:
                    failures = 0
                if not self._demux:
                    return
                pause = BACKOFF[min(failures, len(BACKOFF) - 1)]
                failures += 1
                await asyncio.sleep(REFUSED_SECONDS if self._lately_refused() else pause)
        finally:
            self._tried.set()

    async def _session(self) -> None:
        """One connection, from its opening to its end."""
        try:
            self._ws = await self._connect()
        except WebsocketRefused:
            self._refused_at = self._clock.monotonic()
            return
        except ProviderProblem:
            return
        try:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._ws.send_str(HELLO)
                self._opened()
                await self._read(self._ws)
        finally:
            self.connected = False
            self._wake(stale=False)
            ws, self._ws = self._ws, None
            await self._shut(ws)

    @staticmethod
    async def _shut(ws: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            await ws.close()

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._demux.text(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self._demux.binary(message.data)

    def _opened(self) -> None:
        self.connected = True
        self._refused_at = None
        self._demux.current = self._demux.remaining = None
        self._tried.set()
        self._wake(stale=True)

    def _wake(self, *, stale: bool) -> None:
        for run in self._demux.runs():
            if stale:
                run.doubt()
            run.changed.set()

    def _lately_refused(self) -> bool:
        since = self._refused_at
        return since is not None and self._clock.monotonic() - since < REFUSED_SECONDS
