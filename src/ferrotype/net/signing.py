"""Signed URLs: whoever holds one may load exactly that picture, in exactly that form, until it expires.

`exp` (seconds since 1970) and `sig` are added to the query. The signature is HMAC-SHA256 (RFC 2104) over
lines of UTF-8: the path, then every other parameter as `name=value`, without escapes, sorted by name.
Neither their order nor the way in which a language escapes them matters. Two keys may live side by side:
the first signs, all of them open, so that a key is changed without a URL breaking (put the new one first,
take the old one away once the last URL has expired).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Forbidden, InvalidField

EXPIRES: Final = "exp"
SIGNATURE: Final = "sig"
#: Parameters that belong to the signature and not to the picture.
NAMES: Final = frozenset({EXPIRES, SIGNATURE})
#: Length of a signature as text: 32 bytes in base64url without padding.
LENGTH: Final = 43
MAX_SECONDS: Final = 366 * 24 * 3600
MOMENT: Final = re.compile(r"[0-9]{1,12}")
Pair = tuple[str, str]


class UrlSigner:
    """Signs and checks with `keys`, each of at least 16 bytes; the first signs."""

    def __init__(self, keys: Sequence[bytes], clock: Clock) -> None:
        if not keys or any(len(key) < 16 for key in keys):
            raise ValueError("at least one key, each of at least 16 bytes")
        self._keys = tuple(keys)
        self._clock = clock

    def signed(self, path: str, query: Iterable[Pair], seconds: int) -> tuple[str, datetime]:
        """`path?query` with a signature that opens it for `seconds` from now, and when that ends.

        Raises InvalidField for a time that is none, or longer than a year.
        """
        if not 0 < seconds <= MAX_SECONDS:
            raise InvalidField(
                f"A signed URL lives for 1 to {MAX_SECONDS} s.", field="expires_in", limit=MAX_SECONDS
            )
        pairs = [pair for pair in query if pair[0] not in NAMES]
        if not _is_clear(pairs):
            raise InvalidField(
                "A parameter that is given twice, or has a line break, cannot be signed.", field="query"
            )
        expires = self._clock.now().replace(microsecond=0) + timedelta(seconds=seconds)
        pairs.append((EXPIRES, str(int(expires.timestamp()))))
        return f"{path}?{urlencode([*pairs, (SIGNATURE, _sign(self._keys[0], path, pairs))])}", expires

    def check(self, path: str, query: Sequence[Pair]) -> int | None:
        """When a signed URL expires, in seconds since 1970; None for one without a signature.

        Raises Forbidden for one that is wrong, whatever is wrong with it, and for one that has expired.
        """
        found = [value for name, value in query if name == SIGNATURE]
        if not found:
            if any(name == EXPIRES for name, _ in query):
                raise Forbidden("The URL expires and is not signed.", field=SIGNATURE)
            return None
        pairs = [pair for pair in query if pair[0] != SIGNATURE]
        if len(found) != 1 or not _is_clear(pairs):
            raise Forbidden("The signature does not fit this URL.", field=SIGNATURE)
        given = found[0].encode("utf-8", "surrogatepass")
        # All keys are tried, so that the time tells nothing of which one fits.
        fits = [hmac.compare_digest(_sign(key, path, pairs).encode(), given) for key in self._keys]
        expires = [value for name, value in pairs if name == EXPIRES]
        if not any(fits):
            raise Forbidden("The signature does not fit this URL.", field=SIGNATURE)
        if len(expires) != 1 or not MOMENT.fullmatch(expires[0]):
            raise Forbidden("A signed URL says when it expires, in whole seconds since 1970.", field=EXPIRES)
        if int(expires[0]) <= self._clock.now().timestamp():
            raise Forbidden("The URL has expired.", field=EXPIRES, limit=int(expires[0]))
        return int(expires[0])


def _sign(key: bytes, path: str, pairs: Iterable[Pair]) -> str:
    lines = [path, *(f"{name}={value}" for name, value in sorted(pairs))]
    digest = hmac.digest(key, "\n".join(lines).encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _is_clear(pairs: Sequence[Pair]) -> bool:
    """Whether the lines that are signed can be read in one way only."""
    names = [name for name, _ in pairs]
    return len(set(names)) == len(names) and not any("\n" in part for pair in pairs for part in pair)
