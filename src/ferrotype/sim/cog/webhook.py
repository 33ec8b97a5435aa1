"""Webhooks as Cog sends them: unsigned, in order, the last one again and again until it is taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from ferrotype.sim.cog.script import CogScript

AGENT: Final = "coglet/0.23.1"
MORE_TRIES: Final = 12
TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class Webhook:
    """The webhook of one prediction. `events` are those that it is told of: start, output, logs, completed.

    A real server sends those before the last without waiting for each other, so that two may change places.
    """

    def __init__(
        self, url: str | None, events: frozenset[str], script: CogScript, session: aiohttp.ClientSession
    ) -> None:
        self._url = url
        self._events = events
        self._script = script
        self._session = session
        self._last = float("-inf")
        self._queue: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None

    def send(self, event: str, state: Mapping[str, Any]) -> None:
        """Sends it, unless the caller does not want such ones, or it comes too soon after another."""
        if self._url is None or (event not in self._events and event != "completed"):
            return
        if event in ("start", "logs") and not self.is_due():
            return
        self._last = time.monotonic()
        self._queue.put_nowait((event, state))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())

    def is_due(self) -> bool:
        """Whether the last one is long enough ago."""
        return time.monotonic() - self._last >= self._script.webhook_interval

    def drop(self) -> None:
        """Sends nothing more."""
        if self._sender is not None:
            self._sender.cancel()

    async def sent(self) -> None:
        """Returns after the last one was taken, or given up."""
        if self._sender is not None:
            await asyncio.wait((self._sender,))

    async def _send_all(self) -> None:
        event = ""
        while event != "completed":
            event, state = await self._queue.get()
            if event not in self._events:
                return
            tries = 1 + (MORE_TRIES if event == "completed" else 0)
            for attempt in range(1, tries + 1):
                if await self._taken(state) or attempt == tries:
                    break
                await asyncio.sleep(self._script.webhook_backoff * 2 ** min(attempt, 10))

    async def _taken(self, state: Mapping[str, Any]) -> bool:
        """Whether it need not be sent again."""
        assert self._url is not None
        headers = {"User-Agent": AGENT}
        # As reqwest does: a user in the address becomes Basic, and wins over the server's own token.
        if self._script.webhook_token is not None and "@" not in self._url.partition("://")[2].split("/")[0]:
            headers["Authorization"] = f"Bearer {self._script.webhook_token}"
        try:
            async with self._session.post(self._url, json=state, headers=headers) as reply:
                return reply.status not in TRY_AGAIN
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            return True
        except (aiohttp.ClientError, OSError):
            return False
