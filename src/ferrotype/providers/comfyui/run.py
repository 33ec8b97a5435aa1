"""What is known of one prompt, as a fold over its websocket messages.

Memory stays bounded however slowly it is watched: progress is one number, of the previews only the
newest is kept, and only finished pictures add up, which are the result itself.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferrotype.domain.problems import ProviderRejected
from ferrotype.providers.comfyui.errors import node_error_lines
from ferrotype.providers.comfyui.frames import Message, Picture
from ferrotype.providers.comfyui.progress import Progress
from ferrotype.providers.workflows.graph import WEBSOCKET_SAVER, Graph, class_of, weights

#: Messages after which `executing{node: null}` follows at once.
ENDINGS: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})


@dataclass(frozen=True, slots=True)
class SentPicture:
    """A finished picture that SaveImageWebsocket sent."""

    node: str
    data: bytes
    content_type: str


class Run:
    """One prompt. `changed` is set whenever something of interest happened."""

    def __init__(self, prompt_id: str, graph: Graph | None = None) -> None:
        self.prompt_id = prompt_id
        self.graph: Graph = graph or {}
        self.changed = asyncio.Event()
        #: Counts every sign of life of this very prompt.
        self.signs = 0
        self.started = False
        #: The server says that it has ended, and how, unless it ended well.
        self.ending: Message | None = None
        #: `executing{node: null}` has come: the history entry is there.
        self.over = False
        #: Messages may have been missed: queue and history must be asked.
        self.stale = False
        #: What they answered to questions before this moment, on the loop's clock, says nothing.
        self.stale_at = math.inf
        #: Another process submitted it: its messages go to that one's socket, and only `status`,
        #: which everybody gets, tells that something has changed.
        self.foreign = graph is None
        if self.foreign:
            self.doubt()
        #: Somebody on our side had it canceled.
        self.canceled = False
        #: Position among the waiting prompts, from 1; None while unknown.
        self.position: int | None = None
        #: The server says that nothing runs or waits, though this prompt has not started.
        self.vanished = False
        self.preview: Picture | None = None
        self.pictures: deque[SentPicture] = deque()
        self.received = 0
        self.partial: ProviderRejected | None = None
        self._expected: dict[str, int] = {}
        self._remaining: int | None = None
        self._node: str | None = None
        self.progress = Progress(weights(self.graph))

    @property
    def expected(self) -> int:
        """How many pictures the websocket savers announced so far."""
        return sum(self._expected.values())

    def learn(self, graph: Graph) -> None:
        """The workflow, for a prompt that another process submitted."""
        if not self.graph and graph:
            self.graph = graph
            self.progress = Progress(weights(graph))

    def refuse(self, node_errors: Mapping[str, Any]) -> None:
        """`node_errors` of a 200: the outputs that depend on these nodes will not be made."""
        if not node_errors:
            return
        lines = node_error_lines(node_errors)
        bodies = (body for body in node_errors.values() if isinstance(body, dict))
        dead = [str(node) for body in bodies for node in body.get("dependent_outputs") or ()]
        self.partial = ProviderRejected(
            f"ComfyUI ran only a part of the workflow: {'; '.join(lines[:5])}.",
            errors=[{"detail": line} for line in lines],
        )
        self.progress = Progress(weights(self.graph, dead))

    async def wait(self, seconds: float) -> None:
        """Return after the next change, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            pass
        self.changed.clear()

    def accepted(self) -> None:
        """The server has it from now on."""
        self.stale_at = asyncio.get_running_loop().time()

    def doubt(self) -> None:
        """What is known may be outdated from now on."""
        self.stale, self.stale_at = True, asyncio.get_running_loop().time()
        self.changed.set()

    def queue_remaining(self, count: int) -> None:
        """`status`, sent to everybody: how many prompts run or wait, this one included."""
        if self.foreign:
            self.doubt()
            return
        if self.started or self.over:
            return
        before, self._remaining = self._remaining, count
        if self.position is not None and before is not None and count < before:
            # Whatever ended stood before this one, unless somebody took a later one out of the queue.
            self.position = max(1, self.position - (before - count))
        self.vanished = count == 0
        self.changed.set()

    def take_message(self, message: Message) -> None:
        """A message about this prompt."""
        self.signs += 1
        self.foreign = False
        data, node = message.data, message.data.get("node")
        match message.type:
            case "execution_start":
                self.started = True
            case "execution_cached":
                nodes = data.get("nodes")
                self.progress.cached(nodes if isinstance(nodes, list) else [])
            case "executing" if isinstance(node, str):
                self.started, self._node = True, node
                self.progress.executing(node)
            case "executing":
                self.over = True
            case "progress" if isinstance(node, str):
                self.started = True
                self.progress.step(node, data.get("value"), data.get("max"))
                self._expect(node, data.get("max"))
            case "progress_state":
                nodes = data.get("nodes")
                self.started = True
                if isinstance(nodes, dict):
                    self.progress.states(nodes)
            case "executed" if isinstance(node, str):
                self.progress.executed(node)
            case kind if kind in ENDINGS:
                self.ending = message
        self.changed.set()

    def take_picture(self, picture: Picture, max_preview_bytes: int) -> None:
        """A picture of this prompt: the result itself while a websocket saver executes, else a preview."""
        self.signs += 1
        node = picture.node or self._node or ""
        if class_of(self.graph, node) == WEBSOCKET_SAVER:
            self.pictures.append(SentPicture(node, picture.data, picture.content_type))
            self.received += 1
        elif len(picture.data) <= max_preview_bytes:
            self.preview = picture
        self.changed.set()

    def _expect(self, node: str, count: object) -> None:
        if class_of(self.graph, node) == WEBSOCKET_SAVER and isinstance(count, int):
            self._expected[node] = max(count, self._expected.get(node, 0))
