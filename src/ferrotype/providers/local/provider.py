"""The provider: the illustrator's drawings and the models' calls under one name. Free, deterministic, and
always there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import ClassVar, Final

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import ProviderFailed, ProviderRejected
from ferrotype.providers.base import (
    AttemptRequest,
    FetchRequest,
    Found,
    Health,
    Lookup,
    Traits,
    WatchEvent,
)
from ferrotype.providers.connections import Kind
from ferrotype.providers.local.drawing import Drawings
from ferrotype.providers.local.models import Models
from ferrotype.providers.local.settings import LocalSettings
from ferrotype.providers.local.weights import INSTALL, TARGETS, lacking, missing

ILLUSTRATOR: Final = "illustrator"


class LocalProvider:
    """A `Provider` whose calls run on this machine. After a restart a call is simply made again."""

    traits: ClassVar = Traits(
        progress=True, previews=True, cancel="yes", reattach=True, lookup=True, idempotent=True
    )

    def __init__(
        self, threads: int | None = None, name: str = "local", settings: LocalSettings | None = None
    ) -> None:
        self.name = name
        self._drawings = Drawings(threads or os.cpu_count() or 1)
        self._models = Models(settings or LocalSettings())

    async def submit(self, request: AttemptRequest) -> str:
        if request.target in TARGETS:
            await self._models.check(request)
        elif request.target != ILLUSTRATOR:
            raise ProviderRejected(f"The local provider has no target {request.target!r}.")
        return request.attempt_id

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncIterator[WatchEvent]:
        maker = self._drawings if request.target == ILLUSTRATOR else self._models
        async with aclosing(maker.watch(request, request_id)) as events:
            async for event in events:
                yield event

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        return Lookup.ABSENT

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        self._drawings.cancel(request_id)
        self._models.cancel(request_id)

    def fetch_request(self, origin: Origin) -> FetchRequest:
        raise ProviderFailed("Pictures of the local provider have no origin.")

    async def health(self) -> Health:
        reasons = {reason for target in TARGETS if (reason := lacking(target)) is not None}
        detail = "draws in this process; enlarges and restyles in workers"
        if reasons:
            detail = f"draws in this process. {' '.join(sorted(reasons))} To enlarge and restyle: {INSTALL}"
        return Health(ok=True, detail=detail, queue_length=self._drawings.under_way + self._models.under_way)

    async def close(self) -> None:
        self._drawings.close()
        await self._models.close()


LOCAL = Kind(
    LocalSettings,
    LocalProvider.traits,
    lambda settings, name, _clock: LocalProvider(None, name, settings),
    lambda target: missing(target) if target in TARGETS else None,
)
