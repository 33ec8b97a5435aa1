"""What a deployment sends: a template from the catalogue, filled with an attempt's values.

A string that is one placeholder and nothing else (`"{seed}"`) becomes the value with its type; placeholders
within a longer string become text. A key whose value is not there (None) is left out. A table whose only key
is a placeholder chooses: `{ "{params.direction}" = { left = "Left Light" } }` is `Left Light` where the
direction is `left`, and not there for a value that it does not name.

| placeholder | value |
| --- | --- |
| `{prompt}` `{negative_prompt}` `{style}` | text; an empty one is not there |
| `{width}` `{height}` `{size}` `{aspect_ratio}` | pixels; `1024x768`; `4:3` |
| `{seed}` `{num_images}` `{format}` | numbers; `webp`, `png`, `jpeg` or nothing |
| `{image}` `{images}` `{mask}` | what `send` makes of the input pictures |
| `{images.1}` | the second input picture, `{images.2}` the third ... |
| `{params.NAME}` | the model's own parameter |
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ferrotype.domain.problems import ProviderMisconfigured
from ferrotype.providers.base import AttemptRequest, InputImage

PLACEHOLDER: Final = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_]+)?)\}")
#: Placeholders that may be without a value: the model's own parameters, further pictures.
MAYBE: Final = re.compile(r"params\..+|images\.\d+")

#: Makes of an input picture what the service takes: an address, a data URI, a file's id.
Send = Callable[[InputImage], Awaitable[Any]]


async def fill(template: Mapping[str, Any], request: AttemptRequest, send: Send) -> dict[str, Any]:
    """The template's payload. Each picture that it names is sent once, and none that it does not name.

    Raises ProviderMisconfigured for an unknown placeholder.
    """
    values = words(request)
    known = {*values, "image", "images", "mask"}
    unknown = sorted(name for name in _names(template) if name not in known and not MAYBE.fullmatch(name))
    if unknown:
        raise ProviderMisconfigured(f"{request.model}: the catalogue's input names {', '.join(unknown)}.")
    template = _chosen(template, values)
    names = set(_names(template))
    named = [index for index in range(len(request.images)) if names & _names_of(index)]
    sent = {index: await send(request.images[index]) for index in named}
    values |= {f"images.{index}": each for index, each in sent.items()}
    values |= {"image": sent.get(0), "images": list(sent.values()) or None}
    if "mask" in names:
        values["mask"] = await send(request.mask) if request.mask is not None else None
    filled = _filled(template, values)
    if not isinstance(filled, dict):
        raise ProviderMisconfigured(f"{request.model}: the catalogue's input is no table of fields.")
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
            chosen_by = [] if (choice := _choice(template)) is None else [choice[0]]
            return chosen_by + [name for value in template.values() for name in _names(value)]
        case list():
            return [name for value in template for name in _names(value)]
        case _:
            return []


def _names_of(index: int) -> set[str]:
    """The placeholders that name that input picture."""
    return {"images", f"images.{index}"} | ({"image"} if index == 0 else set())


def _choice(template: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The placeholder that a table chooses by, and what there is to choose from; None for any other table."""
    if len(template) != 1:
        return None
    ((key, table),) = template.items()
    match = PLACEHOLDER.fullmatch(key)
    return (match[1], table) if match and isinstance(table, Mapping) else None


def _chosen(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with each table that chooses replaced by what it chose, None where that is nothing."""
    match template:
        case Mapping():
            if (choice := _choice(template)) is not None:
                value = values.get(choice[0])
                return None if value is None else _chosen(choice[1].get(_key(value)), values)
            return {key: _chosen(value, values) for key, value in template.items()}
        case list():
            return [_chosen(value, values) for value in template]
        case _:
            return template


def _key(value: Any) -> str:
    """A value as the key of a table spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


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
