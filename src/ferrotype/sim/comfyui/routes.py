"""The JSON routes: prompts, queue, history, interrupt, and what the server tells of itself."""

from __future__ import annotations

import uuid
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .faults import ENTRY
from .nodes import REGISTRY
from .script import Script
from .validate import Validator, problem

if TYPE_CHECKING:
    from .server import ComfySim

VERSION = "0.3.64"
_FOLDERS = [
    "checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision",
    "style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models",
    "custom_nodes", "hypernetworks", "photomaker", "classifiers", "model_patches", "audio_encoders",
]  # fmt: skip
_MEMORY = 24 * 1024**3


class Routes:
    """Handlers bound to one simulator. Exceptions become the real server's bare 500."""

    def __init__(self, sim: ComfySim) -> None:
        self._sim = sim

    def table(self) -> list[web.RouteDef]:
        """All routes of this part, without prefix."""
        return [
            web.get("/ws", self.websocket),
            web.post("/prompt", self.post_prompt),
            web.get("/prompt", self.get_prompt),
            web.get("/queue", self.get_queue),
            web.post("/queue", self.post_queue),
            web.post("/interrupt", self.interrupt),
            web.post("/free", self.free),
            web.get("/history", self.get_history),
            web.get("/history/{prompt_id}", self.get_history_entry),
            web.post("/history", self.post_history),
            web.get("/features", self.features),
            web.get("/system_stats", self.system_stats),
            web.get("/object_info", self.object_info),
            web.get("/object_info/{node_class}", self.object_info),
            web.get("/embeddings", self.embeddings),
            web.get("/models", self.model_folders),
            web.get("/models/{folder}", self.models),
        ]

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        return await self._sim.hub.serve(request, self._sim.greeting)

    async def post_prompt(self, request: web.Request) -> web.Response:
        data = await request.json()
        if "number" in data:
            number = float(data["number"])
        else:
            number = self._sim.take_number(front="front" in data and data["front"])
        if "prompt" not in data:
            text = "No prompt provided"
            return _refused(problem("no_prompt", text, text), {})
        prompt = data["prompt"]
        prompt_id = _prompt_id(data, self._sim.script)
        if prompt_id is None:
            text = "prompt_id must be a valid UUID"
            return _refused(problem("invalid_prompt_id", text, ""), {})
        request[ENTRY].prompt_id = prompt_id
        verdict = Validator(
            prompt, self._sim.script, self._sim.folders, data.get("partial_execution_targets")
        ).verdict()
        extra_data = data.get("extra_data", {})
        if "client_id" in data:
            extra_data["client_id"] = data["client_id"]
        if verdict.error is not None:
            return _refused(verdict.error, verdict.node_errors)
        self._sim.journal.mark("queued", prompt_id)
        self._sim.queue.put((number, prompt_id, prompt, extra_data, verdict.outputs))
        return web.json_response(
            {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}
        )

    async def get_prompt(self, request: web.Request) -> web.Response:
        return web.json_response(self._sim.exec_info())

    async def get_queue(self, request: web.Request) -> web.Response:
        return web.json_response(self._sim.queue.listing())

    async def post_queue(self, request: web.Request) -> web.Response:
        data = await request.json()
        if data.get("clear"):
            self._sim.queue.clear()
        if "delete" in data:
            for prompt_id in data["delete"]:
                request[ENTRY].prompt_id = str(prompt_id)
                self._sim.queue.delete(prompt_id)
        return web.Response()

    async def interrupt(self, request: web.Request) -> web.Response:
        try:
            data = await request.json()
        except JSONDecodeError:
            data = {}  # a malformed body therefore stops everybody
        prompt_id = data.get("prompt_id")
        request[ENTRY].prompt_id = str(prompt_id) if prompt_id else None
        self._sim.interrupt(prompt_id or None)
        return web.Response()

    async def free(self, request: web.Request) -> web.Response:
        data = await request.json()
        if data.get("free_memory", False):
            self._sim.forget_cache()
        return web.Response()

    async def get_history(self, request: web.Request) -> web.Response:
        query = request.rel_url.query
        max_items = int(query["max_items"]) if "max_items" in query else None
        offset = int(query["offset"]) if "offset" in query else -1
        return web.json_response(self._sim.queue.page(max_items, offset))

    async def get_history_entry(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        request[ENTRY].prompt_id = prompt_id
        entry = self._sim.poll_history(prompt_id)
        return web.json_response({} if entry is None else {prompt_id: entry})

    async def post_history(self, request: web.Request) -> web.Response:
        data = await request.json()
        if data.get("clear"):
            self._sim.queue.history.clear()
        if "delete" in data:
            for prompt_id in data["delete"]:
                self._sim.queue.history.pop(prompt_id, None)
        return web.Response()

    async def features(self, request: web.Request) -> web.Response:
        return web.json_response(self._sim.features())

    async def system_stats(self, request: web.Request) -> web.Response:
        memory = {"vram_total": _MEMORY, "vram_free": _MEMORY * 9 // 10}
        torch = {f"torch_{key}": value for key, value in memory.items()}
        system: dict[str, Any] = {
            "os": "posix",
            "ram_total": _MEMORY,
            "ram_free": _MEMORY * 9 // 10,
            "comfyui_version": VERSION,
            "required_frontend_version": "1.27.10",
            "installed_templates_version": None,
            "required_templates_version": "0.1.95",
            "python_version": "3.11.7 (simulated)",
            "pytorch_version": "2.13.0+cpu",
            "embedded_python": False,
            "argv": ["main.py", "--cpu"],
        }
        devices = [{"name": "cpu", "type": "cpu", "index": None, **memory, **torch}]
        return web.json_response({"system": system, "devices": devices})

    async def object_info(self, request: web.Request) -> web.Response:
        wanted = request.match_info.get("node_class")
        nodes = REGISTRY.values() if wanted is None else [REGISTRY[wanted]] if wanted in REGISTRY else []
        return web.json_response(
            {node.name: node.info(self._sim.script, self._sim.folders) for node in nodes}
        )

    async def embeddings(self, request: web.Request) -> web.Response:
        return web.json_response([])

    async def model_folders(self, request: web.Request) -> web.Response:
        return web.json_response(_FOLDERS)

    async def models(self, request: web.Request) -> web.Response:
        folder = request.match_info["folder"]
        if folder not in _FOLDERS:
            return web.Response(status=404)
        script = self._sim.script
        known = {
            "checkpoints": script.checkpoints,
            "loras": script.loras,
            "vae": script.vaes,
            "text_encoders": script.text_encoders,
            "diffusion_models": script.diffusion_models,
            "upscale_models": script.upscale_models,
        }
        return web.json_response(known.get(folder, []))


def _prompt_id(data: dict[str, Any], script: Script) -> str | None:
    """The id of a new prompt; None where the one that came is refused."""
    given = data.get("prompt_id")
    if script.own_prompt_ids or "prompt_id" not in data or (script.strict_prompt_ids and given is None):
        return str(uuid.uuid4())
    return None if script.strict_prompt_ids and not _canonical(given) else str(given)


def _canonical(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _refused(error: dict[str, Any], node_errors: dict[str, Any]) -> web.Response:
    return web.json_response({"error": error, "node_errors": node_errors}, status=400)
