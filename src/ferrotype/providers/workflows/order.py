"""How an order fills a template: which value each placeholder gets, and what the template cannot do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.providers.workflows.templates import ORDER_NAMES, Template, TemplateFault

#: The largest picture that a workflow is asked for; nodes take no longer side.
MAX_PIXELS: Final = 8192 * 8192
MAX_SIDE: Final = 16_384
_EXTENSIONS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}


def filename_prefix(request: AttemptRequest) -> str:
    """The start of every file name that this attempt writes, and no other."""
    return f"ferrotype_{request.attempt_id}"


def upload_name(image: InputImage) -> str:
    """The same bytes get the same name, so that sending them again changes nothing."""
    return f"ferrotype_{image.sha256[:40]}.{_EXTENSIONS.get(image.content_type, 'png')}"


def uploads(request: AttemptRequest) -> Iterator[tuple[tuple[str, ...], InputImage]]:
    """Each input picture and the placeholders that stand for it."""
    for number, image in enumerate(request.images, start=1):
        yield (("image", "image_1") if number == 1 else (f"image_{number}",)), image
    if request.mask is not None:
        yield ("mask",), request.mask


def values(request: AttemptRequest) -> dict[str, Any]:
    """Everything that placeholders may ask for. Input pictures have the names they will most likely get."""
    free = {**request.options, **request.params}
    filled: dict[str, Any] = {
        key: value for key, value in free.items() if key not in ORDER_NAMES and not key.startswith("image_")
    }
    filled |= {
        "prompt": request.prompt,
        "negative": request.negative_prompt,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
        "batch_size": request.num_images,
        "filename_prefix": filename_prefix(request),
    }
    scale = request.params.get("scale")
    if isinstance(scale, int | float):
        filled |= dict(zip(("scaled_width", "scaled_height"), scaled(request, scale), strict=True))
    for names, image in uploads(request):
        filled |= dict.fromkeys(names, upload_name(image))
    return filled


def scaled(request: AttemptRequest, scale: float) -> tuple[int, int]:
    """Width and height of the order, `scale` times as large, as far as that may be: the input may be larger
    than what is sent of it."""
    width, height = request.width, request.height
    most = min(scale, MAX_SIDE / max(width, height), math.sqrt(MAX_PIXELS / (width * height)))
    # A hair more than the product, so that a whole number of pixels stays one.
    return max(1, int(width * most * (1 + 1e-12))), max(1, int(height * most * (1 + 1e-12)))


def check_wishes(template: Template, request: AttemptRequest) -> None:
    """Raises TemplateFault for a wish that the workflow would silently ignore."""
    places = template.placeholders
    name = f"Workflow {template.name!r}"
    if request.num_images > 1 and "batch_size" not in places:
        raise TemplateFault(f"{name} makes one picture at a time.", field="num_images", limit=1)
    if len(request.images) > template.image_count:
        raise TemplateFault(
            f"{name} takes {template.image_count} input pictures.", field="images", limit=template.image_count
        )
    if request.mask is not None and "mask" not in places:
        raise TemplateFault(f"{name} takes no mask.", field="mask")
    if request.negative_prompt and "negative" not in places:
        raise TemplateFault(f"{name} takes no negative prompt.", field="negative_prompt")
