"""One reader for whatever services call an output: strings, lists, objects, data URIs, files."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import ProviderFailed
from ferrotype.providers.base import InputImage, Output

#: Keys under which an object holds its picture, or a list of them.
HOLDERS: Final = (
    "url",
    "image",
    "images",
    "output",
    "outputs",
    "data",
    "b64_json",
    "base64",
    "file",
    "files",
)
BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-\s]{64,}={0,2}\s*")


def read_outputs(value: Any, provider: str, *, first: int = 0) -> list[Output]:
    """Every picture in a service's output, in its order, numbered from `first`; addresses become origins.

    Raises ProviderFailed for a data URI that is none.
    """
    return [_output(first + index, text, provider) for index, text in enumerate(_texts(value))]


def data_uri(data: bytes, content_type: str) -> str:
    """`data:` with base64."""
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


async def as_data_uri(image: InputImage) -> str:
    """An input picture as a data URI."""
    return data_uri(await image.read(), image.content_type)


def decoded(text: str) -> bytes:
    """The bytes of base64 in either alphabet, with or without padding. Raises ProviderFailed."""
    compact = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ProviderFailed("The provider's inline picture is not valid base64.") from None


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value] if _is_picture(value) else []
        case list():
            return [text for item in value for text in _texts(item)]
        case Mapping():
            for holder in HOLDERS:
                if found := _texts(value.get(holder)):
                    return found
            return []
        case _:
            return []


def _is_picture(text: str) -> bool:
    head = text[:16].lower()
    return head.startswith(("http://", "https://", "data:")) or BASE64.fullmatch(text) is not None


def _output(index: int, text: str, provider: str) -> Output:
    head = text[:8].lower()
    if head.startswith("http"):
        return Output(index, origin=Origin(provider=provider, url=text))
    if not head.startswith("data:"):
        return Output(index, data=decoded(text))
    meta, comma, body = text.partition(",")
    if not comma:
        raise ProviderFailed("The provider's data URI has no comma.")
    data = decoded(body) if meta.lower().endswith(";base64") else unquote_to_bytes(body)
    return Output(index, data=data, content_type=meta[5:].partition(";")[0] or None)
