"""Whose key is it? A key template read backwards."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from string import Formatter
from typing import Final

from ferrotype.storage.keys import SECRET_DIGITS, KeyTemplate

ID: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
SHAPES: Final = {
    "account": ID,
    "yyyy": "[0-9]{4}",
    "mm": "[0-9]{2}",
    "dd": "[0-9]{2}",
    "asset_id": ID,
    "secret": f"[0-9a-f]{{{SECRET_DIGITS}}}",
    "ext": "[a-z0-9]{1,5}",
}


@dataclass(frozen=True, slots=True)
class Read:
    """What a key says. `proved` tells that this installation made it: its secret is in it."""

    asset_id: str
    proved: bool


class KeyPattern:
    """Tells keys that a template made from those that others made."""

    def __init__(self, template: KeyTemplate, secret: bytes) -> None:
        self._secret = secret
        parts: list[str] = []
        seen: set[str] = set()
        root = ""
        for text, name, _, _ in Formatter().parse(str(template)):
            parts.append(re.escape(text))
            root = root if seen else text
            if name is None:
                continue
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{SHAPES[name]})")
            seen.add(name)
        self._pattern = re.compile("".join(parts))
        #: What every key begins with, up to a `/`; empty where they have nothing in common.
        self.root = root[: root.rfind("/") + 1]
        #: Whether keys carry the secret, so that those of another installation can be told apart.
        self.proves = "secret" in seen

    def read(self, key: str) -> Read | None:
        """None for a key that this template does not make, or that another installation made."""
        found = self._pattern.fullmatch(key)
        if found is None:
            return None
        asset_id = found["asset_id"]
        if not self.proves:
            return Read(asset_id, False)
        digits = hmac.digest(self._secret, asset_id.encode(), "sha256").hex()[:SECRET_DIGITS]
        return Read(asset_id, True) if hmac.compare_digest(digits, found["secret"]) else None


def stem(key: str) -> str:
    """The key without its extension: all that some stores know it by."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0] or name}"
