"""Raw orders times a matrix of values times what their prompts stand for: the orders of a batch.

Counts are worked out before anything is made, so that a matrix of a million costs no more than its answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final

from ferrotype.domain import dynamic_prompts
from ferrotype.domain.batch_order import CUSTOM_ID, merge
from ferrotype.domain.dynamic_prompts import written
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField

#: An order as it was sent: its fields, not checked yet.
Item = dict[str, Any]
Matrix = Mapping[str, Sequence[Any]]

#: What is text for dynamic prompts, in the order in which it varies: the last fastest.
PROMPTS: Final = ("prompt", "negative_prompt")
#: Fields that hold one value; `params.` before a name reaches into the model's own parameters.
FIELDS: Final = tuple(
    name for name in Order.model_fields if name not in ("images", "params", "tags", "metadata")
)
PARAMS: Final = "params."


def count_items(items: Sequence[Item], matrix: Matrix | None, *, dynamic: bool = True) -> int:
    """How many orders these become. `dynamic`: whether `{a|b}` in prompts are groups.

    Raises InvalidField for a matrix or a prompt that cannot be read.
    """
    return sum(_counts(items, _checked(matrix), dynamic))


def expand_items(
    items: Sequence[Item], matrix: Matrix | None, limit: int, *, dynamic: bool = True
) -> list[Item]:
    """The orders, in the order of the items; of one item's, the first field of the matrix varies slowest and
    the prompts fastest. The matrix overrides what an item says.

    Raises InvalidField, before any order is made, for more than `limit`, and where `count_items` does.
    """
    checked = _checked(matrix)
    counts = _counts(items, checked, dynamic)
    if sum(counts) > limit:
        raise _too_many(counts, items, checked, limit, dynamic)
    return list(_each(items, counts, checked, dynamic))


def first_items(
    items: Sequence[Item], matrix: Matrix | None, number: int, *, dynamic: bool = True
) -> tuple[int, list[Item]]:
    """How many orders these become, and the first `number` of them. Raises as `count_items` does."""
    checked = _checked(matrix)
    counts = _counts(items, checked, dynamic)
    return sum(counts), list(islice(_each(items, counts, checked, dynamic), number))


def _checked(matrix: Matrix | None) -> Matrix:
    for name, values in (matrix or {}).items():
        field = f"matrix.{name}"
        known = name in FIELDS or (name.startswith(PARAMS) and len(name) > len(PARAMS))
        if not known:
            raise InvalidField(
                f"A matrix varies fields of one value; {name!r} is none.",
                field=field,
                limit=[*FIELDS, f"{PARAMS}<name>"],
            )
        if isinstance(values, str | bytes) or not isinstance(values, Sequence):
            raise InvalidField(f"{field} must be a list of values.", field=field)
        if not values:
            raise InvalidField(f"{field} names no value.", field=field, limit="at least 1")
        for index, value in enumerate(values):
            if isinstance(value, Mapping | list | tuple):
                raise InvalidField(
                    f"{field}[{index}] must be one value.", field=f"{field}[{index}]", limit="one value"
                )
    return matrix or {}


def _counts(items: Sequence[Item], matrix: Matrix, dynamic: bool) -> list[int]:
    """How many orders each item becomes."""
    combined = math.prod(len(values) for name, values in matrix.items() if name not in PROMPTS)
    varied = {
        name: sum(_count(value, f"matrix.{name}[{index}]", dynamic) for index, value in enumerate(values))
        for name, values in matrix.items()
        if name in PROMPTS
    }
    return [
        combined
        * math.prod(
            varied[name] if name in varied else _count(item.get(name), f"items[{index}].{name}", dynamic)
            for name in PROMPTS
        )
        for index, item in enumerate(items)
    ]


def _count(value: Any, field: str, dynamic: bool) -> int:
    return dynamic_prompts.count(value, field=field) if dynamic and isinstance(value, str) else 1


def _each(items: Sequence[Item], counts: Sequence[int], matrix: Matrix, dynamic: bool) -> Iterator[Item]:
    for item, count in zip(items, counts, strict=True):
        made = (
            each
            for values in product(*matrix.values())
            for each in _worded(_with(item, dict(zip(matrix, values, strict=True))), dynamic)
        )
        yield from made if count == 1 else _named(made)


def _with(item: Item, chosen: Item) -> Item:
    """The item with the matrix's values; the item's own `params` stay beside them."""
    own = {name: value for name, value in chosen.items() if not name.startswith(PARAMS)}
    params = {name.removeprefix(PARAMS): value for name, value in chosen.items() if name.startswith(PARAMS)}
    if params and isinstance(item.get("params", params), Mapping | None):  # others are refused as they are
        own["params"] = params
    return merge(item, own)


def _named(made: Iterator[Item]) -> Iterator[Item]:
    """Each of the orders that one item became with a name of its own: `hero-1`, `hero-2`."""
    for number, each in enumerate(made, 1):
        name = each.get(CUSTOM_ID)
        yield each | {CUSTOM_ID: f"{name}-{number}"} if isinstance(name, str) else each


def _worded(item: Item, dynamic: bool) -> Iterator[Item]:
    """The item with each of its prompts' words."""
    names = [name for name in PROMPTS if dynamic and isinstance(item.get(name), str)]
    for texts in _combined([item[name] for name in names]):
        yield item | dict(zip(names, texts, strict=True))


def _combined(texts: list[str]) -> Iterator[tuple[str, ...]]:
    """Not `itertools.product`, which makes every prompt before it hands out the first."""
    if not texts:
        yield ()
        return
    for text in dynamic_prompts.prompts(texts[0]):
        for rest in _combined(texts[1:]):
            yield (text, *rest)


def _too_many(
    counts: list[int], items: Sequence[Item], matrix: Matrix, limit: int, dynamic: bool
) -> InvalidField:
    """The problem, at the prompt that alone is too much, else at what multiplies the items."""
    alone = (
        field
        for index, item in enumerate(items)
        for name in PROMPTS
        if name not in matrix and _count(item.get(name), field := f"items[{index}].{name}", dynamic) > limit
    )
    return InvalidField(
        f"That makes {written(sum(counts))} orders; at most {written(limit)} are taken.",
        field=next(alone, "matrix" if matrix else "items"),
        limit=limit,
    )
