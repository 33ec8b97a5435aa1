"""The place that a job has at a deployment, from the choice until its call has ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ferrotype.db.database import Database, Transaction
from ferrotype.domain.model import Deployment, Model
from ferrotype.engine.base import Engine, Lease
from ferrotype.services.routing import LOOK_AGAIN_CAP, Routing
from ferrotype.services.standing import Key

#: Seconds that each job further back waits longer before it looks by itself.
STEP: Final = 0.5


class Places:
    """One job's. Whatever it has taken, `leave` gives back, and the job that waits for it becomes due."""

    def __init__(self, database: Database, engine: Engine, routing: Routing, lease: Lease) -> None:
        self._database = database
        self._engine = engine
        self._routing = routing
        self._lease = lease
        self._taken: Deployment | None = None

    def take(self, model: Model, avoid: Collection[Key] = ()) -> Deployment:
        """A deployment that takes a call now. Raises NoDeployment or Again."""
        assert self._taken is None
        self._taken = self._routing.take(model, avoid)
        return self._taken

    def hold(self, deployment: Deployment) -> None:
        """The place of a call that is under way there; nothing new where it was just taken."""
        if self._taken is None:
            self._routing.standings.enter(deployment)
            self._taken = deployment

    def park(self, full: Collection[Deployment]) -> float:
        """Be woken by a free place of one of these; seconds to add to the wait, by the place in line."""
        ahead = [self._routing.standings.park(deployment, self._lease.job_id) for deployment in full]
        return min(LOOK_AGAIN_CAP, STEP * min(ahead)) if ahead else 0.0

    def abandon(self) -> None:
        """Give back a place that was taken in vain: nothing was written of it."""
        if self._taken is not None:
            self._routing.standings.leave(self._taken)
            self._taken = None

    async def leave(self) -> None:
        """Give the place back."""
        if self._taken is None:
            return
        deployment, self._taken = self._taken, None
        standings = self._routing.standings
        standings.leave(deployment)
        first = standings.next_parked(deployment)
        if first is None:
            return

        def story(tx: Transaction) -> None:
            waiting: str | None = first
            while waiting is not None and not self._engine.hurry(tx, waiting):
                waiting = standings.next_parked(deployment)  # that one waits no more

        await self._database.write(story, durable=False)
