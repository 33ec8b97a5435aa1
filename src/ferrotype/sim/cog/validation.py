"""Cog's two checks of a request: of the JSON's shape (axum and serde), of the inputs (JSON schema)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

EVENTS: Final = ("start", "output", "logs", "completed")
NAMES: Final = {
    dict: "map",
    list: "sequence",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "floating point",
}


class Refused(Exception):
    """A body that is not looked at any further: `status` and `text` are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Order:
    """A prediction as it is asked for. `input` is an object unless the caller sent something else."""

    id: str | None
    input: Any
    webhook: str | None
    events: frozenset[str]


def order_of(content_type: str, body: bytes) -> Order:
    """The request's body. Raises Refused (400, 415, 422) with the server's plain text."""
    if not content_type.startswith("application/json"):
        raise Refused(415, "Expected request with `Content-Type: application/json`")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"Failed to parse the request body as JSON: {error}") from None
    if value == []:
        raise _misfit("", "invalid length 0, expected struct PredictionRequest with 5 elements")
    if isinstance(value, list):
        # serde reads a sequence as the fields in their order; the first is the id.
        raise _misfit("[0]", f"invalid type: {_shown(value[0])}, expected a string")
    if not isinstance(value, dict):
        raise _misfit("", f"invalid type: {_shown(value)}, expected struct PredictionRequest")
    for name in ("id", "webhook"):
        if not isinstance(value.get(name), str | None):
            raise _misfit(name, f"invalid type: {_shown(value[name])}, expected a string")
    events = value.get("webhook_events_filter", list(EVENTS))
    if not isinstance(events, list):
        raise _misfit("webhook_events_filter", f"invalid type: {_shown(events)}, expected a sequence")
    for index, event in enumerate(events):
        if event not in EVENTS:
            known = ", ".join(f"`{known}`" for known in EVENTS)
            raise _misfit(
                f"webhook_events_filter[{index}]", f"unknown variant `{event}`, expected one of {known}"
            )
    given = value.get("input")
    return Order(value.get("id"), {} if given is None else given, value.get("webhook"), frozenset(events))


def without_unknown(given: Any, schema: Mapping[str, Any]) -> Any:
    """The inputs that the schema knows; others are dropped in silence."""
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if name in schema["properties"]}


def faults_of(given: Any, schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Everything that is wrong with the inputs, as the 422 tells it."""
    if not isinstance(given, dict):
        return [_fault("__root__", f'{_json(given)} is not of type "object"')]
    faults = []
    for name, value in sorted(given.items()):
        wrong = _wrong(value, schema["properties"][name])
        if wrong:
            faults.append(_fault(name, wrong))
    missing = [name for name in schema.get("required", ()) if name not in given]
    return faults + [_fault(name, "Field required", "value_error.missing") for name in missing]


def _wrong(value: Any, rules: Mapping[str, Any]) -> str | None:
    if value is None and rules.get("nullable"):
        return None
    fits = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list),
    }
    if not fits.get(rules.get("type", ""), True):
        return f'{_json(value)} is not of type "{rules["type"]}"'
    if "enum" in rules and value not in rules["enum"]:
        return f"{_json(value)} is not one of {_json(rules['enum'])}"
    if "minimum" in rules and value < rules["minimum"]:
        return f"{value} is less than the minimum of {rules['minimum']}"
    if "maximum" in rules and value > rules["maximum"]:
        return f"{value} is greater than the maximum of {rules['maximum']}"
    return None


def _fault(name: str, message: str, kind: str = "value_error") -> dict[str, Any]:
    return {"loc": ["body", "input", name], "msg": message, "type": kind}


def _misfit(where: str, what: str) -> Refused:
    place = f"{where}: " if where else ""
    return Refused(422, f"Failed to deserialize the JSON body into the target type: {place}{what}")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    name = NAMES[type(value)]
    return f"{name} `{json.dumps(value)}`" if isinstance(value, int | float) else name


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
