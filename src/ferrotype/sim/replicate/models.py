"""The models of the simulated Replicate: their input schemas, how an input is checked, what it asks for.

Schemas are those of the models' API pages and, for FLUX schnell and dev, of their published predictor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from ferrotype.sim.hosted import Work

Schema = dict[str, Any]

#: A version that does not exist; every other 64 hexadecimal digits name one, whose input is free-form unless
#: it is that of a model below.
MISSING_VERSION: Final = "0" * 64
#: Sizes of FLUX schnell and dev by aspect ratio, in pixels, for one megapixel.
ASPECTS: Final = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "21:9": (1536, 640),
    "3:2": (1216, 832),
    "2:3": (832, 1216),
    "4:5": (896, 1088),
    "5:4": (1088, 896),
    "3:4": (896, 1152),
    "4:3": (1152, 896),
    "9:16": (768, 1344),
    "9:21": (640, 1536),
}
#: Pixels of the longer side to which FLUX brings an input picture.
MAX_SIDE: Final = 1440
FORMS: Final = {"webp": "WEBP", "jpg": "JPEG", "jpeg": "JPEG", "png": "PNG"}
TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def _text(**rules: Any) -> Schema:
    return {"type": "string", **rules}


def _choice(*choices: str, default: str) -> Schema:
    return {"type": "string", "enum": list(choices), "default": default}


def _whole(low: int | None = None, high: int | None = None, **rules: Any) -> Schema:
    return {"type": "integer", **_bounds(low, high), **rules}


def _number(low: float | None = None, high: float | None = None, **rules: Any) -> Schema:
    return {"type": "number", **_bounds(low, high), **rules}


def _bounds(low: float | None, high: float | None) -> Schema:
    return {name: bound for name, bound in (("minimum", low), ("maximum", high)) if bound is not None}


FILE: Final = _text(format="uri")
FLAG: Final[Schema] = {"type": "boolean", "default": False}
_OUTPUTS: Final[Schema] = {
    "num_outputs": _whole(1, 4, default=1),
    "seed": _whole(),
    "output_format": _choice("webp", "jpg", "png", default="webp"),
    "output_quality": _whole(0, 100, default=80),
    "disable_safety_checker": FLAG,
}
_FLUX: Final[Schema] = {
    "prompt": _text(),
    "aspect_ratio": _choice(*ASPECTS, default="1:1"),
    "megapixels": _choice("1", "0.25", default="1"),
    "go_fast": {"type": "boolean", "default": True},
    **_OUTPUTS,
}


@dataclass(frozen=True, slots=True)
class Model:
    """`output`: a `list` of addresses, `one` address, or one `data` URI. Official ones hide their version."""

    name: str
    properties: Schema
    required: tuple[str, ...] = ("prompt",)
    output: Literal["list", "one", "data"] = "list"
    official: bool = True

    @property
    def version(self) -> str:
        """The id of its only version, 64 hexadecimal digits."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def openapi(self) -> Schema:
        """Its schema as versions show it."""
        one: Schema = {"type": "string", "format": "uri"}
        output: Schema = {"type": "array", "items": one} if self.output == "list" else one
        taken: Schema = {
            "type": "object",
            "title": "Input",
            "required": list(self.required),
            "properties": self.properties,
        }
        return {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "components": {"schemas": {"Input": taken, "Output": {"title": "Output", **output}}},
        }


_ALL: Final = (
    Model("black-forest-labs/flux-schnell", {**_FLUX, "num_inference_steps": _whole(1, 4, default=4)}),
    Model(
        "black-forest-labs/flux-dev",
        {
            **_FLUX,
            "num_inference_steps": _whole(1, 50, default=28),
            "guidance": _number(0, 10, default=3),
            "image": FILE,
            "prompt_strength": _number(0, 1, default=0.8),
        },
    ),
    Model(
        "black-forest-labs/flux-1.1-pro",
        {
            "prompt": _text(),
            "image_prompt": FILE,
            "aspect_ratio": _choice(
                "custom", "1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3", default="1:1"
            ),
            "width": _whole(256, 1440),
            "height": _whole(256, 1440),
            "safety_tolerance": _whole(1, 6, default=2),
            "seed": _whole(),
            "prompt_upsampling": FLAG,
            "output_format": _choice("webp", "jpg", "png", default="webp"),
            "output_quality": _whole(0, 100, default=80),
        },
        output="one",
    ),
    Model(
        "black-forest-labs/flux-kontext-pro",
        {
            "prompt": _text(),
            "input_image": FILE,
            "aspect_ratio": _choice("match_input_image", *ASPECTS, "2:1", "1:2", default="match_input_image"),
            "output_format": _choice("jpg", "png", default="png"),
            "seed": _whole(),
            "safety_tolerance": _whole(0, 6, default=2),
            "prompt_upsampling": FLAG,
        },
        output="one",
    ),
    Model(
        "black-forest-labs/flux-fill-pro",
        {
            "prompt": _text(),
            "image": FILE,
            "mask": FILE,
            "outpaint": _text(default="None"),
            "seed": _whole(),
            "steps": _whole(15, 50, default=50),
            "prompt_upsampling": FLAG,
            "guidance": _number(1.5, 100, default=60),
            "safety_tolerance": _whole(1, 6, default=2),
            "output_format": _choice("jpg", "png", default="jpg"),
        },
        required=("prompt", "image"),
        output="one",
    ),
    Model("acme/portraits", _FLUX, official=False),
    Model("acme/inline", _FLUX, output="data", official=False),
)
MODELS: Final = {model.name: model for model in _ALL}
VERSIONS: Final = {model.version: model for model in _ALL}
#: Deployments by `owner/name`, and the model that each runs.
DEPLOYMENTS: Final = {"acme/fast-flux": MODELS["black-forest-labs/flux-schnell"]}
FREE: Final = Model("acme/unknown", {}, required=(), official=False)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A field that breaks its rule, in the service's words."""

    type: str
    field: str
    description: str

    def line(self) -> str:
        """Its line in the problem's `detail`."""
        return f"- {self.field}: {self.description}\n" if self.field else f"- {self.description}\n"


def wrong_body(body: Any, allowed: tuple[str, ...]) -> list[Wrong]:
    """What is wrong with the request's top level, where unknown fields are not allowed."""
    if not isinstance(body, dict):
        return [Wrong("invalid_type", "", "Invalid type. Expected: object, given: null")]
    found = [
        Wrong("required", "", f"{name} is required")
        for name in ("input", "version")
        if name in allowed and name not in body
    ]
    for name in body:
        if name not in allowed:
            words = f"Additional property {name} is not allowed"
            found.append(Wrong("additional_property_not_allowed", "", words))
    if "input" in body and not isinstance(body["input"], dict):
        found.append(Wrong("invalid_type", "input", _typed("object", body["input"])))
    return found


def wrong_input(model: Model, given: Mapping[str, Any]) -> list[Wrong]:
    """What is wrong with a model's input; keys that its schema does not know are let through."""
    found = [
        Wrong("required", "input", f"{name} is required") for name in model.required if name not in given
    ]
    for name, value in given.items():
        rules = model.properties.get(name)
        if rules is not None:
            found.extend(_wrong(name, value, rules))
    return found


def _wrong(name: str, value: Any, rules: Schema) -> Iterator[Wrong]:
    field, kind = f"input.{name}", rules["type"]
    fits = isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        yield Wrong("invalid_type", field, _typed(kind, value))
        return
    if "enum" in rules and value not in rules["enum"]:
        choices = ", ".join(f'"{choice}"' for choice in rules["enum"])
        yield Wrong("enum", field, f"{name} must be one of the following: {choices}")
    if "minimum" in rules and value < rules["minimum"]:
        yield Wrong("number_gte", field, f"Must be greater than or equal to {rules['minimum']}")
    if "maximum" in rules and value > rules["maximum"]:
        yield Wrong("number_lte", field, f"Must be less than or equal to {rules['maximum']}")
    if rules.get("format") == "uri" and not value.startswith(("http://", "https://", "data:")):
        yield Wrong("format", field, "Does not match format 'uri'")


def _typed(expected: str, value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return f"Invalid type. Expected: {expected}, given: {names.get(type(value), 'null')}"


def describe(work: Work, model: Model, given: Mapping[str, Any], source: tuple[int, int] | None) -> None:
    """Write into `work` what the input asks for; `source` is the size of the input picture in pixels."""
    values = {name: rules["default"] for name, rules in model.properties.items() if "default" in rules}
    values |= given
    work.prompt = str(values.get("prompt", ""))
    work.seed = _int(values.get("seed"), 0)
    work.count = min(max(_int(values.get("num_outputs"), 1), 1), 10)
    work.form = FORMS.get(str(values.get("output_format", "png")), "PNG")
    work.width, work.height = _size(values, source)


def _size(values: Mapping[str, Any], source: tuple[int, int] | None) -> tuple[int, int]:
    aspect = str(values.get("aspect_ratio", ""))
    if source is not None and aspect != "custom":
        scale = min(1.0, MAX_SIDE / max(source))
        width, height = (max(16, round(side * scale / 16) * 16) for side in source)
        return width, height
    if aspect in ASPECTS:
        width, height = ASPECTS[aspect]
        half = values.get("megapixels") == "0.25"
        return (width // 2, height // 2) if half else (width, height)
    return _int(values.get("width"), 1024), _int(values.get("height"), 1024)


def _int(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
