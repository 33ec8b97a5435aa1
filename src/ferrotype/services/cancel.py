"""The story of a cancel: queued jobs end here and now, running ones are told."""

from __future__ import annotations

from ferrotype.db import generations
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.generation import Generation
from ferrotype.domain.problems import NotFound
from ferrotype.domain.states import GENERATION, JobState
from ferrotype.engine.base import Engine
from ferrotype.services.conclude import JOBS, Conclude
from ferrotype.services.followers import Followers


class Cancel:
    """Ends generations on request."""

    def __init__(self, database: Database, engine: Engine, conclude: Conclude, followers: Followers) -> None:
        self._database = database
        self._engine = engine
        self._conclude = conclude
        self._followers = followers

    async def __call__(self, generation_id: str, account_id: str) -> None:
        """Ask for the generation's end; one that has ended stays as it is. Raises NotFound."""

        def story(tx: Transaction) -> None:
            generation = generations.get(tx, generation_id)
            if generation is None or generation.account_id != account_id:
                raise NotFound(f"There is no generation {generation_id}.")
            self.within(tx, generation_id)

        await self._database.write(story)

    def within(self, tx: Transaction, generation_id: str) -> None:
        """The same in the caller's transaction, for a generation that exists."""
        generation = generations.get(tx, generation_id, lock=True)
        if generation is None or GENERATION.is_terminal(generation.status):
            return
        if generation.reused_from is not None:
            self._followers.canceled(tx, generation)
        else:
            self._cancel_jobs(tx, generation)

    def _cancel_jobs(self, tx: Transaction, generation: Generation) -> None:
        rows = tx.execute(JOBS, {"of_generation": generation.id}).all()
        for row in rows:
            if row.state in (JobState.QUEUED, JobState.RUNNING):
                now = self._engine.cancel(tx, row.id)
                if now is JobState.CANCELED:
                    self._conclude.job_ended(tx, row.id, generation.id, row.payload)
