"""What the URL of a picture says."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import InvalidField, MethodNotAllowed, NotFound
from ferrotype.http.asgi import Scope

PREFIX: Final = len("/images/")
#: Where the id ends and the extension begins.
SUFFIX: Final = PREFIX + 36
EXTENSIONS: Final = {
    "image/apng": "png",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg",
    "image/jxl": "jxl",
    "image/png": "png",
    "image/tiff": "tif",
    "image/webp": "webp",
}
KNOWN_SUFFIXES: Final = frozenset(
    f".{name}" for name in (*EXTENSIONS.values(), "apng", "jpeg", "jfif", "tiff")
)
MAX_QUERY: Final = 2048
#: Longest part of a parameter's name that a problem repeats.
MAX_NAME: Final = 64


def is_canonical(scope: Scope, path: str) -> bool:
    """Whether what follows the id is nothing or a known extension, and nothing is escaped: escapes make
    the raw path longer than the path."""
    if len(path) != SUFFIX and path[SUFFIX:] not in KNOWN_SUFFIXES:
        return False
    raw = scope.get("raw_path")
    return raw is None or len(raw) == len(path)


def parse_url(scope: Scope) -> tuple[str, bool]:
    """The asset's id, and whether a download is asked for.

    Raises MethodNotAllowed, NotFound or InvalidField.
    """
    if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        raise MethodNotAllowed("Pictures are read with GET or HEAD.")
    path = scope["path"]
    asset_id = path[PREFIX:SUFFIX]
    if not is_id(asset_id) or not is_canonical(scope, path):
        raise NotFound("There is no such picture.")
    return asset_id, _parse_query(scope["query_string"])


def _parse_query(query: bytes) -> bool:
    if not query:
        return False
    if len(query) > MAX_QUERY:
        raise InvalidField("The query is too long.", field="query", limit=MAX_QUERY)
    names = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    for name in names:
        if name not in ("v", "dl"):
            raise InvalidField(f"There is no parameter {name[:MAX_NAME]!r}.", field=name[:MAX_NAME])
    return "dl" in names
