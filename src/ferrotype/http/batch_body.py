"""The body of a batch: JSON, JSON lines, or a form with a file of those."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from ferrotype.domain.batch_order import BatchOrder
from ferrotype.domain.problems import InvalidField, MalformedRequest
from ferrotype.http.problems import from_validation

#: Media types of JSON lines (jsonlines.org; application/x-ndjson is what many tools send).
LINES: Final = frozenset(
    {"application/jsonl", "application/x-ndjson", "application/ndjson", "application/jsonlines"}
)
FORM: Final = "multipart/form-data"
#: What may come beside the lines, in the query or the form.
BESIDE: Final = ("name", "partial", "expand", "defaults", "matrix", "metadata")
FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}

SCHEMA: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": BatchOrder.model_json_schema()},
            "application/jsonl": {"schema": {"type": "string", "description": "One item a line."}},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "JSON lines."},
                        **{name: {"type": "string"} for name in BESIDE},
                    },
                }
            },
        },
    }
}


async def read_batch(request: Request) -> tuple[BatchOrder, bool]:
    """The batch, and whether it came as lines. Raises InvalidField or MalformedRequest."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type in LINES:
        beside = {name: value for name, value in request.query_params.items() if name in BESIDE}
        return batch_of_lines(await request.body(), beside), True
    if media_type == FORM:
        return await _form(request), True
    try:
        return BatchOrder.model_validate_json(await request.body()), False
    except ValidationError as error:
        raise from_validation(list(error.errors(include_url=False))) from None  # type: ignore[arg-type]


def batch_of_lines(data: bytes, beside: dict[str, str]) -> BatchOrder:
    """A batch of one item a line; blank lines do not count. Raises InvalidField or MalformedRequest."""
    items = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise MalformedRequest(
                f"Line {number} is not valid JSON: {error}.", field=f"line {number}"
            ) from None
        if not isinstance(item, dict):
            raise InvalidField(f"Line {number} is not an object.", field=f"line {number}")
        items.append(item)
    body: dict[str, Any] = {name: _value(name, text) for name, text in beside.items()}
    try:
        return BatchOrder.model_validate(body | {"items": items})
    except ValidationError as error:
        raise from_validation(list(error.errors(include_url=False))) from None  # type: ignore[arg-type]


async def _form(request: Request) -> BatchOrder:
    try:
        async with request.form(max_files=1, max_fields=len(BESIDE) + 1) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidField("The form needs one file of JSON lines, named `file`.", field="file")
            unknown = sorted(set(form) - {"file", *BESIDE})
            if unknown:
                raise InvalidField(f"The form has no field {unknown[0]!r}.", field=unknown[0])
            beside = {name: str(form[name]) for name in BESIDE if name in form}
            return batch_of_lines(await file.read(), beside)
    except MultiPartException as error:
        raise MalformedRequest(f"The multipart body cannot be read: {error.message}", field="body") from None


def _value(name: str, text: str) -> Any:
    if name == "name":
        return text
    if name in ("partial", "expand"):
        if text.lower() not in FLAGS:
            raise InvalidField(f"{name} is true or false.", field=name, limit=["true", "false"])
        return FLAGS[text.lower()]
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidField(f"{name} is not valid JSON: {error}.", field=name) from None
