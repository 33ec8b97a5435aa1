"""Hold an order against the model's declared capabilities; pure, and before any money is touched."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from typing import Any

from ferrotype.catalogue import Catalogue
from ferrotype.domain.model import Capabilities, Model, Parameter
from ferrotype.domain.order import Order
from ferrotype.domain.params import limit_of
from ferrotype.domain.problems import InvalidField, UnsupportedByModel
from ferrotype.services.operations import check_operation
from ferrotype.services.settings import ServiceSettings


def fits_inputs(order: Order, can: Capabilities) -> bool:
    """Whether a model takes what the order brings: pictures, mask, parameters."""
    if not set(order.params) <= set(can.params):
        return False
    if not can.min_images <= len(order.references) <= can.max_images:
        return False
    return can.mask if order.mask is not None else not can.needs_mask


def check_bounds(order: Order, settings: ServiceSettings) -> None:
    """The server's own bounds. Raises InvalidField naming the field and its limit."""
    for field, value in order.model_dump().items():
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:  # a lone surrogate: JSON can spell it, and no reply could repeat it
            raise InvalidField(f"{field} contains text that is not valid Unicode.", field=field) from None
    for field, text in (("prompt", order.prompt), ("negative_prompt", order.negative_prompt or "")):
        if len(text) > settings.max_prompt:
            raise InvalidField(
                f"{field} has {len(text)} characters; at most {settings.max_prompt} are taken.",
                field=field,
                limit=settings.max_prompt,
            )
        if "\x00" in text:
            raise InvalidField(f"{field} contains a NUL character.", field=field)
    for field, count, limit in (
        ("num_images", order.num_images, settings.max_num_images),
        ("images", len(order.references), settings.max_input_images),
        ("params", len(order.params), settings.max_params),
        ("metadata", len(json.dumps(order.metadata, default=str)), settings.max_metadata_bytes),
    ):
        if count > limit:
            raise InvalidField(f"{field}: {count} is more than {limit}.", field=field, limit=limit)
    for field, values in (("params", order.params), ("metadata", order.metadata)):
        try:
            json.dumps(values, default=str, allow_nan=False)
        except ValueError:  # Python's parser takes NaN, Infinity and 1e999; no answer could carry them
            raise InvalidField(f"{field} has a number that is not finite.", field=field) from None


def resolve(order: Order, model: Model, catalogue: Catalogue) -> dict[str, Any]:
    """The order with every choice made: what the generation keeps as its `input`.

    `width` and `height` are None where they follow the input picture, whose size is not known yet; then
    `size_like` gives them. `images`, `mask` and `inputs` are still to be collected.

    Raises InvalidField or UnsupportedByModel naming the field and the limit.
    """
    can = model.capabilities
    _check_prompt(order, can)
    _check_wishes(order, model, catalogue)
    check_operation(order, catalogue.operations)
    size = _size(order, can, catalogue)
    return {
        "prompt": order.prompt,
        "negative_prompt": order.negative_prompt,
        "num_images": order.num_images,
        "aspect_ratio": order.aspect_ratio,
        "width": size[0] if size else None,
        "height": size[1] if size else None,
        "style": order.style,
        "seed": secrets.randbelow(2**31) if order.seed is None else order.seed,
        "images": [],
        "mask": None,
        "inputs": [],
        "params": _params(order, model),
        "mode": order.mode,
        "format": order.format,
    }


def check_deployments(model: Model, resolved: Mapping[str, Any], configured: Collection[str]) -> None:
    """Raises UnsupportedByModel naming the field, where no configured deployment honours it."""
    usable = [each for each in model.deployments if each.provider in configured]
    if not usable or any(each in usable for each in model.serving(resolved)):
        return
    wish = min(model.wishes(resolved).intersection(usable[0].cannot))
    places = ", ".join(sorted({each.provider for each in usable}))
    raise UnsupportedByModel(
        f"{model.name} does not take {wish} at {places}.",
        field="format" if wish.startswith("format.") else wish,
    )


def _check_prompt(order: Order, can: Capabilities) -> None:
    if can.prompt == "required" and not order.prompt.strip():
        raise InvalidField("The prompt is empty.", field="prompt", limit="at least 1 character")
    if can.prompt == "none" and order.prompt.strip():
        raise UnsupportedByModel("The model takes no prompt.", field="prompt")
    if len(order.prompt) > can.max_prompt:
        raise InvalidField(
            f"The model takes prompts of up to {can.max_prompt} characters.",
            field="prompt",
            limit=can.max_prompt,
        )


def _check_wishes(order: Order, model: Model, catalogue: Catalogue) -> None:
    can = model.capabilities
    count = len(order.references)
    refusals = (
        (
            "negative_prompt",
            bool(order.negative_prompt) and not can.negative_prompt,
            "takes no negative prompt",
            None,
        ),
        ("seed", order.seed is not None and not can.seed, "takes no seed", None),
        ("style", order.style is not None and not can.styles, "takes no style", None),
        (
            "images",
            count > can.max_images,
            f"takes {can.max_images} input pictures, not {count}",
            can.max_images,
        ),
        ("images", count < can.min_images, f"needs {can.min_images} input pictures", can.min_images),
        ("mask", order.mask is not None and not can.mask, "takes no mask", None),
        ("mask", order.mask is None and can.needs_mask, "needs a mask", None),
        (
            "format",
            order.format is not None and order.format not in can.formats,
            f"does not make {order.format}",
            can.formats,
        ),
    )
    for field, refused, reason, limit in refusals:
        if refused:
            named = "image" if field == "images" and order.image and not order.images else field
            raise UnsupportedByModel(f"{model.name} {reason}.", field=named, limit=limit)
    if order.style is not None and order.style not in catalogue.styles:
        raise InvalidField(
            f"There is no style {order.style!r}.", field="style", limit=sorted(catalogue.styles)
        )


def size_like(width: int, height: int, can: Capabilities) -> tuple[int, int]:
    """The size in pixels of an order that names none, for a first input picture of `width` x `height`.

    That of the picture, brought within what the model makes with its proportions kept as far as its
    bounds allow; the picture's own where the model derives its size from it.
    """
    if can.size == "derived":
        return width, height
    if can.sizes is not None:
        return _nearest(can.sizes, width / height)
    return _within(width, height, can, max(1.0, can.min_side / min(width, height)))


def _size(order: Order, can: Capabilities, catalogue: Catalogue) -> tuple[int, int] | None:
    """Both sides in pixels; None where they follow the input picture."""
    if can.size == "derived":
        for field in ("width", "height", "aspect_ratio"):
            if getattr(order, field) is not None:
                raise UnsupportedByModel("The model's own size follows from its input.", field=field)
        return None
    if (order.width is None) != (order.height is None):
        missing = "height" if order.height is None else "width"
        raise InvalidField("width and height come together.", field=missing)
    if order.width is not None and order.height is not None:
        if order.aspect_ratio is not None:
            raise InvalidField("Give either aspect_ratio or both sides.", field="aspect_ratio")
        _check_size(order.width, order.height, can)
        return order.width, order.height
    if can.size == "input" and order.aspect_ratio is None and order.references:
        return None
    name = order.aspect_ratio or (can.aspect_ratios[0] if can.aspect_ratios else "1:1")
    allowed = can.aspect_ratios or list(catalogue.aspect_ratios)
    if name not in allowed:
        raise UnsupportedByModel(
            f"The aspect ratio {name} is not offered.", field="aspect_ratio", limit=allowed
        )
    ratio = catalogue.aspect_ratios[name]
    if can.sizes is not None:
        return _nearest(can.sizes, ratio.width / ratio.height)
    width, height = _within(
        ratio.width, ratio.height, can, max(1.0, can.min_side / min(ratio.width, ratio.height))
    )
    # A narrow model may have no size of that shape: the clamped sides would be another one.
    lost = abs(width - height * ratio.width / ratio.height)
    if lost > 2 * can.multiple * (1 + ratio.width / ratio.height) or width * height > can.max_pixels:
        raise UnsupportedByModel(
            f"No size of the model has the aspect ratio {name}.",
            field="aspect_ratio",
            limit=[can.min_side, can.max_side],
        )
    return width, height


def _nearest(sizes: list[tuple[int, int]], proportion: float) -> tuple[int, int]:
    return min(sizes, key=lambda size: abs(size[0] / size[1] - proportion))


def _within(width: int, height: int, can: Capabilities, grow: float = 1.0) -> tuple[int, int]:
    """That size in the model's bounds and multiples, enlarged by at most `grow`."""
    scale = min(grow, can.max_side / max(width, height), (can.max_pixels / (width * height)) ** 0.5)
    least = -(-can.min_side // can.multiple) * can.multiple

    def side(length: int) -> int:
        # A hair more than the product, so that 100 * (256 / 100) is not 255.
        return max(least, int(length * scale * (1 + 1e-12)) // can.multiple * can.multiple)

    return side(width), side(height)


def _check_size(width: int, height: int, can: Capabilities) -> None:
    if can.sizes is not None:
        if (width, height) not in can.sizes:
            sizes = [f"{w}x{h}" for w, h in can.sizes]
            raise UnsupportedByModel(f"The model does not make {width}x{height}.", field="width", limit=sizes)
        return
    for field, side in (("width", width), ("height", height)):
        if not can.min_side <= side <= can.max_side:
            raise UnsupportedByModel(
                f"{field} must be from {can.min_side} to {can.max_side} pixels.",
                field=field,
                limit=[can.min_side, can.max_side],
            )
        if side % can.multiple:
            raise UnsupportedByModel(
                f"{field} must be a multiple of {can.multiple}.",
                field=field,
                limit={"multiple": can.multiple},
            )
    if width * height > can.max_pixels:
        raise UnsupportedByModel(
            f"{width}x{height} has more than {can.max_pixels} pixels.", field="width", limit=can.max_pixels
        )


def _params(order: Order, model: Model) -> dict[str, Any]:
    """The model's defaults under the order's own values, each checked."""
    declared = model.capabilities.params
    for name, value in order.params.items():
        if name not in declared:
            raise UnsupportedByModel(
                f"{model.name} has no parameter {name!r}.", field=f"params.{name}", limit=sorted(declared)
            )
        _check_param(name, value, declared[name])
    return {**model.defaults, **order.params}


def _check_param(name: str, value: Any, declared: Parameter) -> None:
    found = limit_of(value, declared)
    if found is not None:
        field = f"params.{name}"
        raise InvalidField(f"{field} {found[0]}.", field=field, limit=found[1])
