"""Where a picture is, as kept with its asset: `/view?...`, and where several hosts form a pool behind the
mark of the one that holds it: `3f9a0c21d4be/view?...`. Never an address: only configured ones are asked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import OriginUnavailable, ProviderFailed

_KEPT: Final = re.compile(r"([0-9a-f]{12})?(/view\?.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Origins:
    """Makes a provider's origins. `mark` is the host's; empty where there is only one."""

    provider: str = "comfyui"
    mark: str = ""

    def make(self, path: str) -> Origin:
        """The origin of a picture at `path` of this host."""
        return Origin(provider=self.provider, url=self.mark + path)


def mark_of(base: str) -> str:
    """The mark of the server at that address: it stays the same wherever the address stands in the settings,
    and tells nothing about it."""
    return hashlib.sha256(base.encode()).hexdigest()[:12]


def read(provider: str, origin: Origin) -> tuple[str, str]:
    """The mark (empty for the only host) and the path of one of this provider's origins.

    Raises ProviderFailed when it is none.
    """
    kept = _KEPT.fullmatch(origin.url)
    if origin.provider != provider or kept is None:
        raise ProviderFailed("That origin is not one of ComfyUI's.")
    return kept[1] or "", kept[2]


def removed() -> OriginUnavailable:
    """The problem of a picture whose host was taken out of the settings."""
    return OriginUnavailable("The ComfyUI server that holds the picture is no longer in COMFYUI_URL.")
