"""The headers of a picture and of the answers that stand in for one."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from ferrotype.domain.problems import MethodNotAllowed, Problem, RangeNotSatisfiable, Unauthorized
from ferrotype.domain.transform import etag
from ferrotype.http.asgi import Headers, Message, start
from ferrotype.http.picture_query import Freshness

ALLOW: Final = b"GET, HEAD, OPTIONS"
ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
ANY_RESOURCE: Final = (b"cross-origin-resource-policy", b"cross-origin")
#: Of every picture. Each header costs about 1 % of the speed of a memory hit: one more needs a reason.
COMMON: Final[Headers] = [
    ANY_ORIGIN,
    ANY_RESOURCE,
    (b"accept-ranges", b"bytes"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
]
VARY: Final = (b"vary", b"Accept")
#: Seconds that an answer is good while a better one is being made.
INTERIM_SECONDS: Final = 10
#: Seconds that a browser keeps a private picture.
PRIVATE_SECONDS: Final = 3600
#: Seconds that the way to a store's own server may be kept: it may be a URL that is good for a minute.
REDIRECT_SECONDS: Final = 30
YEAR: Final = 31_536_000
PREFLIGHT: Final = start(
    204,
    [
        (b"allow", ALLOW),
        ANY_ORIGIN,
        (b"access-control-allow-methods", ALLOW),
        (
            b"access-control-allow-headers",
            b"Authorization, If-Match, If-Modified-Since, If-None-Match, If-Range, Range",
        ),
        (b"access-control-max-age", b"86400"),
    ],
)


@dataclass(frozen=True, slots=True)
class Caching:
    """`Cache-Control` by how long an answer is good: `max_age` and `stale` are seconds, of what may come to
    differ. `tag_header` is the name, in lower case, by which a CDN in front takes the tag that it is told to
    forget by; without one no answer has a tag."""

    max_age: int = 86_400
    stale: int = 604_800
    tag_header: bytes | None = None

    def tag(self, asset_id: str, *, private: bool) -> Headers:
        """The header with the picture's tag, where one is wanted."""
        if self.tag_header is None or private:
            return []
        return [(self.tag_header, asset_id.encode())]

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


def describe(
    asset_id: str,
    name: str,
    caching: Caching,
    freshness: Freshness,
    *,
    private: bool = False,
    left: float | None = None,
) -> Headers:
    """What 200, 206 and 304 of a picture say alike (RFC 9110, 15.4.5), its tag first; `name` is that of the
    edition. Only an original as it is kept has a date: all else may change with the configuration and with
    the server's version, which the tag alone tells."""
    headers = [
        (b"etag", etag(asset_id, name).encode()),
        (b"cache-control", caching.header(freshness, private=private, left=left)),
        *caching.tag(asset_id, private=private),
    ]
    if not name:
        headers.append((b"last-modified", last_modified(asset_id)))
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


def not_modified(told: Headers) -> Message:
    """The start of a 304; `told` is what `describe` gives."""
    return start(304, [*told, ANY_ORIGIN])


def redirect(url: str, left: float | None) -> Message:
    """The start of a 302 to where a store serves the picture itself, for as long as that surely holds."""
    seconds = REDIRECT_SECONDS if left is None else min(REDIRECT_SECONDS, left)
    headers = [
        (b"location", url.encode()),
        (b"cache-control", b"public, max-age=%d" % seconds),
        (b"content-length", b"0"),
        (b"server-timing", b"redirect"),
        ANY_ORIGIN,
        ANY_RESOURCE,
    ]
    return start(302, headers)


def explaining(problem: Problem) -> Headers:
    """Headers that the status asks for."""
    if isinstance(problem, MethodNotAllowed):
        return [(b"allow", ALLOW)]
    if isinstance(problem, RangeNotSatisfiable):
        return [(b"content-range", f"bytes */{problem.limit}".encode())]
    if isinstance(problem, Unauthorized):
        return [(b"www-authenticate", b"Bearer")]
    return []
