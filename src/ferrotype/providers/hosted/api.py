"""HTTP towards a hosted service, with every failure turned into a problem at this boundary.

| what happens                              | of a call that starts work | of any other           |
| ----------------------------------------- | -------------------------- | ---------------------- |
| no connection, no such name, TLS          | ProviderUnavailable        | ProviderUnavailable    |
| the connection breaks later, no answer    | OutcomeUnknown             | ProviderUnavailable    |
| 3xx, 401, 402, 403, 404                   | ProviderMisconfigured      | ProviderMisconfigured  |
| 400, 405, 413, 415, 422 and other 4xx     | ProviderRejected           | ProviderRejected       |
| 408, 425, 429 and 503 (Retry-After)       | ProviderBusy               | ProviderBusy           |
| other 5xx                                 | OutcomeUnknown             | ProviderUnavailable    |
| no JSON where it is due                   | OutcomeUnknown             | ProviderUnavailable    |
| more bytes than allowed                   | OutcomeUnknown             | ProviderFailed         |

Details name the connection and never carry a key, a header, an address or HTML.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from yarl import URL

from ferrotype.config import ConfigError
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRejected,
    ProviderUnavailable,
)
from ferrotype.net.guard import GuardedResolver, guarded_socket
from ferrotype.providers.hosted.text import said

#: Seconds for the TCP and TLS handshakes.
CONNECT_SECONDS: Final = 10.0
#: Longest answer that is read, in bytes: inline pictures are a third larger than their bytes.
MAX_REPLY: Final = 128 * 1024 * 1024
#: Longest Retry-After that is believed, in seconds.
MAX_RETRY_AFTER: Final = 3_600.0
BUSY: Final = frozenset({408, 425, 429, 503})


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """`Retry-After` in seconds, in either of its forms."""
        return seconds_of(self.headers.get("Retry-After"))


class Api:
    """One service's API: its base address, our credentials, its session. Use it from one event loop.

    `name` is the connection's and stands in every detail. `headers` carry the credentials and go to the base
    address's own origin (scheme, host, port) and nowhere else. `secrets` are cut out of whatever the service
    says.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        ca_file: str | None = None,
        read_timeout: float = 60.0,
        guarded: bool = False,
    ) -> None:
        """`guarded` connections reach public addresses only: for addresses that the service itself names.

        Raises ConfigError when `base_url` is none.
        """
        self.name = name
        try:
            self.base = URL(base_url.rstrip("/"))
        except ValueError:
            self.base = URL("")
        if not self.base.is_absolute() or self.base.scheme not in ("http", "https") or not self.base.host:
            raise ConfigError(f"{name}: the base address is no http(s) URL.")
        self.secrets = secrets
        self._headers = dict(headers or {})
        self._ca_file = ca_file
        self._read_timeout = read_timeout
        self._guarded = guarded
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The credentials, as headers."""
        return self._headers

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The certificate authorities to believe where they are not the system's, read once.

        Raises ProviderMisconfigured when the file cannot be used.
        """
        if self._tls is None and self._ca_file is not None:
            try:
                self._tls = ssl.create_default_context(cafile=self._ca_file)
            except OSError:  # ssl.SSLError is one
                raise ProviderMisconfigured(
                    f"{self.name}: its certificate authority file is of no use."
                ) from None
        return self._tls

    def url(self, path: str) -> URL:
        """`path`, which starts with `/`, under the base; an absolute URL stays as it is."""
        return URL(path) if path.startswith(("http://", "https://")) else URL(f"{self.base}{path}")

    def is_ours(self, url: str | URL) -> bool:
        """Whether `url` is of the base address's origin, so that our key may be shown to it."""
        try:
            return URL(url).origin() == self.base.origin()
        except ValueError:
            return False

    async def send(
        self,
        what: str,
        method: str,
        path: str,
        *,
        starts_work: bool = False,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
        **body: Any,
    ) -> Reply:
        """The whole answer, whatever its status. `what` says what was being done; `body` is aiohttp's `json`
        or `data`. Raises as the table above says, statuses excepted."""
        async with self.open(
            what, method, path, starts_work=starts_work, headers=headers, read_timeout=read_timeout, **body
        ) as response:
            return await self.read(what, response, starts_work=starts_work)

    async def json(self, what: str, method: str, path: str, *, starts_work: bool = False, **rest: Any) -> Any:
        """The JSON of a 2xx answer. Raises as the table above says."""
        reply = await self.send(what, method, path, starts_work=starts_work, **rest)
        if not reply.ok:
            raise self.refused(what, reply, starts_work=starts_work)
        return self.decoded(what, reply, starts_work=starts_work)

    @asynccontextmanager
    async def open(
        self,
        what: str,
        method: str,
        path: str,
        *,
        starts_work: bool = False,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
        **body: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer once its head is here, for a body that is read piece by piece; problems of reading it
        are translated too while the block is open. Redirects, which would carry the key away, are not
        followed."""
        url = self.url(path)
        ours = self._headers if self.is_ours(url) else {}
        timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_SECONDS, sock_read=read_timeout or self._read_timeout
        )
        with self._translated(what, starts_work=starts_work):
            async with self._open_session().request(
                method,
                url,
                headers={**ours, **(headers or {})},
                timeout=timeout,
                allow_redirects=False,
                middlewares=(_once,) if starts_work else (),
                **body,
            ) as response:
                yield response

    async def read(self, what: str, response: aiohttp.ClientResponse, *, starts_work: bool = False) -> Reply:
        """The rest of an open answer, bounded."""
        async with aclosing(self.chunks(what, response, starts_work=starts_work)) as chunks:
            body = b"".join([chunk async for chunk in chunks])
        return Reply(response.status, response.headers, body)

    async def chunks(
        self, what: str, response: aiohttp.ClientResponse, *, starts_work: bool = False
    ) -> AsyncGenerator[bytes]:
        """The rest of an open answer piece by piece, as it comes; bounded in all."""
        size = 0
        with self._translated(what, starts_work=starts_work):
            async for chunk in response.content.iter_chunked(1 << 18):
                size += len(chunk)
                if size > MAX_REPLY:
                    response.close()
                    detail = f"{what}: {self.name} answered with more than {MAX_REPLY} bytes."
                    raise OutcomeUnknown(detail) if starts_work else ProviderFailed(detail)
                yield chunk

    def decoded(self, what: str, reply: Reply, *, starts_work: bool = False) -> Any:
        """The answer's JSON."""
        try:
            return json.loads(reply.body)
        except ValueError:
            unsure = OutcomeUnknown if starts_work else ProviderUnavailable
            raise unsure(f"{what}: {self.name}'s answer cannot be read.") from None

    def refused(self, what: str, reply: Reply, *, starts_work: bool = False) -> ProviderProblem:
        """The problem of an answer that is not 2xx."""
        words = said(reply.body, self.secrets)
        tail = f" {words}" if words else ""
        status = reply.status
        if status in (401, 403):
            return ProviderMisconfigured(f"{what}: {self.name} refused our key ({status}).{tail}")
        if status == 402:
            return ProviderMisconfigured(f"{what}: our account at {self.name} is out of credit (402).{tail}")
        if status == 404:
            return ProviderMisconfigured(f"{what}: {self.name} does not know it (404).{tail}")
        if status < 400:  # the base address is another one; the key is not carried there
            return ProviderMisconfigured(f"{what}: {self.name}'s address leads elsewhere ({status}).")
        if status in BUSY:
            return ProviderBusy(
                f"{what}: {self.name} is busy ({status}).{tail}", retry_after=reply.retry_after
            )
        if status < 500:
            return ProviderRejected(f"{what}: {self.name} calls it wrong ({status}).{tail}")
        unsure = OutcomeUnknown if starts_work else ProviderUnavailable
        return unsure(f"{what}: {self.name} failed ({status}).{tail}")

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self.tls or True,
                    limit=0,
                    resolver=GuardedResolver() if self._guarded else None,
                    use_dns_cache=not self._guarded,
                    socket_factory=guarded_socket if self._guarded else None,
                ),
                headers={"User-Agent": "ferrotype"},
            )
        return self._session

    @contextmanager
    def _translated(self, what: str, *, starts_work: bool) -> Iterator[None]:
        unsure: type[ProviderProblem] = OutcomeUnknown if starts_work else ProviderUnavailable
        try:
            yield
        except aiohttp.ClientConnectorCertificateError:
            raise ProviderUnavailable(f"{what}: {self.name}'s certificate is not trusted.") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise ProviderUnavailable(f"{what}: {self.name} cannot be reached.") from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise ProviderMisconfigured(f"{what}: {self.name}'s address is of no use.") from None
        except TimeoutError:
            raise unsure(f"{what}: {self.name} did not answer in time.") from None
        except (aiohttp.ClientError, OSError):
            raise unsure(f"{what}: the connection to {self.name} broke.") from None


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp sends a PUT again by itself when its connection breaks, which may start paid work twice. It
    does not for this error."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise aiohttp.ClientConnectionError("The connection broke.") from None


def seconds_of(retry_after: str | None) -> float | None:
    """A `Retry-After` header in seconds from now, None for none or nonsense (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if seconds == seconds else None
