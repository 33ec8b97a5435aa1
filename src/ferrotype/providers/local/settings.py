"""Settings of what is made on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

from ferrotype.config import setting
from ferrotype.imaging.settings import cores
from ferrotype.providers.connections import ProviderSettings

MIB: Final = 1024 * 1024
#: More is of no use to any of the models within their bounds.
MOST_MEMORY: Final = 4096 * MIB
#: More threads have nothing to do within one tile.
MOST_THREADS: Final = 16


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
        return max(1, min(MOST_THREADS, cores() // self.local_workers))

    @property
    def memory(self) -> int:
        """Bytes that one worker may use."""
        return self.local_memory_bytes or min(MOST_MEMORY, machine_memory() // 2 // self.local_workers)


def machine_memory() -> int:
    """Bytes of memory that this machine has, or what this process may use of it."""
    found = [MOST_MEMORY * 2]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found + list(group_limits()))


def group_limits(root: Path = Path("/")) -> Iterator[int]:
    """The bounds of the control groups that this process is in, of a container or a service, in bytes."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):  # version 2, version 1
            top = root / "sys/fs/cgroup" / controllers
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            folder = top / group.lstrip("/")
            for each in (folder, *folder.parents):
                if not each.is_relative_to(top):
                    break
                with suppress(OSError, ValueError):  # no such file, or it says `max`
                    yield int((each / name).read_text())
