"""A `generateContent` body, held against what the service takes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyvips

from ferrotype.sim.gemini.errors import wrong
from ferrotype.sim.gemini.models import ImageModel

#: Fields that are known, in snake case; an unknown one is an error.
BODY: Final = frozenset(
    {
        "contents",
        "generation_config",
        "system_instruction",
        "safety_settings",
        "tools",
        "tool_config",
        "cached_content",
        "service_tier",
        "store",
        "labels",
        "model",
    }
)
CONFIG: Final = frozenset(
    {
        "response_modalities",
        "image_config",
        "response_format",
        "candidate_count",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "stop_sequences",
        "thinking_config",
        "media_resolution",
        "presence_penalty",
        "frequency_penalty",
    }
)
IMAGE_CONFIG: Final = frozenset({"aspect_ratio", "image_size"})
PART: Final = frozenset(
    {
        "text",
        "inline_data",
        "file_data",
        "thought",
        "thought_signature",
        "part_metadata",
    }
)
BLOB: Final = frozenset({"mime_type", "data", "display_name"})
MIME_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})

#: Gives a file's bytes by its address.
Files = Callable[[str], bytes]


@dataclass(slots=True)
class Order:
    """What is asked for, understood. `images` are all pictures shown, the last one last."""

    text: str
    width: int
    height: int
    resolution: str
    wants_text: bool
    includes_thoughts: bool
    seed: int | None
    images: list[bytes] = field(default_factory=list)


def read_order(body: Any, model: ImageModel, files: Files, issued: set[str]) -> Order:
    """Raises ApiError as the service would. `issued` are the signatures that it gave out."""
    if not isinstance(body, Mapping):
        raise wrong("Invalid JSON payload received. Expected an object.")
    known = _fields(body, BODY, "")
    contents = known.get("contents")
    if not isinstance(contents, list) or not contents:
        raise wrong("* GenerateContentRequest.contents: contents is not specified\n")
    texts: list[str] = []
    images: list[bytes] = []
    for number, content in enumerate(contents, 1):
        _read_content(content, number, model, files, issued, texts, images)
    if contents[-1].get("role", "user") != "user":
        raise wrong("Please ensure that the last turn of the conversation is the user's.")
    config = _fields(known.get("generation_config") or {}, CONFIG, "generation_config")
    shape, resolution = _read_size(config, model, images)
    width, height = model.size(shape, resolution)
    if config.get("candidate_count", 1) != 1:
        raise wrong("Multiple candidates is not enabled for this model")
    seed = config.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise wrong("Invalid value at 'generation_config.seed' (TYPE_INT32)")
    thinking = config.get("thinking_config") or {}
    return Order(
        text="\n".join(texts),
        width=width,
        height=height,
        resolution=resolution,
        wants_text="TEXT" in _modalities(config),
        includes_thoughts=bool(thinking.get("includeThoughts") or thinking.get("include_thoughts")),
        seed=seed,
        images=images,
    )


def _read_content(
    content: Any,
    number: int,
    model: ImageModel,
    files: Files,
    issued: set[str],
    texts: list[str],
    images: list[bytes],
) -> None:
    known = _fields(content, frozenset({"role", "parts"}), f"contents[{number - 1}]")
    role, parts = known.get("role", "user"), known.get("parts")
    if role not in ("user", "model"):
        raise wrong("Please use a valid role: user, model.")
    if not isinstance(parts, list) or not parts:
        raise wrong(
            f"* GenerateContentRequest.contents[{number - 1}].parts: contents.parts must not be empty.\n"
        )
    for index, part in enumerate(parts, 1):
        piece = _fields(part, PART, f"contents[{number - 1}].parts[{index - 1}]")
        signature = piece.get("thought_signature")
        if signature is not None and plain(str(signature)) not in issued:
            raise wrong("Corrupted thought signature.")
        if "text" in piece:
            if not isinstance(piece["text"], str):
                raise wrong(
                    f"Invalid value at 'contents[{number - 1}].parts[{index - 1}].text' (TYPE_STRING)"
                )
            texts += [piece["text"]] if role == "user" else []
        elif "inline_data" in piece:
            if role == "model" and not signature and not piece.get("thought"):
                raise wrong(
                    f"Image part is missing a thought_signature in content position {number}, part position"
                    f" {index}. Please refer to"
                    " https://ai.google.dev/gemini-api/docs/thought-signatures#model-behavior for more"
                    " details."
                )
            images.append(_picture(_blob(piece["inline_data"], f"contents[{number - 1}]")))
        elif "file_data" in piece:
            blob = piece["file_data"]
            uri = blob.get("fileUri") or blob.get("file_uri") if isinstance(blob, Mapping) else None
            images.append(_picture(files(str(uri))))
        else:
            raise wrong("Unable to submit request because it must have a text parameter.")


def _blob(blob: Any, where: str) -> bytes:
    known = _fields(blob, BLOB, f"{where}.inline_data")
    mime_type, data = known.get("mime_type"), known.get("data")
    if mime_type not in MIME_TYPES:
        raise wrong(f"Unsupported MIME type: {mime_type}")
    try:
        text = str(data).replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise wrong(
            f"Invalid value at '{where}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        ) from None


def _picture(data: bytes) -> bytes:
    try:
        pyvips.Image.new_from_buffer(data, "")
    except pyvips.Error:
        raise wrong("Unable to process input image. Please retry or report in the forum.") from None
    return data


def _read_size(config: Mapping[str, Any], model: ImageModel, images: list[bytes]) -> tuple[str, str]:
    """Shape and resolution: those asked for, else the last picture's shape, else a square."""
    wishes = dict(_fields(config.get("image_config") or {}, IMAGE_CONFIG, "generation_config.image_config"))
    form = config.get("response_format") or {}
    if isinstance(form, Mapping) and isinstance(form.get("image"), Mapping):
        wishes |= _fields(form["image"], IMAGE_CONFIG, "generation_config.response_format.image")
    if images and "aspect_ratio" not in wishes:
        picture = pyvips.Image.new_from_buffer(images[-1], "")
        shape = model.nearest(picture.width, picture.height)
    else:
        shape = wishes.get("aspect_ratio", "1:1")
    if shape not in model.shapes:
        raise wrong(f"aspect_ratio must be one of {', '.join(repr(name) for name in model.shapes)}.")
    resolution = wishes.get("image_size", "1K")
    if resolution not in model.tokens:
        raise wrong(f"image_size must be one of {', '.join(repr(name) for name in model.tokens)}.")
    return shape, resolution


def _modalities(config: Mapping[str, Any]) -> set[str]:
    modalities = config.get("response_modalities", ["TEXT", "IMAGE"])
    names = {str(name).upper() for name in modalities} if isinstance(modalities, list) else set()
    if not names or names - {"TEXT", "IMAGE"}:
        raise wrong("Invalid value at 'generation_config.response_modalities'")
    if "IMAGE" not in names:
        raise wrong("This simulator's models make pictures: response_modalities must hold IMAGE.")
    return names


def _fields(table: Any, known: frozenset[str], where: str) -> dict[str, Any]:
    """The table's fields in snake case. Raises ApiError for one that is not known."""
    if not isinstance(table, Mapping):
        raise wrong(f"Invalid value at '{where}'")
    found = {_snake(str(name)): value for name, value in table.items()}
    for name, original in zip(found, table, strict=True):
        if name not in known:
            place = f" at '{where}'" if where else ""
            raise wrong(
                f'Invalid JSON payload received. Unknown name "{original}"{place}: Cannot find field.'
            )
    return found


def plain(signature: str) -> str:
    """A signature whichever alphabet of base64 a client wrote it in."""
    return signature.replace("-", "+").replace("_", "/").rstrip("=")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
