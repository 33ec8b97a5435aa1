"""Names of pictures in the stores: how they are made, and which are taken."""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from string import Formatter
from typing import Final

from ferrotype.domain.asset import Asset
from ferrotype.domain.media import extension
from ferrotype.domain.problems import NotFound

#: Folders stay small and sort by day.
DEFAULT_TEMPLATE: Final = "{yyyy}/{mm}/{dd}/{asset_id}-{secret}.{ext}"
FIELDS: Final = ("account", "yyyy", "mm", "dd", "asset_id", "secret", "ext")
#: Hex digits of a key that cannot be guessed.
SECRET_DIGITS: Final = 24
MAX_KEY: Final = 512
#: What every file system and every object store takes as it is, in a URL as well.
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def checked(key: str, store: str) -> str:
    """`key`, if it can be one. Raises NotFound for one that could leave a folder, or that would have to be
    encoded somewhere."""
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise NotFound(f"The store {store} has no such key.")
    return key


class KeyTemplate:
    """`{account}/{yyyy}/{mm}/{dd}/{asset_id}-{secret}.{ext}`, or what an operator made of it.

    Date and time are those of the asset's making, in UTC. `{secret}` is made of `{asset_id}` and a secret of
    the installation: a store may be open to the world, and without it the name of a picture there follows
    from its URL here.
    """

    def __init__(self, text: str) -> None:
        """Raises ValueError, which says what has to be changed."""
        try:
            names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
            odd = [name for name in names if name not in FIELDS]
            plain = not any(spec or conversion for _, _, spec, conversion in Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"cannot be read: {error}") from None
        if odd or not plain:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ValueError(f"knows {known}, and nothing else in braces")
        if "asset_id" not in names:
            raise ValueError("needs {asset_id}: two pictures must never have one key")
        self._text = text
        try:
            checked(self._filled("a" * 40, "a" * 40, datetime.now(UTC), "0" * SECRET_DIGITS, "webp"), "")
        except NotFound:
            raise ValueError(
                "makes keys of letters, digits and . _ - only, with / between them; each part begins with a"
                f" letter or a digit, and a key has at most {MAX_KEY} characters"
            ) from None

    def __str__(self) -> str:
        return self._text

    def key(self, asset: Asset, secret: bytes) -> str:
        """The asset's key: always the same for one template and secret."""
        digits = hmac.digest(secret, asset.id.encode(), "sha256").hex()[:SECRET_DIGITS]
        return self._filled(
            asset.account_id, asset.id, asset.created_at, digits, extension(asset.content_type)
        )

    def _filled(self, account: str, asset_id: str, made: datetime, digits: str, ext: str) -> str:
        at = made.astimezone(UTC)
        return self._text.format(
            account=account,
            yyyy=f"{at:%Y}",
            mm=f"{at:%m}",
            dd=f"{at:%d}",
            asset_id=asset_id,
            secret=digits,
            ext=ext,
        )
