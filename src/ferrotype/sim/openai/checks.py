"""What the service checks before it works, with its own words and codes.

Sources: the error bodies that users of the API reported (unknown_parameter, unsupported_file_mimetype,
invalid_mask_image_format, "Streaming is only supported with n=1."), openai-python 3.54 for what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyvips

from ferrotype.sim.openai.models import MODELS, Model

MIMETYPES: Final = ("image/jpeg", "image/png", "image/webp")
SIZES: Final = ("1024x1024", "1024x1536", "1536x1024", "auto")
FORMS: Final = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}
#: Fields of every GPT image model; the endpoints add their own.
FIELDS: Final = frozenset(
    {
        "prompt",
        "model",
        "n",
        "size",
        "quality",
        "background",
        "output_format",
        "output_compression",
        "stream",
        "partial_images",
        "user",
        "safety_identifier",
    }
)
GENERATE: Final = FIELDS | {"moderation"}
EDIT: Final = FIELDS | {"image", "image[]", "mask", "images", "markup"}
#: Pixels, and pixels of a side, of models with free sizes.
PIXELS: Final = (655_360, 8_294_400)
MAX_SIDE: Final = 3_840


class Refusal(Exception):
    """An error in OpenAI's form."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.error = {"message": message, "type": type, "param": param, "code": code, **more}

    def to_json(self) -> dict[str, Any]:
        """The body."""
        return {"error": self.error}


@dataclass(frozen=True, slots=True)
class File:
    """A picture that was sent."""

    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A checked order; sizes are in pixels."""

    model: Model
    prompt: str
    n: int
    width: int
    height: int
    quality: str
    background: str
    output_format: str
    stream: bool
    partial_images: int
    seed: int | None
    url: bool

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


def wish_of(values: Mapping[str, Any], files: list[File], mask: File | None, *, edit: bool) -> Wish:
    """The order, checked. Form fields come as text, those of JSON with their types. Raises Refusal."""
    for name in ("prompt", *(("image",) if edit else ())):
        missing = not files if name == "image" else values.get(name) in (None, "")
        if missing:
            raise Refusal(
                f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
            )
    prompt = _text(values, "prompt")
    if len(prompt) > 32_000:
        raise Refusal(
            "Invalid 'prompt': string too long. Expected a string with maximum length 32000, but got a "
            f"string with length {len(prompt)} instead.",
            param="prompt",
            code="string_above_max_length",
        )
    model = model_of(values)
    if model.gpt:
        known = (EDIT if edit else GENERATE) | (model.extra if edit else model.extra - {"input_fidelity"})
        for name in values:
            if name not in known:
                raise Refusal(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        _check_files(files, mask)
    n = _integer(values, "n", 1, 10, 1)
    width, height = _size(values, model)
    quality = _choice(values, "quality", model.qualities, "auto") if model.gpt else "auto"
    background = _choice(values, "background", ("transparent", "opaque", "auto"), "auto")
    output_format = _choice(values, "output_format", tuple(FORMS), "png")
    _check_background(model, background, output_format)
    compression = _integer(values, "output_compression", 0, 100, 100)
    if compression < 100 and output_format == "png":
        message = "Compression less than 100 is not supported for PNG output format"
        raise Refusal(message, param="output_compression", code="invalid_png_output_compression")
    stream = _boolean(values, "stream")
    if stream and n > 1 and model.gpt:
        raise Refusal("Streaming is only supported with n=1.", param="n")
    return Wish(
        model=model,
        prompt=prompt,
        n=n,
        width=width,
        height=height,
        quality=quality,
        background="opaque" if background == "auto" else background,
        output_format=output_format,
        # The model of one's own makes pictures in one go: it answers a wish for a stream with JSON.
        stream=stream and model.gpt,
        partial_images=_integer(values, "partial_images", 0, 3, 0),
        seed=None if values.get("seed") is None else _integer(values, "seed", 0, 2**63, 0),
        url=_choice(values, "response_format", ("url", "b64_json"), "b64_json") == "url",
    )


def model_of(values: Mapping[str, Any]) -> Model:
    """The order's model. Raises Refusal for one that is unknown or was shut down."""
    name = values.get("model")
    if name is None:
        raise Refusal(
            "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
        )
    if name not in MODELS:
        message = f"The model '{name}' does not exist."
        raise Refusal(message, status=404, code="model_not_found")
    return MODELS[name]


def _check_files(files: list[File], mask: File | None) -> None:
    if len(files) > 16:
        raise Refusal(
            "Invalid 'image': array too long. Expected an array with maximum length 16, but got an array "
            f"with length {len(files)} instead.",
            param="image",
            code="array_above_max_length",
        )
    for param, file in [("image", file) for file in files] + ([("mask", mask)] if mask else []):
        if file.content_type not in MIMETYPES:
            raise Refusal(
                f"Invalid file '{param}': unsupported mimetype ('{file.content_type}'). Supported file "
                "formats are 'image/jpeg', 'image/png', and 'image/webp'.",
                param=param,
                code="unsupported_file_mimetype",
            )
    pictures = [_opened(file, "image") for file in files]
    if mask is None:
        return
    opened = _opened(mask, "mask")
    fault = "mask image missing alpha channel" if not opened.hasalpha() else ""
    if (opened.width, opened.height) != (pictures[0].width, pictures[0].height):
        fault = "mask size does not match image size"
    if fault:
        message = f"Invalid mask image format - {fault}"
        raise Refusal(message, param="mask", code="invalid_mask_image_format")


def _opened(file: File, param: str) -> Any:
    try:
        return pyvips.Image.new_from_buffer(file.data, "")
    except pyvips.Error:
        message = "Invalid image file or mode for image 1, please check your image file."
        raise Refusal(message, param=param, code="invalid_image_file") from None


def _size(values: Mapping[str, Any], model: Model) -> tuple[int, int]:
    size = _text(values, "size", "auto")
    if size == "auto":
        return 1024, 1024
    width, cross, height = size.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise Refusal(f"Invalid size '{size}'.", param="size", code="invalid_value")
    sides = int(width), int(height)
    if model.gpt and not model.free_sizes and size not in SIZES:
        supported = ", ".join(f"'{one}'" for one in SIZES)
        message = f"Invalid value: '{size}'. Supported values are: {supported}."
        raise Refusal(message, param="size", code="invalid_value")
    if model.gpt and model.free_sizes and (fault := _size_fault(*sides)):
        raise Refusal(f"Invalid size '{size}'. {fault}", param="size", code="invalid_value")
    return sides


def _size_fault(width: int, height: int) -> str:
    if width % 16 or height % 16:
        return "Width and height must both be divisible by 16."
    if max(width, height) > 3 * min(width, height):
        return "The aspect ratio must be between 1:3 and 3:1."
    if max(width, height) > MAX_SIDE:
        return f"The longest edge must be at most {MAX_SIDE} pixels."
    if not PIXELS[0] <= width * height <= PIXELS[1]:
        return f"Total pixels must be between {PIXELS[0]} and {PIXELS[1]}."
    return ""


def _check_background(model: Model, background: str, output_format: str) -> None:
    if background != "transparent":
        return
    if model.gpt and not model.transparent:
        message = "Transparent background is not supported for this model."
        raise Refusal(message, param="background", code="invalid_value")
    if output_format == "jpeg":
        message = "Transparent background is not supported for jpeg output format."
        raise Refusal(message, param="background", code="invalid_value")


def _text(values: Mapping[str, Any], name: str, default: str = "") -> str:
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise _wrong_type(name, "a string", value)
    return value


def _choice(values: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    value = _text(values, name, default)
    if value not in choices:
        supported = ", ".join(f"'{choice}'" for choice in choices)
        message = f"Invalid value: '{value}'. Supported values are: {supported}."
        raise Refusal(message, param=name, code="invalid_value")
    return value


def _integer(values: Mapping[str, Any], name: str, low: int, high: int, default: int) -> int:
    value = values.get(name)
    if value is None:
        return default
    if isinstance(value, Formed) and value.lstrip("-").isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(name, "an integer", value)
    if not low <= value <= high:
        above = value > high
        bound, sign = (high, "<=") if above else (low, ">=")
        word = "above maximum" if above else "below minimum"
        raise Refusal(
            f"Invalid '{name}': integer {word} value. Expected a value {sign} {bound}, but got {value} "
            "instead.",
            param=name,
            code="integer_above_max_value" if above else "integer_below_min_value",
        )
    return value


def _boolean(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name)
    if isinstance(value, Formed) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value is not None and not isinstance(value, bool):
        raise _wrong_type(name, "a boolean", value)
    return bool(value)


class Formed(str):
    """Text of a form field: it may stand for a number or a boolean."""

    __slots__ = ()


def _wrong_type(name: str, wanted: str, value: Any) -> Refusal:
    kinds = {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        list: "an array",
    }
    kind = next((words for cls, words in kinds.items() if isinstance(value, cls)), "an object")
    message = f"Invalid type for '{name}': expected {wanted}, but got {kind} instead."
    return Refusal(message, param=name, code="invalid_type")
