"""Who may come in: the API key, and on loopback the Host and Origin checks that keep web pages out.

A page in the user's browser can reach a server on loopback: by a form or a script from a foreign origin
(refused by its Origin), or by a name that it lets point to 127.0.0.1 (DNS rebinding, refused by its Host).
Ports are not compared: what else this machine serves on loopback is as close to its user as we are.

With a key everything but the two health checks, the providers' webhooks and the studio's own files needs it,
the API's description and its page included. A studio session (`session`) stands for the key. Browsers send
its cookie with whatever page asks, so what changes something needs their word that the page is ours:
`Sec-Fetch-Site`, which they send where a connection is trusted, else an `Origin` that is the request's own
Host. Pictures pass here only where they are private (`picture_access`): any other may be loaded by whoever
has the URL, also through a CDN that asks by another Host.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from ferrotype.domain.problems import Forbidden, Unauthorized
from ferrotype.http.session import Sessions, token_of
from ferrotype.http.settings import HttpSettings, is_loopback

#: Answered without a key: they tell nothing about anybody. `/` leads to the studio, which asks for the key.
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/studio/session"})
#: Methods that change nothing.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Providers call here from anywhere; what they say is signed, or only makes us ask.
HOOKS = "/v1/hooks/"
#: Pages of shared pictures: whoever has the URL of one may see it, by whichever name of this server.
SHARED = "/s/"


class Access:
    """Decides on each request to the API."""

    def __init__(self, settings: HttpSettings, sessions: Sessions | None = None) -> None:
        self._key = settings.api_key
        self._sessions = sessions
        public = urlsplit(settings.public_url or "")
        self._names = {name for name in (public.hostname, settings.host) if name}
        self._public = public.netloc.lower()

    def check(self, path: str, headers: Headers, method: str = "GET") -> None:
        """Raise Unauthorized or Forbidden. A WebSocket's `method` is any that is not safe: no browser keeps
        foreign pages from opening one."""
        if path.startswith((HOOKS, SHARED)):
            return
        if self._key is not None:
            if path in OPEN_PATHS or self._bears_key(headers):
                return
            if not self._is_signed_in(headers):
                raise Unauthorized(
                    "Send the API key as `Authorization: Bearer <key>`.", field="Authorization"
                )
            if method not in SAFE_METHODS:
                self.check_same_origin(headers)
            return
        if not self._is_ours(_name(f"//{headers.get('host', '')}")):
            raise Forbidden("The Host header does not name this server.", field="Host")
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(_name(origin)):
            raise Forbidden("Pages from other origins need an API key.", field="Origin")

    def holds_key(self, headers: Headers) -> bool:
        """Whether the request carries the API key or a session that stands for it; never where none is
        set."""
        return self._bears_key(headers) or self._is_signed_in(headers)

    def is_key(self, given: str) -> bool:
        """Whether that is the API key, told in constant time; never where none is set."""
        if self._key is None:
            return False
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._key.encode())

    @property
    def needs_key(self) -> bool:
        """Whether anybody has to sign in."""
        return self._key is not None

    def check_same_origin(self, headers: Headers) -> None:
        """Raise Forbidden unless the browser says that the page which asks is our own."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            ours = site == "same-origin"
        else:
            ours = _place(headers.get("origin", "")) in {headers.get("host", "").lower(), self._public} - {""}
        if not ours:
            raise Forbidden("A session only serves pages of this server itself.", field="Origin")

    def _bears_key(self, headers: Headers) -> bool:
        if self._key is None:
            return False
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Headers were decoded as Latin-1; compared are the bytes that came, in constant time.
        fits = hmac.compare_digest(given.strip().encode("latin-1"), self._key.encode())
        return scheme.lower() == "bearer" and fits

    def _is_signed_in(self, headers: Headers) -> bool:
        cookie = headers.get("cookie")
        return cookie is not None and self._sessions is not None and self._sessions.holds(token_of(cookie))

    def _is_ours(self, name: str | None) -> bool:
        return name is not None and (is_loopback(name) or name in self._names)


def _name(address: str) -> str | None:
    """The host that an address names; None where it names none or is no address."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _place(origin: str) -> str:
    """Host and port of an origin, as a Host header writes them; empty for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
