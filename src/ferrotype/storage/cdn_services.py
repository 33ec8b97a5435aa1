"""What CDNs want to be told, on the wire.

| service | call |
| --- | --- |
| Cloudflare | `POST /zones/{id}/purge_cache` with `tags`, and one with `files` |
| Fastly | `POST /service/{id}/purge` with `surrogate_keys`; `POST /purge/{url}` |
| webhook | `POST` of `{"type": "cdn.purge", "tags": [...], "urls": [...]}` |

Sources: Cloudflare's API reference, "Purge cached content" and "Purge limits"; Fastly's, "Purging"; the
specification of Standard Webhooks (standardwebhooks.com).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp

from ferrotype.domain.clock import Clock, rfc3339
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import CdnMisconfigured, CdnUnavailable
from ferrotype.storage.cdn import Cdn
from ferrotype.storage.cdn_settings import CdnSettings

CLOUDFLARE: Final = "https://api.cloudflare.com/client/v4"
FASTLY: Final = "https://api.fastly.com"
#: Longest answer that is read, in bytes.
MAX_REPLY: Final = 64 * 1024
#: Seconds until a service is asked again that says nothing of it.
RETRY_SECONDS: Final = 5.0
#: Longest Retry-After that is believed, in seconds.
MAX_RETRY: Final = 3600.0
PASSING: Final = (408, 425, 429)


class Caller:
    """Makes calls of one service's API, and says in our words how they fail."""

    def __init__(self, name: str, headers: Mapping[str, str], timeout: float) -> None:
        self.name = name
        self._headers = {**headers, "User-Agent": "ferrotype"}
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, body: bytes | None, mend: str, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The answer's JSON, None where it has none. `mend` says what to do when we are refused.

        Raises CdnUnavailable or CdnMisconfigured; neither repeats what the answer or the request say.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        more = {**({} if body is None else {"Content-Type": "application/json"}), **(headers or {})}
        try:
            async with self._session.post(url, data=body, headers=more, allow_redirects=False) as reply:
                text = await reply.content.read(MAX_REPLY)
        except TimeoutError:
            raise self._unavailable("does not answer in time") from None
        except aiohttp.ClientError as error:
            raise self._unavailable(f"cannot be reached ({type(error).__name__})") from None
        if reply.status in PASSING or reply.status >= 500:
            raise self._unavailable(f"answers {reply.status}", _seconds(reply.headers.get("Retry-After")))
        if reply.status >= 300:
            raise self.refused(str(reply.status), mend)
        return _json(text)

    def refused(self, said: str, mend: str) -> CdnMisconfigured:
        return CdnMisconfigured(
            f"The CDN {self.name} refuses us ({said}): {mend}.", retry_after=RETRY_SECONDS
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _unavailable(self, what: str, seconds: float | None = None) -> CdnUnavailable:
        return CdnUnavailable(f"The CDN {self.name} {what}.", retry_after=seconds or RETRY_SECONDS)


class Cloudflare:
    """A zone of Cloudflare's. Tags are bounded to 100 in a call, URLs to 30 in the smallest plan."""

    name = "cloudflare"
    tags_at_once = 100
    urls_at_once = 30
    mend = "see that the zone's id is right, and that the API token may purge its cache"

    def __init__(self, zone: str, token: str, api: str, timeout: float) -> None:
        self._url = f"{api}/zones/{zone}/purge_cache"
        self._caller = Caller(self.name, {"Authorization": f"Bearer {token}"}, timeout)

    async def purge(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """See `Cdn`."""
        for name, values, step in (("tags", tags, self.tags_at_once), ("files", urls, self.urls_at_once)):
            for at in range(0, len(values), step):
                told = await self._caller.post(self._url, _body({name: values[at : at + step]}), self.mend)
                if not isinstance(told, dict) or told.get("success") is not True:
                    raise self._caller.refused("no success", self.mend)

    async def close(self) -> None:
        """See `Cdn`."""
        await self._caller.close()


class Fastly:
    """A service of Fastly's. Keys are bounded to 256 in a call; URLs go one by one."""

    name = "fastly"
    tags_at_once = 256
    urls_at_once = 16
    mend = "see that the service's id is right, and that the API token may purge it"

    def __init__(self, service: str, token: str, api: str, timeout: float) -> None:
        self._api = api
        self._url = f"{api}/service/{service}/purge"
        self._caller = Caller(self.name, {"Fastly-Key": token, "Accept": "application/json"}, timeout)

    async def purge(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """See `Cdn`."""
        if tags:
            await self._caller.post(self._url, _body({"surrogate_keys": list(tags)}), self.mend)
        for url in urls:
            await self._caller.post(f"{self._api}/purge/{url.partition('://')[2]}", None, self.mend)

    async def close(self) -> None:
        """See `Cdn`."""
        await self._caller.close()


class Webhook:
    """Whoever is told by a signed POST: a script in front of Varnish, CloudFront, Bunny, ..."""

    name = "webhook"
    tags_at_once = 100
    urls_at_once = 100
    mend = "see that FERROTYPE_CDN_WEBHOOK_URL is right, and what is behind it"

    def __init__(self, url: str, key: bytes | None, base: str | None, timeout: float, clock: Clock) -> None:
        self._url = url
        self._key = key
        self._base = (base or "").rstrip("/")
        self._clock = clock
        self._caller = Caller(self.name, {}, timeout)

    async def purge(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        """See `Cdn`. Beside the tags goes the URL that every edition of a picture begins with."""
        now = self._clock.now()
        body = _body(
            {
                "type": "cdn.purge",
                "timestamp": rfc3339(now),
                "tags": list(tags),
                "urls": [*(f"{self._base}/images/{tag}" for tag in tags), *urls],
            }
        )
        message, stamp = f"msg_{new_id()}", str(int(now.timestamp()))
        headers = {"webhook-id": message, "webhook-timestamp": stamp}
        if self._key is not None:
            digest = hmac.digest(self._key, f"{message}.{stamp}.".encode() + body, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        await self._caller.post(self._url, body, self.mend, headers)

    async def close(self) -> None:
        """See `Cdn`."""
        await self._caller.close()


def open_service(settings: CdnSettings, base: str | None, clock: Clock) -> Cdn:
    """The service that is configured; `settings` are complete. Nothing is asked of it yet."""
    match settings.service:
        case "cloudflare":
            zone, token = settings.cloudflare_zone_id or "", settings.cloudflare_api_token or ""
            return Cloudflare(zone, token, settings.api_url or CLOUDFLARE, settings.timeout)
        case "fastly":
            service, token = settings.fastly_service_id or "", settings.fastly_api_token or ""
            return Fastly(service, token, settings.api_url or FASTLY, settings.timeout)
        case _:
            url, key = settings.webhook_url or "", settings.webhook_key
            return Webhook(url, key, base, settings.timeout, clock)


def _body(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After that is a number; the form with a date is rare and left out."""
    if text is None or not text.strip().isdigit():
        return None
    return min(float(text), MAX_RETRY)
