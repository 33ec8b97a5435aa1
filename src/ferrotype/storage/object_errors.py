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

STATUS: Final = re.compile(r"status code: (\d{3})|status: (\d{3})\b|\(code: (\d{3})\)")
CODE: Final = re.compile(r"<Code>(\w+)</Code>|\"?[Cc]ode\"?: \"(\w+)\"")
CREDENTIALS: Final = "give correct credentials, which may read, write and delete there"
RIGHTS: Final = "allow these credentials to read, write and delete there"
CLOCK: Final = "set this machine's clock"
#: What the services say, and what has to be mended there: S3, Google's XML interface; then Azure.
MEND: Final = {
    "NoSuchBucket": "make the bucket, or correct its name",
    "InvalidBucketName": "correct the bucket's name",
    "InvalidAccessKeyId": "correct the access key",
    "SignatureDoesNotMatch": "correct the secret of the access key",
    "InvalidToken": "renew the session token",
    "ExpiredToken": "renew the session token",
    "AccessDenied": RIGHTS,
    "RequestTimeTooSkewed": CLOCK,
    "AuthorizationHeaderMalformed": "correct the region",
    "PermanentRedirect": "correct the region or the endpoint",
    "AccountProblem": "see what is wrong with the account there",
    "NotSignedUp": "sign the account up for the service",
    "ContainerNotFound": "make the container, or correct its name",
    "ContainerDisabled": "see what is wrong with the container there",
    "ResourceNotFound": "correct the account's name, or the endpoint",
    "AuthenticationFailed": f"correct the account's key, give a SAS that is good, or {CLOCK}",
    "AuthorizationFailure": "correct the account's key or SAS, and see whether its firewall lets us in",
    "AuthorizationPermissionMismatch": RIGHTS,
    "AuthorizationResourceTypeMismatch": "give a SAS for containers and objects",
    "AuthorizationServiceMismatch": "give a SAS for blobs",
    "AuthorizationProtocolMismatch": "give a SAS for this protocol, or an https endpoint",
    "AuthorizationSourceIPMismatch": "give a SAS for this machine's address",
    "InsufficientAccountPermissions": RIGHTS,
    "KeyBasedAuthenticationNotPermitted": "allow the account's keys, or set up an identity",
    "AccountIsDisabled": "see what is wrong with the account there",
}
#: The same by a phrase, where the code alone would mislead: a clock that is off looks like a wrong key.
PHRASES: Final = (
    ("Request date header too old", "RequestTimeTooSkewed", CLOCK),
    ("not valid in the specified time frame", "AuthenticationFailed", f"renew the SAS, or {CLOCK}"),
    ("Check your iat and exp values", "invalid_grant", CLOCK),
    ("invalid_grant", "invalid_grant", "give a key of a service account that is still good"),
)
FULL: Final = frozenset({"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "InsufficientCapacity"})
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
    for phrase, said, mend in PHRASES:
        if phrase in text:
            return _misconfigured(store, said, mend)
    if code in MEND:
        return _misconfigured(store, code, MEND[code])
    if code in FULL or status == "507":
        return StoreUnavailable(f"The store {store} is full.", retry_after=60)
    if isinstance(error, FileNotFoundError | InvalidPathError):
        return NotFound(f"The store {store} has no such key.")
    if any(place in text for place in METADATA):
        return _misconfigured(store, "it has no credentials", CREDENTIALS)
    if isinstance(error, UnauthenticatedError | PermissionDeniedError) or status in ("401", "403"):
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
