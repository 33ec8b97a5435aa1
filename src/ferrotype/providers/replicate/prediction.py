"""The prediction object, as far as it is read: its shape, its times, whether it is what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

#: Stands for an input picture, which Replicate may keep in another form than it was sent.
PICTURE: Final = object()


def is_prediction(value: object, request_id: str | None = None) -> bool:
    """Whether `value` is one, and that of `request_id`."""
    match value:
        case {"id": str(found), "status": str()}:
            return request_id is None or found == request_id
    return False


def path_of(request_id: str) -> str:
    """Where the API has it."""
    return f"/v1/predictions/{quote(request_id, safe='')}"


def time_of(prediction: Mapping[str, Any], name: str) -> datetime | None:
    """One of its times, None where it tells none."""
    try:
        moment = datetime.fromisoformat(str(prediction.get(name)))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def seconds_of(prediction: Mapping[str, Any]) -> float | None:
    """How long its model ran, in seconds, None where it does not tell."""
    match prediction.get("metrics"):
        case {"predict_time": int() | float() as seconds}:
            return float(seconds)
    return None


def agrees(sent: Any, kept: Any) -> bool:
    """Whether what Replicate kept of an input is what was sent; it may have added defaults."""
    if sent is PICTURE:
        return True
    match sent:
        case Mapping():
            return isinstance(kept, Mapping) and all(agrees(sent[key], kept.get(key)) for key in sent)
        case list():
            return isinstance(kept, list) and len(sent) == len(kept) and all(map(agrees, sent, kept))
    return bool(sent == kept)
