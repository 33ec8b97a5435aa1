"""The envelope of a batch: the same JSON in replies, streams, webhooks and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ferrotype.db import batches, generations
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.batch import Batch, BatchItem, ItemState
from ferrotype.domain.clock import rfc3339, rfc3339_or_none
from ferrotype.domain.states import GenerationState
from ferrotype.services.batch_eta import BatchEta
from ferrotype.services.batch_life import own_batch
from ferrotype.services.envelopes import Envelope, Envelopes
from ferrotype.services.journal import Journal

#: Items that the envelope of a batch shows; the others are in its list of items.
SHOWN: Final = 100
#: Running generations whose progress is added up.
LOOKED_AT: Final = 1_000
#: Statuses that a batch counts: of items that have no generation, and of generations.
COUNTED: Final = (
    ItemState.WAITING.value,
    *(state.value for state in GenerationState),
    ItemState.REFUSED.value,
)


class BatchEnvelopes:
    """Reads batches and their items as their public JSON. `base_url` makes the URLs absolute."""

    def __init__(self, database: Database, envelopes: Envelopes, journal: Journal, eta: BatchEta) -> None:
        self._database = database
        self._envelopes = envelopes
        self._journal = journal
        self._eta = eta

    async def envelope(
        self, batch_id: str, account_id: str, base_url: str, *, items: int = SHOWN
    ) -> Envelope:
        """One batch with its first `items`. Raises NotFound."""

        def story(tx: Transaction) -> Envelope:
            batch = own_batch(tx, batch_id, account_id)
            found = batches.items(tx, batch_id, 0, items) if items else []
            return self._envelope(tx, batch, base_url) | {"items": self._items(tx, found, base_url)}

        return await self._database.read(story)

    async def items(
        self,
        batch_id: str,
        account_id: str,
        base_url: str,
        *,
        limit: int,
        first: int,
    ) -> tuple[list[Envelope], str | None]:
        """Items from index `first` on, and the cursor of the next page when there is one. Raises NotFound."""

        def story(tx: Transaction) -> tuple[list[Envelope], str | None]:
            own_batch(tx, batch_id, account_id)
            found = batches.items(tx, batch_id, first, limit + 1)
            following = str(found[limit].index) if len(found) > limit else None
            return self._items(tx, found[:limit], base_url), following

        return await self._database.read(story)

    async def picture_ids(self, batch_id: str, account_id: str) -> tuple[str | None, list[str]]:
        """The batch's name and its pictures that stand, in the order of its items. Raises NotFound."""

        def story(tx: Transaction) -> tuple[str | None, list[str]]:
            return own_batch(tx, batch_id, account_id).name, batches.picture_ids(tx, batch_id)

        return await self._database.read(story)

    async def page(
        self, account_id: str, base_url: str, *, limit: int, cursor: str | None, status: str | None
    ) -> tuple[list[Envelope], str | None]:
        """The account's batches without their items, newest first, and the cursor of the next page."""

        def story(tx: Transaction) -> tuple[list[Envelope], str | None]:
            found = batches.page(tx, account_id, limit=limit + 1, before=cursor, status=status)
            more = found[limit - 1].id if len(found) > limit else None
            return [self._envelope(tx, batch, base_url) | {"items": []} for batch in found[:limit]], more

        return await self._database.read(story)

    async def unfinished(self, account_id: str, base_url: str, limit: int) -> list[Envelope]:
        """The newest batches that have not ended, without their items."""

        def story(tx: Transaction) -> list[Envelope]:
            found = batches.unfinished(tx, account_id, limit)
            return [self._envelope(tx, batch, base_url) | {"items": []} for batch in found]

        return await self._database.read(story)

    def _envelope(self, tx: Transaction, batch: Batch, base_url: str) -> Envelope:
        states = batches.states(tx, batch.id)
        statuses = batches.statuses(tx, batch.id)
        counts = {name: statuses.get(name, 0) for name in COUNTED}
        for state in (ItemState.WAITING, ItemState.REFUSED):
            counts[state.value] = states.get(state, 0)
        counts["canceled"] += states.get(ItemState.CANCELED, 0)
        made, settled, usd = batches.totals(tx, batch.id)
        path = f"{base_url}/v1/batches/{batch.id}"
        return {
            "id": batch.id,
            "object": "batch",
            "status": batch.status.value,
            "name": batch.name,
            "num_items": batch.num_items,
            "num_images": batch.num_images,
            "counts": counts,
            "images": {"ordered": batch.num_images, "made": made},
            "progress": self._progress(tx, batch, counts),
            "eta_s": self._eta.of(tx, batch, counts["waiting"]),
            "cost": {
                "credits": settled,
                "usd": round(usd, 6),
                "expected_credits": batch.credits,
                "expected_usd": batch.usd,
            },
            "error": batch.error,
            "metadata": batch.metadata,
            "cloned_from": batch.cloned_from,
            "retry_of": batch.retry_of,
            "created_at": rfc3339(batch.created_at),
            "started_at": rfc3339_or_none(batch.started_at),
            "completed_at": rfc3339_or_none(batch.completed_at),
            "urls": {
                "get": path,
                "items": f"{path}/items",
                "events": f"{path}/events",
                "cancel": f"{path}/cancel",
                "retry": f"{path}/retry",
                "clone": f"{path}/clone",
            },
        }

    def _progress(self, tx: Transaction, batch: Batch, counts: dict[str, int]) -> float:
        """0-1: ended items, and what is known of those that run."""
        open_items = counts["waiting"] + counts["queued"] + counts["running"]
        if not open_items:
            return 1.0
        running = batches.open_ids(tx, batch.id, LOOKED_AT) if counts["running"] else []
        part = sum(self._journal.progress_of(each) or 0.0 for each in running)
        return round((batch.num_items - open_items + part) / batch.num_items, 4)

    def _items(self, tx: Transaction, found: Sequence[BatchItem], base_url: str) -> list[Envelope]:
        ids = [item.generation_id for item in found if item.generation_id is not None]
        known = list(generations.of_ids(tx, ids).values()) if ids else []
        told = {each["id"]: each for each in self._envelopes.within(tx, known, base_url)}
        return [_item(item, told.get(item.generation_id or "")) for item in found]


def _item(item: BatchItem, generation: Envelope | None) -> dict[str, Any]:
    """The public face of an item; its status is its generation's, once it has one."""
    return {
        "index": item.index,
        "custom_id": item.custom_id,
        "status": generation["status"] if generation else item.state.value,
        "prompt": item.order.get("prompt"),
        "generation": generation,
        "error": generation["error"] if generation else item.error,
    }
