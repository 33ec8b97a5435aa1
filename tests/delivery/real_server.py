"""Delivery as a real server runs it. The folder named in the environment holds the database, and the URL
of each asset's origin says how that origin behaves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import OriginUnavailable
from ferrotype.http.asgi import Receive, Scope, Send, body, start
from ferrotype.http.delivery import DeliveryApp
from ferrotype.net.base import Incoming
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver
from ferrotype.services.originals import Originals
from ferrotype.storage.arrivals import Arrivals
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache
from ferrotype.storage.spool import Spool
from tests.delivery.assembly import Pictures
from tests.storage.origin import content_type_of, picture

FOLDER = "FERROTYPE_TEST_FOLDER"
BODY = picture(300_000)
CHUNK = 50_000


@asynccontextmanager
async def fetch(origin: Origin) -> AsyncIterator[Incoming]:
    """`announced` or `silent` about the length; `whole`, or `broken` as soon as `/break` was asked for."""
    length, fate = origin.url.split("-")

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(BODY), CHUNK):
            if fate == "broken" and at == 2 * CHUNK:
                await app.breaks.wait()
                raise OriginUnavailable("broken off")
            yield BODY[at : at + CHUNK]

    yield Incoming("image/png", len(BODY) if length == "announced" else None, chunks())


class Server:
    """The application, made on the server's own event loop."""

    def __init__(self) -> None:
        self.breaks = asyncio.Event()
        self._delivery: DeliveryApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/break":
            self.breaks.set()
            await send(start(204, []))
            await send(body(b""))
        elif scope["type"] == "http":
            self._delivery = self._delivery or _delivery(Path(os.environ[FOLDER]))
            await self._delivery(scope, receive, send)


def _delivery(folder: Path) -> DeliveryApp:
    spool = Spool(folder / "spool", 10_000_000)
    spool.recover()
    cache, clock = MemoryCache(0, 0), SystemClock()
    levels, telemetry = Levels(cache, clock), Telemetry(clock)
    arrivals = Arrivals(spool, fetch, content_type_of)
    database = SqliteDatabase(folder / "test.db")
    deliver = Deliver(database, levels, spool, {}, arrivals)
    originals = Originals(database, spool, {})
    return Pictures(deliver, levels, cache, clock, telemetry, database, originals).app


app = Server()
