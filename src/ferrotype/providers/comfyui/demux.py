"""Who a websocket message is for: one socket carries the messages of every prompt of this process."""

from __future__ import annotations

from typing import Final

from ferrotype.providers.comfyui.frames import Message, Picture, parse_binary, parse_text
from ferrotype.providers.comfyui.run import ENDINGS, Run

#: Messages that only an executing prompt causes.
_EXECUTION: Final = ENDINGS | {
    "execution_start",
    "execution_cached",
    "executing",
    "executed",
    "progress",
    "progress_state",
}


class Demux:
    """Hands messages to the runs they are about. Prompts nobody watches are ignored."""

    def __init__(self, max_preview_bytes: int) -> None:
        self._max_preview_bytes = max_preview_bytes
        self._runs: dict[str, list[Run]] = {}
        #: The watched prompt that executes now. A server executes one prompt at a time, so pictures
        #: that say no prompt id belong to it, and to nobody when a foreign prompt executes.
        self.current: str | None = None
        #: How many prompts run or wait on the server, whosever they are; None until this connection tells.
        self.remaining: int | None = None

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, run: Run) -> None:
        """Let the run have its messages."""
        self._runs.setdefault(run.prompt_id, []).append(run)

    def remove(self, run: Run) -> None:
        """No more messages for the run."""
        left = [other for other in self._runs.get(run.prompt_id, []) if other is not run]
        if left:
            self._runs[run.prompt_id] = left
        else:
            self._runs.pop(run.prompt_id, None)
            if self.current == run.prompt_id:
                self.current = None

    def runs(self) -> list[Run]:
        """Every watched run."""
        return [run for runs in self._runs.values() for run in runs]

    def text(self, frame: str) -> None:
        """A text frame."""
        message = parse_text(frame)
        if message is not None:
            self._message(message)

    def binary(self, frame: bytes) -> None:
        """A binary frame."""
        parsed = parse_binary(frame)
        if isinstance(parsed, Message):
            self._message(parsed)
        elif isinstance(parsed, Picture):
            for run in self._for(parsed.prompt_id):
                run.take_picture(parsed, self._max_preview_bytes)

    def _message(self, message: Message) -> None:
        if message.type == "status":
            self._status(message)
            return
        if message.type in _EXECUTION and message.prompt_id is not None:
            self.current = message.prompt_id if message.prompt_id in self._runs else None
        # Extensions broadcast messages of their own: those are no sign of life of a prompt.
        if message.prompt_id is not None or message.type in _EXECUTION or message.type == "text":
            for run in self._for(message.prompt_id):
                run.take_message(message)
        if message.type == "executing" and message.data.get("node") is None:
            self.current = None

    def _status(self, message: Message) -> None:
        status = message.data.get("status")
        info = status.get("exec_info") if isinstance(status, dict) else None
        count = info.get("queue_remaining") if isinstance(info, dict) else None
        if isinstance(count, int):
            self.remaining = count
            for run in self.runs():
                run.queue_remaining(count)

    def _for(self, prompt_id: str | None) -> list[Run]:
        return list(self._runs.get(prompt_id or self.current or "", ()))
