"""What the path of a picture's URL says: `/images/{asset_id}[.ext]`, or `/images/{asset_id}/info`."""

from __future__ import annotations

from typing import Final

from ferrotype.domain.ids import is_id
from ferrotype.domain.media import EXTENSIONS
from ferrotype.domain.problems import MethodNotAllowed, NotFound
from ferrotype.http.asgi import Scope

PREFIX: Final = len("/images/")
#: Where the id ends and the extension begins.
SUFFIX: Final = PREFIX + 36
INFO: Final = "/info"
KNOWN_SUFFIXES: Final = frozenset(
    f".{name}" for name in (*EXTENSIONS.values(), "apng", "jpeg", "jfif", "tiff")
)


def is_canonical(scope: Scope, path: str) -> bool:
    """Whether what follows the id is nothing or a known extension, and nothing is escaped: escapes make
    the raw path longer than the path."""
    return (len(path) == SUFFIX or path[SUFFIX:] in KNOWN_SUFFIXES) and _is_unescaped(scope, path)


def parse_path(scope: Scope) -> tuple[str, bool]:
    """The asset's id, and whether its facts are asked for instead of the picture.

    Raises MethodNotAllowed or NotFound.
    """
    if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        raise MethodNotAllowed("Pictures are read with GET or HEAD.")
    path = scope["path"]
    asset_id = path[PREFIX:SUFFIX]
    info = path[SUFFIX:] == INFO
    known = _is_unescaped(scope, path) if info else is_canonical(scope, path)
    if not is_id(asset_id) or not known:
        raise NotFound("There is no such picture.")
    return asset_id, info


def _is_unescaped(scope: Scope, path: str) -> bool:
    raw = scope.get("raw_path")
    return raw is None or len(raw) == len(path)
