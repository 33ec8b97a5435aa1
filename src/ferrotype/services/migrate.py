"""The story of a migration: what one store has gets a copy in another, and may then leave the first."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

from ferrotype.db import assets, copies, dead_letters
from ferrotype.db.copies import Amount, Held
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import NotFound, Problem
from ferrotype.engine.base import Engine, NewJob, Priority
from ferrotype.services import drop
from ferrotype.services.chores import Patience, Watcher, for_each, pages
from ferrotype.services.wholes import Wholes
from ferrotype.storage.registry import Stores

#: Names of failed pictures that are remembered for the report.
NAMED: Final = 20
#: The smallest picture, for stores that take pictures only.
PROBE: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@dataclass(slots=True)
class Migrated:
    """What one run did. `gone` were purged while they were copied."""

    copied: int = 0
    bytes: int = 0
    gone: int = 0
    failed: int = 0
    first_failed: list[tuple[str, str]] = field(default_factory=list)

    def fail(self, asset_id: str, reason: str) -> None:
        """Count one more that could not be done."""
        self.failed += 1
        if len(self.first_failed) < NAMED:
            self.first_failed.append((asset_id, reason))


class Migrate:
    """Copies between two stores. What a copy's row says is done; so any number of runs make one migration."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        stores: Stores,
        wholes: Wholes,
        clock: Clock,
        secret: bytes,
        patience: Patience,
    ) -> None:
        """`secret` is what makes keys unguessable."""
        self._database = database
        self._engine = engine
        self._stores = stores
        self._wholes = wholes
        self._clock = clock
        self._secret = secret
        self._patience = patience

    async def left(self, source: str, target: str) -> Amount:
        """What is still to be copied."""
        return await self._database.read(lambda tx: copies.count_lacking(tx, source, target))

    async def there(self, source: str, target: str) -> Amount:
        """What both have."""
        return await self._database.read(lambda tx: copies.count_shared(tx, source, target))

    async def leaving(self, store: str) -> int:
        """How many pictures are ordered to be dropped from the store and still have bytes there."""
        return await self._database.read(lambda tx: dead_letters.count_under_way(tx, drop.KIND, store))

    async def copy(
        self, source: str, target: str, width: int, watcher: Watcher, done: Migrated | None = None
    ) -> Migrated:
        """Give `target` everything that it lacks of `source`, `width` pictures at once, each held against
        its hash on both sides. Where the source's copy is broken, any other that is right is taken.

        What cannot be copied is counted and said, the rest goes on; `done` counts along. Raises Hopeless when
        a store cannot be used.
        """
        done = done or Migrated()

        async def one(held: Held) -> None:
            try:
                copied = await self._patience(lambda: self._copy(held, source, target))
            except (Problem, OSError) as error:
                reason = error.detail if isinstance(error, Problem) else str(error)
                done.fail(held.asset.id, reason)
                watcher.say(f"{held.asset.id}: {reason}")
                watcher.done()
                return
            size = held.asset.bytes or 0
            if copied:
                done.copied += 1
                done.bytes += size
            else:
                done.gone += 1
            watcher.done(1, size)

        walk = pages(
            self._database,
            lambda tx, after: copies.lacking(tx, source, target, after),
            lambda held: held.asset.id,
        )
        await for_each(walk, one, width)
        return done

    async def leave(self, source: str, target: str, width: int, watcher: Watcher) -> Migrated:
        """Order what both have to be dropped from `source`, after a look that `target` really has it. The
        jobs do the rest (see `drop`), and may outlive this process. Raises Hopeless."""
        done = Migrated()
        one_place = await self._patience(lambda: self._is_one_place(source, target))

        async def one(held: Held) -> None:
            if one_place and held.keys[source] == held.keys[target]:
                done.fail(held.asset.id, f"{source} and {target} are one place")
                return
            try:
                size = await self._patience(lambda: self._stores.by_name[target].size(held.keys[target]))
            except Problem as problem:
                size, reason = None, problem.detail
            else:
                reason = f"{target} has {'nothing' if size is None else f'{size} bytes'} of it"
            if size is not None and size == held.asset.bytes:
                ordered = await self._database.write(lambda tx: self._order(tx, held, source, target))
                done.copied += ordered
                done.bytes += (held.asset.bytes or 0) * ordered
            else:
                done.fail(held.asset.id, reason)
                watcher.say(f"{held.asset.id}: stays in {source}: {reason}")
            watcher.done(1, held.asset.bytes or 0)

        walk = pages(
            self._database,
            lambda tx, after: copies.shared(tx, source, target, after),
            lambda held: held.asset.id,
        )
        await for_each(walk, one, width)
        return done

    async def _copy(self, held: Held, source: str, target: str) -> bool:
        """False when it was purged meanwhile. Raises NotFound when no place has the right bytes."""
        asset = held.asset
        if asset.sha256 is None:
            raise NotFound("Its hash is not known.")
        store, key = self._stores.by_name[target], self._stores.templates[target].key(asset, self._secret)
        async with self._wholes.file(held, first=(source,)) as path:
            await store.put(key, path, content_type=asset.content_type or "", sha256=asset.sha256)

        def story(tx: Transaction) -> bool:
            now = assets.get(tx, asset.id)
            if now is None or now.purged_at is not None:
                return False
            assets.add_copy(tx, asset.id, target, key, self._clock.now())
            return True

        if await self._database.write(story):
            return True
        await store.delete(key)
        return False

    async def _is_one_place(self, source: str, target: str) -> bool:
        """Whether what is put in one is in the other as well: two names of one bucket, say."""
        key, probe = f"health/{secrets.token_hex(8)}.png", self._wholes.scratch.path()
        sha256 = hashlib.sha256(PROBE).hexdigest()
        first, second = self._stores.by_name[source], self._stores.by_name[target]
        await asyncio.to_thread(probe.write_bytes, PROBE)
        try:
            await first.put(key, probe, content_type="image/png", sha256=sha256)
            return await second.size(key) is not None
        finally:
            self._wholes.scratch.forget(probe)
            await first.delete(key)

    def _order(self, tx: Transaction, held: Held, source: str, target: str) -> bool:
        """False when it was ordered before."""
        asset = held.asset
        if drop.KIND in dead_letters.under_way(tx, [asset.id]).get(asset.id, ()):
            return False
        job = NewJob(
            kind=drop.KIND,
            class_=drop.CLASS,
            account_id=asset.account_id,
            payload={"asset_id": asset.id, "store": source, "kept": target, "key": held.keys[source]},
            priority=Priority.BATCH,
            max_starts=drop.STARTS,
        )
        self._engine.enqueue(tx, job)
        return True
