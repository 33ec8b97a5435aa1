"""The simulated API of queue-based endpoints.

Sources: docs.runpod.io `serverless/endpoints` (operation reference, send requests, job states; August 2026)
and the SDK `runpod` 1.12. Not written down anywhere, and simulated in the plainest way: the bodies of errors,
and what canceling an ended job answers.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import aiohttp
from aiohttp import web

from ferrotype.sim.hosted import HostedScript, HostedSim, Work
from ferrotype.sim.runpod.workers import ENDPOINTS, Complaint, Crash, Worker, crashed

RUN_BYTES: Final = 10 * 1024 * 1024
RUNSYNC_BYTES: Final = 20 * 1024 * 1024
WEEK_MS: Final = 604_800_000
#: Bounds of `wait` and its default, in milliseconds.
WAIT_MS: Final = (1_000, 300_000)
DEFAULT_WAIT_MS: Final = 90_000
STATES: Final = {"queued": "IN_QUEUE", "running": "IN_PROGRESS", "canceled": "CANCELLED"}
#: Times that a webhook is sent until it is answered with 200, and the seconds between.
WEBHOOK_TIMES: Final = 3
WEBHOOK_PAUSE: Final = 10.0


class RunPodSim(HostedSim):
    """An account with the endpoints of `ENDPOINTS`, under `/v2`. With `script.gone` results have expired.

    `second` is how long a second of RunPod's own waits lasts: those of `wait`, `policy` and webhooks.
    """

    name: ClassVar[str] = "runpod"

    def __init__(self, script: HostedScript | None = None, *, tls: tuple[str, str] | None = None) -> None:
        super().__init__(script, tls=tls)
        self.endpoints: dict[str, Worker] = dict(ENDPOINTS)
        self.second = 1.0
        self._timed_out: set[str] = set()
        self._removed: set[str] = set()
        self._retried: dict[str, int] = {}
        self._streamed: dict[str, int] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self.works.on_change.append(self._changed)

    @property
    def base_url(self) -> str:
        """What the SDK and Ferrotype take as RUNPOD_ENDPOINT_BASE_URL."""
        return f"{self.url}/v2"

    def routes(self) -> Iterable[web.RouteDef]:
        routes = [
            web.post("/v2/{endpoint}/run", self._run),
            web.post("/v2/{endpoint}/runsync", self._runsync),
            web.post("/v2/{endpoint}/cancel/{id}", self._cancel),
            web.post("/v2/{endpoint}/retry/{id}", self._retry),
            web.post("/v2/{endpoint}/purge-queue", self._purge),
            web.get("/v2/{endpoint}/health", self._health),
        ]
        for method in (web.get, web.post):
            routes.append(method("/v2/{endpoint}/status/{id}", self._status))
            routes.append(method("/v2/{endpoint}/stream/{id}", self._stream))
        return routes

    def given_key(self, request: web.Request) -> str:
        """`Authorization: Bearer KEY`, or the key alone as in RunPod's own examples."""
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def unauthorized(self, request: web.Request) -> web.Response:
        return web.json_response({"error": "Unauthorized"}, status=401)

    async def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await super().stop()

    def time_out(self, job_id: str) -> None:
        """The job's execution time is over."""
        if self.works.cancel(job_id):
            self._timed_out.add(job_id)

    def expire(self, job_id: str) -> None:
        """The job's `ttl` is over: it is removed, whatever it does."""
        self.works.cancel(job_id)
        self._removed.add(job_id)

    # Submitting

    async def _run(self, request: web.Request) -> web.Response:
        work = await self._accept(request, f"{uuid.uuid4()}-u1", RUN_BYTES)
        return web.json_response({"id": work.id, "status": "IN_QUEUE"})

    async def _runsync(self, request: web.Request) -> web.Response:
        given = request.query.get("wait", str(DEFAULT_WAIT_MS))
        if not given.isdecimal() or not WAIT_MS[0] <= int(given) <= WAIT_MS[1]:
            raise _error(400, "wait must be between 1000 and 300000")
        work = await self._accept(request, f"sync-{uuid.uuid4()}-u1", RUNSYNC_BYTES)
        try:
            async with asyncio.timeout(int(given) / 1_000 * self.second):
                await work.end()
        except TimeoutError:
            pass
        return web.json_response(self._told(work))

    async def _accept(self, request: web.Request, job_id: str, limit: int) -> Work:
        worker = self._worker(request)
        if (request.content_length or 0) > limit:
            raise _error(413, f"request body exceeds {limit} bytes")
        body = await self.body(request)
        wrong = _wrong(body)
        if wrong is not None:
            raise _error(400, wrong)
        kept = {key: body.get(key) for key in ("input", "webhook", "policy")}
        work = Work(job_id, {**kept, "endpoint": request.match_info["endpoint"]})
        return self._begin(worker, work)

    def _begin(self, worker: Worker, work: Work) -> Work:
        try:
            worker.read(work.request["input"], work)
        except Complaint as complaint:
            work.request["complaint"], work.count = complaint, 0
        self.works.begin(work)
        ttl = (work.request["policy"] or {}).get("ttl", 86_400_000)
        self._later("ttl", work.id, ttl, lambda: self.expire(work.id))
        return work

    def _later(self, what: str, job_id: str, milliseconds: int, then: Any) -> None:
        loop = asyncio.get_running_loop()
        self._timers[what, job_id] = loop.call_later(milliseconds / 1_000 * self.second, then)

    # Asking

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self._told(self._job(request)))

    async def _stream(self, request: web.Request) -> web.Response:
        """Handlers that yield would fill it piece by piece; here each picture is a piece."""
        work = self._job(request)
        told = self._told(work)
        output = told.get("output")
        images = output.get("images", []) if work.ended and isinstance(output, dict) else []
        start = self._streamed.get(work.id, 0)
        self._streamed[work.id] = len(images)
        pieces = [{"output": image} for image in images[start:]]
        return web.json_response({"id": work.id, "status": told["status"], "stream": pieces})

    def _told(self, work: Work) -> dict[str, Any]:
        """A job's status."""
        told: dict[str, Any] = {"id": work.id, "status": self._state(work)}
        if work.started_at is not None:
            told["delayTime"] = _milliseconds(work.created_at, work.started_at)
            told["workerId"] = "w1a2b3c4d5"
        if work.ended and self.script.metrics:
            begun = work.started_at or work.created_at
            told["executionTime"] = _milliseconds(begun, work.ended_at) if work.ended_at else 0
        if work.state == "running":
            progress = self.endpoints[work.request["endpoint"]].progress(work)
            if progress is not None:
                told["output"] = progress
        if work.state in ("succeeded", "failed"):
            told |= self.returned(work)
        return told

    def _state(self, work: Work) -> str:
        if work.id in self._timed_out:
            return "TIMED_OUT"
        if work.state in STATES:
            return STATES[work.state]
        return "FAILED" if "error" in self.returned(work) else "COMPLETED"

    def returned(self, work: Work) -> dict[str, Any]:
        """What a job that has ended returned: made once."""
        if "returned" not in work.request:
            work.request["returned"] = self._run_job(work)
        returned: dict[str, Any] = work.request["returned"]
        return returned

    def _run_job(self, work: Work) -> dict[str, Any]:
        """What the SDK's `run_job` makes of the handler's return: `error` is taken out of it."""
        worker = self.endpoints[work.request["endpoint"]]
        try:
            if "complaint" in work.request:
                raise work.request["complaint"]
            return {"output": worker.result(work, lambda index: self.output_url(work, index))}
        except Crash as crash:
            return {"error": crashed(crash)}
        except Complaint as complaint:
            rest = {"output": {"details": complaint.details}} if complaint.details else {}
            return {"error": complaint.error, **rest}

    # Everything else

    async def _cancel(self, request: web.Request) -> web.Response:
        work = self._job(request)
        self.works.cancel(work.id)
        return web.json_response({"id": work.id, "status": self._state(work)})

    async def _retry(self, request: web.Request) -> web.Response:
        work = self._job(request)
        if self._state(work) not in ("FAILED", "TIMED_OUT"):
            raise _error(400, "only failed or timed out jobs can be retried")
        self._timed_out.discard(work.id)
        kept = {key: work.request[key] for key in ("input", "webhook", "policy", "endpoint")}
        endpoint = work.request["endpoint"]
        self._retried[endpoint] = self._retried.get(endpoint, 0) + 1
        self._begin(self.endpoints[endpoint], Work(work.id, kept))
        return web.json_response({"id": work.id, "status": "IN_QUEUE"})

    async def _purge(self, request: web.Request) -> web.Response:
        self._worker(request)
        waiting = [work for work in self._of(request.match_info["endpoint"]) if work.state == "queued"]
        for work in waiting:
            self.expire(work.id)
        return web.json_response({"removed": len(waiting), "status": "completed"})

    async def _health(self, request: web.Request) -> web.Response:
        self._worker(request)
        endpoint = request.match_info["endpoint"]
        states = [self._state(work) for work in self._of(endpoint)]
        running = states.count("IN_PROGRESS")
        jobs = {
            "completed": states.count("COMPLETED"),
            "failed": states.count("FAILED") + states.count("TIMED_OUT"),
            "inProgress": running,
            "inQueue": states.count("IN_QUEUE"),
            "retried": self._retried.get(endpoint, 0),
        }
        workers = {
            "idle": 1,
            "initializing": 0,
            "ready": 1,
            "running": running,
            "throttled": 0,
            "unhealthy": 0,
        }
        return web.json_response({"jobs": jobs, "workers": workers})

    def _worker(self, request: web.Request) -> Worker:
        worker = self.endpoints.get(request.match_info["endpoint"])
        if worker is None:
            raise _error(404, "endpoint not found")
        return worker

    def _job(self, request: web.Request) -> Work:
        """The job of the path. Results of ended ones expire: after 30 minutes, of `runsync` after one."""
        self._worker(request)
        work = self.works.items.get(request.match_info["id"])
        if work is None or work.id in self._removed or (work.ended and self.script.gone):
            raise _error(404, "job not found")
        if work.request["endpoint"] != request.match_info["endpoint"]:
            raise _error(404, "job not found")
        return work

    def _of(self, endpoint: str) -> list[Work]:
        return [
            work
            for work in self.works.items.values()
            if work.request["endpoint"] == endpoint and work.id not in self._removed
        ]

    # Behind the answers

    def _changed(self, work: Work) -> None:
        if work.state == "running" and ("execution", work.id) not in self._timers:
            limit = (work.request["policy"] or {}).get("executionTimeout", 600_000)
            self._later("execution", work.id, limit, lambda: self.time_out(work.id))
        if work.ended:
            timer = self._timers.pop(("execution", work.id), None)
            if timer is not None:
                timer.cancel()
            if work.request["webhook"]:
                task = asyncio.create_task(self._tell(work))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)

    async def _tell(self, work: Work) -> None:
        """Post the status, unsigned, until it is answered with 200."""
        async with aiohttp.ClientSession() as session:
            for time in range(WEBHOOK_TIMES):
                if time:
                    await asyncio.sleep(WEBHOOK_PAUSE * self.second)
                try:
                    async with session.post(work.request["webhook"], json=self._told(work)) as reply:
                        if reply.status == 200:
                            return
                except aiohttp.ClientError:
                    continue


def _wrong(body: Any) -> str | None:
    """What a job's body gets wrong; None for a good one."""
    if not isinstance(body, dict) or not isinstance(body.get("input"), dict) or not body["input"]:
        return "input is required and must be an object"
    webhook = body.get("webhook")
    if webhook is not None and not str(webhook).startswith(("http://", "https://")):
        return "webhook must be a URL"
    policy = body.get("policy")
    if policy is None:
        return None
    if not isinstance(policy, Mapping):
        return "policy must be an object"
    for key, least in (("executionTimeout", 5_000), ("ttl", 10_000)):
        value = policy.get(key, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= WEEK_MS:
            return f"policy.{key} must be between {least} and {WEEK_MS}"
    if not isinstance(policy.get("lowPriority", False), bool):
        return "policy.lowPriority must be a boolean"
    return None


def _error(status: int, text: str) -> web.HTTPException:
    body = json.dumps({"error": text})
    match status:
        case 404:
            return web.HTTPNotFound(text=body, content_type="application/json")
        case 413:
            return web.HTTPRequestEntityTooLarge(0, 0, text=body, content_type="application/json")
        case _:
            return web.HTTPBadRequest(text=body, content_type="application/json")


def _milliseconds(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1_000))
