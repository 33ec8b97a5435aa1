"""Pending prompts, running ones, and the history: all of it in memory, all of it gone after a restart."""

from __future__ import annotations

import asyncio
import copy
import heapq
from collections.abc import Callable
from typing import Any

# (number, prompt id, prompt, extra data, output nodes); a heap of bare tuples as on the real server, so that
# two entries with the same number and id compare their prompts and crash whoever touches the heap.
Item = tuple[float, str, dict[str, Any], Any, list[str]]

_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")  # never kept in the history
_HISTORY_SIZE = 10000


class PromptQueue:
    """`changed` is called whenever the number of remaining prompts may have changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._pending: list[Item] = []
        self._running: dict[int, Item] = {}
        self._tickets = 0
        self._news = asyncio.Event()
        self.history: dict[str, dict[str, Any]] = {}

    @property
    def remaining(self) -> int:
        """Running and pending together, as `queue_remaining` tells it."""
        return len(self._pending) + len(self._running)

    def put(self, item: Item) -> None:
        """Adds a prompt; the lowest number runs first."""
        heapq.heappush(self._pending, item)
        self._changed()
        self._news.set()

    async def get(self) -> tuple[int, Item]:
        """Waits for a prompt and moves it to the running ones."""
        while not self._pending:
            self._news.clear()
            await self._news.wait()
        item = heapq.heappop(self._pending)
        self._tickets += 1
        self._running[self._tickets] = item
        self._changed()
        return self._tickets, item

    def done(self, ticket: int, outcome: dict[str, Any], status: dict[str, Any]) -> None:
        """Moves a prompt to the history; an entry of the same id is replaced."""
        item = self._running.pop(ticket)
        for secret in _SECRETS:
            if secret in item[3]:
                item[3].pop(secret)
        while len(self.history) >= _HISTORY_SIZE:
            self.history.pop(next(iter(self.history)))
        self.history[item[1]] = {
            "prompt": list(item),
            "outputs": {},
            "status": status,
            **copy.deepcopy(outcome),
        }
        self._changed()

    def listing(self) -> dict[str, list[Item]]:
        """GET /queue."""
        return {"queue_running": list(self._running.values()), "queue_pending": list(self._pending)}

    def is_running(self, prompt_id: Any) -> bool:
        """Whether a prompt of that id runs now."""
        return any(item[1] == prompt_id for item in self._running.values())

    def is_pending(self, prompt_id: Any) -> bool:
        """Whether a prompt of that id waits."""
        return any(item[1] == prompt_id for item in self._pending)

    def clear(self) -> None:
        """Forgets what is pending."""
        self._pending.clear()
        self._changed()

    def delete(self, prompt_id: Any) -> None:
        """Forgets one pending prompt; anything else is silently ignored."""
        for index, item in enumerate(self._pending):
            if item[1] == prompt_id:
                self._pending.pop(index)
                heapq.heapify(self._pending)
                self._changed()
                return

    def page(self, max_items: int | None, offset: int) -> dict[str, dict[str, Any]]:
        """GET /history: the newest `max_items`, or from `offset` (-1: none given) on."""
        if offset < 0 and max_items is not None:
            offset = len(self.history) - max_items
        found: dict[str, dict[str, Any]] = {}
        for index, (prompt_id, entry) in enumerate(self.history.items()):
            if index >= offset:
                found[prompt_id] = entry
                if max_items is not None and len(found) >= max_items:
                    break
        return found
