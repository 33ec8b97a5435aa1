"""A whole server in the test's event loop, on a real port, with a real client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from ferrotype.app.compose import Ferrotype
from ferrotype.app.server import address, serve
from ferrotype.app.settings import load_settings
from tests.databases import migrated
from tests.ports import free_port


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Talks HTTP to the server under test; `app` is only for looking at what HTTP does not show."""

    base: str
    http: aiohttp.ClientSession
    app: Ferrotype

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        url = path if path.startswith("http") else self.base + path
        async with self.http.request(method, url, allow_redirects=False, **options) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.request("GET", path, **options)

    async def order(self, *, headers: dict[str, str] | None = None, **body: Any) -> Reply:
        return await self.request("POST", "/v1/generations", json=body, headers=headers or {})

    async def order_async(self, **body: Any) -> dict[str, Any]:
        reply = await self.order(headers={"Prefer": "respond-async"}, **body)
        assert reply.status == 202, reply.body
        return dict(reply.json)

    async def events(
        self, generation_id: str, last_event_id: int | None = None
    ) -> AsyncIterator[tuple[int, str, dict[str, Any]]]:
        """(id, type, data) until the server closes the stream."""
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        url = f"{self.base}/v1/generations/{generation_id}/events"
        async with self.http.get(url, headers=headers) as reply:
            assert reply.status == 200, await reply.text()
            rest = b""
            async for chunk in reply.content.iter_any():
                *blocks, rest = (rest + chunk).split(b"\n\n")
                for block in blocks:
                    fields = dict(
                        line.split(": ", 1) for line in block.decode().split("\n") if line[0] != ":"
                    )
                    if fields:
                        yield int(fields["id"]), fields["event"], json.loads(fields["data"])

    async def until(self, generation_id: str, *types: str, count: int = 1) -> dict[str, Any]:
        """Wait until the generation's journal has `count` events of one of `types`; the envelope then.

        Works past the terminal event too, which closes the stream.
        """
        with self.app.bus.subscribe(generation_id) as subscription:
            from ferrotype.db import journal

            seen = await self.app.database.read(lambda tx: journal.after(tx, generation_id, 0))
            found = sum(event.type in types for event in seen)
            newest = seen[-1].seq if seen else 0
            while found < count:
                event = await subscription.get()
                assert not event.terminal or event.type in (*types, "succeeded"), event
                if event.type in types and (event.seq is None or event.seq > (newest or 0)):
                    found += 1
        return dict((await self.get(f"/v1/generations/{generation_id}")).json)

    async def balance(self) -> tuple[int, int, int]:
        """(available, held, spent), after checking that the entries add up to it."""
        from ferrotype.db import ledger

        now = await self.app.database.read(lambda tx: ledger.balance(tx, self.app.account_id))
        counted = await self.app.database.read(lambda tx: ledger.recount(tx, self.app.account_id))
        assert now == counted
        return now.available, now.held, now.spent

    async def rows(self) -> dict[str, int]:
        """How many rows the tables have that an order writes to."""
        from sqlalchemy import func, select

        from ferrotype.db import schema

        tables = (schema.generations, schema.jobs, schema.assets, schema.entries, schema.idempotency_keys)

        def count(tx: Any) -> dict[str, int]:
            return {t.name: tx.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}

        return await self.app.database.read(count)


@asynccontextmanager
async def running(data_dir: Path, **environ: str) -> AsyncIterator[Client]:
    """Serve from `data_dir` until the context ends, then drain."""
    env = {
        "FERROTYPE_DATA_DIR": str(data_dir),
        "FERROTYPE_PORT": str(free_port()),
        "FERROTYPE_DRAIN_SECONDS": "5",
        **environ,
    }
    settings = load_settings(env)
    if settings.database.url is None:
        await migrated(settings.data_dir / "ferrotype.db")
    started: asyncio.Future[Ferrotype] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def story(application: Ferrotype) -> None:
        started.set_result(application)
        await stop.wait()

    server = asyncio.create_task(serve(settings, while_serving=story))
    await asyncio.wait((server, started), return_when=asyncio.FIRST_COMPLETED)
    if server.done():
        server.result()
    key = settings.http.api_key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with aiohttp.ClientSession(headers=headers) as http:
            yield Client(address(settings), http, started.result())
    finally:
        stop.set()
        await server
