"""A batch once more: the items that failed, or all of them."""

from __future__ import annotations

from dataclasses import dataclass

from ferrotype.db import batches
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.batch import Batch, BatchItem
from ferrotype.domain.batch_order import CUSTOM_ID, BatchOrder
from ferrotype.domain.problems import NothingToRetry
from ferrotype.domain.states import BATCH
from ferrotype.services.admit_batch import Origin
from ferrotype.services.batch_life import own_batch


@dataclass(frozen=True, slots=True)
class BatchAgain:
    """Reads batches back as orders."""

    database: Database

    async def failed(self, batch_id: str, account_id: str) -> tuple[BatchOrder, Origin]:
        """The items without a picture. Raises NotFound, or NothingToRetry while it runs or without any."""

        def story(tx: Transaction) -> tuple[Batch, list[BatchItem]]:
            batch = own_batch(tx, batch_id, account_id)
            if not BATCH.is_terminal(batch.status):
                raise NothingToRetry(f"Batch {batch_id} has not ended.", field="status")
            return batch, batches.failed_items(tx, batch_id)

        batch, items = await self.database.read(story)
        if not items:
            raise NothingToRetry(f"No item of batch {batch_id} failed.", field="items")
        return _order(batch, items), Origin(retry_of=batch_id)

    async def whole(self, batch_id: str, account_id: str) -> tuple[BatchOrder, Origin]:
        """Every item. Raises NotFound."""

        def story(tx: Transaction) -> tuple[Batch, list[BatchItem]]:
            return own_batch(tx, batch_id, account_id), batches.all_items(tx, batch_id)

        batch, items = await self.database.read(story)
        return _order(batch, items), Origin(cloned_from=batch_id)


def _order(batch: Batch, items: list[BatchItem]) -> BatchOrder:
    """Items that are refused once more do not keep the others from being ordered."""
    orders = [item.order | ({CUSTOM_ID: item.custom_id} if item.custom_id else {}) for item in items]
    return BatchOrder(name=batch.name, items=orders, partial=True, metadata=batch.metadata)
