"""Whether orders can be taken, and what is the matter otherwise: what `/readyz` shows."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock
from ferrotype.providers.base import Health, Provider
from ferrotype.services.labels import Labels
from ferrotype.storage.base import LevelHealth
from ferrotype.storage.registry import Stores
from ferrotype.workers.loop import Worker

#: Seconds that the database, and a provider, have to answer.
DATABASE_SECONDS: Final = 5.0
PROVIDER_SECONDS: Final = 2.0
#: Seconds that a look at a store is good for.
STORE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Looks at what an order needs. `background` are tasks that run as long as the server does."""

    data_dir: Path
    min_free_bytes: int
    database: Database
    worker: Worker
    background: Sequence[asyncio.Task[None]]
    stores: Stores
    labels: Labels
    providers: Mapping[str, Provider]
    clock: Clock
    _looked: dict[str, tuple[float, LevelHealth]] = field(default_factory=dict)

    async def __call__(self) -> dict[str, Any]:
        """Each with `ok` and a word for people; without those that are not `required` orders are taken all
        the same."""
        checks: dict[str, Any] = {"database": await self._database()}
        alive = all(not task.done() for task in self.background)
        checks["worker"] = {"ok": alive, "running": self.worker.running}
        free, enough = shutil.disk_usage(self.data_dir).free, self.min_free_bytes
        checks["disk"] = {"ok": free > enough, "free_bytes": free, "min_free_bytes": enough}
        for name in self.stores.written:
            well = await self._store(name)
            checks[f"store:{name}"] = {"ok": well.ok, "detail": well.detail, "required": False}
        if (signing := self.labels.health()) is not None:
            checks["signing"] = {**signing, "required": False}
        healths = await asyncio.gather(*(self._provider(provider) for provider in self.providers.values()))
        for name, health in zip(self.providers, healths, strict=True):
            checks[f"provider:{name}"] = {"ok": health.ok, "detail": health.detail, "required": False}
        return checks

    async def _database(self) -> dict[str, Any]:
        try:
            await asyncio.wait_for(self.database.write(lambda _: None, durable=False), DATABASE_SECONDS)
        except Exception as error:
            return {"ok": False, "detail": str(error) or type(error).__name__}
        return {"ok": True}

    async def _store(self, name: str) -> LevelHealth:
        """Looked at once in a while: each look writes, reads and deletes an object."""
        looked_at, well = self._looked.get(name, (-math.inf, None))
        now = self.clock.monotonic()
        if well is None or now - looked_at > STORE_SECONDS:
            well = await self.stores.by_name[name].health()
            self._looked[name] = now, well
        return well

    async def _provider(self, provider: Provider) -> Health:
        """Bounded: a provider that hangs must not make this server look ill."""
        try:
            return await asyncio.wait_for(provider.health(), PROVIDER_SECONDS)
        except TimeoutError:
            return Health(ok=False, detail=f"no answer within {PROVIDER_SECONDS:g} s")
