"""Collections: named sets of an account's pictures."""

from __future__ import annotations

from collections.abc import Sequence

from ferrotype.db import assets, collections
from ferrotype.db.collections import Collection
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.clock import Clock, rfc3339
from ferrotype.domain.ids import is_id, new_id
from ferrotype.domain.problems import NotFound
from ferrotype.services.envelopes import Envelope, asset_envelope

#: What was done, and what could not be found.
Outcome = tuple[list[str], list[str]]


class Collections:
    """Makes, fills and shows them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, account_id: str, name: str, base_url: str) -> Envelope:
        """A new, empty one. Raises NameTaken."""
        made = Collection(new_id(), account_id, name, self._clock.now())

        def story(tx: Transaction) -> Envelope:
            collections.add(tx, made)
            return _envelope(tx, made, base_url)

        return await self._database.write(story)

    async def page(
        self, account_id: str, limit: int, cursor: str | None, base_url: str
    ) -> tuple[list[Envelope], str | None]:
        """Newest first, and the cursor of the next page when there is one."""

        def story(tx: Transaction) -> tuple[list[Envelope], str | None]:
            found = collections.page(tx, account_id, limit + 1, cursor)
            more = found[limit - 1].id if len(found) > limit else None
            return [_envelope(tx, each, base_url) for each in found[:limit]], more

        return await self._database.read(story)

    async def show(self, collection_id: str, account_id: str, base_url: str) -> Envelope:
        """One collection. Raises NotFound."""
        return await self._database.read(
            lambda tx: _envelope(tx, _own(tx, collection_id, account_id), base_url)
        )

    async def rename(self, collection_id: str, account_id: str, name: str, base_url: str) -> Envelope:
        """Give it another name. Raises NotFound or NameTaken."""

        def story(tx: Transaction) -> Envelope:
            _own(tx, collection_id, account_id)
            collections.rename(tx, collection_id, name)
            return _envelope(tx, _own(tx, collection_id, account_id), base_url)

        return await self._database.write(story)

    async def remove(self, collection_id: str, account_id: str) -> None:
        """Forget it; its pictures stay where they are. Raises NotFound."""

        def story(tx: Transaction) -> None:
            _own(tx, collection_id, account_id)
            collections.remove(tx, collection_id)

        await self._database.write(story)

    async def put(self, collection_id: str, account_id: str, asset_ids: Sequence[str]) -> Outcome:
        """Put pictures in: which are in it now, and which do not exist or were deleted. Raises NotFound for
        the collection."""
        wanted, at = list(dict.fromkeys(asset_ids)), self._clock.now()

        def story(tx: Transaction) -> Outcome:
            _own(tx, collection_id, account_id)
            standing = assets.standing(tx, account_id, [each for each in wanted if is_id(each)])
            done = [each for each in wanted if each in standing]
            collections.put(tx, collection_id, done, at)
            return done, [each for each in wanted if each not in standing]

        return await self._database.write(story)

    async def take(self, collection_id: str, account_id: str, asset_ids: Sequence[str]) -> Outcome:
        """Take pictures out: which were in it, and which were not. Raises NotFound for the collection."""
        wanted = list(dict.fromkeys(asset_ids))

        def story(tx: Transaction) -> Outcome:
            _own(tx, collection_id, account_id)
            taken = collections.take(tx, collection_id, [each for each in wanted if is_id(each)])
            return [each for each in wanted if each in taken], [each for each in wanted if each not in taken]

        return await self._database.write(story)


def _own(tx: Transaction, collection_id: str, account_id: str) -> Collection:
    found = collections.get(tx, collection_id, account_id)
    if found is None:
        raise NotFound(f"There is no collection {collection_id}.")
    return found


def _envelope(tx: Transaction, collection: Collection, base_url: str) -> Envelope:
    cover_id = collections.cover(tx, collection)
    cover = assets.get(tx, cover_id) if cover_id else None
    return {
        "id": collection.id,
        "object": "collection",
        "name": collection.name,
        "count": collections.count(tx, collection),
        "cover": asset_envelope(cover, base_url) if cover else None,
        "created_at": rfc3339(collection.created_at),
    }
