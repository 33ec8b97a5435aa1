"""The guard against server-side request forgery: what users name is fetched from the public internet only.

Three lines, each sufficient for its own case:

1. `Guard.check` judges a URL before anything is sent, at the start and again at each redirect: scheme,
   credentials, port, host spelling, and addresses written out (those never meet a resolver).
2. `GuardedResolver` judges every address that a name resolves to; one that is not public refuses the
   whole name, so that a mixed answer cannot be raced.
3. `guarded_socket` judges the address that a socket is about to be connected to. It sees what is really
   dialled, so a second lookup that answers differently (DNS rebinding) or a new road around the first
   two ends here.

What is refused raises Forbidden (the address or port) or InvalidField (the URL itself is wrong), so the
caller can mend it; a name that does not resolve is OriginUnavailable, raised by `net.http`.
"""

from __future__ import annotations

import asyncio
import re
import socket
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from ferrotype.domain.problems import Forbidden, InvalidField
from ferrotype.net.address import literal, parse_host_port, refusal

SCHEMES: Final = ("http", "https")
HOST_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?\.?")
#: Below 1024 only the web's own; above it not those of the WHATWG fetch standard's "bad ports".
LOW_PORTS: Final = frozenset({80, 443})
BAD_PORTS: Final = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080, *range(6665, 6670)}
)


class RefusedAddress(OSError):
    """Raised inside aiohttp where only an OSError passes through unharmed; becomes Forbidden."""


class Guard:
    """Judges URLs. `allow` are hosts (`name`, `name:port`) that are exempt because the operator says so."""

    def __init__(self, allow: list[str] | None = None) -> None:
        self._allow = {parse_host_port(entry) for entry in allow or []}

    def allows(self, url: URL) -> bool:
        """Whether the operator has exempted the URL's host (and port)."""
        host = (url.raw_host or "").lower().rstrip(".")
        return (host, None) in self._allow or (host, url.port) in self._allow

    def check(self, url: URL, field: str = "url") -> None:
        """Raise InvalidField (naming `field`) or Forbidden unless `url` may be tried."""
        self.check_form(url, field)
        if self.allows(url):
            return
        host, port = url.raw_host or "", url.port or 0
        if port not in LOW_PORTS and (port < 1024 or port in BAD_PORTS):
            raise Forbidden(f"Fetching from port {port} is not allowed.", field=field)
        try:
            address = literal(host)
        except ValueError:
            raise InvalidField(
                f"{host!r} is neither a host name nor a properly written address.", field=field
            ) from None
        reason = refusal(address) if address else None
        if reason:
            raise Forbidden(f"Fetching from {host} is not allowed: the address is {reason}.", field=field)

    @staticmethod
    def check_form(url: URL, field: str = "url") -> None:
        """The part of `check` that holds for exempt hosts too: scheme, host, no credentials."""
        if url.scheme not in SCHEMES:
            raise InvalidField("Only http and https addresses are fetched.", field=field, limit=list(SCHEMES))
        if url.user is not None or url.password is not None:
            raise InvalidField("An address that carries credentials is not fetched.", field=field)
        host = url.raw_host or ""
        if not (":" in host or HOST_NAME.fullmatch(host)):
            raise InvalidField(f"{host!r} is not a host name.", field=field)


class GuardedResolver(AbstractResolver):
    """Resolves names through `inner` and refuses the name when any of its addresses is not public."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if self._inner is None:
            self._inner = ThreadedResolver(loop=asyncio.get_running_loop())
        found = await self._inner.resolve(host, port, family)
        for result in found:
            reason = refusal(ip_address(result["host"]))
            if reason:  # the address itself stays unsaid: it would map the private network
                raise RefusedAddress(f"{host} leads to an address that is {reason}")
        return found

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()


def guarded_socket(info: tuple[Any, ...]) -> socket.socket:
    """aiohttp's socket factory: `info` is (family, type, proto, canonname, sockaddr).

    Raises RefusedAddress before the socket exists when the address is not public.
    """
    family, kind, proto, _, target = info
    reason = refusal(ip_address(target[0]))
    if reason or family not in (socket.AF_INET, socket.AF_INET6):
        raise RefusedAddress(f"the address is {reason or 'of an unknown kind'}")
    return socket.socket(family=family, type=kind, proto=proto)
