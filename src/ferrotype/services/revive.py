"""The story of dead letters: work behind the answer that was given up is begun anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ferrotype.db import assets, copies, dead_letters
from ferrotype.db.copies import Held
from ferrotype.db.database import Database, Transaction
from ferrotype.db.dead_letters import DeadLetter
from ferrotype.domain.asset import Asset
from ferrotype.engine.base import Engine, NewJob, Priority
from ferrotype.services import cdn, drop, lifecycle, purge, store
from ferrotype.services.chores import pages
from ferrotype.storage.registry import Stores
from ferrotype.storage.spool import Spool

#: Jobs that keep, move or remove bytes.
KINDS: Final = (store.KIND, purge.KIND, drop.KIND, lifecycle.KIND, cdn.KIND)


@dataclass(frozen=True, slots=True)
class Failed:
    """Work that nobody does any more. `letter` is None where even the record of the job is gone, since ended
    jobs are forgotten after some days: the picture waits in the spool all the same, unless it is `lost`."""

    asset_id: str
    account_id: str
    kind: str
    store: str | None
    reason: str
    failed_at: datetime | None
    letter: DeadLetter | None
    lost: bool = False


class Revive:
    """Finds what was given up, and has it done."""

    def __init__(
        self, database: Database, engine: Engine, stores: Stores, spool: Spool, store_starts: int
    ) -> None:
        self._database = database
        self._engine = engine
        self._stores = stores
        self._spool = spool
        self._store_starts = store_starts

    async def failed(self, store_name: str | None, ids: Collection[str]) -> AsyncIterator[Failed]:
        """All that was given up; of one store, where it is named, and of these assets or jobs, where there
        are any."""
        seen: set[str] = set()
        letters = pages(
            self._database, lambda tx, after: dead_letters.page(tx, KINDS, after), lambda each: each.job_id
        )
        async for letter in letters:
            name = await self._store_of(letter, store_name)
            if letter.kind == store.KIND and name == self._stores.written[0]:
                seen.add(letter.asset_id)
            if store_name not in (None, name) or (ids and not {letter.asset_id, letter.job_id} & set(ids)):
                continue
            reason = str(letter.error.get("detail") or "it was started too often")
            yield Failed(
                letter.asset_id, letter.account_id, letter.kind, name, reason, letter.failed_at, letter
            )
        if store_name not in (None, self._stores.written[0]):
            return
        async for asset in pages(self._database, copies.without, lambda each: each.id):
            if asset.id in seen or (ids and asset.id not in ids) or await self._is_under_way(asset):
                continue
            lost = self._spool.path(asset.id) is None
            reason = (
                "its bytes are in no store and not in the spool" if lost else "no job sees to it any more"
            )
            primary = self._stores.written[0]
            yield Failed(asset.id, asset.account_id, store.KIND, primary, reason, None, None, lost)

    async def revive(self, failed: Failed) -> bool:
        """Have it done from the beginning; False when it is lost, or somebody saw to it meanwhile."""
        if failed.lost:
            return False

        def story(tx: Transaction) -> bool:
            if failed.letter is not None and not dead_letters.remove(tx, failed.letter.job_id):
                return False
            if failed.letter is None and assets.keys(tx, failed.asset_id):
                return False
            self._engine.enqueue(tx, self._job(failed))
            return True

        return await self._database.write(story)

    def _job(self, failed: Failed) -> NewJob:
        letter = failed.letter
        if letter is None:
            payload = {"asset_id": failed.asset_id}
            return NewJob(
                kind=store.KIND,
                class_=store.KIND,
                account_id=failed.account_id,
                payload=payload,
                priority=Priority.BATCH,
                max_starts=self._store_starts,
            )
        return NewJob(
            kind=letter.kind,
            class_=letter.class_,
            account_id=letter.account_id,
            generation_id=letter.generation_id,
            payload=letter.payload,
            priority=Priority.BATCH,
            max_starts=letter.max_starts,
        )

    async def _store_of(self, letter: DeadLetter, asked: str | None) -> str | None:
        """The store that a job is about. A purge is about all that have the asset, so about that asked for
        where it is one of them."""
        if letter.kind == store.KIND:
            return str(letter.payload.get("store") or self._stores.written[0])
        if letter.kind == drop.KIND:
            return str(letter.payload["store"])
        if letter.kind == purge.KIND and asked is not None:
            found: Held | None = (
                await self._database.read(lambda tx: copies.held(tx, [letter.asset_id]))
            ).get(letter.asset_id)
            return asked if found is not None and asked in found.keys else None
        return None

    async def _is_under_way(self, asset: Asset) -> bool:
        found = await self._database.read(lambda tx: dead_letters.under_way(tx, [asset.id]))
        return bool(found.get(asset.id, set()) & {store.KIND, "arrive"})
