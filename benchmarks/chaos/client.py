"""Whoever orders."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp

from benchmarks.chaos.facts import Order
from benchmarks.chaos.stage import MODEL

SIZES = ((256, 256), (384, 256), (256, 320))
#: Seconds between two looks, and before something is sent again.
PAUSE = 0.1


class Client:
    """Patient, with idempotency keys, repeating what got no answer."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url, self._http = url, http
        self.repeated = 0  # requests that were sent again

    async def order(self, number: int) -> Order:
        """One order brought to its end. Some wait, some poll, and some hang up and ask again."""
        width, height = SIZES[number % len(SIZES)]
        order = Order(number, pictures=2 if number % 5 == 0 else 1, width=width, height=height)
        began = time.monotonic()
        envelope, _ = await self._post(order, hangs_up=number % 10 == 7)
        order.id = envelope["id"]
        while not order.ended:
            order.envelope = await self.get(f"/v1/generations/{order.id}")
            if not order.ended:
                await asyncio.sleep(PAUSE)
        order.seconds = time.monotonic() - began
        return order

    async def replay(self, order: Order) -> bool:
        """Whether the same order with the same key, after all, is the same generation."""
        envelope, replayed = await self._post(order)
        return replayed and envelope["id"] == order.id

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON there."""
        while True:
            try:
                async with self._http.get(self._url + path) as reply:
                    reply.raise_for_status()
                    return dict(await reply.json())
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                await self._again()

    async def file(self, url: str) -> tuple[int, bytes]:
        """Status and bytes of a picture."""
        async with self._http.get(url) as reply:
            return reply.status, await reply.read()

    async def _post(self, order: Order, *, hangs_up: bool = False) -> tuple[dict[str, Any], bool]:
        body = {
            "model": MODEL,
            "prompt": f"a fox in the snow, order {order.number}",
            "seed": order.seed,
            "num_images": order.pictures,
            "width": order.width,
            "height": order.height,
        }
        prefer = "respond-async" if order.number % 3 == 0 else "wait=20"
        headers = {"Idempotency-Key": f"order-{order.number}", "Prefer": prefer}
        seconds = 0.02 if hangs_up else None
        while True:
            try:
                async with (
                    asyncio.timeout(seconds),
                    self._http.post(f"{self._url}/v1/generations", json=body, headers=headers) as reply,
                ):
                    answer = await reply.json()
            except (aiohttp.ClientError, TimeoutError):
                seconds = None
                await self._again()
                continue
            if reply.status == 503:
                await self._again()
            elif reply.status in (201, 202):
                return answer, reply.headers.get("Idempotency-Replayed") == "true"
            else:
                raise RuntimeError(f"an order was answered with {reply.status}: {answer}")

    async def _again(self) -> None:
        self.repeated += 1
        await asyncio.sleep(PAUSE)
