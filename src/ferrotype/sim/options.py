"""The mechanism of scripts: dataclasses whose fields can be changed by JSON or from the command line."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints


@dataclass
class Failure:
    """The next `times` requests on `route` (`"POST /prompt"`, `"*"` for any) are answered with `status`,
    `headers` and `body` instead. `status=0` aborts the connection. `after=True` does the work first and then
    loses the reply. `times=-1`: for ever."""

    route: str
    status: int = 503
    times: int = 1
    body: str = ""
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Options:
    """Base of every script. Counters count down as they are used; -1 means for ever."""

    def to_json(self) -> dict[str, Any]:
        """The whole script as plain JSON values."""
        return dataclasses.asdict(self)

    def update(self, values: Mapping[str, Any]) -> None:
        """Sets the named fields; strings are converted to the field's type (for the command line).
        Raises ValueError for a name or a value that does not fit, and then changes nothing."""
        hints = get_type_hints(type(self))
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise ValueError(f"unknown script field: {', '.join(unknown)}")
        converted = {name: _convert(hints[name], value, name) for name, value in values.items()}
        for name, value in converted.items():
            setattr(self, name, value)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """A script with the defaults and the given fields. Raises ValueError like `update`."""
        script = cls()
        script.update(values)
        return script


def take(count: int) -> tuple[bool, int]:
    """Uses one of a countdown: whether there was one left, and what is left now. -1 never runs out."""
    if count == 0:
        return False, 0
    return True, count - 1 if count > 0 else count


def due(failures: list[Failure], route: str) -> Failure | None:
    """The failure that a request on `route` meets, its countdown used; None for none."""
    for failure in failures:
        if failure.route in (route, "*"):
            fires, failure.times = take(failure.times)
            if fires:
                return failure
    return None


def _convert(kind: Any, value: Any, name: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(kind), value, name)
    if origin is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if origin is list:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError(f"{name}: a list is wanted")
        return [_convert(get_args(kind)[0], item, name) for item in items]
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{name}: an object is wanted")
        return {str(key): _convert(get_args(kind)[1], item, name) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _convert_record(kind, value, name)
    return _convert_plain(kind, value, name)


def _convert_union(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    reasons = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _convert(kind, value, name)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError("; ".join(reasons))


def _convert_record(kind: Any, value: Any, name: str) -> Any:
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value.isdigit():  # `--older 33`
        value = {dataclasses.fields(kind)[0].name: int(value)}
    if not isinstance(value, dict):
        raise ValueError(f"{name}: an object is wanted")
    hints = get_type_hints(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise ValueError(f"{name}: unknown field {', '.join(unknown)}")
    try:
        return kind(**{key: _convert(hints[key], item, f"{name}.{key}") for key, item in value.items()})
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def _convert_plain(kind: Any, value: Any, name: str) -> Any:
    if kind is bool:
        if isinstance(value, str) and value.lower() in ("true", "false", "1", "0", "yes", "no"):
            return value.lower() in ("true", "1", "yes")
        if not isinstance(value, bool):
            raise ValueError(f"{name}: true or false is wanted, not {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{name}: {kind.__name__} is wanted, not {value!r}")
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name}: {kind.__name__} is wanted, not {value!r}") from None
