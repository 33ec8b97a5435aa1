"""The calls under way here, and what is known of each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ferrotype.domain.problems import ProviderProblem
from ferrotype.providers.hosted.polling import Bell

ENDED: Final = frozenset({"succeeded", "failed", "canceled"})
#: Calls of no open request that are kept although nobody watches them.
KEPT: Final = 256


class Run:
    """One call. `state` is Cog's prediction as it was told last; `problem` says why no state will come any
    more; `held` is the open request that brings the result, where there is one; `cut` whether it broke."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.state: Mapping[str, Any] = {}
        self.problem: ProviderProblem | None = None
        self.held: asyncio.Task[None] | None = None
        self.cut = False
        self.canceled = False
        self.bell = Bell()

    @property
    def ended(self) -> bool:
        """Whether nothing more will be told."""
        return self.problem is not None or self.state.get("status") in ENDED

    def tell(self, state: Any) -> None:
        """Take a state. What comes after the end is late: webhooks overtake each other."""
        if isinstance(state, Mapping) and isinstance(state.get("status"), str) and not self.ended:
            self.state = state
            self.bell.ring()

    def fail(self, problem: ProviderProblem) -> None:
        """No state will come any more."""
        if not self.ended:
            self.problem = problem
            self.bell.ring()


class Runs:
    """Every call that is not told to its end."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._runs.values()))

    def get(self, id: str) -> Run | None:
        """The call, if it is known."""
        return self._runs.get(id)

    def keep(self, id: str) -> Run:
        """The call, known from now on. Of too many the oldest that nothing holds are forgotten."""
        run = self._runs.setdefault(id, Run(id))
        idle = [other.id for other in self if other.held is None and other is not run]
        for forgotten in idle[: max(0, len(idle) - KEPT)]:
            del self._runs[forgotten]
        return run

    def drop(self, run: Run) -> None:
        """Let go of it, and of its open request."""
        if run.held is not None:
            run.held.cancel()
        if self._runs.get(run.id) is run:
            del self._runs[run.id]

    async def close(self) -> None:
        """Let go of everything. Cog stops what runs for an open request."""
        held = [run.held for run in self if run.held is not None]
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        self._runs.clear()
