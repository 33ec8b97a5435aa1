"""Signatures of fal's webhooks.

Ed25519 over ``request id\\nuser id\\ntimestamp\\nhex(SHA-256(body))``, all but the last out of headers, the
signature in hex. The public keys are a JWK set at `/.well-known/jwks.json` of fal's REST API, to be kept for
24 hours at most (fal.ai/docs: webhooks).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import ProviderProblem, Unauthorized
from ferrotype.providers.hosted.api import Api

KEYS: Final = "/.well-known/jwks.json"
#: Seconds by which a webhook's clock may differ from ours.
TOLERANCE: Final = 300
KEPT_SECONDS: Final = 24 * 3_600.0
#: Seconds before the keys are asked for again, when none of them fits or they could not be had.
PAUSE_SECONDS: Final = 60.0
PARTS: Final = ("request-id", "user-id", "timestamp")

log = structlog.get_logger(__name__)


class Signatures:
    """Checks webhooks; `api` is fal's REST API, None where there is none: then nothing can be checked."""

    def __init__(self, api: Api | None, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._keys: list[Ed25519PublicKey] = []
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._one = asyncio.Lock()

    async def check(self, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any] | None:
        """The webhook's JSON once its signature is found good; None while fal's keys cannot be had, so that
        nobody can tell. `headers` have lower-case names. Raises Unauthorized."""
        await self._refresh(KEPT_SECONDS)
        if not self._keys:
            return None
        self._check_time(headers)
        if not self._fits(headers, body):
            await self._refresh(PAUSE_SECONDS)  # keys change now and then
            if not self._fits(headers, body):
                raise Unauthorized("The webhook's signature is wrong.")
        try:
            told = json.loads(body)
        except ValueError:
            return None
        return told if isinstance(told, Mapping) else None

    def _check_time(self, headers: Mapping[str, str]) -> None:
        told = headers.get("x-fal-webhook-timestamp", "")
        now = self._clock.now().timestamp()
        if not (len(told) < 16 and told.isascii() and told.isdigit() and abs(now - int(told)) <= TOLERANCE):
            raise Unauthorized("The webhook's timestamp is missing, or too far from now.")

    def _fits(self, headers: Mapping[str, str], body: bytes) -> bool:
        parts = [headers.get(f"x-fal-webhook-{name}", "") for name in PARTS]
        message = "\n".join([*parts, hashlib.sha256(body).hexdigest()]).encode("utf-8", "replace")
        try:
            signature = bytes.fromhex(headers.get("x-fal-webhook-signature", ""))
        except ValueError:
            return False
        return all(parts) and any(_verifies(key, signature, message) for key in self._keys)

    async def _refresh(self, age: float) -> None:
        """Have keys that are at most `age` seconds old, if fal gives any; old ones are kept if not."""
        if self._api is None:
            return
        async with self._one:
            now = self._clock.monotonic()
            if self._fetched_at is not None and now - self._fetched_at <= age:
                return
            if self._asked_at is not None and now - self._asked_at <= PAUSE_SECONDS:
                return
            self._asked_at = now
            try:
                keys = _keys(await self._api.json("Asking for webhook keys", "GET", KEYS))
            except ProviderProblem as problem:
                log.warning("fal's webhook keys cannot be had", detail=problem.detail)
                return
            if keys:
                self._keys, self._fetched_at = keys, now


def _verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _keys(told: Any) -> list[Ed25519PublicKey]:
    """The keys of a JWK set that are of this kind (RFC 8037)."""
    found = []
    entries = told.get("keys") if isinstance(told, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        text = entry.get("x") if isinstance(entry, dict) and entry.get("kty", "OKP") == "OKP" else None
        if isinstance(text, str):
            try:
                raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
                found.append(Ed25519PublicKey.from_public_bytes(raw))
            except (binascii.Error, ValueError):
                continue
    return found
