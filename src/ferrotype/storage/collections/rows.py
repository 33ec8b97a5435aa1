"""What a row of an app's own says of a picture: a line of a list, a JSON value, a hash."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ferrotype.domain.problems import InvalidField
from ferrotype.imaging.sniff import sniff

#: Where the picture, its name and its date are looked for when nobody says it.
PICTURE: Final = (
    "url", "image_url", "imageUrl", "secure_url", "src", "data", "image", "base64", "b64_json", "b64",
    "imageData", "image_data", "content", "buffer",
)  # fmt: skip
NAME: Final = ("id", "_id", "public_id", "key", "name", "filename")
DATE: Final = ("created_at", "createdAt", "created", "timestamp", "date")
TAGS: Final = "tags"
#: A longer value is the picture, or nothing that anybody looks at later.
MAX_VALUE: Final = 2_000
MAX_FIELDS: Final = 50
MAX_TAGS: Final = 50
#: Above it a number is milliseconds: as seconds it would be the year 5138.
MILLISECONDS: Final = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields say what; None for the usual names. `a.b` is the field `b` of the object in `a`."""

    picture: str | None = None
    name: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a row says. `picture` is a URL, a data URI or base64."""

    picture: str
    name: str | None
    created_at: datetime | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def told(row: Mapping[str, Any], fields: Fields) -> Told:
    """Raises InvalidField naming the field that is missing."""
    where, picture = _find(row, fields.picture, PICTURE)
    if not isinstance(picture, str) or not picture.strip():
        known = fields.picture or ", ".join(PICTURE[:6]) + " ..."
        raise InvalidField(f"It has no picture in {known}; --field says where it is.", field="--field")
    name_at, name = _find(row, fields.name, NAME)
    date_at, date = _find(row, fields.date, DATE)
    tags = row.get(TAGS)
    if isinstance(tags, str):
        tags = [part.strip() for part in tags.replace(";", ",").split(",")]
    known_tags = (
        tuple(str(tag) for tag in tags if str(tag).strip())[:MAX_TAGS] if isinstance(tags, list) else ()
    )
    rest = {
        key: value
        for key, value in row.items()
        if key not in (where, name_at, date_at, TAGS) and _is_small(value)
    }
    return Told(
        picture.strip(),
        None if name is None or isinstance(name, dict | list) else str(name),
        moment(date),
        known_tags,
        dict(list(rest.items())[:MAX_FIELDS]),
    )


def moment(value: Any) -> datetime | None:
    """A date as apps write it: RFC 3339, or seconds or milliseconds since 1970; None for anything else."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > MILLISECONDS else value, UTC)
        if isinstance(value, str) and value.strip().lstrip("-").replace(".", "", 1).isdigit():
            return moment(float(value))
        if isinstance(value, str):
            found = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def is_url(text: str) -> bool:
    """Whether the bytes are somewhere else."""
    return text[:8].lower().startswith(("http://", "https://"))


def decoded(value: bytes, fields: Fields) -> Told | bytes:
    """What a value is: a picture's own bytes, base64 of them, a data URI, or JSON that has one of these or a
    URL in a field. Raises InvalidField."""
    if sniff(value[:4096]) is not None:
        return value
    text = value.strip()
    if text[:1] in (b"{", b'"'):
        try:
            found = json.loads(text)
        except ValueError:
            raise InvalidField("It looks like JSON and is none.", field="value") from None
        if isinstance(found, dict):
            return told(found, fields)
        text = str(found).encode()
    return picture_of(text.decode("latin-1"))


def picture_of(text: str) -> bytes:
    """The bytes of a data URI, or of base64, also in its form for URLs and without its end. Raises
    InvalidField."""
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma:
            raise InvalidField("The data URI has no comma.", field="value")
        if not head.lower().endswith(";base64"):
            return unquote_to_bytes(text)
        text = unquote_to_bytes(text).decode("latin-1")
    packed = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField("It is neither a picture nor base64.", field="value") from None


def _find(row: Mapping[str, Any], named: str | None, usual: tuple[str, ...]) -> tuple[str, Any]:
    """The key in `row`, and the value there or within."""
    if named is None:
        return next(((key, row[key]) for key in usual if row.get(key) not in (None, "")), ("", None))
    if named in row:
        return named, row[named]
    found: Any = row
    for part in named.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return named.split(".")[0], found


def _is_small(value: Any) -> bool:
    return value not in (None, "") and len(json.dumps(value, default=str)) <= MAX_VALUE
