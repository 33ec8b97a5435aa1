"""What is said to a model: the order's prompt within the deployment's words for its operation.

    [models.deployments.options.prompts]
    relight = "Relight this picture[ from the {params.direction}][: {prompt}]. Change nothing but the light."

Placeholders are those of `payload.py`, and `{images.1}` is "second picture" where there is one. What stands
in brackets is left out when one of its placeholders has no value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ferrotype.domain.problems import ProviderMisconfigured
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.hosted.payload import PLACEHOLDER, words

OPTIONAL: Final = re.compile(r"\[([^\[\]]*)\]")
#: The most input pictures that any service takes is sixteen.
ORDINALS: Final = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth"),
)


def prompt_of(request: AttemptRequest, plain: str = "{prompt}") -> str:
    """The prompt; `plain` is the template where the deployment has none for the operation.

    Raises ProviderMisconfigured where the deployment's words are of no use or name something unknown.
    """
    prompts = request.options.get("prompts", {})
    template = prompts.get(request.operation, plain) if isinstance(prompts, Mapping) else None
    if not isinstance(template, str):
        raise ProviderMisconfigured(f"{request.model}: the catalogue's prompts must be text by operation.")
    values = words(request)
    values |= {f"images.{index}": f"{ordinal} picture" for index, ordinal in _named(request)}
    known = {name for name in values if not name.startswith(("params.", "images."))}
    for name in PLACEHOLDER.findall(template):
        if name not in known and not name.startswith(("params.", "images.")):
            raise ProviderMisconfigured(f"{request.model}: the catalogue's prompt names {name}.")

    def optional(match: re.Match[str]) -> str:
        names = PLACEHOLDER.findall(match[1])
        return match[1] if all(values.get(name) is not None for name in names) else ""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        return "" if found is None else str(found)

    return PLACEHOLDER.sub(value, OPTIONAL.sub(optional, template)).strip()


def _named(request: AttemptRequest) -> list[tuple[int, str]]:
    return [(index, ordinal) for index, ordinal in enumerate(ORDINALS) if index < len(request.images)]
