"""Settings of everything that keeps bytes: the data folder, the spool and the memory cache."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ferrotype.config import Settings, setting

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class StorageSettings(Settings):
    """Where bytes live on this machine, and how many."""

    area: ClassVar[str] = "storage"

    data_dir: Path = setting(
        Path("./data"), "Folder of the database, the spool and the disk store; one process owns it."
    )
    spool_max_bytes: int = setting(
        10 * GIB, "Bytes that may wait in the spool; beyond it new pictures are refused with 503.", ge=MIB
    )
    min_free_disk_bytes: int = setting(
        512 * MIB, "Bytes left free on the disk: writes are refused with 503 before they eat into it.", ge=0
    )
    memory_cache_bytes: int = setting(
        64 * MIB, "Bytes of pictures kept in memory, bookkeeping included; 0 keeps none.", ge=0
    )
    memory_cache_object_bytes: int = setting(
        4 * MIB, "A larger picture is served from disk and never enters the memory cache, in bytes.", ge=0
    )
