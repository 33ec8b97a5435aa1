"""What a deployment sends: a template from the catalogue, filled with an attempt's values.

A string that is one placeholder and nothing else (`"{seed}"`) becomes the value with its type; placeholders
within a longer string become text. A key whose value is not there (None) is left out.

| placeholder | value |
| --- | --- |
| `{prompt}` `{negative_prompt}` `{style}` | text; an empty one is not there |
| `{width}` `{height}` `{size}` `{aspect_ratio}` | pixels; `1024x768`; `4:3` |
| `{seed}` `{num_images}` `{format}` | numbers; `webp`, `png`, `jpeg` or nothing |
| `{image}` `{images}` `{mask}` | what `send` makes of the input pictures |
| `{params.NAME}` | the model's own parameter |
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ferrotype.domain.problems import ProviderMisconfigured
from ferrotype.providers.base import AttemptRequest, InputImage

PLACEHOLDER: Final = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_]+)?)\}")

#: Makes of an input picture what the service takes: an address, a data URI, a file's id.
Send = Callable[[InputImage], Awaitable[Any]]


async def fill(template: Mapping[str, Any], request: AttemptRequest, send: Send) -> dict[str, Any]:
    """The template's payload. Each picture that it names is sent once, and none that it does not name.

    Raises ProviderMisconfigured for an unknown placeholder.
    """
    names = set(_names(template))
    values = words(request)
    if names & {"image", "images"}:
        sent = [await send(image) for image in request.images]
        values |= {"image": sent[0] if sent else None, "images": sent or None}
    if "mask" in names:
        values["mask"] = await send(request.mask) if request.mask is not None else None
    unknown = sorted(name for name in names if name not in values and not name.startswith("params."))
    if unknown:
        raise ProviderMisconfigured(f"{request.model}: the catalogue's input names {', '.join(unknown)}.")
    filled = _filled(template, values)
    assert isinstance(filled, dict)
    return filled


def words(request: AttemptRequest) -> dict[str, Any]:
    """Every value that needs no picture to be sent."""
    return {
        "prompt": request.prompt or None,
        "negative_prompt": request.negative_prompt or None,
        "style": request.style,
        "width": request.width,
        "height": request.height,
        "size": f"{request.width}x{request.height}",
        "aspect_ratio": request.aspect_ratio,
        "seed": request.seed,
        "num_images": request.num_images,
        "format": request.format,
        **{f"params.{name}": value for name, value in request.params.items()},
    }


def _names(template: Any) -> list[str]:
    match template:
        case str():
            return PLACEHOLDER.findall(template)
        case Mapping():
            return [name for value in template.values() for name in _names(value)]
        case list():
            return [name for value in template for name in _names(value)]
        case _:
            return []


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    match template:
        case str():
            whole = PLACEHOLDER.fullmatch(template)
            if whole:
                return values.get(whole[1])
            return PLACEHOLDER.sub(lambda match: str(values.get(match[1], "") or ""), template)
        case Mapping():
            filled = {key: _filled(value, values) for key, value in template.items()}
            return {key: value for key, value in filled.items() if value is not None}
        case list():
            return [filled for value in template if (filled := _filled(value, values)) is not None]
        case _:
            return template
