"""Settings of what is made on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Final

from ferrotype.config import setting
from ferrotype.imaging.settings import cores
from ferrotype.providers.connections import ProviderSettings

MIB: Final = 1024 * 1024
#: More is of no use to any of the models within their bounds.
MOST_MEMORY: Final = 4096 * MIB
#: Where Linux says how much memory a container may have, of either version of control groups.
CGROUP_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class LocalSettings(ProviderSettings):
    """What is drawn, enlarged and restyled on this machine."""

    area: ClassVar[str] = "local"

    local_workers: int = setting(
        1, "Pictures that the models of the extra `[local]` work on at once, a process for each.", ge=1, le=64
    )
    local_memory_bytes: int = setting(
        0,
        "Memory that one worker may use, in bytes; what would need more is refused. 0 is half of the"
        " machine's, shared by the workers, 4 GiB at most.",
        ge=0,
    )
    local_max_pixels: int = setting(
        64 * 1024 * 1024, "Most pixels of an enlarged picture (64 Mi is 8192 x 8192).", ge=1
    )
    local_idle_seconds: float = setting(
        300.0, "Seconds after which a worker that has nothing to do ends.", ge=0
    )

    @property
    def configured(self) -> bool:
        return True

    @property
    def threads(self) -> int:
        """Threads of one worker: the cores, shared by the workers."""
        return max(1, cores() // self.local_workers)

    @property
    def memory(self) -> int:
        """Bytes that one worker may use."""
        return self.local_memory_bytes or min(MOST_MEMORY, machine_memory() // 2 // self.local_workers)


def machine_memory() -> int:
    """Bytes of memory that this machine has, or this container."""
    found = [MOST_MEMORY * 2]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in CGROUP_LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # no such file, or it says `max`
            continue
    return min(found)
