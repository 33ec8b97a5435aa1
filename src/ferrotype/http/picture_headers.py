"""The headers of a picture and of the answers that stand in for one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import quote

from ferrotype.domain.problems import MethodNotAllowed, Problem, RangeNotSatisfiable, Unauthorized
from ferrotype.http.asgi import Headers, Message, start
from ferrotype.http.picture_query import Freshness
from ferrotype.http.picture_url import EXTENSIONS

ALLOW: Final = b"GET, HEAD, OPTIONS"
ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
#: Of every picture. Each header costs about 1 % of the speed of a memory hit: one more needs a reason.
COMMON: Final[Headers] = [
    ANY_ORIGIN,
    (b"accept-ranges", b"bytes"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
]
VARY: Final = (b"vary", b"Accept")
#: Seconds that an answer is good while a better one is being made.
INTERIM_SECONDS: Final = 10
#: Seconds that a browser keeps a private picture.
PRIVATE_SECONDS: Final = 3600
YEAR: Final = 31_536_000
PREFLIGHT: Final = start(
    204,
    [
        (b"allow", ALLOW),
        ANY_ORIGIN,
        (b"access-control-allow-methods", ALLOW),
        (
            b"access-control-allow-headers",
            b"Authorization, If-Modified-Since, If-None-Match, If-Range, Range",
        ),
        (b"access-control-max-age", b"86400"),
    ],
)
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f-\x9f"*/:<>?\\|\u2028\u2029\u202a-\u202e\u2066-\u2069]+')
MAX_NAME: Final = 120


@dataclass(frozen=True, slots=True)
class Caching:
    """`Cache-Control` by how long an answer is good: `max_age` and `stale` are seconds, of what may come to
    differ."""

    max_age: int = 86_400
    stale: int = 604_800

    def header(self, freshness: Freshness, *, private: bool = False, left: float | None = None) -> bytes:
        """`left` is how many seconds the signature that opened the picture is still good: nobody may keep it
        for longer."""
        scope = "private" if private else "public"
        if freshness is Freshness.FIXED and not private and left is None:
            return b"public, max-age=%d, immutable" % YEAR
        if freshness in (Freshness.CONFIGURED, Freshness.NEGOTIATED) and not private and left is None:
            return b"public, max-age=%d, stale-while-revalidate=%d" % (self.max_age, self.stale)
        bounds = {
            Freshness.FIXED: YEAR,
            Freshness.CONFIGURED: self.max_age,
            Freshness.NEGOTIATED: self.max_age,
            Freshness.INTERIM: INTERIM_SECONDS,
        }
        seconds = min(bounds[freshness], PRIVATE_SECONDS if private else YEAR)
        return f"{scope}, max-age={max(0, int(seconds if left is None else min(seconds, left)))}".encode()


def last_modified(asset_id: str) -> bytes:
    """When the original came to be: its id says it (RFC 9562, 5.7), and it never changes."""
    return formatdate(made_at(asset_id), usegmt=True).encode()


def made_at(asset_id: str) -> int:
    """Seconds since 1970."""
    return int(asset_id[:8] + asset_id[9:13], 16) // 1000


def describing(tag: bytes, cache_control: bytes, freshness: Freshness, modified: bytes | None) -> Headers:
    """What 200, 206 and 304 say alike (RFC 9110, 15.4.5)."""
    headers = [(b"etag", tag), (b"cache-control", cache_control)]
    if modified is not None:
        headers.append((b"last-modified", modified))
    if freshness in (Freshness.NEGOTIATED, Freshness.INTERIM):
        headers.append(VARY)
    return headers


def picture_headers(content_type: str, length: int | None, level: str) -> Headers:
    """What 200 and 206 say beside. `length` is that of the body in bytes, None when it is sent in chunks;
    `level` says where the bytes come from (Server-Timing, W3C)."""
    headers = [(b"content-type", content_type.encode()), *COMMON, (b"server-timing", level.encode())]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return headers


def not_modified(describing: Headers) -> Message:
    """The start of a 304."""
    return start(304, [*describing, ANY_ORIGIN])


def elsewhere(url: str) -> Message:
    """The start of a 302 to where a store serves the picture itself. It may come to serve it elsewhere."""
    headers = [
        (b"location", url.encode()),
        (b"cache-control", b"public, max-age=300"),
        (b"content-length", b"0"),
        (b"server-timing", b"redirect"),
        ANY_ORIGIN,
    ]
    return start(302, headers)


def disposition(how: str, name: str, content_type: str) -> tuple[bytes, bytes]:
    """`Content-Disposition` (RFC 6266): `how` is `inline` or `attachment`. The name is made safe for every
    system, its extension is that of the bytes, and letters beyond ASCII go by RFC 8187."""
    extension = EXTENSIONS.get(content_type, "bin")
    stem = _UNSAFE.sub("_", name).strip(" .")[:MAX_NAME].rstrip(" .") or "picture"
    head, dot, tail = stem.rpartition(".")
    if dot and head and f"image/{tail.lower()}".replace("jpg", "jpeg") in EXTENSIONS:
        stem = head
    full = f"{stem}.{extension}"
    value = (
        f'{how}; filename="{full.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")}"'
    )
    if not full.isascii() or "%" in full:
        value += f"; filename*=UTF-8''{quote(full, safe='')}"
    return b"content-disposition", value.encode()


def explaining(problem: Problem) -> Headers:
    """Headers that the status asks for."""
    if isinstance(problem, MethodNotAllowed):
        return [(b"allow", ALLOW)]
    if isinstance(problem, RangeNotSatisfiable):
        return [(b"content-range", f"bytes */{problem.limit}".encode())]
    if isinstance(problem, Unauthorized):
        return [(b"www-authenticate", b"Bearer")]
    return []
