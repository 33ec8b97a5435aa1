"""Hold an order against the operation that it asks for; pure, like `check`."""

from __future__ import annotations

from collections.abc import Mapping

from ferrotype.domain.model import Operation
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField


def check_operation(order: Order, operations: Mapping[str, Operation]) -> None:
    """Raises InvalidField naming what is missing or too much."""
    operation = operations.get(order.operation)
    if operation is None:
        raise InvalidField(
            f"There is no operation {order.operation!r}.", field="operation", limit=sorted(operations)
        )
    name, count, has_prompt = operation.name, len(order.references), bool(order.prompt.strip())
    image = "image" if order.image and not order.images else "images"
    refusals = (
        ("prompt", operation.prompt == "required" and not has_prompt, "needs a prompt", None),
        ("prompt", operation.prompt == "none" and has_prompt, "takes no prompt", None),
        (image, count < operation.min_images, "needs an input picture", operation.min_images),
        (
            image,
            count > operation.max_images,
            f"takes {operation.max_images} input pictures, not {count}",
            operation.max_images,
        ),
        ("mask", operation.mask == "required" and order.mask is None, "needs a mask", None),
        ("mask", operation.mask == "none" and order.mask is not None, "takes no mask", None),
    )
    for field, refused, reason, limit in refusals:
        if refused:
            raise InvalidField(f"{name} {reason}.", field=field, limit=limit)
    if operation.needs_one_of and not any(_has(order, wish) for wish in operation.needs_one_of):
        wishes = ", ".join(operation.needs_one_of)
        raise InvalidField(
            f"{name} needs at least one of {wishes}.",
            field=operation.needs_one_of[0],
            limit=operation.needs_one_of,
        )


def _has(order: Order, wish: str) -> bool:
    """Whether the order brings `prompt`, `style`, `images.N` (counted from 0) or `params.NAME`."""
    kind, _, rest = wish.partition(".")
    match kind:
        case "images":
            return len(order.references) > int(rest)
        case "params":
            return order.params.get(rest) is not None
        case "style":
            return order.style is not None
        case _:
            return bool(order.prompt.strip())
