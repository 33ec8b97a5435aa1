"""The apps of the simulated fal, with the input that each takes; read off their pages at fal.ai/models.

Wrong input is answered as the apps do it, which is pydantic's way. Fields that an app does not know are
ignored, as there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

#: fal's names of sizes, in pixels.
SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
DEFAULT_SIZE: Final = "landscape_4_3"
MAX_SIDE: Final = 14_142
MEGAPIXEL: Final = 1_024 * 1_024


@dataclass(frozen=True, slots=True)
class Field:
    """What one input may be; a `picture` is an address or a data URI."""

    kind: Literal["string", "integer", "number", "boolean", "size", "picture"]
    needed: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class App:
    """`makes` says in which form results come: `images`, or a single `image`. `scale` is how many times as
    large as its input an enlarger makes a picture, unless it is told; `unit` is what is billed by."""

    fields: Mapping[str, Field]
    makes: Literal["images", "image"] = "images"
    scale: int = 1
    streams: bool = False
    unit: Literal["megapixels", "images"] = "megapixels"


TEXT: Final = Field("string", needed=True)
NEEDED_PICTURE: Final = Field("picture", needed=True)
DRAWN: Final[Mapping[str, Field]] = {
    "seed": Field("integer"),
    "num_images": Field("integer", low=1, high=4),
    "sync_mode": Field("boolean"),
    "output_format": Field("string", choices=("jpeg", "png")),
    "enable_safety_checker": Field("boolean"),
}
FLUX: Final[Mapping[str, Field]] = {
    **DRAWN,
    "prompt": TEXT,
    "image_size": Field("size"),
    "guidance_scale": Field("number", low=1, high=20),
    "acceleration": Field("string", choices=("none", "regular", "high")),
}
PRO: Final[Mapping[str, Field]] = {
    **DRAWN,
    "prompt": TEXT,
    "image_size": Field("size"),
    "enhance_prompt": Field("boolean"),
    "safety_tolerance": Field("string", choices=("1", "2", "3", "4", "5", "6")),
}
KONTEXT: Final[Mapping[str, Field]] = {
    **{name: field for name, field in PRO.items() if name != "image_size"},
    "guidance_scale": Field("number", low=1, high=20),
    "aspect_ratio": Field(
        "string", choices=("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
    ),
}
UP_TO_50: Final = Field("integer", low=1, high=50)
STRENGTH: Final = Field("number", low=0.01, high=1)

APPS: Final[Mapping[str, App]] = {
    "fal-ai/flux/schnell": App(
        {**FLUX, "num_inference_steps": Field("integer", low=1, high=12)}, streams=True
    ),
    "fal-ai/flux/dev": App({**FLUX, "num_inference_steps": UP_TO_50}, streams=True),
    "fal-ai/flux/dev/image-to-image": App(
        {
            **{name: field for name, field in FLUX.items() if name != "image_size"},
            "num_inference_steps": Field("integer", low=10, high=50),
            "image_url": NEEDED_PICTURE,
            "strength": STRENGTH,
        }
    ),
    "fal-ai/flux-lora/inpainting": App(
        {
            **FLUX,
            "num_inference_steps": UP_TO_50,
            "image_url": NEEDED_PICTURE,
            "mask_url": NEEDED_PICTURE,
            "strength": STRENGTH,
        }
    ),
    "fal-ai/flux-pro/v1.1": App(PRO),
    "fal-ai/flux-pro/v1.1-ultra": App({**KONTEXT, "raw": Field("boolean")}),
    "fal-ai/flux-pro/kontext": App({**KONTEXT, "image_url": NEEDED_PICTURE}, unit="images"),
    "fal-ai/flux-pro/kontext/max": App({**KONTEXT, "image_url": NEEDED_PICTURE}, unit="images"),
    "fal-ai/flux-pro/v1/fill": App(
        {
            **{name: field for name, field in PRO.items() if name != "image_size"},
            "image_url": NEEDED_PICTURE,
            "mask_url": NEEDED_PICTURE,
        }
    ),
    "fal-ai/fast-sdxl": App(
        {
            **FLUX,
            "negative_prompt": Field("string"),
            "num_images": Field("integer", low=1, high=8),
            "num_inference_steps": Field("integer", low=1, high=50),
            "guidance_scale": Field("number", low=0, high=20),
        }
    ),
    "fal-ai/esrgan": App(
        {"image_url": NEEDED_PICTURE, "scale": Field("number", low=1, high=8), "face": Field("boolean")},
        makes="image",
        scale=2,
    ),
    "fal-ai/birefnet": App({"image_url": NEEDED_PICTURE}, makes="image"),
    "workflows/demo/portrait": App({"prompt": TEXT}),
}


def owner_and_app(endpoint: str) -> str:
    """The endpoint without the path within its app: the part that addresses of requests have."""
    parts = endpoint.split("/")
    return "/".join(parts[: 3 if parts[0] in ("workflows", "comfy") else 2])


def wrongs(app: App, arguments: Any) -> list[dict[str, Any]]:
    """What an app finds wrong with its input, as the `detail` of its answer; nothing for good input."""
    if not isinstance(arguments, dict):
        wrong = {"loc": ["body"], "msg": "Input should be a valid dictionary", "type": "dict_type"}
        return [wrong | {"input": arguments}]
    found = []
    for name, field in app.fields.items():
        value = arguments.get(name)
        if value is None:
            if field.needed:
                missing = {"loc": ["body", name], "msg": "Field required", "type": "missing"}
                found.append(missing | {"input": arguments})
            continue
        for message, kind, context in _wrongs(field, value):
            wrong = {"loc": ["body", name], "msg": message, "type": kind, "input": value}
            found.append(wrong | ({"ctx": context} if context else {}))
    return found


def size_of(app: App, arguments: Mapping[str, Any], source: tuple[int, int] | None) -> tuple[int, int]:
    """The size that good input asks for, in pixels; an app that takes none goes by its input picture's."""
    if "image_size" not in app.fields and source is not None:
        scale = arguments.get("scale") or app.scale
        return round(source[0] * scale), round(source[1] * scale)
    size = arguments.get("image_size") or DEFAULT_SIZE
    return SIZES[size] if isinstance(size, str) else (size["width"], size["height"])


def units_of(app: App, width: int, height: int, count: int) -> int:
    """What so many pictures are billed for; a megapixel that is begun counts whole."""
    return count * (1 if app.unit == "images" else -(-width * height // MEGAPIXEL))


def _wrongs(field: Field, value: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match field.kind:
        case "string" | "picture" if not isinstance(value, str):
            yield "Input should be a valid string", "string_type", {}
        case "integer" if not number or not float(value).is_integer():
            yield "Input should be a valid integer", "int_type", {}
        case "number" if not number:
            yield "Input should be a valid number", "float_type", {}
        case "boolean" if not isinstance(value, bool):
            yield "Input should be a valid boolean", "bool_type", {}
        case "size" if not _is_size(value):
            names = ", ".join(f"'{name}'" for name in SIZES)
            yield f"Input should be {names} or a width and a height", "literal_error", {}
        case "string" if field.choices and value not in field.choices:
            names = " or ".join(f"'{name}'" for name in field.choices)
            yield f"Input should be {names}", "literal_error", {"expected": names}
        case "integer" | "number" if field.low is not None and value < field.low:
            text = f"Input should be greater than or equal to {field.low}"
            yield text, "greater_than_equal", {"ge": field.low}
        case "integer" | "number" if field.high is not None and value > field.high:
            text = f"Input should be less than or equal to {field.high}"
            yield text, "less_than_equal", {"le": field.high}
        case _:
            pass


def _is_size(value: Any) -> bool:
    if isinstance(value, str):
        return value in SIZES
    sides = [value.get("width"), value.get("height")] if isinstance(value, dict) else [None]
    return all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in sides)
