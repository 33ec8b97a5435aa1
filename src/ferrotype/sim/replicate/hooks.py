"""Webhooks of the simulated Replicate, signed by the Standard Webhooks scheme."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from ferrotype.sim.hosted import Work
from ferrotype.sim.replicate.script import ReplicateScript

EVENTS: Final = ("start", "output", "logs", "completed")
#: Seconds between two webhooks about logs.
THROTTLE: Final = 0.5
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that was sent; `status` is the receiver's answer, 0 for none."""

    work_id: str
    event: str
    status: int


@dataclass(slots=True)
class Hooks:
    """Tells of changes to whoever gave an address, in order, each delivery retried a few times.

    `view` gives the prediction as it is now.
    """

    script: ReplicateScript
    view: Callable[[Work], dict[str, Any]]
    key: bytes = field(default_factory=lambda: secrets.token_bytes(24))
    delivered: list[Delivery] = field(default_factory=list)
    _queues: dict[str, asyncio.Queue[tuple[str, bytes]]] = field(default_factory=dict)
    _senders: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _logged: dict[str, float] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def secret(self) -> str:
        """What the API gives out as the signing secret."""
        return f"whsec_{base64.b64encode(self.key).decode()}"

    def told(self, work: Work) -> None:
        """Work has changed: queue what its filter lets through."""
        url = work.request["webhook"]
        if url is None or self.script.webhooks == "lost":
            return
        for event in self._events(work):
            if event not in work.request["events"]:
                continue
            body = self.view(work) | {"webhook": url, "webhook_events_filter": work.request["events"]}
            if event == "output":
                body["status"] = "processing"
            self._queue(work.id, url).put_nowait((event, json.dumps(body).encode()))

    def sign(self, message_id: str, stamp: str, body: bytes) -> str:
        """The value of `webhook-signature`."""
        key = self.key if self.script.webhooks == "sent" else secrets.token_bytes(24)
        signed = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
        return f"v1,{base64.b64encode(signed).decode()}"

    def headers(self, body: bytes) -> dict[str, str]:
        """Everything that a delivery of `body` carries."""
        message_id, stamp = f"msg_{secrets.token_hex(13)}", str(int(time.time()))
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": self.sign(message_id, stamp, body),
        }

    async def wait(self, count: int = 1) -> None:
        """Returns when so many webhooks were delivered or given up."""
        while len(self.delivered) < count:
            await self._changed.wait()

    async def close(self) -> None:
        """Send no more."""
        for sender in self._senders.values():
            sender.cancel()
        for sender in self._senders.values():
            with suppress(asyncio.CancelledError):
                await sender
        self._senders.clear()
        self._queues.clear()

    def _events(self, work: Work) -> list[str]:
        if work.state == "running":
            if work.step == 0:
                return ["start"]
            now = time.monotonic()
            if now - self._logged.get(work.id, -THROTTLE) < THROTTLE:
                return []
            self._logged[work.id] = now
            return ["logs"]
        if work.state == "succeeded":
            return ["output", "completed"]
        return ["completed"] if work.ended else []

    def _queue(self, work_id: str, url: str) -> asyncio.Queue[tuple[str, bytes]]:
        if work_id not in self._queues:
            self._queues[work_id] = asyncio.Queue()
            self._senders[work_id] = asyncio.create_task(self._send_all(work_id, url))
        return self._queues[work_id]

    async def _send_all(self, work_id: str, url: str) -> None:
        queue = self._queues[work_id]
        async with aiohttp.ClientSession() as session:
            while True:
                event, body = await queue.get()
                status = 0
                for attempt in range(TRIES):
                    if 200 <= status < 300:
                        break
                    await asyncio.sleep(0.05 * attempt)
                    status = await self._send(session, url, body)
                self.delivered.append(Delivery(work_id, event, status))
                self._changed.set()
                self._changed = asyncio.Event()

    async def _send(self, session: aiohttp.ClientSession, url: str, body: bytes) -> int:
        try:
            async with session.post(
                url, data=body, headers=self.headers(body), allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError):
            return 0
