"""Bytes by HTTP: streamed, bounded, with every failure turned into a problem at this boundary.

| what happens                                            | raised                              |
| ------------------------------------------------------- | ----------------------------------- |
| no connection, no such name, TLS, 4xx, 5xx, a body that | OriginUnavailable                   |
| ends before its Content-Length, an encoded body         |                                     |
| 404, 410                                                | OriginGone, an OriginUnavailable    |
|                                                         | that is not worth another attempt   |
| no bytes for `read_timeout`, `total_timeout` over       | OriginTimeout                       |
| more bytes declared or sent than allowed                | TooLarge (`limit` in bytes)         |
| an address or port that the guard refuses               | Forbidden                           |
| a URL that is none                                      | InvalidField                        |
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

import ferrotype
from ferrotype.domain.problems import (
    Forbidden,
    InvalidField,
    OriginTimeout,
    OriginUnavailable,
    Problem,
    TooLarge,
)
from ferrotype.net.base import Incoming
from ferrotype.net.guard import Guard, GuardedResolver, RefusedAddress, guarded_socket
from ferrotype.net.settings import NetSettings
from ferrotype.net.url import parse, same_party, target

CHUNK: Final = 64 * 1024
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: All that may follow a redirect to another host: anything else could be a secret for the first one.
HARMLESS_HEADERS: Final = frozenset({"accept", "accept-language", "user-agent"})


class OriginGone(OriginUnavailable):
    """The origin says for good that it has no such picture; asking again would not help.

    It has no code of its own: callers see `origin_unavailable` with `retryable: false`.
    """

    retryable = False


class Http:
    """The process's HTTP client for fetching bytes.

    Two sessions, opened when first needed: a trusted one for addresses that the operator configured, a
    guarded one (see `net.guard`) for everything else. Bound to the running loop; `close` ends both.
    """

    def __init__(self, settings: NetSettings, *, resolver: AbstractResolver | None = None) -> None:
        self._settings = settings
        self._guard = Guard(settings.allow_private_fetch)
        self._resolver = resolver
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closed = False

    @asynccontextmanager
    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        trusted: bool = False,
        max_bytes: int | None = None,
        field: str = "url",
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[Incoming]:
        """The answer to a GET once its head is here; leaving the block ends the fetch.

        `trusted` exempts the URL's own host from the guard, not those that it redirects to; the same
        holds for `tls` (an own certificate authority) and for `headers`. `max_bytes` defaults to the
        setting. `field` is the name that problems give the URL. The body is read no faster than it is
        consumed: at most about 128 KiB wait here. Raises as the table above says, before the block is
        entered or while `chunks` is read.
        """
        deadline = asyncio.get_running_loop().time() + self._settings.total_timeout
        limit = self._settings.max_fetch_bytes if max_bytes is None else max_bytes
        response = await self._follow(parse(url, field), dict(headers or {}), trusted, field, tls, deadline)
        try:
            length = response.content_length
            if length is not None and length > limit:
                raise TooLarge(f"The file has {length} bytes; {limit} are allowed.", field=field, limit=limit)
            async with aclosing(_body(response, limit, field, deadline)) as chunks:
                yield Incoming(_media_type(response), length, chunks, _is_framed(response))
        finally:
            response.close()  # a connection whose body was read to its end has gone back to the pool before

    async def read(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        trusted: bool = False,
        max_bytes: int | None = None,
        field: str = "url",
        tls: ssl.SSLContext | None = None,
    ) -> bytes:
        """The whole body; arguments and errors are those of `get`."""
        async with self.get(
            url, headers=headers, trusted=trusted, max_bytes=max_bytes, field=field, tls=tls
        ) as incoming:
            return b"".join([chunk async for chunk in incoming.chunks])

    async def close(self) -> None:
        """End every connection. Fetches under way break off; later ones raise RuntimeError."""
        self._closed = True
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _follow(
        self,
        url: URL,
        headers: dict[str, str],
        trusted: bool,
        field: str,
        tls: ssl.SSLContext | None,
        deadline: float,
    ) -> aiohttp.ClientResponse:
        """The first answer that is no redirect; each hop is judged anew and may lose the headers."""
        first = url.raw_host
        for _ in range(self._settings.max_redirects + 1):
            known = trusted and url.raw_host == first
            if not known:
                self._guard.check(url, field)
            response = await self._send(url, headers, known, field, tls if known else None, deadline)
            if response.status not in REDIRECTS:
                return _accepted(response, url)
            location = response.headers.get("Location")
            response.close()
            following = target(url, location)
            if not same_party(url, following):
                headers = {key: value for key, value in headers.items() if key.lower() in HARMLESS_HEADERS}
            url = following
        raise OriginUnavailable(f"{url.host} redirects more than {self._settings.max_redirects} times.")

    async def _send(
        self,
        url: URL,
        headers: dict[str, str],
        known: bool,
        field: str,
        tls: ssl.SSLContext | None,
        deadline: float,
    ) -> aiohttp.ClientResponse:
        session = self._session(guarded=not (known or self._guard.allows(url)))
        with _boundary(url.host, field):
            async with asyncio.timeout_at(deadline):
                return await session.get(
                    url,
                    # Identity: an encoded body would have another length than the one declared.
                    headers={**headers, "Accept-Encoding": "identity"},
                    allow_redirects=False,
                    ssl=tls or True,
                )

    def _session(self, *, guarded: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("the HTTP client is closed")
        session = self._sessions.get(guarded)
        if session is None:
            settings = self._settings
            connector = aiohttp.TCPConnector(
                limit=settings.max_connections,
                resolver=GuardedResolver(self._resolver) if guarded else self._resolver,
                use_dns_cache=not guarded,
                socket_factory=guarded_socket if guarded else None,
            )
            session = self._sessions[guarded] = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
                ),
                headers={"User-Agent": f"ferrotype/{ferrotype.__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=CHUNK,
            )
        return session


def _accepted(response: aiohttp.ClientResponse, url: URL) -> aiohttp.ClientResponse:
    """`response` if its body is the thing itself. Raises OriginUnavailable, and closes it, if not."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if response.status in (200, 203) and encoding in ("identity", ""):
        return response
    response.close()
    if response.status in (404, 410):
        raise OriginGone(f"{url.host} has no such file any more (status {response.status}).")
    if response.status not in (200, 203):
        raise OriginUnavailable(
            f"{url.host} answered with status {response.status}.", retry_after=_retry_after(response)
        )
    raise OriginUnavailable(f"{url.host} sent the file encoded as {encoding!r}, which was not asked for.")


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Seconds of a Retry-After that is a number; the form with a date is rare and left out."""
    text = response.headers.get("Retry-After", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _is_framed(response: aiohttp.ClientResponse) -> bool:
    coding = response.headers.get(aiohttp.hdrs.TRANSFER_ENCODING, "")
    return response.content_length is not None or "chunked" in coding.lower()


def _media_type(response: aiohttp.ClientResponse) -> str | None:
    """The declared type without parameters: a hint for the log, never a fact."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() or None


async def _body(
    response: aiohttp.ClientResponse, limit: int, field: str, deadline: float
) -> AsyncGenerator[bytes, None]:
    got, expected, host = 0, response.content_length, response.url.host
    while True:
        with _boundary(host, field):
            async with asyncio.timeout_at(deadline):
                chunk = await response.content.read(CHUNK)
        if not chunk:
            break
        got += len(chunk)
        if got > limit:
            raise TooLarge(f"The file has more than the {limit} bytes allowed.", field=field, limit=limit)
        yield chunk
    if expected is not None and got != expected:
        raise OriginUnavailable(f"{host} broke off after {got} of {expected} bytes.")


@contextmanager
def _boundary(host: str | None, field: str) -> Iterator[None]:
    """Foreign exceptions end here."""
    try:
        yield
    except Problem:
        raise
    except TimeoutError:
        raise OriginTimeout(f"{host} did not send in time.") from None
    except aiohttp.InvalidURL as error:
        raise InvalidField(f"This is no address that can be fetched: {error}.", field=field) from None
    except aiohttp.ClientPayloadError as error:
        raise OriginUnavailable(f"{host} broke off before the end of the file.") from error
    except (aiohttp.ClientError, OSError) as error:
        refused = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        if isinstance(refused, RefusedAddress):
            raise Forbidden(f"Fetching from {host} is not allowed: {refused}.", field=field) from None
        raise OriginUnavailable(f"{host} cannot be fetched from: {error or type(error).__name__}.") from error
