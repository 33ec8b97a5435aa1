"""Where a prompt is now: running, waiting, ended, or nowhere."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Final

from ferrotype.providers.comfyui.client import Client
from ferrotype.providers.comfyui.demux import Demux
from ferrotype.providers.comfyui.outputs import HistoryEntry
from ferrotype.providers.comfyui.queue import QueueEntry, QueueView
from ferrotype.providers.comfyui.run import Run

#: How far back the history is searched for our mark, in prompts.
RECENT: Final = 64


@dataclass(frozen=True, slots=True)
class Running:
    """It executes."""

    entry: QueueEntry


@dataclass(frozen=True, slots=True)
class Pending:
    """It waits; `behind_others` while somebody else's prompt executes."""

    entry: QueueEntry
    position: int
    behind_others: bool


Place = Running | Pending | HistoryEntry


class Finder:
    """Asks queue and history. The queue comes first: the server moves a prompt from there to the history
    in one step, so that one found in neither was in neither."""

    def __init__(self, client: Client, demux: Demux, shared_seconds: float) -> None:
        self._client = client
        self._demux = demux
        self._shared_seconds = shared_seconds
        self._asked_at = -math.inf
        self._asking: asyncio.Task[QueueView] | None = None

    async def place(self, prompt_id: str, attempt_id: str, not_before: float | None = None) -> Place | None:
        """Where the prompt is, by its id or by the mark that it carries.

        An answer of the queue asked for at `not_before` (on the loop's clock) or later is shared; by
        default it is asked now. Raises ProviderUnavailable, ProviderBusy, ProviderMisconfigured or
        ProviderRejected when the server cannot be asked.
        """
        view = await self._view(not_before)
        running = view.find_running(prompt_id, attempt_id)
        if running is not None:
            return Running(running)
        pending = view.find_pending(prompt_id, attempt_id)
        if pending is not None:
            position, entry = pending
            return Pending(entry, position, behind_others=bool(view.running))
        entry_by_id = await self.ended(prompt_id)
        if entry_by_id is not None or prompt_id != attempt_id:
            return entry_by_id
        # Older servers choose the prompt id themselves, and keep the mark.
        for raw in (await self._client.recent_history(RECENT)).values():
            entry_by_mark = HistoryEntry(raw) if isinstance(raw, dict) else None
            if entry_by_mark is not None and entry_by_mark.attempt_id == attempt_id:
                return entry_by_mark
        return None

    async def stop(self, place: Running | Pending) -> None:
        """Take a waiting prompt out of the queue, or interrupt the one that runs; by its id, nobody else's.

        Older servers interrupt whatever runs: hence only right after `place` was found. Raises as `place`.
        """
        if isinstance(place, Pending):
            await self._client.delete_pending(place.entry.prompt_id)
        else:
            await self._client.interrupt(place.entry.prompt_id)

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None

    async def _view(self, not_before: float | None) -> QueueView:
        now = asyncio.get_running_loop().time()
        since = now if not_before is None else max(not_before, now - self._shared_seconds)
        if self._asking is None or self._asked_at < since or _failed(self._asking):
            self._asked_at, self._asking = now, asyncio.create_task(self._client.queue())
            self._asking.add_done_callback(_failed)  # its exception is seen even if nobody waits any more
        # Shielded: whoever gives up must not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def ended(self, prompt_id: str) -> HistoryEntry | None:
        """Its history entry."""
        raw = await self._client.history(prompt_id)
        return HistoryEntry(raw) if raw is not None else None

    async def find(self, run: Run, attempt_id: str) -> Place | None:
        """The place of a watched run, which learns its workflow and its true id on the way."""
        place = await self.place(run.prompt_id, attempt_id, run.stale_at)
        if isinstance(place, Running | Pending):
            run.learn(place.entry.graph)
            if place.entry.prompt_id != run.prompt_id:
                self._demux.remove(run)
                run.prompt_id = place.entry.prompt_id
                self._demux.add(run)
            if isinstance(place, Running):
                self._demux.current = run.prompt_id
        return place


def _failed(task: asyncio.Task[QueueView]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
