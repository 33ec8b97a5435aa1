"""Settings of everything that keeps bytes: the data folder, the spool and the caches."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import urlsplit

from pydantic import field_validator

from ferrotype.config import Settings, setting
from ferrotype.storage.keys import DEFAULT_TEMPLATE, KeyTemplate

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
REDIS_SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys", "unix")


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
    stores: tuple[str, ...] = setting(
        (),
        "Names of the durable stores that pictures are written to: the first is the primary, the others are"
        " mirrors. When not set, all that are configured, or `disk` when none is.",
    )
    disk_key_template: str = setting(
        DEFAULT_TEMPLATE,
        "How the disk store makes its keys, of {account}, {yyyy}, {mm}, {dd}, {asset_id}, {secret} and {ext}."
        " Keys that are in use stay as they are.",
    )
    memory_cache_bytes: int = setting(
        64 * MIB, "Bytes of pictures kept in memory, bookkeeping included; 0 keeps none.", ge=0
    )
    memory_cache_object_bytes: int = setting(
        4 * MIB, "A larger picture is served from disk and never enters the memory cache, in bytes.", ge=0
    )
    redis_url: str | None = setting(
        None,
        "Valkey or Redis server that nodes share finished pictures through: `redis://user:password@host:6379/0`,"
        " `rediss://` with TLS, `unix:///path`; none when not set.",
        secret=True,
    )
    shared_cache_seconds: int = setting(
        7200, "Seconds that the shared cache keeps an asset's pictures after the last was added.", ge=1
    )
    shared_cache_object_bytes: int = setting(
        4 * MIB, "A larger picture never enters the shared cache, in bytes.", ge=0
    )
    shared_cache_timeout: float = setting(
        0.05, "Seconds that a look-up in the shared cache may cost; then it is a miss.", gt=0, le=5
    )
    shared_cache_namespace: str = setting(
        "ferrotype",
        "What every key in the shared cache begins with; installations that share a server differ in it.",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
    )
    variant_store_bytes: int = setting(
        5 * GIB,
        "Bytes of computed variants kept on disk, those read longest ago leave first; 0 keeps none.",
        ge=0,
    )

    @field_validator("disk_key_template")
    @classmethod
    def _makes_keys(cls, value: str) -> str:
        KeyTemplate(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in REDIS_SCHEMES:
            raise ValueError(f"begins with one of {', '.join(f'{each}://' for each in REDIS_SCHEMES)}")
        if parts.scheme == "unix":
            if not parts.path:
                raise ValueError("unix:// needs the path of a socket")
            return value
        try:
            port = parts.port
        except ValueError:
            port = 0  # urlsplit's own words would repeat what may be a part of the password
        if not parts.hostname or port == 0:
            raise ValueError("needs a host, and a port up to 65535; in a password write / as %2F, @ as %40")
        if parts.path.strip("/") and not parts.path.strip("/").isdigit():
            raise ValueError("its path is the number of a database")
        return value
