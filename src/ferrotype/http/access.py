"""Who may come in: the API key, and on loopback the Host and Origin checks that keep web pages out.

A page in the user's browser can reach a server on loopback: by a form or a script from a foreign origin
(refused by its Origin), or by a name that it lets point to 127.0.0.1 (DNS rebinding, refused by its Host).
Ports are not compared: what else this machine serves on loopback is as close to its user as we are.

With a key everything but the two health checks and the providers' webhooks needs it, the API's description
and its page included.
Pictures pass here only where they are private (`picture_access`): any other may be loaded by whoever has the
URL, also through a CDN that asks by another Host.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from ferrotype.domain.problems import Forbidden, Unauthorized
from ferrotype.http.settings import HttpSettings, is_loopback

#: Answered without a key: they tell nothing about anybody.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
#: Providers call here from anywhere; what they say is signed, or only makes us ask.
HOOKS = "/v1/hooks/"


class Access:
    """Decides on each request to the API."""

    def __init__(self, settings: HttpSettings) -> None:
        self._key = settings.api_key
        public = urlsplit(settings.public_url or "").hostname
        self._names = {name for name in (public, settings.host) if name}

    def check(self, path: str, headers: Headers) -> None:
        """Raise Unauthorized or Forbidden."""
        if path.startswith(HOOKS):
            return
        if self._key is not None:
            if path not in OPEN_PATHS and not self.holds_key(headers):
                raise Unauthorized(
                    "Send the API key as `Authorization: Bearer <key>`.", field="Authorization"
                )
            return
        if not self._is_ours(_name(f"//{headers.get('host', '')}")):
            raise Forbidden("The Host header does not name this server.", field="Host")
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(_name(origin)):
            raise Forbidden("Pages from other origins need an API key.", field="Origin")

    def holds_key(self, headers: Headers) -> bool:
        """Whether the request carries the API key; never where none is set."""
        if self._key is None:
            return False
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Headers were decoded as Latin-1; compared are the bytes that came, in constant time.
        fits = hmac.compare_digest(given.strip().encode("latin-1"), self._key.encode())
        return scheme.lower() == "bearer" and fits

    def _is_ours(self, name: str | None) -> bool:
        return name is not None and (is_loopback(name) or name in self._names)


def _name(address: str) -> str | None:
    """The host that an address names; None where it names none or is no address."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
