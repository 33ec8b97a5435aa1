"""The items of a batch, each checked like an order of its own, all before any money is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from ferrotype.domain.batch_order import CUSTOM_ID, BatchOrder, merge
from ferrotype.domain.invalid import told
from ferrotype.domain.matrix import expand_items
from ferrotype.domain.model import Model
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField, Problem

MAX_CUSTOM_ID: Final = 64
#: Rows that a refusal tells of at most.
MAX_TOLD: Final = 100

Check = Callable[[Order], tuple[Model, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Row:
    """An item that can be ordered."""

    index: int
    custom_id: str | None
    order: Order
    model: Model
    resolved: dict[str, Any]

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


def read_rows(items: Iterable[dict[str, Any]], check: Check) -> list[Row | Refused]:
    """Each item as an order that passed every check that needs no inputs, or why it does not."""
    seen: set[str] = set()
    return [_row(index, item, check, seen) for index, item in enumerate(items)]


def refusal(refused: Sequence[Refused], num_items: int) -> Problem:
    """Why the batch is not ordered: the first bad item in front, up to 100 of them in `errors`."""
    first = refused[0].problem
    kinds = {type(each.problem) for each in refused}
    cls = type(first) if len(kinds) == 1 else InvalidField
    others = f" ({len(refused)} of {num_items} items are refused.)" if len(refused) > 1 else ""
    return cls(
        f"Item {refused[0].index}: {first.detail}{others}",
        field=place(refused[0].index, first.field),
        limit=first.limit,
        retry_after=first.retry_after,
        errors=[_told(each) for each in refused[:MAX_TOLD]],
    )


def place(index: int, field: str | None) -> str:
    """Where in the batch's body a problem is."""
    return f"items[{index}].{field}" if field else f"items[{index}]"


def _row(index: int, item: dict[str, Any], check: Check, seen: set[str]) -> Row | Refused:
    given = {name: value for name, value in item.items() if name != CUSTOM_ID}
    custom_id = item.get(CUSTOM_ID)
    named = custom_id if isinstance(custom_id, str) and len(custom_id) <= MAX_CUSTOM_ID else None
    try:
        if custom_id is not None:
            _check_name(custom_id, seen)
        order = Order.model_validate(given)
        model, resolved = check(order)
    except ValidationError as error:
        found = told(error.errors(include_url=False, include_input=False))
        first = found[0]
        problem: Problem = InvalidField(
            f"{first['field']}: {first['message']}.",
            field=first["field"],
            limit=first.get("limit"),
            errors=found if len(found) > 1 else None,
        )
        return Refused(index, named, given, problem)
    except Problem as found_wrong:
        return Refused(index, named, given, found_wrong)
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
