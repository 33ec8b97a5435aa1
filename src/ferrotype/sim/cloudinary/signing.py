"""Cloudinary's signatures: of API calls and their answers (hexadecimal), and of delivery URLs (base64url)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final

#: Parameters that no signature covers.
UNSIGNED: Final = frozenset({"file", "api_key", "cloud_name", "resource_type", "signature"})
HASHES: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
SHORT: Final = 8
LONG: Final = 32


def string_to_sign(params: Mapping[str, str]) -> str:
    """The pairs that count, sorted; a `&` inside of one cannot smuggle in another."""
    pairs = [f"{name}={value}" for name, value in params.items() if name not in UNSIGNED and value]
    return "&".join(sorted(pair.replace("&", "%26") for pair in pairs))


def fits(text: str, secret: str, signature: str, algorithms: Iterable[str]) -> bool:
    """Whether `signature` is that of `text`, by one of the algorithms."""
    made = (HASHES[name](f"{text}{secret}".encode()).hexdigest() for name in algorithms)
    return any(hmac.compare_digest(each.encode(), signature.encode()) for each in made)


def answer_signature(public_id: str, version: int, secret: str) -> str:
    """What an answer carries, so that a caller knows who made it."""
    return hashlib.sha1(f"public_id={public_id}&version={version}{secret}".encode()).hexdigest()


def url_signature(source: str, secret: str, algorithm: str = "sha1", length: int = SHORT) -> str:
    """The characters between `s--` and `--`; `source` is what follows in the URL, without the version."""
    digest = HASHES[algorithm](f"{source}{secret}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:length]


def url_fits(source: str, secret: str, signature: str, algorithms: Iterable[str]) -> bool:
    """Whether a delivery URL is signed right. A long signature is always SHA-256."""
    if len(signature) == LONG:
        return signature == url_signature(source, secret, "sha256", LONG)
    return any(signature == url_signature(source, secret, name) for name in algorithms)
