"""The story of a copy that leaves its store because another has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from ferrotype.db import assets, copies
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Overloaded
from ferrotype.domain.states import JobState
from ferrotype.engine.base import Engine, Lease
from ferrotype.storage.registry import Stores

KIND: Final = "drop"
#: Those who remove bytes share their seats.
CLASS: Final = "purge"
#: Tries where the store is out of reach; with the engine's back-off that is days.
STARTS: Final = 1_000
#: Between the end of a copy's row and of its bytes: whoever was on the way there has arrived.
GRACE: Final = timedelta(seconds=30)


class Drop:
    """Handles jobs of the kind `drop`, in two steps: the row goes, and later the bytes."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        stores: Stores,
        clock: Clock,
        moved: Callable[[str], None],
        graces: Mapping[str, timedelta],
    ) -> None:
        """`moved` is told of an asset whose places have changed. `graces` says how long each store's bytes
        stay after their row: as long as URLs of them are good that readers have."""
        self._database = database
        self._engine = engine
        self._stores = stores
        self._clock = clock
        self._moved = moved
        self._graces = graces

    async def __call__(self, lease: Lease) -> None:
        """Every step may be done again. Raises Overloaded while the store is not configured, and what
        `Store.delete` raises."""
        asset_id, store = str(lease.payload["asset_id"]), str(lease.payload["store"])
        kept, key = str(lease.payload["kept"]), str(lease.payload["key"])
        if store not in self._stores.by_name:
            raise Overloaded(f"The store {store} is not configured.", retry_after=60)

        def story(tx: Transaction) -> bool:
            """Whether the bytes may go now."""
            self._engine.fence(tx, lease)
            keys = assets.keys(tx, asset_id)
            if keys.get(store) != key:  # an earlier start took the row, or a purge did
                return True
            if kept not in keys:
                self._engine.finish(tx, lease, JobState.FAILED, {"detail": f"{kept} no longer has it."})
                return False
            copies.remove(tx, asset_id, store)
            self._engine.retry(
                tx, lease, self._clock.now() + self._graces.get(store, timedelta()), counted=False
            )
            return False

        may_go = await self._database.write(story)
        self._moved(asset_id)
        if may_go:
            await self._stores.by_name[store].delete(key)
            await self._database.write(lambda tx: self._engine.finish(tx, lease, JobState.SUCCEEDED))
