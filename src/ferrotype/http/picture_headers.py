"""The headers of a picture and of the answers that stand in for one."""

from __future__ import annotations

from typing import Final

from ferrotype.domain.problems import MethodNotAllowed, Problem, RangeNotSatisfiable
from ferrotype.http.asgi import Headers, Message, start
from ferrotype.http.picture_url import EXTENSIONS

ALLOW: Final = b"GET, HEAD, OPTIONS"
FOREVER: Final = (b"cache-control", b"public, max-age=31536000, immutable")
ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
#: Of every picture. Each header costs about 1 % of the speed of a memory hit: one more needs a reason.
COMMON: Final[Headers] = [
    FOREVER,
    ANY_ORIGIN,
    (b"accept-ranges", b"bytes"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
#: Of bytes that a browser might take for a page. With `nosniff` the types of `EXTENSIONS` are none.
SANDBOX: Final = (b"content-security-policy", b"default-src 'none'; sandbox")
PREFLIGHT: Final = start(
    204,
    [
        (b"allow", ALLOW),
        ANY_ORIGIN,
        (b"access-control-allow-methods", ALLOW),
        (b"access-control-allow-headers", b"If-None-Match, If-Range, Range"),
        (b"access-control-max-age", b"86400"),
    ],
)


def picture_headers(tag: bytes, content_type: str, length: int | None, level: bytes = b"") -> Headers:
    """Of 200 and 206. `length` is that of the body in bytes, None when it will be sent in chunks; `level`
    says where the bytes come from if that is not the memory."""
    headers = [(b"content-type", content_type.encode()), (b"etag", tag), *COMMON]
    if content_type not in EXTENSIONS:
        headers.append(SANDBOX)
    if level:
        headers.append((b"server-timing", level))
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return headers


def not_modified(tag: bytes) -> Message:
    """The start of a 304."""
    return start(304, [(b"etag", tag), FOREVER, ANY_ORIGIN])


def attachment(asset_id: str, content_type: str) -> bytes:
    """The value of `Content-Disposition` for a download."""
    return f'attachment; filename="{asset_id}.{EXTENSIONS.get(content_type, "bin")}"'.encode()


def explaining(problem: Problem) -> Headers:
    """Headers that the status asks for."""
    if isinstance(problem, MethodNotAllowed):
        return [(b"allow", ALLOW)]
    if isinstance(problem, RangeNotSatisfiable):
        return [(b"content-range", f"bytes */{problem.limit}".encode())]
    return []
