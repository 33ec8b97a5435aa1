"""Who is let in: a service account with a key of its own, by a token that it signs itself or by a signed URL.

Sources: google.aip.dev/auth/4111 (self-signed tokens), cloud.google.com/storage/docs/authentication/
canonical-requests and /signatures (August 2026).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EMAIL: Final = "ferrotype@simulated.iam.gserviceaccount.com"
KEY_ID: Final = "0123456789abcdef"
SCOPES: Final = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/devstorage.read_write",
)
#: Signed URLs name this host whatever the address is.
HOST: Final = "storage.googleapis.com"
ALGORITHM: Final = "GOOG4-RSA-SHA256"


class ServiceAccount:
    """An account whose key was made just now."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def to_json(self, url: str) -> dict[str, str]:
        """The key as Google hands it out, with the simulator's address in it."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "simulated",
            "private_key_id": KEY_ID,
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": f"{url}/token",
            "gcs_base_url": url,
        }

    def signed(self, token: str) -> bool:
        """Whether the account signed this token, and it is good now."""
        try:
            head, claims, signature = token.split(".")
            if _json(head).get("alg") != "RS256" or not self._is_mine(
                f"{head}.{claims}", _decoded(signature)
            ):
                return False
            told = _json(claims)
        except ValueError:
            return False
        now = time.time()
        scopes = str(told.get("scope", "")).split()
        return (
            told.get("iss") == told.get("sub") == EMAIL
            and any(scope in scopes for scope in SCOPES)
            and float(told.get("iat", 0)) <= now + 300
            and now < float(told.get("exp", 0))
        )

    def refusal(self, method: str, path: str, query: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and code with which a signed URL is refused; None when it is good. `path` is the encoded
        one."""
        try:
            made = datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            seconds = int(query["X-Goog-Expires"])
            signature = bytes.fromhex(query["X-Goog-Signature"])
        except (KeyError, ValueError):
            return 400, "InvalidArgument"
        scope = f"{made:%Y%m%d}/auto/storage/goog4_request"
        named = query.get("X-Goog-Algorithm"), query.get("X-Goog-Credential")
        if named != (ALGORITHM, f"{EMAIL}/{scope}") or not 0 < seconds <= 604_800:
            return 400, "InvalidArgument"
        signed = sorted((name, value) for name, value in query.items() if name != "X-Goog-Signature")
        canonical = "\n".join(
            (
                method,
                path,
                "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in signed),
                f"host:{HOST}",
                "",
                "host",
                "UNSIGNED-PAYLOAD",
            )
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join((ALGORITHM, query["X-Goog-Date"], scope, digest))
        if not self._is_mine(text, signature):
            return 403, "SignatureDoesNotMatch"
        return (400, "ExpiredToken") if time.time() > made.timestamp() + seconds else None

    def _is_mine(self, text: str, signature: bytes) -> bool:
        try:
            self._key.public_key().verify(signature, text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _json(text: str) -> dict[str, Any]:
    told = json.loads(_decoded(text))
    if not isinstance(told, dict):
        raise ValueError("no object")
    return told
