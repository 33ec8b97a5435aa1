"""The caches of finished pictures, as configured: memory, shared cache, variant store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from ferrotype.domain.clock import Clock
from ferrotype.net.telemetry import Telemetry
from ferrotype.storage.levels import Levels
from ferrotype.storage.memory import MemoryCache
from ferrotype.storage.settings import StorageSettings
from ferrotype.storage.variants import DiskVariants


class Caches:
    """Everything that `levels` stands on. `run` tends the variant store, `close` ends them all."""

    def __init__(self, settings: StorageSettings, data_dir: Path, clock: Clock, telemetry: Telemetry) -> None:
        self.memory = MemoryCache(settings.memory_cache_bytes, settings.memory_cache_object_bytes)
        self.shared = None
        if settings.redis_url is not None:
            from ferrotype.storage.shared import SharedCache  # takes long, and most have no such server

            self.shared = SharedCache(
                settings.redis_url,
                clock,
                namespace=settings.shared_cache_namespace,
                ttl=settings.shared_cache_seconds,
                max_object_bytes=settings.shared_cache_object_bytes,
                timeout=settings.shared_cache_timeout,
            )
        self.variants = None
        if settings.variant_store_bytes:
            self.variants = DiskVariants(
                data_dir / "variants",
                settings.variant_store_bytes,
                clock,
                min_free_bytes=settings.min_free_disk_bytes,
            )
        self.levels = Levels(self.memory, clock, shared=self.shared, variants=self.variants)
        #: What each level tells of itself, nearest first.
        self.figures: dict[str, Callable[[], Any]] = {"memory": self.memory.stats}
        _show(telemetry, "cache", self.memory)
        if self.shared is not None:
            self.figures["shared"] = self.shared.stats
            _show(telemetry, "cache_shared", self.shared)
        if self.variants is not None:
            self.figures["variants"] = self.variants.stats
            _show(telemetry, "cache_variants", self.variants)

    async def run(self) -> None:
        """Keep the variant store within its bound, until canceled."""
        if self.variants is not None:
            await self.variants.run()
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Give the writes that wait a moment, then end."""
        await self.levels.close()
        if self.shared is not None:
            await self.shared.close()
        if self.variants is not None:
            self.variants.close()


def _show(telemetry: Telemetry, prefix: str, cache: Any) -> None:
    """A gauge for each figure of `cache.stats()`."""
    for field in fields(cache.stats()):
        telemetry.gauge(f"{prefix}_{field.name}", partial(_figure, cache, field.name))


def _figure(cache: Any, name: str) -> float:
    return float(getattr(cache.stats(), name))
