"""The story of an estimate: what an order would cost and how long it would take, if it were given now.

It runs the order's own checks and raises the problems that the order would, up to the money. Nothing is
written, held or fetched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ferrotype.db import ledger
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.batch_order import BatchOrder
from ferrotype.domain.generation import shares
from ferrotype.domain.order import Order
from ferrotype.domain.problems import Problem
from ferrotype.engine.base import Priority
from ferrotype.services.admit import Admit
from ferrotype.services.batch_rows import Refused, Row, given, put_together, read_rows, refuse
from ferrotype.services.durations import Durations
from ferrotype.services.references import References
from ferrotype.services.reuse import reuse_key

Estimate = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates orders and batches."""

    database: Database
    admit: Admit
    references: References
    durations: Durations

    async def order(self, order: Order, account_id: str) -> Estimate:
        """Of one order. Raises what the order would raise before any money is held."""
        model, resolved = self.admit.check(order)
        await self._check_inputs(order, account_id, set())
        return await self._of([Row(0, None, order, model, resolved)], account_id, Priority.INTERACTIVE)

    async def batch(self, batch: BatchOrder, account_id: str, limit: int) -> Estimate:
        """Of a batch of at most `limit` items; with `partial`, of those that can be ordered. Raises what the
        batch would raise before any money is held."""
        found = await read_rows(put_together(batch, limit), self.admit.check)
        refuse(found, batch.partial)
        seen: set[str] = set()
        found = [await self._with_inputs(row, account_id, seen) for row in found]
        refuse(found, batch.partial)
        few = len(found) <= self.admit.settings.max_batch_items
        priority = Priority.INTERACTIVE if few else Priority.BATCH
        return await self._of([row for row in found if isinstance(row, Row)], account_id, priority)

    async def _with_inputs(self, row: Row | Refused, account_id: str, seen: set[str]) -> Row | Refused:
        if isinstance(row, Refused):
            return row
        try:
            await self._check_inputs(row.order, account_id, seen)
        except Problem as problem:
            return Refused(row.index, row.custom_id, given(row.order), problem)
        return row

    async def _check_inputs(self, order: Order, account_id: str, seen: set[str]) -> None:
        """Assets must stand and data URIs must be pictures; what has a URL is not fetched. `seen` are
        references that were found good."""
        for field, reference in order.named_references:
            if reference not in seen and not reference.lower().startswith(("http://", "https://")):
                await self.references.find(field, reference, account_id)
            seen.add(reference)

    async def _of(self, rows: Sequence[Row], account_id: str, priority: int) -> Estimate:
        return await self.database.read(lambda tx: self._estimate(tx, rows, account_id, priority))

    def _estimate(self, tx: Transaction, rows: Sequence[Row], account_id: str, priority: int) -> Estimate:
        made, reused = list[Row](), list[Row]()
        for row in rows:
            (reused if self._is_reused(tx, row, account_id) else made).append(row)
        price = self.admit.reuse.settings.price
        credits = sum(row.credits for row in made) + sum(
            price(row.model.price.credits) * row.order.num_images for row in reused
        )
        available = ledger.balance(tx, account_id).available
        queue, forecast = self.durations.forecast(tx, _work(made), priority)
        models, classes = _names(row.model.name for row in rows), _names(row.model.class_ for row in rows)
        return {
            "object": "estimate",
            "num_items": len(rows),
            "num_images": sum(row.order.num_images for row in rows),
            "num_reused": len(reused),
            "credits": credits,
            "usd": round(sum(row.model.price.usd * row.order.num_images for row in made), 6),
            "available_credits": available,
            "sufficient": credits <= available,
            "seconds": {"first": forecast.first, "all": forecast.all} if forecast else None,
            "samples": forecast.samples if forecast else 0,
            "model": models,
            "class": classes,
            "queue": {"ahead": queue.ahead, "seats": queue.seats},
        }

    def _is_reused(self, tx: Transaction, row: Row, account_id: str) -> bool:
        """Whether finished pictures of an identical order would be the answer. Told only of orders without
        inputs: those of others have to be read first."""
        admit, order = self.admit, row.order
        window = admit.reuse.window(order)
        if window is None or order.references or order.mask is not None:
            return False
        visibility = order.visibility or admit.default_visibility
        key = reuse_key(order, account_id, row.model, row.resolved, [], visibility)
        leader = admit.reuse.find(tx, key, window, visibility, admit.clock.now())
        return leader is not None and leader.finished


def _work(rows: Iterable[Row]) -> Counter[tuple[str, str]]:
    """Calls to providers, by (class, model)."""
    work: Counter[tuple[str, str]] = Counter()
    for row in rows:
        calls = shares(row.order.num_images, row.model.capabilities.max_per_call)
        work[row.model.class_, row.model.name] += len(calls)
    return work


def _names(names: Iterable[str]) -> str | None:
    """The name that all have; None where they differ."""
    found = set(names)
    return found.pop() if len(found) == 1 else None
