"""An order as the body of a `generateContent` call.

Options of a deployment: `prompts` (words per operation, see `hosted/prompts.py`), `aspect_ratios` (the shapes
that the target makes), `resolutions` (the sizes that it can be asked for, the usual one first; none: it has
only one), `input` (a template merged over the body), `stream` (false: one answer instead of a stream).
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.domain.problems import ProviderMisconfigured, ProviderRejected
from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.providers.hosted.payload import PLACEHOLDER, fill
from ferrotype.providers.hosted.prompts import prompt_of

#: Said where a deployment has no words for the operation; Gemini has no field for what is not wanted.
PLAIN: Final = "{prompt}[\n\nLeave out: {negative_prompt}]"
#: What every Gemini image model makes; Gemini 3.1 Flash Image has narrower ones besides.
ASPECT_RATIOS: Final = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
#: `imageSize` by the side in pixels of a square of that size.
RESOLUTIONS: Final = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
RESOLUTION: Final = re.compile("|".join(RESOLUTIONS))
SHAPE: Final = re.compile(r"[1-9]\d?:[1-9]\d?")
SIGNATURES: Final = "thought_signatures"


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body in JSON; `signed`: it shows the model a signature of its own."""

    data: bytes
    signed: bool


async def body_of(request: AttemptRequest, limit: int, *, signed: bool = True) -> Body:
    """The body, at most `limit` bytes long; without signatures where `signed` is false.

    Raises ProviderRejected for what the service cannot do, ProviderMisconfigured for options of no use.
    """
    if request.mask is not None:
        raise ProviderRejected("Gemini takes no mask: say in the prompt what to change.", field="mask")
    if request.num_images != 1:
        raise ProviderMisconfigured(f"{request.model}: Gemini makes one picture per call (max_per_call = 1).")
    extra = request.options.get("input", {})
    if not isinstance(extra, Mapping):
        raise ProviderMisconfigured(f"{request.model}: the catalogue's input is no table.")
    _check_params(request, extra)
    signature = signature_of(request) if signed else None
    body: dict[str, Any] = {
        "contents": await _contents(request, signature, limit),
        "generationConfig": {"responseModalities": ["IMAGE"], **_image_config(request)},
    }
    _merge(body, _full(await fill(extra, request, _part)))
    data = await asyncio.to_thread(lambda: json.dumps(body, ensure_ascii=False).encode())
    if len(data) > limit:
        raise _too_large(limit)
    return Body(data, signature is not None)


def text_of(request: AttemptRequest) -> str:
    """What is said in the order's turn. Raises ProviderMisconfigured where there is nothing to say."""
    text = prompt_of(request, PLAIN)
    if not text:
        raise ProviderMisconfigured(
            f"{request.model}: the order has no prompt and the catalogue has none for {request.operation}."
        )
    return text


def _check_params(request: AttemptRequest, extra: Mapping[str, Any]) -> None:
    """Raises ProviderRejected for a parameter that has no part in this operation: a direction of light says
    nothing where nothing is lit, and nobody should pay for a wish that is not heard."""
    prompts = request.options.get("prompts", {})
    template = prompts.get(request.operation, PLAIN) if isinstance(prompts, Mapping) else ""
    heard = PLACEHOLDER.findall(f"{template} {json.dumps(extra, default=str)}")
    for name in request.params:
        if name != "resolution" and f"params.{name}" not in heard:
            raise ProviderRejected(
                f"{request.model} has no use for {name} in {request.operation}.", field=f"params.{name}"
            )


def signature_of(request: AttemptRequest) -> str | None:
    """The signature under the order's only picture, where this very model made it: that makes the order the
    next turn of one conversation. Signatures of other models, and of pictures made to fit, are not taken."""
    if len(request.images) != 1:
        return None
    notes = request.images[0].notes
    signatures = notes.get(SIGNATURES)
    if notes.get("target") != request.target or not isinstance(notes.get("prompt"), str):
        return None
    signature = signatures.get(request.images[0].sha256) if isinstance(signatures, Mapping) else None
    return signature if isinstance(signature, str) else None


async def _contents(request: AttemptRequest, signature: str | None, limit: int) -> list[dict[str, Any]]:
    text = {"text": text_of(request)}
    parts, room = [], limit
    for image in request.images:
        part = await _part(image)
        room -= len(part["inlineData"]["data"])
        if room < 0:
            raise _too_large(limit)
        parts.append(part)
    if signature is None:
        return [{"role": "user", "parts": [text, *parts]}]
    return [
        {"role": "user", "parts": [{"text": request.images[0].notes["prompt"]}]},
        {"role": "model", "parts": [parts[0] | {"thoughtSignature": signature}]},
        {"role": "user", "parts": [text]},
    ]


async def _part(image: InputImage) -> dict[str, Any]:
    data = await image.read()
    encoded = await asyncio.to_thread(lambda: base64.b64encode(data).decode())
    return {"inlineData": {"mimeType": image.content_type, "data": encoded}}


def _image_config(request: AttemptRequest) -> dict[str, Any]:
    """Shape and size, each only where it is wished for: Gemini follows the input picture by itself."""
    config: dict[str, str] = {}
    follows = request.size_from_input and bool(request.images)
    shapes = _offered(request, "aspect_ratios", SHAPE) or ASPECT_RATIOS
    if not follows:
        config["aspectRatio"] = min(shapes, key=lambda name: _distance(name, request))
    resolutions = _offered(request, "resolutions", RESOLUTION)
    if (named := request.params.get("resolution")) is not None:
        config["imageSize"] = str(named)
    elif resolutions:
        side = math.sqrt(request.width * request.height)
        nearest = min(resolutions, key=lambda name: abs(math.log(RESOLUTIONS[name] / side)))
        config["imageSize"] = resolutions[0] if follows else nearest
    return {"imageConfig": config} if config else {}


def _offered(request: AttemptRequest, option: str, form: re.Pattern[str]) -> Sequence[str]:
    names = request.options.get(option, ())
    if not isinstance(names, list | tuple) or not all(form.fullmatch(str(name)) for name in names):
        raise ProviderMisconfigured(f"{request.model}: the catalogue's {option} cannot be used.")
    return [str(name) for name in names]


def _distance(name: str, request: AttemptRequest) -> float:
    width, _, height = name.partition(":")
    return abs(math.log(int(width) / int(height) * request.height / request.width))


def _full(value: dict[str, Any]) -> dict[str, Any]:
    """Without the tables of which nothing was filled in."""
    whole = {key: _full(item) if isinstance(item, dict) else item for key, item in value.items()}
    return {key: item for key, item in whole.items() if item != {}}


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value


def _too_large(limit: int) -> ProviderRejected:
    return ProviderRejected(
        f"The pictures are too large for one request to Gemini, which takes {limit} bytes in base64.",
        field="images",
        limit=limit,
    )
