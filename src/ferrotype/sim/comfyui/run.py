"""One prompt's execution: nodes in order, every message as the real server sends it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from ferrotype.sim import pixels
from ferrotype.sim.options import take

from .folders import Folders, OutsideFolder, save_path
from .gate import Gate, Interrupted
from .graph import Cache, Cached, ExecutionOrder, is_link
from .journal import Journal
from .nodes import REGISTRY
from .nodes.base import Images, NodeFailure, Result, shown
from .queue import Item
from .script import Script
from .sockets import Hub, metadata_frame, preview_frame, text_frame

#: What a node raises that wants its prompt to stop: the server then says that it was interrupted.
INTERRUPTION: Final = "InterruptProcessingException"


class Run:
    """A running prompt. `last_node` is what a client that reconnects is told; `files` are those it wrote."""

    def __init__(
        self,
        item: Item,
        *,
        script: Script,
        folders: Folders,
        hub: Hub,
        journal: Journal,
        cache: Cache,
        gate: Gate,
        save_lock: asyncio.Lock,
        owners: dict[str, str],
    ) -> None:
        _, self.prompt_id, self.prompt, self.extra_data, self._outputs = item
        # Raises AttributeError for `extra_data: null`: that is how the real worker thread dies.
        self.client_id = self.extra_data.get("client_id")
        self.script = script
        self.folders = folders
        self.gate = gate
        self.cache = cache
        self.hub = hub
        self.last_node: str | None = None
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.journal = journal
        self.save_lock = save_lock
        self.owners = owners
        self.success = True
        self._progress: dict[str, dict[str, Any]] = {}
        self._executed: list[str] = []

    async def execute(self) -> dict[str, Any]:
        """Runs the prompt to its end, good or bad; gives `outputs` and `meta` for the history."""
        self._message("execution_start", {"prompt_id": self.prompt_id})
        self.cache.begin(self.prompt, self.script, self.folders)
        cached = [node_id for node_id in self.prompt if self.cache.get(node_id) is not None]
        self._message("execution_cached", {"nodes": cached, "prompt_id": self.prompt_id})
        await self.gate.wait(0)
        await self.gate.pause(self.script.prompt_seconds)
        order = ExecutionOrder(self.prompt, lambda node_id: self.cache.get(node_id) is not None)
        for output in self._outputs:
            order.add(output)
        while order:
            node_id = order.pick()
            try:
                await self._node(node_id)
            except Interrupted:
                self._stopped(node_id)
                break
            except Exception as error:
                self._failed(node_id, error)
                break
            order.done(node_id)
        else:
            self._message("execution_success", {"prompt_id": self.prompt_id})
        self.last_node = None
        told = {n: c.ui for n, c in self.cache.all(self.prompt).items() if c.ui is not None}
        return {
            "outputs": {node_id: ui["output"] for node_id, ui in told.items()},
            "meta": {node_id: ui["meta"] for node_id, ui in told.items()},
        }

    def status(self) -> dict[str, Any]:
        """The `status` of the history entry."""
        return {
            "status_str": "success" if self.success else "error",
            "completed": self.success,
            "messages": [list(message) for message in self.messages],
        }

    def set_progress(self, node_id: str, value: float, total: float, state: str) -> None:
        """Notes a node's progress and tells it in a `progress_state`."""
        self._progress[node_id] = {
            "value": value,
            "max": total,
            "state": state,
            "node_id": node_id,
            "prompt_id": self.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
        nodes = {name: dict(entry) for name, entry in self._progress.items()}
        self.hub.send("progress_state", {"prompt_id": self.prompt_id, "nodes": nodes}, self.client_id)

    def _finish(self, node_id: str) -> None:
        total = self._progress[node_id]["max"] if node_id in self._progress else 1
        self.set_progress(node_id, total, total, "finished")

    async def _node(self, node_id: str) -> None:
        found = self.cache.get(node_id)
        if found is not None:
            self._tell_executed(node_id, found.ui["output"] if found.ui else None)
            self._finish(node_id)
            return
        spec = REGISTRY[self.prompt[node_id]["class_type"]]
        self.set_progress(node_id, 0.0, 1.0, "running")
        self.last_node = node_id
        if self.client_id is not None:
            data = {"node": node_id, "display_node": node_id, "prompt_id": self.prompt_id}
            self.hub.send("executing", data, self.client_id)
        self.gate.check()
        self._scripted_error(node_id)
        result: Result = await spec.run(NodeContext(self, node_id), **self._arguments(node_id))
        ui = None
        if result.ui is not None:
            meta = {"node_id": node_id, "display_node": node_id, "parent_node": None, "real_node_id": node_id}
            ui = {"meta": meta, "output": result.ui}
            self._tell_executed(node_id, result.ui)
        self.cache.put(node_id, Cached(result.outputs, ui))
        self._finish(node_id)
        self._executed.append(node_id)

    def _tell_executed(self, node_id: str, output: Any) -> None:
        if self.client_id is not None:
            data = {"node": node_id, "display_node": node_id, "output": output, "prompt_id": self.prompt_id}
            self.hub.send("executed", data, self.client_id)

    def _arguments(self, node_id: str) -> dict[str, Any]:
        """A node's inputs with links resolved; inputs that it does not know are left out."""
        inputs = self.prompt[node_id]["inputs"]
        arguments = {}
        for name in REGISTRY[self.prompt[node_id]["class_type"]].inputs:
            if name not in inputs:
                continue
            value = inputs[name]
            if is_link(value):
                found = self.cache.get(value[0])
                value = found.outputs[value[1]] if found is not None else None
            arguments[name] = value
        return arguments

    def _scripted_error(self, node_id: str) -> None:
        for planned in self.script.node_errors:
            if planned.node in (node_id, self.prompt[node_id]["class_type"]):
                fires, planned.times = take(planned.times)
                if fires and planned.kind == INTERRUPTION:
                    raise Interrupted
                if fires:
                    raise NodeFailure(planned.kind, planned.message)

    def _stopped(self, node_id: str) -> None:
        self.success = False
        data = {
            "prompt_id": self.prompt_id,
            "node_id": node_id,
            "node_type": self.prompt[node_id]["class_type"],
            "executed": list(self._executed),
        }
        self._message("execution_interrupted", data, broadcast=True)

    def _failed(self, node_id: str, error: Exception) -> None:
        self.success = False
        kind = error.kind if isinstance(error, NodeFailure) else type(error).__name__
        if isinstance(error, OutsideFolder):
            kind = "Exception"
        name = self.prompt[node_id]["class_type"]
        inputs = {key: [shown(value)] for key, value in self._arguments(node_id).items()}
        if "prompt" in REGISTRY[name].hidden:
            inputs["prompt"] = [shown(self.prompt)]
            inputs["extra_pnginfo"] = [shown(self.extra_data.get("extra_pnginfo"))]
        data = {
            "prompt_id": self.prompt_id,
            "node_id": node_id,
            "node_type": name,
            "executed": list(self._executed),
            "exception_message": f"{error}\n",
            "exception_type": kind,
            "traceback": ['  File "execution.py", in execute\n', f'  File "nodes.py", in {name}\n'],
            "current_inputs": inputs,
            "current_outputs": list(self.prompt),
        }
        self._message("execution_error", data)

    def _message(self, kind: str, data: dict[str, Any], *, broadcast: bool = False) -> None:
        data = {**data, "timestamp": int(time.time() * 1000)}
        self.messages.append((kind, data))
        if self.client_id is not None or broadcast:
            self.hub.send(kind, data, self.client_id)


class NodeContext:
    """What a node sees while it runs."""

    def __init__(self, run: Run, node_id: str) -> None:
        self._run = run
        self.node_id = node_id
        self.prompt_id = run.prompt_id
        self.script = run.script
        self.folders = run.folders
        self.prompt: Mapping[str, Any] = run.prompt
        self.extra_data: Mapping[str, Any] = run.extra_data

    async def step(self, value: int, total: int, preview: tuple[str, bytes] | None = None) -> None:
        gate, script = self._run.gate, self.script
        await gate.wait(value)
        await gate.pause(script.step_seconds)
        if script.hang_at_step == value:
            fires, script.hang_times = take(script.hang_times)
            if fires:
                await gate.hang(value)
        if script.drop_ws_at_step == value:
            fires, script.drop_ws_times = take(script.drop_ws_times)
            if fires:
                await self._run.hub.flushed()
                self._run.hub.drop(self._run.client_id)
        await self.report(value, total, preview)

    async def report(self, value: int, total: int, preview: tuple[str, bytes] | None = None) -> None:
        run = self._run
        run.gate.check()
        run.set_progress(self.node_id, value, total, "running")
        with_metadata = preview is not None and run.hub.wants_metadata(run.client_id)
        if preview is not None and with_metadata:
            metadata = {
                "node_id": self.node_id,
                "prompt_id": run.prompt_id,
                "display_node_id": self.node_id,
                "parent_node_id": None,
                "real_node_id": self.node_id,
            }
            run.hub.send_bytes(metadata_frame(*preview, metadata), run.client_id)
        data = {"value": value, "max": total, "prompt_id": run.prompt_id, "node": self.node_id}
        run.hub.send("progress", data, run.client_id)
        if preview is not None and not with_metadata:
            run.hub.send_bytes(preview_frame(*preview), run.client_id)

    async def sleep_deaf(self) -> None:
        await self._run.gate.wait(1, deaf=True)
        await self._run.gate.pause(self.script.step_seconds, deaf=True)

    def text(self, text: str) -> None:
        self._run.hub.send_bytes(text_frame(self.node_id, text), self._run.client_id)

    async def save(self, pictures: Images, prefix: str, kind: str) -> list[dict[str, str]]:
        text = {"prompt": json.dumps(self.prompt)}
        for key, value in (self.extra_data.get("extra_pnginfo") or {}).items():
            text[key] = json.dumps(value)
        encoded = [await asyncio.to_thread(pixels.png, picture, text) for picture in pictures]
        size = (pictures[0].width, pictures[0].height)
        return await self._write(encoded, prefix, kind, ".png", size)

    async def save_bytes(
        self, data: bytes, prefix: str, suffix: str, size: tuple[int, int]
    ) -> dict[str, str]:
        return (await self._write([data], prefix, "output", suffix, size))[0]

    async def _write(
        self, files: list[bytes], prefix: str, kind: str, suffix: str, size: tuple[int, int]
    ) -> list[dict[str, str]]:
        folder = self.folders.temp if kind == "temp" else self.folders.output
        entries = []
        async with self._run.save_lock:  # several workers must not take the same number
            target, stem, number, subfolder = save_path(prefix, folder, *size)
            for index, data in enumerate(files):
                name = f"{stem.replace('%batch_num%', str(index))}_{number + index:05}_{suffix}"
                (target / name).write_bytes(data)
                self._run.owners[str(target / name)] = self.prompt_id
                entries.append({"filename": name, "subfolder": subfolder, "type": kind})
                self._run.journal.mark("saved", self.prompt_id, name)
        return entries
