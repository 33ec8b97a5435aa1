"""Overall progress of one prompt from what is said about its nodes. Never falls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class Progress:
    """Nodes weighted as `graph.weights` says; nodes that are not among them do not count."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self._done: dict[str, float] = {}
        self._current: str | None = None
        self._detailed = False
        self._fraction = 0.0

    @property
    def fraction(self) -> float:
        """Of the whole prompt, 0 to 1."""
        total = sum(self._weights.values())
        if total > 0:
            done = sum(self._weights[node] * part for node, part in self._done.items())
            self._fraction = max(self._fraction, min(1.0, done / total))
        return self._fraction

    def cached(self, nodes: Iterable[object]) -> None:
        """`execution_cached`: these need no work."""
        for node in nodes:
            self._set(node, 1.0)

    def executing(self, node: str) -> None:
        """`executing`: servers without `progress_state` say no other way that the node before is done."""
        if self._current is not None and self._current != node and not self._detailed:
            self._set(self._current, 1.0)
        self._current = node

    def executed(self, node: str) -> None:
        """`executed`: the node has its output."""
        self._set(node, 1.0)

    def step(self, node: str, value: object, most: object) -> None:
        """`progress`: step `value` of `most`."""
        self._set(node, _part(value, most))

    def states(self, nodes: Mapping[str, Any]) -> None:
        """`progress_state`: every node that has begun."""
        self._detailed = True
        for key, state in nodes.items():
            if isinstance(state, dict):
                finished = state.get("state") == "finished"
                self._set(key, 1.0 if finished else _part(state.get("value"), state.get("max")))

    def _set(self, node: object, part: float) -> None:
        if isinstance(node, str) and node in self._weights:
            self._done[node] = max(part, self._done.get(node, 0.0))


def _part(value: object, most: object) -> float:
    if isinstance(value, int | float) and isinstance(most, int | float) and most > 0:
        return min(1.0, max(0.0, value / most))
    return 0.0
