"""How a model's input is checked against its schema, and what it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.sim.hosted import Work
from ferrotype.sim.replicate.models import ASPECTS, Model, Schema

#: Pixels of the longer side to which FLUX brings an input picture.
MAX_SIDE: Final = 1440
FORMS: Final = {"webp": "WEBP", "jpg": "JPEG", "jpeg": "JPEG", "png": "PNG"}
TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


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
    work.prompt = str(values.get("prompt", values.get("bg_prompt", "")))
    work.seed = _int(values.get("seed"), 0)
    count = _int(values.get("num_outputs"), _int(values.get("number_of_images"), 1))
    work.count = min(max(count, 1), 10)
    work.form = FORMS.get(str(values.get("output_format", values.get("format", "png"))), "PNG")
    width, height = _size(model, values, source)
    factor = float(values.get(model.factor, 1))
    work.width, work.height = max(1, round(width * factor)), max(1, round(height * factor))


def _size(model: Model, values: Mapping[str, Any], source: tuple[int, int] | None) -> tuple[int, int]:
    """The size in pixels before it is multiplied."""
    if model.sized == "source":
        return source or (1024, 1024)
    if model.sized == "asked":
        return _int(values.get("width"), 1024), _int(values.get("height"), 1024)
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
