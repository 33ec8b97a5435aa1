"""What a stream begins with: how everything is that its events go on about."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.db import journal
from ferrotype.db.database import Database
from ferrotype.domain.clock import Clock, rfc3339
from ferrotype.domain.states import GENERATION, GenerationState
from ferrotype.events.base import EventBus
from ferrotype.http.streams.envelope import dumps
from ferrotype.http.streams.scopes import Scope
from ferrotype.services.batch_envelopes import BatchEnvelopes
from ferrotype.services.envelopes import Envelopes

#: Generations, and batches, of an account that its snapshot shows at most.
SHOWN: Final = 100
#: Seconds for which a snapshot is good when nothing happens: its progress and times go on.
GOOD_SECONDS: Final = 1.0
#: Snapshots that are remembered: a crowd comes back to a few of them when a server was started again.
KEPT: Final = 64

Key = tuple[Scope, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`seq` is the number of the newest event that surely is in it, `ended` that no more will come; `rest` is
    its JSON without the first two members."""

    seq: int
    ended: bool
    rest: str

    def text(self, number: int) -> str:
        """Its JSON for a client that resumes at `number`."""
        return f'{{"object":"event","id":{number},{self.rest}'


@dataclass(slots=True)
class Taken:
    task: asyncio.Task[Snapshot]
    turn: int
    until: float


class Snapshots:
    """Takes snapshots, one for all who ask while nothing has happened since."""

    def __init__(
        self, database: Database, bus: EventBus, envelopes: Envelopes, batches: BatchEnvelopes, clock: Clock
    ) -> None:
        self._database = database
        self._bus = bus
        self._envelopes = envelopes
        self._batches = batches
        self._clock = clock
        self._taken: dict[Key, Taken] = {}

    async def get(self, scope: Scope, account_id: str, base_url: str) -> Snapshot:
        """How it is now. Raises NotFound for what the account does not have."""
        key = scope, base_url
        taken = self._taken.get(key)
        if taken is None or taken.turn != self._bus.turn or self._clock.monotonic() > taken.until:
            task = asyncio.get_running_loop().create_task(self._take(scope, account_id, base_url))
            taken = Taken(task, self._bus.turn, self._clock.monotonic() + GOOD_SECONDS)
            while len(self._taken) >= KEPT:
                del self._taken[next(iter(self._taken))]
            self._taken[key] = taken
        return await asyncio.shield(taken.task)

    async def _take(self, scope: Scope, account_id: str, base_url: str) -> Snapshot:
        # The number first: what happens meanwhile is told again, and not left out.
        seq = await self._database.read(lambda tx: journal.last_seq(tx, scope.id, topic=scope.kind))
        shown, ended = await self._shown(scope, account_id, base_url)
        rest = dumps(
            {
                "type": "snapshot",
                "at": rfc3339(self._clock.now()),
                "generation_id": scope.id if scope.kind == "generation" else None,
                "batch_id": scope.id if scope.kind == "batch" else None,
                **shown,
            }
        )
        return Snapshot(seq, ended, rest[1:])

    async def _shown(self, scope: Scope, account_id: str, base_url: str) -> tuple[dict[str, Any], bool]:
        match scope.kind:
            case "generation":
                found = await self._envelopes.generation(scope.id, account_id, base_url)
                return {"generation": found}, GENERATION.is_terminal(GenerationState(found["status"]))
            case "batch":
                found = await self._batches.envelope(scope.id, account_id, base_url)
                return {"batch": found}, found["completed_at"] is not None
            case "account":
                generations = await self._envelopes.unfinished(account_id, base_url, SHOWN)
                batches = await self._batches.unfinished(account_id, base_url, SHOWN)
                return {"generations": generations, "batches": batches}, False
