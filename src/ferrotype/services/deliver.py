"""The story of a GET for an original: where its bytes are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cachebox import LRUCache

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset, Origin, Visibility
from ferrotype.domain.problems import Gone, NotFound, OriginUnavailable
from ferrotype.domain.states import AssetState
from ferrotype.imaging.sniff import HEAD, sniff
from ferrotype.services.originals import LocalFile, away, local_files
from ferrotype.storage.arrivals import Arrival, Arrivals, OriginUnusable
from ferrotype.storage.base import Store
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import Cached
from ferrotype.storage.spool import Spool

#: Before the name of a store, where an origin names a provider else.
STORE = "store:"
UNKNOWN_TYPE = "application/octet-stream"
#: Assets that need not be read again; one takes about 2 KB.
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """An asset that is there to be delivered, and the keys of its copies by store."""

    asset: Asset
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class File:
    """A complete picture on this machine's disk, too large for the memory cache. `size` is in bytes; `stays`
    is that of `LocalFile`."""

    path: Path
    size: int
    content_type: str
    stays: bool


#: Whole and in memory; whole and on disk; or on its way.
Delivery = Cached | File | Arrival


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture, and which level had it, as `Server-Timing` shows it: `memory`, `shared`, `disk`, `store` or
    `arriving`; of a variant also `variants`, or `render` with how long that took."""

    delivery: Delivery
    level: str

    def has_name(self, name: str) -> bool:
        """Whether it is the edition of that name; only what is in memory can be another."""
        return not isinstance(self.delivery, Cached) or self.delivery.transform == name


class Deliver:
    """Finds a picture's bytes, nearest place first, however many ask: once."""

    def __init__(
        self,
        database: Database,
        levels: Levels,
        spool: Spool,
        stores: Mapping[str, Store],
        arrivals: Arrivals,
    ) -> None:
        self._database = database
        self._levels = levels
        self._spool = spool
        self._arrivals = arrivals
        self._stores = stores
        #: Assets of which nothing more will be found out. What somebody decides of one counts as a change of
        #: the levels, and this process alone serves its database.
        self._settled: LRUCache[tuple[str, int], Found] = LRUCache(REMEMBERED)
        self._finding: dict[tuple[str, int], asyncio.Task[Found]] = {}
        self._opening: dict[str, asyncio.Task[Opened]] = {}

    async def find(self, asset_id: str) -> Found:
        """The asset as it is now, whether or not its bytes are here; asked for together, read once.

        Raises NotFound for one that never was, Gone for one that was deleted.
        """
        # A reading that began before somebody changed an asset is not for those who ask after it.
        key = asset_id, self._levels.changes
        known: Found | None = self._settled.get(key)
        if known is not None:
            return known
        task = self._finding.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._find(asset_id))
            self._finding[key] = task
            task.add_done_callback(lambda _: self._finding.pop(key))
        return await asyncio.shield(task)

    async def open(self, found: Found) -> Opened:
        """Where the original's bytes are now.

        Raises OriginUnavailable for a picture whose bytes never came.
        """
        check_arrived(found)
        asset_id = found.asset.id
        if cached := self._levels.get_here(asset_id):
            return Opened(cached, "memory")
        if arrival := self._arrivals.get(asset_id):
            return Opened(arrival, "arriving")
        task = self._opening.get(asset_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._open(found))
            self._opening[asset_id] = task
            task.add_done_callback(lambda _: self._opening.pop(asset_id))
        return await asyncio.shield(task)

    async def source(self, found: Found) -> Path | bytes | Arrival:
        """What a variant is made of: the file where there is one on this machine, so that its bytes are
        nowhere else but where they are read. Raises as `open` does."""
        check_arrived(found)
        if (here := self.here(found)) is not None:
            return here
        if arrival := self._arrivals.get(found.asset.id):
            return arrival
        match (await self.open(found)).delivery:
            case Cached(body=body):
                return body
            case File(path=path):
                return path
            case Arrival() as arrival:
                return arrival

    def here(self, found: Found) -> Path | bytes | None:
        """All the bytes where they are on this machine, or the file that holds them; None while they
        arrive."""
        asset_id = found.asset.id
        if cached := self._levels.get_here(asset_id):
            return cached.body
        if self._arrivals.get(asset_id):
            return None
        file = next(self._local_files(found), None)
        return file.path if file else None

    async def location(self, found: Found) -> str | None:
        """The URL at which a store serves the original itself, if one does and may."""
        if found.asset.visibility is Visibility.PRIVATE:
            return None
        for name, key in found.keys.items():
            if name in self._stores and (url := await self._stores[name].public_url(key)):
                return url
        return None

    def moved(self, asset_id: str) -> None:
        """A copy of the asset has left its store: its places are to be read anew."""
        self._settled.pop((asset_id, self._levels.changes), None)

    async def _find(self, asset_id: str) -> Found:
        changes = self._levels.changes
        asset, keys = await self._database.read(lambda tx: assets.with_keys(tx, asset_id))
        if asset is None:
            raise NotFound("There is no such picture.")
        if asset.deleted_at is not None:
            raise Gone("This picture was deleted.")
        found = Found(asset, keys)
        if keys and asset.placeholder is not None and asset.animated is not None:
            self._settled[asset_id, changes] = found
        return found

    async def _open(self, found: Found) -> Opened:
        asset_id = found.asset.id
        delivery = await self._from_disk(found)
        if delivery is None and found.asset.state is AssetState.READY:
            # Since its row was read it may have gone from the spool to a store.
            found = await self._find(asset_id)
            delivery = await self._from_disk(found)
        if delivery is not None:
            return Opened(delivery, "disk")
        if kept := await self._levels.get_below(asset_id):
            return Opened(*kept)
        for store, key in away(found.keys, self._stores):
            return Opened(self._arrivals.start(asset_id, in_store(store.name, key)), "store")
        if found.asset.origin is not None:
            return Opened(self._arrivals.start(asset_id, found.asset.origin), "arriving")
        raise OriginUnavailable("The picture's bytes are not here yet.", retry_after=1)

    def _local_files(self, found: Found) -> Iterator[LocalFile]:
        return local_files(found.asset.id, found.keys, self._spool, self._stores)

    async def _from_disk(self, found: Found) -> Cached | File | None:
        for file in self._local_files(found):
            if delivery := await self._from_file(found.asset.id, file):
                return delivery
        return None

    async def _from_file(self, asset_id: str, local: LocalFile) -> Cached | File | None:
        """None when the file is gone by now because a store has it."""

        def read() -> tuple[int, str, bytes | None]:
            with local.path.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                body = file.read() if size <= self._levels.max_object_bytes else None
                head = file.read(HEAD) if body is None else body[:HEAD]
            kind = sniff(head)
            return size, kind.content_type if kind else UNKNOWN_TYPE, body

        try:
            size, content_type, body = await asyncio.to_thread(read)
        except FileNotFoundError:
            return None
        if body is None:
            return File(local.path, size, content_type, local.stays)
        return self._levels.put(asset_id, "", body, content_type)


def in_store(name: str, key: str) -> Origin:
    """A store as the place that a picture is fetched from."""
    return Origin(provider=f"{STORE}{name}", url=key)


def check_arrived(found: Found) -> None:
    """Raise OriginUnavailable for a picture whose bytes never came."""
    if found.asset.state is AssetState.FAILED:
        raise OriginUnusable("The bytes of this picture never came from its provider.")
