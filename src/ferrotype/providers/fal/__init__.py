"""Models at fal.ai: the kind `fal`."""

from ferrotype.providers.fal.provider import FAL, FalProvider
from ferrotype.providers.fal.settings import FalSettings

__all__ = ["FAL", "FalProvider", "FalSettings"]
