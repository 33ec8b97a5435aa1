from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ferrotype.db import assets
from ferrotype.db.database import Story, T
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.asset import Asset, Origin
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from ferrotype.net.base import Incoming
from ferrotype.net.telemetry import Telemetry
from ferrotype.services.deliver import STORE, Deliver
from ferrotype.services.originals import Originals
from ferrotype.storage.arrivals import Arrivals
from ferrotype.storage.base import CacheLevel, Store
from ferrotype.storage.disk import DiskStore
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache
from ferrotype.storage.spool import Spool
from tests.databases import migrated, open_account
from tests.delivery.assembly import Pictures, Rules
from tests.delivery.driver import Client
from tests.storage.origin import ORIGIN, FakeOrigin, content_type_of

#: Larger pictures are served from disk.
OBJECT_BYTES = 20_000


class CountingDatabase(SqliteDatabase):
    reads = 0

    async def read(self, story: Story[T]) -> T:
        self.reads += 1
        return await super().read(story)


class World:
    """Everything behind `/images/`, on a real database and a real disk, with a scripted origin."""

    def __init__(
        self,
        folder: Path,
        database: CountingDatabase,
        *,
        more: Mapping[str, Store] | None = None,
        shared: CacheLevel | None = None,
    ) -> None:
        """`more` are stores beside the disk's."""
        self.database = database
        self.clock = ManualClock()
        self.account_id = new_id()
        self.origin = FakeOrigin()
        self.cache = MemoryCache(1_000_000, OBJECT_BYTES)
        self.levels = Levels(self.cache, self.clock, shared=shared)
        self.spool = Spool(folder / "spool", 10_000_000)
        self.spool.recover()
        self.store = DiskStore(folder / "store")
        self.arrivals = Arrivals(
            self.spool,
            self._fetch,
            content_type_of,
            on_complete=lambda asset_id, body, kind: self.levels.put(asset_id, "", body, kind),
            max_body_bytes=OBJECT_BYTES,
        )
        self.stores: dict[str, Store] = {self.store.name: self.store, **(more or {})}
        stores = self.stores
        self.originals = Originals(database, self.spool, stores)
        self.deliver = Deliver(database, self.levels, self.spool, stores, self.arrivals)
        self.telemetry = Telemetry(self.clock)
        self._served: list[Pictures] = []
        self.client = self.serve()

    def _fetch(self, origin: Origin) -> AbstractAsyncContextManager[Incoming]:
        """As the server does it: a store is a place to fetch from."""
        if origin.provider.startswith(STORE):
            return self._fetch_stored(self.stores[origin.provider.removeprefix(STORE)], origin.url)
        return self.origin.fetch(origin)

    @asynccontextmanager
    async def _fetch_stored(self, store: Store, key: str) -> AsyncIterator[Incoming]:
        yield Incoming(None, await store.size(key), store.open(key))

    def serve(self, rules: Rules | None = None) -> Client:
        """A client of an application of its own, on the same pictures."""
        made = Pictures(
            self.deliver,
            self.levels,
            self.cache,
            self.clock,
            self.telemetry,
            self.database,
            self.originals,
            rules,
        )
        self._served.append(made)
        return Client(made.app)

    @property
    def pictures(self) -> Pictures:
        """What the newest client's application stands on."""
        return self._served[-1]

    async def close(self) -> None:
        for made in self._served:
            await made.close()
        await self.arrivals.close()
        await self.levels.close()
        self.spool.close()

    async def asset(
        self, state: AssetState = AssetState.ARRIVING, *, origin: bool = True, **facts: Any
    ) -> str:
        """A row in the database; its bytes are nowhere yet."""
        asset = Asset(
            id=new_id(),
            account_id=self.account_id,
            state=state,
            origin=ORIGIN if origin else None,
            created_at=self.clock.now(),
            **facts,
        )
        await self.database.write(lambda tx: assets.add(tx, asset))
        return asset.id

    async def spooled(self, body: bytes, **facts: Any) -> str:
        """A ready asset whose bytes are in the spool."""
        asset_id = await self.asset(AssetState.READY, origin=False, **facts)
        await self.spool.write(asset_id, body)
        return asset_id

    async def stored(self, body: bytes, **facts: Any) -> str:
        """A ready asset whose bytes are in the disk store only."""
        asset_id = await self.spooled(body, **facts)
        path = self.spool.path(asset_id)
        assert path is not None
        key, sha256 = f"2026/01/31/{asset_id}.png", hashlib.sha256(body).hexdigest()
        await self.store.put(key, path, content_type="image/png", sha256=sha256)
        await self.database.write(
            lambda tx: assets.add_copy(tx, asset_id, self.store.name, key, self.clock.now())
        )
        await self.spool.remove(asset_id)
        return asset_id

    async def remembered(self, body: bytes, content_type: str = "image/png", **facts: Any) -> str:
        """A ready asset whose bytes are in memory only."""
        asset_id = await self.asset(AssetState.READY, origin=False, **facts)
        self.cache.put(asset_id, body, content_type)
        return asset_id


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    await migrated(tmp_path / "test.db")
    database = CountingDatabase(tmp_path / "test.db")
    made = World(tmp_path, database)
    await open_account(database, made.account_id, made.clock.now())
    yield made
    await made.close()
    await database.close()


@pytest.fixture
def client(world: World) -> Client:
    return world.client
