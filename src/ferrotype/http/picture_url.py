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


def is_plain(scope: Scope, path: str) -> bool:
    """A GET of a canonical URL without a query. Escapes make the raw path longer than the path."""
    raw = scope.get("raw_path")
    return (
        scope["method"] == "GET"
        and not scope["query_string"]
        and (len(path) == SUFFIX or path[SUFFIX:] in KNOWN_SUFFIXES)
        and (raw is None or len(raw) == len(path))
    )


def parse_url(scope: Scope) -> tuple[str, bool]:
    """The asset's id, and whether a download is asked for.

    Raises MethodNotAllowed, NotFound or InvalidField.
    """
    if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        raise MethodNotAllowed("Pictures are read with GET or HEAD.")
    path, raw = scope["path"], scope.get("raw_path")
    asset_id, suffix = path[PREFIX:SUFFIX], path[SUFFIX:]
    if not is_id(asset_id) or (suffix and suffix not in KNOWN_SUFFIXES):
        raise NotFound("There is no such picture.")
    if raw is not None and len(raw) != len(path):
        raise NotFound("There is no such picture; its path is written without escapes.")
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
