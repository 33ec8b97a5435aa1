"""The HTTP side: `python -m cog.server.http` of cog 0.23.1, which is the Rust server coglet.

What it does was recorded from the real one (tests/transcripts/cog), and the order of its checks read in its
sources: the body's shape, the id in it, a prediction of that id under way, the inputs, readiness, a slot.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import aiohttp
from aiohttp import web

from ferrotype.sim.cog import validation
from ferrotype.sim.cog.prediction import Prediction
from ferrotype.sim.cog.predictor import FILES, Painter, inline
from ferrotype.sim.cog.script import CogScript
from ferrotype.sim.cog.validation import Order, Refused
from ferrotype.sim.cog.webhook import Webhook
from ferrotype.sim.hosted import ENTRY, HostedScript, HostedSim, Work

VERSION: Final = "0.23.1"
ROOT: Final = {
    "cog_version": VERSION,
    "docs_url": "/docs",
    "healthcheck_url": "/health-check",
    "openapi_url": "/openapi.json",
    "predictions_cancel_url": "/predictions/{prediction_id}/cancel",
    "predictions_idempotent_url": "/predictions/{prediction_id}",
    "predictions_url": "/predictions",
    "shutdown_url": "/shutdown",
}
ALLOWED: Final = (
    (re.compile("/|/health-check|/openapi.json"), "GET,HEAD"),
    (re.compile("/predictions|/trainings|/shutdown"), "POST"),
    (re.compile("/(predictions|trainings)/[^/]+/cancel"), "POST"),
    (re.compile("/(predictions|trainings)/[^/]+"), "PUT"),
)
NOT_READY: Final = "Setup has not finished yet. Wait until it has finished, or GET /health-check for status."
BUSY: Final = "At capacity - all prediction slots busy"
NO_STREAM: Final = (
    "This model does not support streaming responses. Add @cog.streaming to predict() to enable SSE."
)
CHANNEL_CLOSED: Final = "Healthcheck error: protocol error: healthcheck channel closed"


class CogSim(HostedSim):
    """A Cog server with a predictor that paints; `painter` replaces it."""

    name: ClassVar[str] = "cog"
    script_class: ClassVar[type[HostedScript]] = CogScript
    script: CogScript

    def __init__(
        self,
        script: CogScript | None = None,
        *,
        tls: tuple[str, str] | None = None,
        painter: Painter | None = None,
    ) -> None:
        super().__init__(script or CogScript(), tls=tls)
        self.painter = painter or Painter()
        self.predictions: dict[str, Prediction] = {}  # those under way, by id
        self._by_work: dict[str, Prediction] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._setup_at = datetime.now(UTC)
        self.works.on_change.append(self._went_on)

    def routes(self) -> Iterable[web.RouteDef]:
        found = [
            web.get("/", self._root),
            web.get("/health-check", self._health),
            web.get("/openapi.json", self._openapi),
            web.post("/shutdown", self._shutdown),
        ]
        for kind in ("predictions", "trainings"):
            found += [
                web.post(f"/{kind}", self._create),
                web.put(f"/{kind}/{{id}}", self._create),
                web.post(f"/{kind}/{{id}}/cancel", self._cancel),
            ]
        return [*found, web.route("*", "/{tail:.*}", self._nowhere)]

    # Life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._session = aiohttp.ClientSession()
        await super().start(host, port)

    async def stop(self) -> None:
        self.forget()
        await super().stop()
        if self._session is not None:
            await self._session.close()

    def forget(self) -> None:
        """What a restart does: everything under way is gone, and nobody is told."""
        for prediction in list(self._by_work.values()):
            prediction.drop()
            self.works.cancel(prediction.work.id)
        self.predictions.clear()
        self._by_work.clear()
        self._setup_at = datetime.now(UTC)

    def crash(self) -> None:
        """The worker process dies, as by the OOM killer: what runs fails, and no slot ever comes free."""
        self.script.health = "UNHEALTHY"
        for prediction in list(self.predictions.values()):
            prediction.finish("failed", "Worker crashed")
            self.predictions.pop(prediction.id, None)
            self.works.cancel(prediction.work.id)

    @property
    def is_full(self) -> bool:
        """Whether no slot is free."""
        slots = self.script.slots
        return slots is not None and len(self.predictions) >= slots

    # Documents

    async def _root(self, _request: web.Request) -> web.Response:
        return _json(ROOT)

    async def _openapi(self, _request: web.Request) -> web.Response:
        if not self.script.schema:
            return _json({"error": "OpenAPI schema not available"}, 503)
        return _json(self.painter.schema)

    async def _health(self, _request: web.Request) -> web.Response:
        health = self.script.health
        started = self._setup_at.isoformat()
        setup: dict[str, Any] = {"started_at": started, "status": "starting"}
        if health == "SETUP_FAILED":
            logs = "worker setup failed: Setup failed: failed to load predictor: OSError: no weights"
            setup |= {"completed_at": started, "status": "failed", "logs": logs}
        elif health != "STARTING":
            setup |= {"completed_at": started, "status": "succeeded", "logs": "[coglet] Server ready\n"}
        version = {
            "coglet": VERSION,
            "git_sha": "9b9f6339",
            "build_time": "2026-10-20T14:46:36Z",
            "python_sdk": VERSION,
            "python": "3.11.7",
        }
        status = "BUSY" if health == "READY" and self.is_full else health
        found = {"status": status, "setup": setup, "version": version}
        return _json(found | ({"user_healthcheck_error": CHANNEL_CLOSED} if health == "UNHEALTHY" else {}))

    async def _shutdown(self, request: web.Request) -> web.StreamResponse:
        response = _json({})
        await response.prepare(request)
        await response.write_eof()
        self.forget()
        await self.close_door()
        return response

    async def _nowhere(self, request: web.Request) -> web.Response:
        for path, allowed in ALLOWED:
            if path.fullmatch(request.path):
                return web.Response(status=405, headers={"Allow": allowed})
        return web.Response(status=404)

    # Predictions

    async def _create(self, request: web.Request) -> web.Response:
        """POST, or PUT with the id in the path."""
        body = await request.read()
        try:
            order = validation.order_of(request.headers.get("Content-Type", ""), body)
        except Refused as refused:
            return web.Response(status=refused.status, text=refused.text)
        request[ENTRY].body = json.loads(body)
        path_id = request.match_info.get("id")
        if path_id is not None and order.id not in (None, path_id):
            wrong = "prediction ID must match the ID supplied in the URL"
            return _json({"detail": [{"loc": ["body", "id"], "msg": wrong, "type": "value_error"}]}, 422)
        known = self.predictions.get(path_id or "")
        streams = "text/event-stream" in request.headers.get("Accept", "")
        if known is not None and not streams:
            return _json(known.snapshot() | {"input": known.given}, 202)
        if streams:
            return _json({"error": NO_STREAM}, 406)
        given = order.input
        if self.script.schema:
            rules = self.painter.schema["components"]["schemas"]["Input"]
            given = validation.without_unknown(given, rules)
            if faults := validation.faults_of(given, rules):
                return _json({"detail": faults}, 422)
        if self.script.health not in ("READY", "UNHEALTHY"):
            return _json({"error": NOT_READY, "status": "failed"}, 503)
        if self.is_full or self.script.health == "UNHEALTHY" or self._is_late():
            return _json({"error": BUSY, "status": "failed"}, 409)
        prediction = self._begin(path_id or order.id or f"pred_{time.time_ns():x}", given, order)
        if request.headers.get("Prefer") == "respond-async":
            return _json({"id": prediction.id, "status": "starting"}, 202)
        try:
            await prediction.done.wait()
        except asyncio.CancelledError:  # the caller went away
            self._stop(prediction.id)
            raise
        if prediction.status in ("starting", "processing"):  # dropped: the server goes away
            raise web.HTTPServiceUnavailable
        return _json(prediction.reply())

    def _begin(self, id: str, given: Any, order: Order) -> Prediction:
        assert self._session is not None
        can_run = self.painter.check(given) is None
        work = Work(
            id=id if id not in self.works.items else f"{id}.{self.works.created}",
            request=dict(given) if can_run else {},
            **(self.painter.order(given) if can_run else {"count": 0}),
        )
        prediction = Prediction(
            id,
            given,
            work,
            painter=self.painter,
            script=self.script,
            webhook=Webhook(order.webhook, order.events, self.script, self._session),
            deliver=self._deliver,
        )
        self.predictions[id] = self._by_work[work.id] = prediction
        self._keep(self._see_off(prediction))
        self.works.begin(work)
        return prediction

    async def _see_off(self, prediction: Prediction) -> None:
        """Frees its slot at its end."""
        await prediction.done.wait()
        if self.predictions.get(prediction.id) is prediction:
            del self.predictions[prediction.id]

    async def _cancel(self, request: web.Request) -> web.Response:
        return _json({}, 200 if self._stop(request.match_info["id"]) else 404)

    def _stop(self, id: str) -> bool:
        prediction = self.predictions.get(id)
        return prediction is not None and self.works.cancel(prediction.work.id)

    def _is_late(self) -> bool:
        late = self.script.late_slots > 0
        self.script.late_slots -= late
        return late

    def _went_on(self, work: Work) -> None:
        if work.id in self._by_work:
            self._by_work[work.id].changed()

    async def _deliver(self, work: Work, index: int, data: bytes) -> str:
        """A file's value on the wire. Raises aiohttp.ClientError when it cannot be uploaded."""
        if work.request.get("deliver") == "address":
            return self.output_url(work, index)
        if self.script.upload_url is None:
            return inline(data, work.form)
        assert self._session is not None
        suffix, content_type = FILES[work.form]
        url = f"{self.script.upload_url.rstrip('/')}/out-{index}.{suffix}"
        headers = {"Content-Type": content_type, "x-prediction-id": self._by_work[work.id].id}
        async with self._session.put(url, data=data, headers=headers) as reply:
            reply.raise_for_status()
            return reply.headers.get("Location", url).partition("?")[0]

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _json(value: Any, status: int = 200) -> web.Response:
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()
    return web.Response(status=status, body=body, content_type="application/json")
