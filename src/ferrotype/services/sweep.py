"""The story of a sweep: what lies in stores, the spool and the variant store, and no row knows of.

Nothing is deleted that could be needed. An object counts as an orphan only if a key template of this
installation made its key, it is older than a safety age, no row names its key, no job of its asset is
under way, and the asset is gone or has its bytes elsewhere. All of that is looked at once more right before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from ferrotype.db import copies, dead_letters
from ferrotype.db.copies import Held
from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock
from ferrotype.domain.states import AssetState
from ferrotype.services.chores import Patience, Watcher
from ferrotype.storage.base import Entry
from ferrotype.storage.key_pattern import KeyPattern, Read, stem
from ferrotype.storage.registry import Stores
from ferrotype.storage.spool import Spool
from ferrotype.storage.variants import DiskVariants

#: Assets that one look at the database is about.
LOOK: Final = 200

Why = Literal["no such asset", "purged", "unknown copy"]


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that no row knows of. `place` is a store's name, `spool` or `variants`; `size` in bytes."""

    place: str
    key: str
    asset_id: str
    size: int
    modified: datetime
    why: Why


@dataclass(slots=True)
class Swept:
    """What was seen in one place. `foreign` were made by others, `young` are not old enough to be judged,
    `kept` are no row's, and are the only bytes of an asset or have a job under way."""

    place: str
    seen: int = 0
    foreign: int = 0
    young: int = 0
    kept: int = 0
    orphans: int = 0
    bytes: int = 0
    deleted: int = 0


class Sweep:
    """Finds orphans, and deletes them when it is told to."""

    def __init__(
        self,
        database: Database,
        stores: Stores,
        spool: Spool,
        variants: DiskVariants | None,
        clock: Clock,
        secret: bytes,
        patience: Patience,
    ) -> None:
        """`secret` is what makes keys unguessable, and ours."""
        self._database = database
        self._stores = stores
        self._spool = spool
        self._variants = variants
        self._clock = clock
        self._patience = patience
        self.patterns = {name: KeyPattern(template, secret) for name, template in stores.templates.items()}

    async def store(
        self, name: str, age: timedelta, watcher: Watcher, tell: Callable[[Orphan], None], swept: Swept
    ) -> None:
        """Tell the orphans of a store that are older than `age`. Raises what `Store.entries` does."""
        store, pattern = self._stores.by_name[name], self.patterns[name]
        waiting: list[tuple[Entry, Read]] = []
        before = self._clock.now() - age
        async for entry in store.entries(pattern.root):
            swept.seen += 1
            watcher.done(1, entry.size)
            read = pattern.read(entry.key)
            if read is None:
                swept.foreign += 1
                continue
            waiting.append((entry, read))
            if len(waiting) == LOOK:
                await self._judge(name, waiting, before, tell, swept)
                waiting = []
        if waiting:
            await self._judge(name, waiting, before, tell, swept)

    async def delete(self, orphan: Orphan) -> bool:
        """Delete it, if it still is one."""
        if orphan.place == "spool":
            known = await self._known([orphan.asset_id])
            if known.get(orphan.asset_id) is not None:
                return False
            await self._spool.remove(orphan.asset_id)
            return True
        if orphan.place == "variants":
            assert self._variants is not None
            known = await self._known([orphan.asset_id])
            held = known.get(orphan.asset_id)
            if held is not None and held.asset.purged_at is None:
                return False
            await self._variants.forget(orphan.asset_id)
            return True
        store = self._stores.by_name[orphan.place]
        if await self._why(orphan.key, orphan.asset_id) is None:
            return False
        await self._patience(lambda: store.delete(orphan.key))
        return True

    async def spool(self, age: timedelta, tell: Callable[[Orphan], None], swept: Swept) -> None:
        """Tell the complete files of the spool that no asset has."""
        before = self._clock.now() - age
        ids = self._spool.complete()
        for part in _parts(ids):
            known = await self._known(part)
            for asset_id in part:
                swept.seen += 1
                path = self._spool.path(asset_id)
                if asset_id in known or path is None:
                    continue
                stat = path.stat()
                modified = datetime.fromtimestamp(stat.st_mtime, before.tzinfo)
                self._count(
                    Orphan("spool", asset_id, asset_id, stat.st_size, modified, "no such asset"),
                    before,
                    tell,
                    swept,
                )

    async def variants(self, age: timedelta, tell: Callable[[Orphan], None], swept: Swept) -> None:
        """Tell the variants of assets that are gone. Each is a folder."""
        if self._variants is None:
            return
        before = self._clock.now() - age
        waiting: list[tuple[str, int, datetime]] = []

        async def judge() -> None:
            known = await self._known([asset_id for asset_id, _, _ in waiting])
            for asset_id, size, modified in waiting:
                held = known.get(asset_id)
                if held is None or held.asset.purged_at is not None:
                    why: Why = "purged" if held else "no such asset"
                    self._count(
                        Orphan("variants", asset_id, asset_id, size, modified, why), before, tell, swept
                    )
            waiting.clear()

        async for each in self._variants.folders():
            swept.seen += 1
            waiting.append(each)
            if len(waiting) == LOOK:
                await judge()
        if waiting:
            await judge()

    async def _judge(
        self,
        name: str,
        found: Sequence[tuple[Entry, Read]],
        before: datetime,
        tell: Callable[[Orphan], None],
        swept: Swept,
    ) -> None:
        known = await self._known([read.asset_id for _, read in found])
        for entry, read in found:
            held = known.get(read.asset_id)
            if held is not None and _names(held, entry.key):
                continue
            why = await self._why(entry.key, read.asset_id)
            if why is None:
                swept.kept += 1
                continue
            orphan = Orphan(name, entry.key, read.asset_id, entry.size, entry.modified, why)
            self._count(orphan, before, tell, swept)

    def _count(self, orphan: Orphan, before: datetime, tell: Callable[[Orphan], None], swept: Swept) -> None:
        if orphan.modified > before:
            swept.young += 1
            return
        swept.orphans += 1
        swept.bytes += orphan.size
        tell(orphan)

    async def _why(self, key: str, asset_id: str) -> Why | None:
        """Why it is an orphan, None when it is none or may become a copy."""
        held = (await self._known([asset_id])).get(asset_id)
        if held is None:
            return "no such asset"
        if held.asset.purged_at is not None:
            return "purged"
        if _names(held, key):
            return None
        under_way = await self._database.read(lambda tx: dead_letters.under_way(tx, [asset_id]))
        if under_way.get(asset_id) or held.asset.state is AssetState.ARRIVING:
            return None
        return "unknown copy" if held.keys or self._spool.path(asset_id) else None

    async def _known(self, ids: Sequence[str]) -> dict[str, Held]:
        unique = list(dict.fromkeys(ids))
        return await self._database.read(lambda tx: copies.held(tx, unique))


def _names(held: Held, key: str) -> bool:
    """Whether a copy of the asset has this key: in any store, for two names may stand for one place."""
    return stem(key) in {stem(known) for known in held.keys.values()}


def _parts(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + LOOK] for start in range(0, len(ids), LOOK)]
