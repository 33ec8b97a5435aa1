"""The simulated model: the schema of its inputs, and what it makes of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import unquote_to_bytes

from ferrotype.sim import pixels
from ferrotype.sim.hosted import Work

PATH: Final = {"type": "string", "format": "uri"}
FORMS: Final = {"png": "PNG", "webp": "WEBP", "jpg": "JPEG"}
#: By form: a file's suffix and media type.
FILES: Final = {"PNG": ("png", "image/png"), "WEBP": ("webp", "image/webp"), "JPEG": ("jpg", "image/jpeg")}


def schema_of(required: list[str], inputs: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    """The document that `cog build` makes of a predictor's signature."""
    properties = {name: {**rules, "x-order": order} for order, (name, rules) in enumerate(inputs.items())}
    given = {"title": "Input", "type": "object", "required": required, "properties": properties}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {},
        "components": {"schemas": {"Input": given, "Output": output}},
    }


class Painter:
    """A predictor that needs no weights.

    `check`, `first_lines` and `last_words` are its `predict`: what kills it at once, what it prints first,
    and what kills it after that. Errors are worded as Cog words them.
    """

    schema: ClassVar[Mapping[str, Any]] = schema_of(
        ["prompt"],
        {
            "prompt": {"type": "string", "title": "Prompt"},
            "negative_prompt": {"type": "string", "default": ""},
            "image": PATH,
            "images": {"type": "array", "items": PATH},
            "mask": PATH,
            "width": {"type": "integer", "default": 1024, "minimum": 1, "maximum": 4096},
            "height": {"type": "integer", "default": 1024, "minimum": 1, "maximum": 4096},
            "num_outputs": {"type": "integer", "default": 1, "minimum": 1, "maximum": 8},
            "seed": {"type": "integer", "nullable": True},
            "output_format": {"type": "string", "default": "png", "enum": list(FORMS)},
            # A predictor may give addresses of its own making (`-> list[str]`) instead of files.
            "deliver": {"type": "string", "default": "file", "enum": ["file", "address"]},
        },
        {"type": "array", "items": PATH},
    )

    def check(self, given: Any) -> str | None:
        """What it dies of at once where no schema was there to check its inputs; None when it can run."""
        if not isinstance(given, Mapping):
            return "Input validation error: Input must be a JSON object"
        if not isinstance(given.get("prompt"), str):
            kind = type(given.get("prompt")).__name__
            return died(f"TypeError: object of type '{kind}' has no len()")
        for name in ("width", "height"):
            if isinstance(given.get(name), str):
                return died("TypeError: can't multiply sequence by non-int of type 'str'")
        for name in ("image", "mask"):
            path = given.get(name)
            if isinstance(path, str) and not path.startswith(("http://", "https://", "data:")):
                return died(f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'")
        return None

    def order(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be painted: fields of a `Work`."""
        image = given.get("image") or next(iter(given.get("images") or []), None)
        seed = given.get("seed")
        return {
            "prompt": given["prompt"],
            "seed": 0 if seed is None else seed,
            "width": int(given.get("width", 1024)),
            "height": int(given.get("height", 1024)),
            "count": int(given.get("num_outputs", 1)),
            "form": FORMS[given.get("output_format", "png")],
            "source": picture_of(image),
        }

    def first_lines(self, given: Mapping[str, Any]) -> str:
        """What it prints before its first step."""
        return f"Prompt: {given['prompt']}\n"

    def last_words(self, given: Mapping[str, Any]) -> str | None:
        """What it dies of after having printed that."""
        return None

    def step_line(self, step: int, steps: int) -> str:
        """What it prints after a step: a line as tqdm makes them."""
        bar = "#" * (10 * step // steps)
        return f"{100 * step // steps:3d}%|{bar:<10}| {step}/{steps} [00:00<00:00,  9.75it/s]\n"

    def chunk(self, work: Work, index: int) -> Any:
        """What an iterator yields while it works."""
        key = f"{work.prompt} {work.seed + index}".encode()
        return inline(pixels.encode(pixels.paint(key, work.width, work.height), work.form), work.form)


def died(of: str) -> str:
    """An exception of `predict`, twice wrapped by the server."""
    return f"Prediction failed: Prediction failed: {of}"


def inline(data: bytes, form: str) -> str:
    """A file as a data URI."""
    return f"data:{FILES[form][1]};base64,{base64.b64encode(data).decode()}"


def picture_of(uri: Any) -> bytes | None:
    """The bytes of a data URI, None for anything else."""
    if not isinstance(uri, str) or not uri.startswith("data:"):
        return None
    meta, _, body = uri.partition(",")
    if not meta.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(body)
    except binascii.Error:
        return None
