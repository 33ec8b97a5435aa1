"""The simulated service's models.

Sources: openai-python 3.54 (`types/image_generate_params.py`, `image_model.py`), OpenAI's page of
deprecations as of November 2026. `OPEN` stands for what vLLM-Omni, LocalAI and their like serve under the
same API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

LEVELS: Final = ("low", "medium", "high", "auto")
#: Model that knows `response_format`, seeds and steps, and does not mind fields it does not know.
OPEN: Final = "open-diffusion"


@dataclass(frozen=True, slots=True)
class Model:
    """`free_sizes`: any size within bounds, not just three. `extra` are fields that only some take."""

    id: str
    gpt: bool = True
    qualities: tuple[str, ...] = (*LEVELS, "xhigh", "max")
    free_sizes: bool = True
    transparent: bool = True
    extra: frozenset[str] = frozenset()
    shutdown_date: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `GET /v1/models` lists it."""
        return {
            "id": self.id,
            "object": "model",
            "created": 1_762_214_400,
            "owned_by": "system" if self.gpt else "library",
            "shutdown_date": self.shutdown_date,
        }


_OLD: Final[dict[str, Any]] = {
    "qualities": LEVELS,
    "free_sizes": False,
    "extra": frozenset({"input_fidelity"}),
    "shutdown_date": "2026-12-01",
}
MODELS: Final = {
    model.id: model
    for model in (
        Model("gpt-image-2.6-flare", extra=frozenset({"complexity"})),
        Model("gpt-image-2.6-sunburst", extra=frozenset({"complexity"})),
        Model("gpt-image-2.5-flare"),
        Model("gpt-image-2.5-sunburst"),
        Model("gpt-image-2", qualities=LEVELS, transparent=False),
        Model("gpt-image-1.5", **_OLD),
        Model("gpt-image-1-mini", **_OLD),
        Model(OPEN, gpt=False),
    )
}

#: Output tokens of a picture of 1024x1024; `auto` is `high`.
OUTPUT_TOKENS: Final = {"low": 196, "medium": 439, "high": 1756, "xhigh": 3122, "max": 7024, "auto": 1756}
#: Of an input picture, and of an unfinished one in a stream.
INPUT_TOKENS: Final = 1457
PARTIAL_TOKENS: Final = 100


def usage(prompt: str, pictures: int, quality: str, made: int, partials: int) -> dict[str, Any]:
    """The tokens of an order, in the service's form."""
    text, image = 7 + len(prompt) // 4, INPUT_TOKENS * pictures
    output = OUTPUT_TOKENS.get(quality, 0) * made + PARTIAL_TOKENS * partials
    return {
        "input_tokens": text + image,
        "input_tokens_details": {"text_tokens": text, "image_tokens": image},
        "output_tokens": output,
        "total_tokens": text + image + output,
    }
