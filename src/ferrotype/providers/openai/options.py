"""What a deployment at an OpenAI-compatible server says in its `options`.

| option | meaning |
| --- | --- |
| `send` | names of the fields that the server understands; OpenAI's when neither it nor `input` is given |
| `input` | template of the body (`providers/hosted/payload.py`), for fields with names of their own |
| `inputs` | by operation: a template that is laid over the one above |
| `prompts` | by operation: words around the order's prompt (`providers/hosted/prompts.py`) |
| `stream` | whether the server streams; so do GPT image models when omitted |
| `partial_images` | unfinished pictures asked of a stream, 0 to 3; 1 when omitted |
| `response_format` | `b64_json` or `url`, for servers that take the field; not sent when omitted |
| `image_field` | `image` or `image[]`; `auto`, when omitted: `image[]` where there are several |
| `mask` | what a mask's changed part is: `transparent` as at OpenAI (when omitted), or `white` |
| `mask_field` | name of the mask's field; `mask` when omitted |
| `pictures` | how `input` names input pictures: `data_uri` (as it is when omitted) or `base64` |
| `generate_path`, `edit_path` | where it is posted to; `/images/generations`, `/images/edits` |
| `usd_per_million_tokens` | dollars: `text_input`, `image_input`, `text_output`, `image_output` |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ferrotype.domain.problems import ProviderMisconfigured
from ferrotype.providers.base import AttemptRequest

#: Fields whose values are not a parameter of the same name.
FIELDS: Final = {
    "n": "{num_images}",
    "size": "{size}",
    "output_format": "{format}",
    "width": "{width}",
    "height": "{height}",
    "aspect_ratio": "{aspect_ratio}",
    "seed": "{seed}",
    "negative_prompt": "{negative_prompt}",
    "style": "{style}",
}
#: What OpenAI takes; a parameter that the model does not declare has no value and is left out.
GENERATE: Final = (
    "n",
    "size",
    "quality",
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "complexity",
)
#: Edits know no `moderation`, and alone know how closely the input is followed (GPT Image 1.5).
EDIT: Final = (*(name for name in GENERATE if name != "moderation"), "input_fidelity")
NAME: Final = re.compile(r"[A-Za-z0-9_]+")
PATH: Final = re.compile(r"(?:/[A-Za-z0-9_.-]+)+")
GPT_IMAGE: Final = re.compile(r"(?:[\w.-]+/)?(?:gpt-image|chatgpt-image)")
TOKENS: Final = frozenset({"text_input", "image_input", "text_output", "image_output"})
#: What may be said of an option's value, the default first.
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "response_format": ("b64_json", "url"),
    "image_field": ("auto", "image", "image[]"),
    "mask": ("transparent", "white"),
    "pictures": ("data_uri", "base64"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """A deployment's options, checked. `template` is that of the request's operation."""

    template: Mapping[str, Any]
    stream: bool = False
    partial_images: int = 1
    response_format: str | None = None
    image_field: str = "auto"
    mask: str = "transparent"
    mask_field: str = "mask"
    pictures: Literal["data_uri", "base64"] = "data_uri"
    generate_path: str = "/images/generations"
    edit_path: str = "/images/edits"
    usd_per_million_tokens: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, request: AttemptRequest) -> Options:
        """The options of a request's deployment. Others may stand there too: other areas read them.

        Raises ProviderMisconfigured naming the one that is of no use.
        """
        given = Given(request.options, request.model or request.target)
        texts = {key: given.choice(key) for key in CHOICES if key in request.options}
        texts |= {key: given.text(key, PATH) for key in ("generate_path", "edit_path") if key in given.values}
        texts |= {key: given.text(key, NAME) for key in ("mask_field",) if key in given.values}
        stream = given.values.get("stream", GPT_IMAGE.match(request.target) is not None)
        if not isinstance(stream, bool):
            raise given.wrong("stream", "true or false")
        partial_images = given.values.get("partial_images", 1)
        if partial_images not in range(4) or isinstance(partial_images, bool):
            raise given.wrong("partial_images", "0 to 3")
        prices = given.table("usd_per_million_tokens")
        if not TOKENS.issuperset(prices) or not all(_is_price(price) for price in prices.values()):
            raise given.wrong("usd_per_million_tokens", f"dollars by {', '.join(sorted(TOKENS))}")
        return cls(
            template=given.template(request),
            stream=stream,
            partial_images=int(partial_images),
            usd_per_million_tokens=prices,
            **texts,  # type: ignore[arg-type]
        )


@dataclass(frozen=True, slots=True)
class Given:
    """The options as they stand in the catalogue; `model` is named by the problems."""

    values: Mapping[str, Any]
    model: str

    def template(self, request: AttemptRequest) -> Mapping[str, Any]:
        """The body's fields for the request's operation."""
        default: tuple[str, ...] = () if "input" in self.values else EDIT if request.images else GENERATE
        names = self.values.get("send", default)
        if not isinstance(names, list | tuple) or not all(
            isinstance(name, str) and NAME.fullmatch(name) for name in names
        ):
            raise self.wrong("send", "a list of names")
        over = self.table("inputs").get(request.operation, {})
        if not isinstance(over, Mapping):
            raise self.wrong("inputs", "tables by operation")
        sent = {name: FIELDS.get(name, f"{{params.{name}}}") for name in names}
        return {**sent, **self.table("input"), **over}

    def table(self, key: str) -> Mapping[str, Any]:
        """A table; empty when it is not given."""
        value = self.values.get(key, {})
        if not isinstance(value, Mapping):
            raise self.wrong(key, "a table")
        return value

    def choice(self, key: str) -> str:
        """One of the words that the option knows."""
        value = self.values[key]
        if value not in CHOICES[key]:
            raise self.wrong(key, " or ".join(f"`{choice}`" for choice in CHOICES[key]))
        return str(value)

    def text(self, key: str, form: re.Pattern[str]) -> str:
        """Text of that form."""
        value = self.values[key]
        if not isinstance(value, str) or not form.fullmatch(value):
            raise self.wrong(key, "a path as `/images/edits`" if form is PATH else "a name")
        return value

    def wrong(self, key: str, wanted: str) -> ProviderMisconfigured:
        return ProviderMisconfigured(f"{self.model}: option {key} of its deployment must be {wanted}.")


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
