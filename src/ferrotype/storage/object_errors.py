"""What obstore raises, in our words.

Its errors are few classes with long texts, which hold the answer of the service and the request: what is
said here is made of the status, the service's own code and the kind of the failure, and of nothing else, so
that no signed URL and no key ever gets into a log or an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)

from ferrotype.domain.problems import NotFound, Problem, StoreMisconfigured, StoreUnavailable

STATUS: Final = re.compile(r"status code: (\d{3})|status: (\d{3})\b")
CODE: Final = re.compile(r"<Code>(\w+)</Code>|\"?[Cc]ode\"?: \"(\w+)\"")
#: What the services say, and what has to be mended there.
MEND: Final = {
    "NoSuchBucket": "make the bucket, or correct its name",
    "InvalidBucketName": "correct the bucket's name",
    "InvalidAccessKeyId": "correct the access key",
    "SignatureDoesNotMatch": "correct the secret of the access key",
    "InvalidToken": "renew the session token",
    "ExpiredToken": "renew the session token",
    "AccessDenied": "allow these credentials to read, write and delete objects in the bucket",
    "RequestTimeTooSkewed": "set this machine's clock",
    "AuthorizationHeaderMalformed": "correct the region",
    "PermanentRedirect": "correct the region or the endpoint",
    "AccountProblem": "see what is wrong with the account there",
    "NotSignedUp": "sign the account up for the service",
}
FULL: Final = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "InsufficientCapacity"})
CREDENTIALS: Final = "give correct credentials, which may read, write and delete in the bucket"
#: First that is found in the text, and what is said of it.
TRANSPORT: Final = (
    ("Connection refused", "nothing listens there"),
    ("dns error", "its host name is not known"),
    ("InvalidCertificate", "its certificate is not trusted"),
    ("TimedOut", "it does not answer in time"),
    ("timed out", "it does not answer in time"),
)
#: Where credentials are looked for when none are given: that nobody answers there means there are none.
METADATA: Final = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "metadata server")
RETRY_SECONDS: Final = 5.0


@contextmanager
def in_our_words(store: str) -> Iterator[None]:
    """Raises NotFound, StoreUnavailable or StoreMisconfigured for what obstore raises inside."""
    try:
        yield
    except (BaseError, OSError, NotImplementedError) as error:
        raise translated(error, store) from None


def translated(error: BaseException, store: str) -> Problem:
    """The problem that says what happened to the store of that name."""
    text = str(error)
    code = _first(CODE.search(text))
    status = _first(STATUS.search(text))
    if code in MEND:
        return _misconfigured(store, code, MEND[code])
    if code in FULL or status == "507":
        return StoreUnavailable(f"The store {store} is full.", retry_after=60)
    if isinstance(error, FileNotFoundError | InvalidPathError):
        return NotFound(f"The store {store} has no such key.")
    if any(place in text for place in METADATA):
        return _misconfigured(store, "it has no credentials", CREDENTIALS)
    if isinstance(error, UnauthenticatedError | PermissionDeniedError):
        return _misconfigured(store, f"it answers {status or 'no'}", CREDENTIALS)
    if isinstance(error, UnknownConfigurationKeyError | NotImplementedError):
        return _misconfigured(store, "it cannot do that", "correct its settings")
    if "incorrectly configured region" in text or (status or "").startswith("3"):
        return _misconfigured(store, "it sends us elsewhere", MEND["PermanentRedirect"])
    if status is not None and status.startswith("4") and status not in ("408", "409", "412", "429"):
        return _misconfigured(store, f"it answers {code or status}", "correct its endpoint and its settings")
    if status is not None:
        return StoreUnavailable(f"The store {store} answers {code or status}.", retry_after=RETRY_SECONDS)
    reason = next((words for sign, words in TRANSPORT if sign in text), "the connection broke")
    return StoreUnavailable(f"The store {store} cannot be used: {reason}.", retry_after=RETRY_SECONDS)


def is_beyond(error: BaseException) -> bool:
    """Whether a range was asked for that begins after the end."""
    return _first(STATUS.search(str(error))) == "416" or "InvalidRange" in str(error)


def _misconfigured(store: str, said: str, mend: str) -> StoreMisconfigured:
    return StoreMisconfigured(f"The store {store} refuses us ({said}): {mend}.", retry_after=RETRY_SECONDS)


def _first(match: re.Match[str] | None) -> str | None:
    return next((group for group in match.groups() if group), None) if match else None
