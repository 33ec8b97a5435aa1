"""What pydantic finds wrong with a body, in our words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ferrotype.domain.problems import InvalidField

#: pydantic's names for the bound that a value broke.
BOUNDS: Final = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern", "expected", "multiple_of")
#: What FastAPI puts in front of a place.
PARTS: Final = ("body", "query", "path", "header")


def told(errors: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """pydantic's errors as `field` (dotted path), `message` and, where a bound was broken, `limit`."""
    return [_told(error) for error in errors]


def problem_of(errors: Iterable[Mapping[str, Any]]) -> InvalidField:
    """pydantic's errors as one problem: the first in front, all of them in `errors`."""
    found = told(errors)
    first = found[0]
    return InvalidField(
        f"{first['field']}: {first['message']}.",
        field=first["field"],
        limit=first.get("limit"),
        errors=found if len(found) > 1 else None,
    )


def _told(error: Mapping[str, Any]) -> dict[str, Any]:
    place = [str(part) for part in error["loc"]]
    if len(place) > 1 and place[0] in PARTS:
        place = place[1:]
    named = ".".join(place).encode("utf-8", "backslashreplace").decode()
    found: dict[str, Any] = {"field": named, "message": str(error["msg"]).rstrip(".")}
    context = error.get("ctx") or {}
    bounds = {name: context[name] for name in BOUNDS if name in context}
    if bounds:
        found["limit"] = next(iter(bounds.values())) if len(bounds) == 1 else bounds
    elif error["type"] == "extra_forbidden":
        found["message"] = "There is no such field"
    return found
