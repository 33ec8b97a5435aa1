"""Two nodes over one database: the one that did not make a picture serves it all the same.

Each has a spool, a memory and a disk of its own. What they share is the database, a store (Google's, as our
simulator speaks it), and in some tests a cache.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ferrotype.db import assets
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.states import AssetState
from ferrotype.services.elsewhere import Elsewhere
from ferrotype.sim.gcs import GcsSim
from ferrotype.storage.base import Picture, Store
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache
from tests.databases import migrated, open_account
from tests.delivery.conftest import CountingDatabase, World
from tests.storage.conftest import gcs_sim, gcs_store
from tests.storage.origin import picture

__all__ = ["gcs_sim"]

BODY = picture(9_000)


class SharedCache:
    """What a cache server is for the nodes."""

    name = "shared"

    def __init__(self) -> None:
        self.pictures: dict[tuple[str, str], Picture] = {}

    async def get(self, asset_id: str, transform: str) -> Picture | None:
        return self.pictures.get((asset_id, transform))

    async def put(self, asset_id: str, transform: str, picture: Picture) -> bool:
        self.pictures[asset_id, transform] = picture
        return True

    async def forget(self, asset_id: str) -> None:
        self.pictures.clear()


@dataclass
class Nodes:
    maker: World
    other: World
    store: Store

    async def inline(self) -> str:
        """A picture that came in a provider's answer: the maker has it in its spool and in memory."""
        asset_id = await self.maker.spooled(BODY, sha256=hashlib.sha256(BODY).hexdigest())
        self.maker.levels.put(asset_id, "", BODY, "image/png")
        return asset_id

    async def keep(self, asset_id: str) -> None:
        """What the store's job does."""
        path = self.maker.spool.path(asset_id)
        assert path is not None
        key, sha256 = f"2026/{asset_id}.png", hashlib.sha256(BODY).hexdigest()
        await self.store.put(key, path, content_type="image/png", sha256=sha256)
        now = self.maker.clock.now()
        await self.maker.database.write(lambda tx: assets.add_copy(tx, asset_id, self.store.name, key, now))

    def elsewhere(self) -> Elsewhere:
        """The maker's, asked about the other."""
        return Elsewhere(self.maker.database, self.maker.levels, {self.store.name: self.store})


def node(folder: Path, database: CountingDatabase, store: Store, shared: SharedCache | None) -> World:
    folder.mkdir()
    return World(folder, database, more={store.name: store}, shared=shared)


@pytest.fixture
def shared() -> SharedCache:
    return SharedCache()


async def nodes_of(folder: Path, sim: GcsSim, shared: SharedCache | None) -> AsyncIterator[Nodes]:
    await migrated(folder / "test.db")
    database = CountingDatabase(folder / "test.db")
    store = gcs_store(sim)
    maker, other = (node(folder / name, database, store, shared) for name in ("maker", "other"))
    other.account_id = maker.account_id
    await open_account(database, maker.account_id, maker.clock.now())
    yield Nodes(maker, other, store)
    for each in (maker, other):
        await each.close()
    await database.close()


@pytest.fixture
async def nodes(tmp_path: Path, gcs_sim: GcsSim) -> AsyncIterator[Nodes]:
    async for made in nodes_of(tmp_path, gcs_sim, None):
        yield made


@pytest.fixture
async def sharing(tmp_path: Path, gcs_sim: GcsSim, shared: SharedCache) -> AsyncIterator[Nodes]:
    async for made in nodes_of(tmp_path, gcs_sim, shared):
        yield made


async def served(world: World, asset_id: str) -> str:
    """Where the node had the picture from."""
    answer = await world.client.get(f"/images/{asset_id}")
    assert (answer.status, answer.body, answer.whole) == (200, BODY, True)
    return answer.headers["server-timing"]


@pytest.mark.parametrize("state", [AssetState.ARRIVING, AssetState.READY])
async def test_by_the_providers_url(nodes: Nodes, state: AssetState) -> None:
    """Before any node has the bytes, and also where the one that has them is not asked."""
    asset_id = await nodes.maker.asset(state)
    for world in (nodes.maker, nodes.other):
        world.origin.serve(BODY)
        assert await served(world, asset_id) == "arriving"
        assert world.origin.fetches == 1
    assert await nodes.elsewhere().has([asset_id])


async def test_from_the_shared_cache(sharing: Nodes) -> None:
    asset_id = await sharing.inline()
    await sharing.maker.levels.settled()
    assert await served(sharing.other, asset_id) == "shared"
    assert await sharing.elsewhere().has([asset_id])


async def test_from_the_primary_store(nodes: Nodes) -> None:
    asset_id = await nodes.inline()
    await nodes.keep(asset_id)
    assert await served(nodes.other, asset_id) == "store"
    assert await nodes.elsewhere().has([asset_id])


async def test_the_provider_is_left_alone_where_we_have_it(sharing: Nodes, shared: SharedCache) -> None:
    """The cache first, then the store, then the provider: nearest first."""
    asset_id = await sharing.maker.asset(AssetState.READY)
    await sharing.maker.spool.write(asset_id, BODY)
    await sharing.keep(asset_id)
    sharing.maker.levels.put(asset_id, "", BODY, "image/png")
    await sharing.maker.levels.settled()
    assert await served(sharing.other, asset_id) == "shared"
    shared.pictures.clear()
    sharing.other.cache.forget(asset_id)
    assert await served(sharing.other, asset_id) == "store"
    assert sharing.other.origin.fetches == 0


async def test_where_no_other_node_could_have_it_yet(nodes: Nodes) -> None:
    """It is not said to be elsewhere, and whoever asks there hears that it is on its way."""
    asset_id = await nodes.inline()
    assert not await nodes.elsewhere().has([asset_id])
    answer = await nodes.other.client.get(f"/images/{asset_id}")
    assert answer.status == 502
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "origin_unavailable"
    assert await served(nodes.maker, asset_id) == "memory"
    await nodes.keep(asset_id)
    assert await served(nodes.other, asset_id) == "store"


async def test_a_copy_on_one_machine_is_no_copy_elsewhere(nodes: Nodes) -> None:
    asset_id = await nodes.maker.stored(BODY)
    assert not await nodes.elsewhere().has([asset_id])
    assert (await nodes.other.client.get(f"/images/{asset_id}")).status == 502


async def test_pictures_that_never_come_are_not_waited_for(nodes: Nodes) -> None:
    lost = await nodes.maker.asset(AssetState.FAILED, origin=False)
    assert await nodes.elsewhere().has([lost, "nowhere"])


async def test_all_of_them_are_asked_for(nodes: Nodes) -> None:
    first, second = await nodes.inline(), await nodes.inline()
    await nodes.keep(first)
    assert not await nodes.elsewhere().has([first, second])
    await nodes.keep(second)
    assert await nodes.elsewhere().has([first, second])


async def test_both_at_once(nodes: Nodes) -> None:
    """Each node fetches once, however many ask it."""
    asset_id = await nodes.maker.asset()
    for world in (nodes.maker, nodes.other):
        world.origin.serve(BODY)
    asked = [served(world, asset_id) for world in (nodes.maker, nodes.other) for _ in range(20)]
    assert set(await asyncio.gather(*asked)) <= {"arriving", "memory"}
    assert (nodes.maker.origin.fetches, nodes.other.origin.fetches) == (1, 1)


async def test_no_shared_cache_shares_nothing() -> None:
    levels = Levels(MemoryCache(1_000_000, 100_000), ManualClock())
    levels.put("a", "", BODY, "image/png")
    assert not await levels.is_shared("a")
