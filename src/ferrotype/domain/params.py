"""Whether a value fits a declared parameter; one judgement for orders and for the catalogue."""

from __future__ import annotations

import math
from typing import Any

from ferrotype.domain.model import Parameter


def limit_of(value: Any, declared: Parameter) -> tuple[str, Any] | None:
    """(what is wrong, the bound that it breaks) of a value; None when it fits."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "integer": number and float(value).is_integer() if number else False,
        "number": number and math.isfinite(value),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
    }[declared.type]
    if not fits:
        return f"must be of type {declared.type}", declared.type
    if declared.choices is not None and value not in declared.choices:
        return f"cannot be {value!r}", declared.choices
    if isinstance(value, str) and len(value) > declared.max_length:
        return "is too long", declared.max_length
    low, high = declared.minimum, declared.maximum
    if number and ((low is not None and value < low) or (high is not None and value > high)):
        return "is out of bounds", [low, high]
    return None


def fault_of(value: Any, declared: Parameter) -> str | None:
    """What is wrong with a value, with its bound, in words; None when it fits."""
    found = limit_of(value, declared)
    return None if found is None else f"{value!r} {found[0]} ({found[1]})"
