"""fal.ai, simulated: its queue at the root, synchronous calls under `/run`, its REST API under `/rest`.

For fal's own client: ``FAL_RUN_HOST=HOST:PORT/run``, ``FAL_QUEUE_RUN_HOST=HOST:PORT`` (https, so `tls` is
needed). Wire facts are those of fal-client 1.0, @fal-ai/client 1.x and fal.ai/docs.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar, Final

import aiohttp
from aiohttp import web

from ferrotype.sim import pixels
from ferrotype.sim.fal.apps import APPS, owner_and_app
from ferrotype.sim.fal.calls import Answer, Call, data_uri
from ferrotype.sim.fal.script import FalScript
from ferrotype.sim.fal.signing import Signer
from ferrotype.sim.fal.storage import Storage
from ferrotype.sim.hosted import Work
from ferrotype.sim.hosted.script import HostedScript
from ferrotype.sim.hosted.server import LOST, HostedSim
from ferrotype.sim.options import take

#: `owner/app`, perhaps behind a namespace: what stands before `/requests/` in an address.
APP: Final = r"{app:(?:(?:workflows|comfy)/)?[^/]+/[^/]+}"
WEBHOOK_SECONDS: Final = 15.0


class FalSim(HostedSim):
    """A simulated account at fal. `deliveries` are the statuses that webhooks were answered with, None where
    nobody answered."""

    name: ClassVar[str] = "fal"
    script_class: ClassVar[type[HostedScript]] = FalScript
    script: FalScript

    def __init__(self, script: FalScript | None = None, *, tls: tuple[str, str] | None = None) -> None:
        super().__init__(script, tls=tls)
        self.calls: dict[str, Call] = {}
        self.signer = Signer()
        self.storage = Storage(lambda: self.url, lambda: self.script.links_host or self.url)
        self.deliveries: list[int | None] = []
        self._blackened: dict[str, set[int]] = {}
        self._changed = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self.works.on_change.append(self._worked)

    @property
    def rest_url(self) -> str:
        """Its REST API."""
        return f"{self.url}/rest"

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            *self.storage.routes(),
            web.get("/rest/.well-known/jwks.json", self._jwks),
            web.post("/run/{endpoint:.+}/stream", self._stream),
            web.post("/run/{endpoint:.+}", self._run),
            web.get(f"/{APP}/requests/{{id}}/status", self._status),
            web.get(f"/{APP}/requests/{{id}}/status/stream", self._status_stream),
            web.get(f"/{APP}/requests/{{id}}", self._result),
            web.put(f"/{APP}/requests/{{id}}/cancel", self._cancel),
            web.post("/{endpoint:.+}", self._submit),
        ]

    def given_key(self, request: web.Request) -> str:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return key if scheme.lower() == "key" else ""

    def is_open(self, request: web.Request) -> bool:
        return request.path.startswith(
            ("/outputs/", "/files/", "/cdn/", "/rest/uploads/", "/rest/.well-known/")
        )

    def unauthorized(self, request: web.Request) -> web.Response:
        return web.json_response({"detail": "Cannot access application. Authentication failed."}, status=401)

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await super().stop()

    # Orders

    async def _submit(self, request: web.Request) -> web.Response:
        call = await self._accept(request)
        if isinstance(call, web.Response):
            return call
        call.webhook = request.query.get("fal_webhook")
        self._begin_next()
        if call.rejection is not None:
            self._ended(call)
        links = self._links(call)
        return web.json_response({"status": "IN_QUEUE", **links, "queue_position": self._ahead(call)})

    async def _accept(self, request: web.Request) -> Call | web.Response:
        """The order as a call of the queue. Input is looked at by the app, and so long after this answer."""
        endpoint, arguments = request.match_info["endpoint"].strip("/"), await self.body(request)
        known = any(owner_and_app(name) == owner_and_app(endpoint) for name in APPS)
        if not known:
            return web.json_response({"detail": f'Application "{endpoint}" not found'}, status=404)
        limit = request.headers.get("X-Fal-Request-Timeout")
        if (limit is not None and not _is_limit(limit)) or request.headers.get(
            "X-Fal-Queue-Priority", "normal"
        ) not in ("normal", "low"):
            body = {"detail": "A platform header has a wrong value", "error_type": "bad_request"}
            return web.json_response(body, status=400, headers={"X-Fal-Error-Type": "bad_request"})
        call = Call(str(uuid.uuid4()), endpoint, arguments, APPS.get(endpoint))
        self.calls[call.id] = call
        call.look_at_input(self.storage.read)
        if limit is not None:
            self._spawn(self._expire(call, float(limit)))
        return call

    def _begin_next(self) -> None:
        """Begins what waits, as far as the account's limit of calls at once lets it."""
        for call in self.calls.values():
            if call.work is not None and not call.begun and call.state == "IN_QUEUE":
                under_way = sum(each.begun and each.state != "COMPLETED" for each in self.calls.values())
                if self.script.slots is not None and under_way >= self.script.slots:
                    return
                call.begun = True
                self.works.begin(call.work)

    async def _expire(self, call: Call, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if call.state == "IN_QUEUE":
            call.reject(504, "Request timed out", "request_timeout")
            self.works.cancel(call.id)
            self._ended(call)

    # States

    async def _status(self, request: web.Request) -> web.Response:
        call = self._known(request)
        if call is None:
            return _unknown()
        status = self._status_of(call, logs=_wants_logs(request))
        return web.json_response(status, status=200 if status["status"] == "COMPLETED" else 202)

    async def _status_stream(self, request: web.Request) -> web.StreamResponse:
        """States as they change, each with the logs that are new."""
        call = self._known(request)
        if call is None or not self.script.streams:
            return _unknown()
        if request.get(LOST):
            return web.Response()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await response.write(b": connected\n\n")
        breaks, self.script.stream_breaks = take(self.script.stream_breaks)
        sent, told = 0, None
        while True:
            changed = self._changed
            status, logs = self._status_of(call, logs=_wants_logs(request)), len(call.logs)
            if status != told:
                told = dict(status)
                if status.get("logs"):
                    status["logs"] = status["logs"][sent:]
                sent = logs
                await response.write(f"data: {json.dumps(status)}\n\n".encode())
                if breaks and request.transport is not None:
                    request.transport.abort()
                    return response
            if status["status"] == "COMPLETED":
                return response
            await changed.wait()

    async def _result(self, request: web.Request) -> web.Response:
        call = self._known(request)
        if call is None:
            return _unknown()
        if call.state != "COMPLETED":
            return web.json_response({"detail": "Request is still in progress"}, status=400)
        return _sent(call, self._outcome(call))

    async def _cancel(self, request: web.Request) -> web.Response:
        call = self._known(request)
        if call is None:
            return web.json_response({"status": "NOT_FOUND"}, status=404)
        if call.state == "COMPLETED":
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
        if call.state == "IN_PROGRESS":
            if self.script.stops_running:
                self.works.cancel(call.id)
            return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)
        assert call.work is not None
        if not self.works.cancel(call.id):  # it waits for a slot
            call.work.state = "canceled"
            self._ended(call)
        return web.json_response({"status": "OK"})

    # Synchronous calls

    async def _run(self, request: web.Request) -> web.Response:
        call = await self._accept(request)
        if isinstance(call, web.Response):
            return call
        await self._finish(call)
        return _sent(call, self._outcome(call))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Unfinished pictures inline, then the result; few apps do this."""
        call = await self._accept(request)
        if isinstance(call, web.Response):
            return call
        if call.app is not None and not call.app.streams:
            call.reject(404, "Path /stream not found")
        if call.rejection is not None or call.work is None:
            return _sent(call, self._outcome(call))
        finishing = asyncio.ensure_future(self._finish(call))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            work, shown, parts = call.work, 0, self.script.previews + 1
            while True:
                changed, ended = self._changed, work.ended
                while shown < min(parts - 1, work.step * parts // work.steps):
                    shown += 1
                    preview = await asyncio.to_thread(work.preview, shown / parts)
                    picture = {"url": data_uri(preview, "image/jpeg"), "content_type": "image/jpeg"}
                    await response.write(f"data: {json.dumps({'images': [picture]})}\n\n".encode())
                if ended:
                    break
                await changed.wait()
            await finishing
            answer = self._outcome(call)
            kind = "" if answer.status < 400 else "event: error\n"
            await response.write(f"{kind}data: {json.dumps(answer.body)}\n\n".encode())
        finally:
            finishing.cancel()
            await asyncio.gather(finishing, return_exceptions=True)
        return response

    async def _finish(self, call: Call) -> None:
        """Runs it while somebody waits: a caller who goes away stops it."""
        if call.work is None or call.rejection is not None:
            return
        call.begun = True
        self.works.begin(call.work)
        try:
            await call.work.end()
        finally:
            self.works.cancel(call.id)

    # Webhooks

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self.signer.jwks())

    async def _deliver(self, call: Call, url: str) -> None:
        body = json.dumps(call.webhook_body(self._outcome(call), self.script.payloads)).encode()
        headers = {"Content-Type": "application/json", **self.signer.headers(call.id, body)}
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(url, data=body, headers=headers) as response,
            ):
                self.deliveries.append(response.status)
        except (aiohttp.ClientError, TimeoutError):
            self.deliveries.append(None)

    # Helpers

    def _known(self, request: web.Request) -> Call | None:
        call = self.calls.get(request.match_info["id"])
        if call is None or call.path != request.match_info["app"] or self.script.forgotten:
            return None
        return call

    def _links(self, call: Call) -> dict[str, str]:
        base = f"{self.script.links_host or self.url}/{call.path}/requests/{call.id}"
        return {
            "request_id": call.id,
            "response_url": base,
            "status_url": f"{base}/status",
            "cancel_url": f"{base}/cancel",
        }

    def _status_of(self, call: Call, *, logs: bool) -> dict[str, Any]:
        status: dict[str, Any] = {"status": call.state, **self._links(call)}
        if call.state == "IN_QUEUE":
            return status | {"queue_position": self._ahead(call)}
        status["logs"] = list(call.logs) if logs else None
        if call.state == "COMPLETED":
            answer = self._outcome(call)
            if self.script.metrics:
                status["metrics"] = {"inference_time": call.work.seconds if call.work else None}
            if answer.error is not None:
                status |= {"error": answer.error, "error_type": answer.error_type}
        return status

    def _outcome(self, call: Call) -> Answer:
        urls = []
        if call.work is not None:
            urls = [self.output_url(call.work, index) for index in range(len(call.work.pictures))]
        return call.answer(urls, self._blackened.get(call.id, set()))

    def _ahead(self, call: Call) -> int:
        """How many calls wait before it."""
        waiting = [each.id for each in self.calls.values() if each.state == "IN_QUEUE"]
        return waiting.index(call.id) if call.id in waiting else 0

    def _worked(self, work: Work) -> None:
        call = self.calls.get(work.id)
        if call is None:
            return
        call.log()
        if work.state == "succeeded":
            self._blacken(work)
        if work.ended:
            self._ended(call)
        self._tick()

    def _blacken(self, work: Work) -> None:
        """The safety checker."""
        for index in range(len(work.pictures)):
            fires, self.script.nsfw = take(self.script.nsfw)
            if fires:
                black = pixels.solid(work.width, work.height, (0, 0, 0))
                work.pictures[index] = pixels.encode(black, work.form)
                self._blackened.setdefault(work.id, set()).add(index)

    def _ended(self, call: Call) -> None:
        if call.webhook is not None:
            self._spawn(self._deliver(call, call.webhook))
            call.webhook = None
        self._begin_next()
        self._tick()

    def _tick(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _spawn(self, story: Any) -> None:
        task = asyncio.get_running_loop().create_task(story)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _wants_logs(request: web.Request) -> bool:
    return request.query.get("logs", "").lower() in ("1", "true")


def _is_limit(text: str) -> bool:
    try:
        return float(text) > 0.1
    except ValueError:
        return False


def _unknown() -> web.Response:
    return web.json_response({"detail": "Request not found"}, status=404)


def _sent(call: Call, answer: Answer) -> web.Response:
    headers = {"X-Fal-Request-Id": call.id, **answer.headers}
    if answer.error_type == "request_timeout":
        headers["X-Fal-Request-Timeout-Type"] = "user"
    return web.json_response(answer.body, status=answer.status, headers=headers)
