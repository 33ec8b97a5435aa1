"""The provider `local`: what is made on this machine. The illustrator draws in this process; the models of
the extra `[local]` enlarge and restyle pictures in worker processes, on the CPU."""

from ferrotype.providers.local.provider import LOCAL, LocalProvider
from ferrotype.providers.local.settings import LocalSettings

__all__ = ["LOCAL", "LocalProvider", "LocalSettings"]
