"""Standard Webhooks (standardwebhooks.com): whether a webhook is really from the service that it names."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ferrotype.domain.problems import Unauthorized

PREFIX: Final = "whsec_"
#: Seconds by which a webhook's time may differ from ours.
TOLERANCE: Final = 300


def signing_key(secret: str) -> bytes:
    """The key within `whsec_...`. Raises ValueError when it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("no signing secret")
    return key


def check_signature(key: bytes, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Check the signature of `body`; `headers` have lower-case names, and several signatures may be given.

    Raises Unauthorized: a header is missing, it is older or newer than the tolerance, or nothing fits.
    """
    message_id, stamp, signatures = (
        headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not (message_id and stamp.isascii() and stamp.isdigit() and signatures):
        raise Unauthorized("The webhook is not signed.")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE:
        raise Unauthorized("The webhook is too old or too new.")
    signed = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(signed)
    # All are compared, so that the time tells nothing of which one fits.
    fits = [hmac.compare_digest(expected, given.encode()) for given in signatures.split()]
    if not any(fits):
        raise Unauthorized("The webhook's signature is wrong.")
