"""The story of an import: a picture that an app has elsewhere becomes an asset, once, byte for byte.

It goes straight into the primary store, not by the spool, whose bookkeeping is the running server's. The
order makes it safe to stop anywhere: the source gets its asset id, the bytes get to the store under that id's
key, and one transaction makes the asset, its copy and the jobs that follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ferrotype.db import assets, imports
from ferrotype.db.database import Database, Transaction
from ferrotype.db.imports import Imported
from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import Problem, TooLarge, UnsupportedMedia
from ferrotype.domain.states import AssetState
from ferrotype.engine.base import Engine, NewJob, Priority
from ferrotype.imaging.inspect import ImageInfo, inspect
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.services import store
from ferrotype.services.chores import Pace, Patience, Watcher, for_each
from ferrotype.services.settings import ENRICH_STARTS, RetentionSettings
from ferrotype.storage.collections.base import Collection, Item
from ferrotype.storage.registry import Stores
from ferrotype.storage.scratch import Scratch

#: Tries to read a picture where it is; its host may be gone for good.
READS: Final = 3
FIRST_MOMENT: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every picture of an import gets."""

    tags: tuple[str, ...] = ()
    visibility: Visibility | None = None
    source_type: str | None = None


@dataclass(slots=True)
class Outcome:
    """What one run did. `there` were imported before, `passed_over` are no pictures and do not claim to be
    any."""

    imported: int = 0
    bytes: int = 0
    there: int = 0
    passed_over: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Landed:
    """A picture that is an asset now, or was one before."""

    item: Item
    asset_id: str
    new: bool


class ImportPictures:
    """Imports into one account."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        stores: Stores,
        scratch: Scratch,
        pool: ImagingPool,
        clock: Clock,
        secret: bytes,
        account_id: str,
        limits: ImagingSettings,
        retention: RetentionSettings,
        default_visibility: Visibility,
        pace: Pace,
        patience: Patience,
    ) -> None:
        """`secret` is what makes keys unguessable."""
        self._database = database
        self._engine = engine
        self._stores = stores
        self._scratch = scratch
        self._pool = pool
        self._clock = clock
        self._secret = secret
        self._account_id = account_id
        self._limits = limits
        self._retention = retention
        self._default_visibility = default_visibility
        self._pace = pace
        self._patience = patience

    async def __call__(
        self,
        collection: Collection,
        wanted: Wanted,
        width: int,
        watcher: Watcher,
        tell: Callable[[Landed], None],
        outcome: Outcome,
        limit: int | None = None,
    ) -> None:
        """Import what is not here yet, `width` pictures at once, at most `limit` new ones. A picture that
        cannot be imported is said with its name, and the rest goes on.

        Raises Hopeless when the store or the collection cannot be used, and Problem when the collection
        cannot be listed.
        """

        async def one(item: Item) -> None:
            try:
                landed, size = await self._import(item, wanted)
            except (Problem, OSError) as error:
                watcher.done()
                if isinstance(error, UnsupportedMedia) and not item.surely:
                    outcome.passed_over += 1
                    return
                outcome.failed += 1
                name = item.former_id
                name += f" ({item.address})" if item.address not in ("", name) else ""
                watcher.say(f"{name}: {error.detail if isinstance(error, Problem) else error}")
                return
            outcome.imported += landed.new
            outcome.there += not landed.new
            outcome.bytes += size
            watcher.done(1, size)
            tell(landed)

        async def missing() -> AsyncIterator[Item]:
            begun = 0
            async for item in collection.items():
                known = await self.known(item)
                if known is not None:
                    outcome.there += 1
                    tell(Landed(item, known.asset_id, new=False))
                elif begun == limit:
                    return
                else:
                    begun += 1
                    yield item

        await for_each(missing(), one, width)

    async def known(self, item: Item) -> Imported | None:
        """What it became in an earlier run."""
        found = await self._database.read(lambda tx: imports.find(tx, self._account_id, item.source))
        return found if found is not None and found.imported_at is not None else None

    async def _import(self, item: Item, wanted: Wanted) -> tuple[Landed, int]:
        """And how many bytes came."""
        if item.size is not None and item.size > self._limits.max_upload_bytes:
            raise self._too_large(item.size)
        if item.know is not None:
            item = await self._patience(item.know, READS)
        place = await self._reserve(item, wanted)
        if place.imported_at is not None:
            return Landed(item, place.asset_id, new=False), 0
        path = self._scratch.path()
        try:
            sha256, size = await self._patience(lambda: self._fetch(item, path), READS)
            info = await self._pool.run(inspect, path, self._limits, verify=True, field="picture")
            asset = self._asset(item, wanted, place, info, sha256, size)
            primary = self._stores.written[0]
            key = self._stores.templates[primary].key(asset, self._secret)
            await self._patience(
                lambda: self._stores.primary.put(key, path, content_type=info.content_type, sha256=sha256)
            )
        finally:
            self._scratch.forget(path)
        new = await self._database.write(lambda tx: self._record(tx, asset, key))
        return Landed(item, asset.id, new), size if new else 0

    async def _reserve(self, item: Item, wanted: Wanted) -> Imported:
        now = self._clock.now()
        created = min(max(item.created_at or now, FIRST_MOMENT), now)
        place = Imported(
            asset_id=new_id(int(created.timestamp() * 1000)),
            source=item.source,
            former_id=item.former_id,
            tags=list(dict.fromkeys([*wanted.tags, *item.tags])),
            metadata=item.metadata,
            created_at=created,
            imported_at=None,
        )
        # Lost in a power cut, the worst of it is an object that no row knows: a sweep finds it.
        return await self._database.write(
            lambda tx: imports.reserve(tx, self._account_id, place), durable=False
        )

    async def _fetch(self, item: Item, path: Path) -> tuple[str, int]:
        """Hash and size of the bytes, which are in the file then."""
        digest, size = hashlib.sha256(), 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal size
            async for data in item.open():
                await self._pace.take(len(data))
                size += len(data)
                if size > self._limits.max_upload_bytes:
                    raise self._too_large(size)
                digest.update(data)
                yield data

        self._scratch.forget(path)  # what an earlier try left
        await self._scratch.keep(path, chunks())
        return digest.hexdigest(), size

    def _asset(
        self, item: Item, wanted: Wanted, place: Imported, info: ImageInfo, sha256: str, size: int
    ) -> Asset:
        retention, now = self._retention, self._clock.now()
        tagged = any(tag in retention.keep_tagged_days for tag in place.tags)
        own = Visibility.PRIVATE if item.private else self._default_visibility
        return Asset(
            id=place.asset_id,
            account_id=self._account_id,
            state=AssetState.READY,
            width=info.width,
            height=info.height,
            content_type=info.content_type,
            animated=info.animated,
            has_alpha=info.has_alpha,
            bytes=size,
            sha256=sha256,
            source_type=wanted.source_type,
            visibility=wanted.visibility or own,
            created_at=place.created_at,
            # From now on: what is old must not be deleted for that.
            expires_at=retention.until(now, place.tags if tagged else None),
        )

    def _record(self, tx: Transaction, asset: Asset, key: str) -> bool:
        """False when another of this run was faster: two rows of a list may have one URL."""
        if assets.get(tx, asset.id) is not None:
            return False
        now = self._clock.now()
        assets.add(tx, asset)
        assets.add_copy(tx, asset.id, self._stores.written[0], key, now)
        imports.done(tx, asset.id, now)
        for mirror in self._stores.written[1:]:
            self._follow(tx, asset, store.KIND, store.MIRROR_STARTS, store=mirror)
        self._follow(tx, asset, "enrich", ENRICH_STARTS)
        return True

    def _follow(self, tx: Transaction, asset: Asset, kind: str, starts: int, **payload: Any) -> None:
        job = NewJob(
            kind=kind,
            class_=kind,
            account_id=asset.account_id,
            payload={"asset_id": asset.id, **payload},
            priority=Priority.BATCH,
            max_starts=starts,
        )
        self._engine.enqueue(tx, job)

    def _too_large(self, size: int) -> TooLarge:
        limit = self._limits.max_upload_bytes
        return TooLarge(f"It has {size} bytes or more; {limit} are allowed.", field="picture", limit=limit)
