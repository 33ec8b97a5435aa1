"""Webhooks as fal signs them: Ed25519, with the public key in a JWK set."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Signer:
    """A key pair of its own for each simulator."""

    def __init__(self, user_id: str = "simulated-user") -> None:
        self.user_id = user_id
        self._key = Ed25519PrivateKey.generate()

    def jwks(self) -> dict[str, Any]:
        """The public key, as fal publishes its own (RFC 8037)."""
        x = base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}

    def headers(self, request_id: str, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        """The headers that go with a webhook; `timestamp` is now unless given, in seconds."""
        stamp = str(int(time.time()) if timestamp is None else timestamp)
        parts = [request_id, self.user_id, stamp, hashlib.sha256(body).hexdigest()]
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": self.user_id,
            "X-Fal-Webhook-Timestamp": stamp,
            "X-Fal-Webhook-Signature": self._key.sign("\n".join(parts).encode()).hex(),
        }
