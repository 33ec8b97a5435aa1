"""Signing in to the studio: the API key is given once, a signed cookie stands for it from there on.

The cookie says when it ends and carries a signature under the server's own secret, over that moment and a
hash of the API key: changing the key, or the secret, ends every session, and the key itself is never in the
browser. No script reads it (HttpOnly), no other site sends it (SameSite=Strict), and what changes something
is only done for it where the browser vouches that our own page asks (`Access`).

Guessing is limited by where it comes from: wrong keys of one address, within a minute.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
from collections import OrderedDict, deque
from typing import Final

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import TooManyAttempts

COOKIE: Final = "ferrotype_session"
#: Longest token that is looked at; ours have 80 characters.
MAX_TOKEN: Final = 128
#: Wrong keys that one address, and all of them together, may give within the window, in seconds.
ATTEMPTS: Final = 10
ATTEMPTS_OF_ALL: Final = 200
WINDOW: Final = 60.0
ADDRESSES: Final = 4096


class Sessions:
    """Makes and checks session tokens. Without an API key there are none."""

    def __init__(self, secret: bytes, api_key: str | None, clock: Clock, seconds: float) -> None:
        """`secret`: of the data folder; `seconds`: how long a session lives."""
        bound = hashlib.sha256((api_key or "").encode()).digest()
        self._signing_key = hmac.digest(secret, b"studio session\n" + bound, hashlib.sha256)
        self._open = api_key is not None
        self._clock = clock
        self.seconds = int(seconds)

    def issue(self) -> str:
        """A new token: when it ends, chance, and the signature over both."""
        ends = int(self._clock.now().timestamp()) + self.seconds
        claim = f"{ends}.{secrets.token_urlsafe(12)}"
        return f"{claim}.{self._sign(claim)}"

    def holds(self, token: str | None) -> bool:
        """Whether that is a token of ours that still lives."""
        if not self._open or not token or len(token) > MAX_TOKEN or not token.isascii():
            return False
        claim, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._sign(claim), signature):
            return False
        return int(claim.partition(".")[0]) > self._clock.now().timestamp()

    def _sign(self, claim: str) -> str:
        digest = hmac.digest(self._signing_key, claim.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Guesses:
    """Wrong keys, remembered for a minute by where they came from."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=ATTEMPTS_OF_ALL)

    def check(self, address: str) -> None:
        """Raise TooManyAttempts where that address, or everybody together, guessed too often."""
        now = self._clock.now().timestamp()
        for found, limit in ((self._by_address.get(address), ATTEMPTS), (self._all, ATTEMPTS_OF_ALL)):
            if found is not None and len(found) >= limit and now - found[0] < WINDOW:
                raise TooManyAttempts(
                    "Too many wrong keys; wait a little before the next attempt.",
                    field="key",
                    limit=limit,
                    retry_after=math.ceil(WINDOW - (now - found[0])),
                )

    def wrong(self, address: str) -> None:
        """A wrong key came from there."""
        now = self._clock.now().timestamp()
        self._by_address.setdefault(address, deque(maxlen=ATTEMPTS)).append(now)
        self._by_address.move_to_end(address)
        while len(self._by_address) > ADDRESSES:
            self._by_address.popitem(last=False)
        self._all.append(now)


def token_of(cookie: str) -> str | None:
    """Our cookie in a `Cookie` header; None where it is not there."""
    for part in cookie.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None
