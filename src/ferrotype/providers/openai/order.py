"""The body that is posted.

Sources: openai-python 3.54 `types/image_generate_params.py` and `image_edit_params.py`, and its way of
naming several files `image[]`; vLLM-Omni's `docs/serving/image_edit_api.md`; LocalAI's `endpoints/openai`.

| order | form |
| --- | --- |
| without pictures | JSON |
| with pictures | multipart |
| with pictures, and the template names them | JSON |
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp

from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.providers.hosted.outputs import as_data_uri
from ferrotype.providers.hosted.payload import PLACEHOLDER, fill
from ferrotype.providers.hosted.prompts import prompt_of
from ferrotype.providers.openai.options import Options
from ferrotype.providers.openai.pictures import mask_of

#: Placeholders that put pictures into the JSON.
PICTURES: Final = frozenset({"image", "images", "mask"})
SUFFIXES: Final = {"image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class Order:
    """What is posted where; `body` is aiohttp's `json` or `data`."""

    path: str
    body: Mapping[str, Any]
    streams: bool


async def order_of(request: AttemptRequest, options: Options) -> Order:
    """The order, with its pictures read.

    Raises ProviderMisconfigured for options of no use, ProviderRejected for a broken mask.
    """
    worded = replace(request, prompt=prompt_of(request))
    send = as_data_uri if options.pictures == "data_uri" else as_base64
    fields: dict[str, Any] = {"model": request.target, "prompt": worded.prompt}
    if names_pictures(options.template):
        worded = replace(worded, mask=await _mask(request, options))
    fields |= await fill(options.template, worded, send)
    if options.response_format is not None:
        fields["response_format"] = options.response_format
    # OpenAI streams one picture a call: "Streaming is only supported with n=1."
    streams = options.stream and request.num_images == 1
    if streams:
        fields |= {"stream": True, "partial_images": options.partial_images}
    path = options.edit_path if request.images else options.generate_path
    if request.images and not names_pictures(options.template):
        return Order(path, {"data": await _form(request, options, fields)}, streams)
    return Order(path, {"json": fields}, streams)


def names_pictures(template: Mapping[str, Any]) -> bool:
    """Whether the template itself says where the pictures go."""
    names = PLACEHOLDER.findall(json.dumps(template))
    return not PICTURES.isdisjoint(name.partition(".")[0] for name in names)


async def as_base64(image: InputImage) -> str:
    """An input picture as base64 alone: LocalAI knows no data URIs."""
    return base64.b64encode(await image.read()).decode()


async def _mask(request: AttemptRequest, options: Options) -> InputImage | None:
    """The order's mask in the server's form, for JSON."""
    if request.mask is None or not request.images:
        return request.mask
    made = await mask_of(request, await request.images[0].read(), transparent=options.mask == "transparent")
    assert made is not None
    png: bytes = made

    async def read() -> bytes:
        return png

    return replace(request.mask, content_type="image/png", sha256=hashlib.sha256(png).hexdigest(), read=read)


async def _form(request: AttemptRequest, options: Options, fields: Mapping[str, Any]) -> aiohttp.FormData:
    """Names are not percent-encoded: `image[]` is `image[]` on the wire."""
    form = aiohttp.FormData(quote_fields=False)
    for name, value in fields.items():
        form.add_field(name, _text(value))
    files = [await image.read() for image in request.images]
    name = options.image_field
    if name == "auto":
        name = "image" if len(files) == 1 else "image[]"
    for index, (image, data) in enumerate(zip(request.images, files, strict=True)):
        filename = f"image-{index}.{SUFFIXES.get(image.content_type, 'png')}"
        form.add_field(name, data, filename=filename, content_type=image.content_type)
    mask = await mask_of(request, files[0], transparent=options.mask == "transparent")
    if mask is not None:
        form.add_field(options.mask_field, mask, filename="mask.png", content_type="image/png")
    return form


def _text(value: Any) -> str:
    """A value as a form carries it."""
    if isinstance(value, str):
        return value
    return json.dumps(value)  # true and false in small letters, numbers as they are
