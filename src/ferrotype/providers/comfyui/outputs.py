"""A history entry, judged: how the prompt ended, and which pictures it left.

`{prompt: [number, id, graph, extra_data, output nodes], outputs: {node: {images: [...]}}, status}`.
Only what this entry names is ever taken for the prompt's output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote, urlencode

from ferrotype.domain.problems import ProviderFailed, ProviderInterrupted, ProviderProblem, ProviderRejected
from ferrotype.providers.comfyui.errors import first_line
from ferrotype.providers.comfyui.queue import QueueEntry
from ferrotype.providers.workflows.graph import Graph, savers

#: Files that are pictures. Videos, too, are listed under `images` (recording 04).
CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
}


@dataclass(frozen=True, slots=True)
class SavedPicture:
    """A picture file on the server; `kind` is its folder there, `output` or `temp`."""

    node: str
    filename: str
    subfolder: str
    kind: str
    content_type: str

    @property
    def path(self) -> str:
        """Where it is on the server. The folder goes into `subfolder`: a path in `filename` is cut off by
        the server and would name another file (recording 12)."""
        query = {"filename": self.filename, "subfolder": self.subfolder, "type": self.kind}
        return f"/view?{urlencode(query, quote_via=quote)}"


class HistoryEntry:
    """One entry of GET /history/{id}."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        prompt = raw.get("prompt")
        entry = QueueEntry.parse(prompt)
        self.graph: Graph = entry.graph if entry is not None else {}
        self.attempt_id = entry.attempt_id if entry is not None else None
        executed = prompt[4] if isinstance(prompt, list) and len(prompt) > 4 else None
        self._executed = executed if isinstance(executed, list) else None
        outputs = raw.get("outputs")
        self._outputs: Mapping[str, Any] = outputs if isinstance(outputs, dict) else {}
        status = raw.get("status")
        self._status: Mapping[str, Any] = status if isinstance(status, dict) else {}

    def _messages(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        messages = self._status.get("messages")
        for item in messages if isinstance(messages, list) else []:
            if isinstance(item, list) and len(item) == 2 and isinstance(item[1], dict):
                yield str(item[0]), item[1]

    def failure(self) -> ProviderProblem | None:
        """Why it ended badly; None when it ended well. An interruption, too, has `status_str: "error"`:
        only the messages tell it apart (recording 09)."""
        messages = dict(self._messages())
        if "execution_interrupted" in messages:
            return ProviderInterrupted("It was interrupted at ComfyUI.")
        if "execution_error" in messages:
            return failed_node(messages["execution_error"])
        if self._status.get("status_str") == "error":
            return ProviderFailed("ComfyUI failed and does not say why.")
        return None

    def seconds(self) -> float | None:
        """From its start to its success, by the server's clock."""
        stamps = {kind: data.get("timestamp") for kind, data in self._messages()}
        begun, ended = stamps.get("execution_start"), stamps.get("execution_success")
        if isinstance(begun, int) and isinstance(ended, int) and ended >= begun:
            return (ended - begun) / 1000
        return None

    def pictures(self, kind: str) -> list[SavedPicture]:
        """The picture files in one of the server's folders, in an order that never depends on timing."""
        found = (picture for node in sorted(self._outputs, key=_natural) for picture in self._of(node))
        return [picture for picture in found if picture.kind == kind]

    def _of(self, node: str) -> Iterator[SavedPicture]:
        output = self._outputs[node]
        images = output.get("images") if isinstance(output, dict) else None
        for image in images if isinstance(images, list) else []:
            filename = image.get("filename") if isinstance(image, dict) else None
            if isinstance(filename, str) and filename:
                content_type = CONTENT_TYPES.get(PurePosixPath(filename).suffix.lower())
                if content_type is not None:
                    subfolder, kind = image.get("subfolder") or "", image.get("type") or "output"
                    yield SavedPicture(node, filename, str(subfolder), str(kind), content_type)

    def ran(self, node: str) -> bool:
        """Whether the server took the output node on; True when it does not say."""
        return self._executed is None or node in self._executed

    def refused_nodes(self) -> ProviderRejected | None:
        """Saving nodes that never ran because a node they need was refused, although a 200 was answered
        (recording 07)."""
        refused = [node for node in savers(self.graph) if not self.ran(node)]
        if not refused:
            return None
        return ProviderRejected(f"ComfyUI ran only a part of the workflow: not node {', '.join(refused)}.")

    def other_outputs(self) -> str:
        """What it left instead of pictures, for people: `audio, text`."""
        nodes = (output for output in self._outputs.values() if isinstance(output, dict))
        kinds = {str(kind) for output in nodes for kind in output} - {"animated"}
        return ", ".join(sorted("files that are no pictures" if kind == "images" else kind for kind in kinds))


def failed_node(data: Mapping[str, Any]) -> ProviderFailed:
    """The problem of an `execution_error`: its node and message, never its traceback."""
    node = f"{data.get('node_type') or 'A node'} (node {data.get('node_id')})"
    said = first_line(data.get("exception_message") or "") or first_line(data.get("exception_type") or "")
    return ProviderFailed(f"{node} failed at ComfyUI: {said or 'no reason given'}")


def _natural(node: str) -> tuple[int, int, str]:
    """Numbered nodes by number, then the named ones; `10:2` (a node in a subgraph) after `10`."""
    head, _, tail = node.partition(":")
    return (0, int(head), tail) if head.isdecimal() else (1, 0, node)
