"""The parsed transform of a delivery; its canonical form is the cache key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

#: Goes into every ETag: raise it when the same transform starts to give other bytes.
IMAGING_VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class Transform:
    """The steps between an original and what is sent; today only the original itself is served."""

    def canonical(self) -> str:
        """The same text for every spelling of the same transform; empty for the original."""
        return ""


ORIGINAL: Final = Transform()


def etag(asset_id: str, transform: Transform = ORIGINAL) -> str:
    """The strong entity tag, known before the bytes are (RFC 9110, 8.8.3), quotes included."""
    text = f"{asset_id}\n{transform.canonical()}\n{IMAGING_VERSION}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
