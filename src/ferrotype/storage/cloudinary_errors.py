"""What Cloudinary and the way to it say, in our words.

| what happens                                          | raised                                   |
| ----------------------------------------------------- | ---------------------------------------- |
| no connection, TLS, time-outs, a broken answer, 5xx,  | StoreUnavailable                         |
| 408, 409, 423 (it still works on the picture), 425    |                                          |
| 420, 429                                              | RateLimited, a StoreUnavailable          |
| 401, 403, redirects, an unknown cloud, a stale call   | StoreMisconfigured                       |
| 400 for a picture that is too large                   | StoreMisconfigured (`limit` in bytes)    |
| other 4xx                                             | StoreMisconfigured                       |

Texts never hold the secret, the API key, or the string that was signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp

from ferrotype.domain.problems import StoreMisconfigured, StoreUnavailable

RETRY_SECONDS: Final = 5.0
#: After a rate limit that does not say how long.
LIMITED_SECONDS: Final = 60.0
#: The Admin API counts by the hour. In seconds.
MAX_RETRY_SECONDS: Final = 3600.0
MAX_WORDS: Final = 200
TOO_LARGE: Final = re.compile(r"File size too large\. Got ([0-9]+)\. Maximum is ([0-9]+)")
AGAIN: Final = re.compile(r"Try again on ([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) UTC")
LIMITED: Final = frozenset({420, 429})
PASSING: Final = frozenset({408, 409, 423, 425})
CREDENTIALS: Final = "correct the cloud name, the API key and the API secret"
#: What it says, in lower case, and what has to be mended.
MEND: Final = (
    ("stale request", "set this machine's clock"),
    ("invalid signature", f"{CREDENTIALS}, and the signature algorithm where the cloud takes sha256 only"),
    ("api_secret", CREDENTIALS),
    ("cloud_name", "correct the cloud name"),
    ("api_key", "correct the API key"),
    ("api key", "correct the API key"),
    ("image file", "it keeps pictures only"),
    ("image format", "it does not know this format"),
)


class RateLimited(StoreUnavailable):
    """An hour's calls are used up; it has no code of its own."""


class Words:
    """Makes problems of one store. `secrets` are cut out of whatever Cloudinary says."""

    def __init__(self, store: str, secrets: tuple[str, ...]) -> None:
        self._store = store
        self._secrets = secrets

    def refused(
        self, status: int, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> StoreUnavailable | StoreMisconfigured:
        """The problem of an answer that is no success."""
        said = self._shown(message_of(body) or headers.get("X-Cld-Error", ""))
        tail = f" ({said})" if said else f" (status {status})"
        if status in LIMITED:
            seconds = _patience(headers, said, now)
            return RateLimited(f"The store {self._store} is at its rate limit{tail}.", retry_after=seconds)
        if status >= 500 or status in PASSING:
            seconds = _seconds(headers.get("Retry-After"), now) or RETRY_SECONDS
            return StoreUnavailable(
                f"The store {self._store} cannot be used now (status {status}).", retry_after=seconds
            )
        if found := TOO_LARGE.search(said):
            return StoreMisconfigured(
                f"The store {self._store} takes pictures of up to {found[2]} bytes, by the plan of the cloud;"
                f" this one has {found[1]}.",
                limit=int(found[2]),
                retry_after=MAX_RETRY_SECONDS,
            )
        mend = next((words for sign, words in MEND if sign in said.lower()), None)
        if mend is None:
            mend = CREDENTIALS if status in (401, 403) else "correct its settings"
        if 300 <= status < 400:
            tail, mend = f" (it redirects, {status})", "correct its address"
        return StoreMisconfigured(
            f"The store {self._store} refuses us{tail}: {mend}.", retry_after=RETRY_SECONDS
        )

    def unavailable(self, reason: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"The store {self._store} cannot be used: {reason}.", retry_after=RETRY_SECONDS
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raises our problems for what aiohttp raises inside. Errors of files are not its matter."""
        try:
            yield
        except aiohttp.ClientConnectorCertificateError:
            raise self.unavailable("its certificate is not trusted") from None
        except aiohttp.ClientConnectorDNSError:
            raise self.unavailable("its host name is not known") from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise self.unavailable("it cannot be reached") from None
        except TimeoutError:
            raise self.unavailable("it does not answer in time") from None
        except (aiohttp.ClientError, ConnectionError):
            raise self.unavailable("the connection broke") from None

    def _shown(self, text: str) -> str:
        """Its first line, shortened; what was signed and what is secret left out."""
        line = text.partition("\n")[0].partition("String to sign")[0]
        line = re.sub(r"(Invalid Signature) [0-9a-f]+", r"\1", line)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        line = "".join(character for character in line if character.isprintable()).strip().rstrip(".")
        return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"


def message_of(body: bytes) -> str:
    """The text of `{"error": {"message"}}`, empty for anything else."""
    try:
        told: Any = json.loads(body)
        message = told["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return message if isinstance(message, str) else ""


def _patience(headers: Mapping[str, str], said: str, now: datetime) -> float:
    """Seconds until calls are taken again: three places may tell."""
    for text in (headers.get("Retry-After"), headers.get("X-FeatureRateLimit-Reset")):
        seconds = _seconds(text, now)
        if seconds is not None:
            return seconds
    if found := AGAIN.search(said):
        moment = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_SECONDS)
    return LIMITED_SECONDS


def _seconds(text: str | None, now: datetime) -> float | None:
    """A number of seconds or a date, as seconds from now; None for neither."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return min(float(text), MAX_RETRY_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_SECONDS)
