"""Pictures whose origin breaks off, for a real server: `/images/{id}` of the ids below."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import OriginUnavailable
from ferrotype.http.asgi import Receive, Scope, Send
from ferrotype.http.delivery import DeliveryApp
from ferrotype.net.base import Incoming
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import Deliver
from ferrotype.storage.arrivals import Arrival, Arrivals
from ferrotype.storage.memory import MemoryCache
from ferrotype.storage.spool import Spool
from tests.storage.origin import content_type_of, picture

START = "01900000-0000-7000-8000-0000000000"
#: What the origin does with each: announces a length or not, and breaks off or not.
ANNOUNCED_BREAK, SILENT_BREAK, ANNOUNCED, SILENT = (f"{START}{number:02}" for number in range(4))
LARGE = f"{START}04"
BODY = picture(300_000)
CHUNK = 50_000


@asynccontextmanager
async def fetch(origin: Origin) -> AsyncIterator[Incoming]:
    asset_id = origin.url
    breaks = asset_id in (ANNOUNCED_BREAK, SILENT_BREAK)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(BODY), CHUNK):
            if breaks and at == 2 * CHUNK:
                raise OriginUnavailable("broken off")
            yield BODY[at : at + CHUNK]

    length = None if asset_id in (SILENT_BREAK, SILENT) else len(BODY)
    yield Incoming("image/png", length, chunks())


class Lookup(Deliver):
    """Knows every id: none of this needs a database."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._all = arrivals

    async def open(self, asset_id: str) -> Arrival:
        return self._all.start(asset_id, Origin(provider="test", url=asset_id))


class Server:
    """The application, made on the server's own event loop."""

    delivery: DeliveryApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if self.delivery is None:
            spool = Spool(Path(tempfile.mkdtemp()), 10_000_000)
            spool.recover()
            arrivals = Arrivals(spool, fetch, content_type_of)
            self.delivery = DeliveryApp(Lookup(arrivals), MemoryCache(0, 0), Telemetry(SystemClock()))
        await self.delivery(scope, receive, send)


app = Server()
