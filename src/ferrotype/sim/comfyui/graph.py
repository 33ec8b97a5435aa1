"""Order of execution and the cache of unchanged nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .folders import Folders
from .nodes import REGISTRY
from .script import Script

Prompt = Mapping[str, Any]


def is_link(value: Any) -> bool:
    """Whether an input is a link: `[node id, slot]`."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


class ExecutionOrder:
    """Hands out nodes whose inputs are there, as the real scheduler picks: output nodes first, then nodes
    that lead to an output node soon, else in the order in which they were found."""

    def __init__(self, prompt: Prompt, cached: Callable[[str], bool]) -> None:
        self._prompt = prompt
        self._cached = cached
        self._waiting: dict[str, int] = {}  # node -> how many inputs are still missing
        self._followers: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, node_id: str) -> None:
        """Adds a node and all that it needs and that is not cached."""
        stack, links = [node_id], []
        while stack:
            current = stack.pop()
            if current in self._waiting:
                continue
            self._waiting[current] = 0
            self._followers[current] = []
            for value in self._prompt[current]["inputs"].values():
                if is_link(value) and not self._cached(value[0]):
                    stack.append(value[0])
                    links.append((value[0], current))
        for source, target in links:
            if target not in self._followers[source]:
                self._followers[source].append(target)
                self._waiting[target] += 1

    def pick(self) -> str:
        """The next node to run."""
        ready = [node_id for node_id, missing in self._waiting.items() if missing == 0]
        for distance in range(3):
            for node_id in ready:
                if self._leads_to_output(node_id, distance):
                    return node_id
        return ready[0]

    def done(self, node_id: str) -> None:
        """The node ran: those that waited for it come nearer."""
        del self._waiting[node_id]
        for follower in self._followers.pop(node_id):
            self._waiting[follower] -= 1

    def _leads_to_output(self, node_id: str, distance: int) -> bool:
        if distance == 0:
            return REGISTRY[self._prompt[node_id]["class_type"]].output_node
        return any(self._leads_to_output(follower, distance - 1) for follower in self._followers[node_id])


@dataclass(frozen=True, slots=True)
class Cached:
    """A node's result, and what was shown of it under which node id."""

    outputs: tuple[Any, ...]
    ui: dict[str, Any] | None


class Cache:
    """Results of the last prompt, by what went in (node ids do not count): whatever the next prompt does not
    name is dropped when it starts, so only runs in a row profit."""

    def __init__(self) -> None:
        self._results: dict[str, Cached] = {}
        self._keys: dict[str, str] = {}

    def begin(self, prompt: Prompt, script: Script, folders: Folders) -> None:
        """Computes the keys of a prompt's nodes and drops every result that it does not use."""
        self._keys = {}
        for node_id in prompt:
            self._key(node_id, prompt, script, folders, ())
        kept = set(self._keys.values())
        self._results = {key: value for key, value in self._results.items() if key in kept}

    def get(self, node_id: str) -> Cached | None:
        """The result for that node of the current prompt, if there is one."""
        return self._results.get(self._keys.get(node_id, ""))

    def put(self, node_id: str, result: Cached) -> None:
        """Keeps a node's result."""
        self._results[self._keys[node_id]] = result

    def all(self, node_ids: Iterable[str]) -> dict[str, Cached]:
        """Those of the nodes that have a result."""
        return {node_id: found for node_id in node_ids if (found := self.get(node_id)) is not None}

    def clear(self) -> None:
        """Drops everything."""
        self._results.clear()

    def _key(
        self, node_id: str, prompt: Prompt, script: Script, folders: Folders, path: tuple[str, ...]
    ) -> str:
        if node_id in self._keys:
            return self._keys[node_id]
        node = prompt.get(node_id)
        if node is None or node_id in path:  # in a branch that was refused
            return "?"
        inputs = node.get("inputs", {})
        parts: dict[str, Any] = {}
        for name, value in inputs.items():
            if is_link(value):
                parts[name] = [
                    "link",
                    self._key(value[0], prompt, script, folders, (*path, node_id)),
                    value[1],
                ]
            else:
                parts[name] = value
        changed = REGISTRY[node["class_type"]].changed
        try:
            state = changed(script, folders, inputs) if changed else None
        except (OSError, ValueError, KeyError, TypeError):
            state = "missing"
        self._keys[node_id] = json.dumps([node["class_type"], state, parts], sort_keys=True)
        return self._keys[node_id]
