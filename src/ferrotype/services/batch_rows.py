"""The items of a batch, each checked like an order of its own, all before any money is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from ferrotype.domain.batch_order import CUSTOM_ID, BatchOrder, merge
from ferrotype.domain.invalid import problem_of
from ferrotype.domain.matrix import expand_items
from ferrotype.domain.model import Model
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField, Problem

MAX_CUSTOM_ID: Final = 64
#: Rows that a refusal tells of at most.
MAX_TOLD: Final = 100
#: Rows that are checked on the event loop; more are checked in a thread.
FEW: Final = 50

Check = Callable[[Order], tuple[Model, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Row:
    """An item that can be ordered; `inputs` as `Inputs.collect` gave them, once that was asked."""

    index: int
    custom_id: str | None
    order: Order
    model: Model
    resolved: dict[str, Any]
    inputs: dict[str, Any] | None = None

    @property
    def credits(self) -> int:
        """What its pictures cost."""
        return self.model.price.credits * self.order.num_images


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that cannot be ordered, as it was given."""

    index: int
    custom_id: str | None
    given: dict[str, Any]
    problem: Problem


def put_together(order: BatchOrder, limit: int) -> list[dict[str, Any]]:
    """The items with the defaults under them, one for each combination that was asked for.

    Raises InvalidField when there are more than `limit`, or for a matrix that makes no sense.
    """
    merged = [merge(order.defaults, item) for item in order.items]
    if order.expand or order.matrix:
        merged = expand_items(merged, order.matrix, limit, dynamic=order.expand)
    if len(merged) > limit:
        raise InvalidField(
            f"The batch has {len(merged)} items; at most {limit} are taken.", field="items", limit=limit
        )
    return merged


async def read_rows(items: Sequence[dict[str, Any]], check: Check) -> list[Row | Refused]:
    """Each item as an order that passed every check that needs no inputs, or why it does not."""
    if len(items) <= FEW:
        return _rows(items, check)
    return await asyncio.to_thread(_rows, items, check)


def refuse(found: Sequence[Row | Refused], partial: bool) -> None:
    """Raise why the batch is not ordered, unless it is, or with `partial` what can be of it is."""
    refused = [row for row in found if isinstance(row, Refused)]
    if refused and (not partial or len(refused) == len(found)):
        raise _refusal(refused, len(found))


def given(order: Order) -> dict[str, Any]:
    """What the order says, without what it leaves to the defaults."""
    return order.model_dump(mode="json", exclude_defaults=True)


def _rows(items: Iterable[dict[str, Any]], check: Check) -> list[Row | Refused]:
    seen: set[str] = set()
    return [_row(index, item, check, seen) for index, item in enumerate(items)]


def _refusal(refused: Sequence[Refused], num_items: int) -> Problem:
    """The first bad item in front, up to 100 of them in `errors`."""
    first = refused[0].problem
    kinds = {type(each.problem) for each in refused}
    cls = type(first) if len(kinds) == 1 else InvalidField
    others = f" ({len(refused)} of {num_items} items are refused.)" if len(refused) > 1 else ""
    return cls(
        f"Item {refused[0].index}: {first.detail}{others}",
        field=_place(refused[0].index, first.field),
        limit=first.limit,
        retry_after=first.retry_after,
        errors=[_told(each) for each in refused[:MAX_TOLD]],
    )


def _place(index: int, field: str | None) -> str:
    """Where in the batch's body a problem is."""
    return f"items[{index}].{field}" if field else f"items[{index}]"


def _row(index: int, item: dict[str, Any], check: Check, seen: set[str]) -> Row | Refused:
    order_given = {name: value for name, value in item.items() if name != CUSTOM_ID}
    custom_id = item.get(CUSTOM_ID)
    named = custom_id if isinstance(custom_id, str) and len(custom_id) <= MAX_CUSTOM_ID else None
    try:
        if custom_id is not None:
            _check_name(custom_id, seen)
        order = Order.model_validate(order_given)
        model, resolved = check(order)
    except ValidationError as error:
        problem = problem_of(error.errors(include_url=False, include_input=False))
        return Refused(index, named, order_given, problem)
    except Problem as found_wrong:
        return Refused(index, named, order_given, found_wrong)
    return Row(index, named, order, model, resolved)


def _check_name(custom_id: object, seen: set[str]) -> None:
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= MAX_CUSTOM_ID:
        raise InvalidField(
            f"custom_id is text of 1 to {MAX_CUSTOM_ID} characters.", field=CUSTOM_ID, limit=MAX_CUSTOM_ID
        )
    if custom_id in seen:
        raise InvalidField(f"custom_id {custom_id!r} is that of an earlier item.", field=CUSTOM_ID)
    seen.add(custom_id)


def _told(refused: Refused) -> dict[str, Any]:
    problem = refused.problem
    entry: dict[str, Any] = {"row": refused.index, "code": problem.code, "detail": problem.detail}
    if refused.custom_id is not None:
        entry[CUSTOM_ID] = refused.custom_id
    if problem.field is not None:
        entry["field"] = problem.field
    if problem.limit is not None:
        entry["limit"] = problem.limit
    return entry
