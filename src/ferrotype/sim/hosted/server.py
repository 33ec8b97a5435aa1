"""The server around a simulated service's routes: doors, faults, journal, and the routes under /_sim."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

from aiohttp import web
from aiohttp.typedefs import Handler

from ferrotype.sim.door import Door
from ferrotype.sim.hosted.journal import Entry, Journal
from ferrotype.sim.hosted.script import HostedScript
from ferrotype.sim.hosted.work import Work, Works
from ferrotype.sim.options import Failure, due, take

ENTRY = web.RequestKey("entry", Entry)
#: Whether the answer will be lost or replaced by a failure: a stream must not be begun then.
LOST = web.RequestKey("lost", bool)
MAX_BODY = 64 * 1024 * 1024


class HostedSim(Door):
    """Base of the simulators of hosted services.

    A subclass gives `routes`, and overrides `given_key` and `unauthorized` where its service differs.
    """

    name: ClassVar[str] = ""
    script_class: ClassVar[type[HostedScript]] = HostedScript
    works_class: ClassVar[type[Works]] = Works

    def __init__(self, script: HostedScript | None = None, *, tls: tuple[str, str] | None = None) -> None:
        super().__init__(tls)
        self.script = script or self.script_class()
        self.journal = Journal()
        self.works = self.works_class(self.script)

    # What a service says itself

    def routes(self) -> Iterable[web.RouteDef]:
        """The service's own routes."""
        return []

    def given_key(self, request: web.Request) -> str:
        """The key that a request carries; `Authorization: <any scheme> <key>` unless overridden."""
        return request.headers.get("Authorization", "").partition(" ")[2]

    def is_open(self, request: web.Request) -> bool:
        """Whether a request needs no key: output files, where the service's are public."""
        return request.path.startswith("/outputs/")

    def unauthorized(self, request: web.Request) -> web.Response:
        """The answer to a wrong key, in the service's own form."""
        return web.json_response({"detail": "Unauthorized"}, status=401)

    # Life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Starts to listen. Port 0 takes a free one. Raises OSError where it can't bind."""
        app = web.Application(middlewares=[self._around], client_max_size=MAX_BODY)
        app.on_response_prepare.append(self._note)
        app.router.add_routes(
            [*self._admin(), web.get("/outputs/{work}/{name}", self._output), *self.routes()]
        )
        await self._listen(app, host, port, handler_cancellation=True)

    async def stop(self) -> None:
        """Ends all work and connections."""
        await self.works.close()
        await self._leave()

    def release(self) -> None:
        """Lets parked work go on, and parks none any more."""
        self.script.hold = None
        self.works.release()

    # What the handlers use

    def output_url(self, work: Work, index: int) -> str:
        """Where a finished picture can be fetched."""
        suffix = {"JPEG": "jpg", "WEBP": "webp"}.get(work.form, "png")
        return f"{self.script.output_host or self.url}/outputs/{work.id}/{index}.{suffix}"

    async def body(self, request: web.Request) -> Any:
        """The request's JSON (None if it is none), journaled."""
        try:
            data = await request.json()
        except ValueError:
            data = None
        request[ENTRY].body = data
        return data

    async def form(self, request: web.Request) -> dict[str, list[Any]]:
        """The request's form fields, each a list of texts and `web.FileField`s, journaled."""
        posted = await request.post()
        fields: dict[str, list[Any]] = {}
        for name, value in posted.items():
            fields.setdefault(name, []).append(value)
        request[ENTRY].body = {
            name: [_described(value) for value in values] for name, values in fields.items()
        }
        return fields

    # Around the handlers

    @property
    def _around(self) -> Any:
        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_sim/"):
                return await handler(request)
            resource = request.match_info.route.resource
            route = f"{request.method} {resource.canonical if resource else request.path}"
            headers = {name.lower(): value for name, value in request.headers.items()}
            entry = self.journal.open(request.method, request.path, request.query_string, route, headers)
            request[ENTRY] = entry
            try:
                response = await self._answer(request, handler, route)
            except asyncio.CancelledError:
                self.journal.answered(entry, 0)
                raise
            except web.HTTPException:
                raise
            except Exception as error:
                entry.error = f"{type(error).__name__}: {error}"
                raise
            if response is None:
                self.journal.answered(entry, 0)
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)  # never reaches anybody
            return response

        return around

    async def _answer(self, request: web.Request, handler: Handler, route: str) -> web.StreamResponse | None:
        """The reply, or None where the connection is to be aborted."""
        script = self.script
        if script.http_seconds > 0:
            await asyncio.sleep(script.http_seconds)
        given = self.given_key(request)
        if script.key is not None and not self.is_open(request) and given != script.key:
            return self.unauthorized(request)
        failure = due(self.script.failures, route)
        if failure is not None and not failure.after:
            return self._failed(failure)
        request[LOST] = failure is not None
        response = await handler(request)
        if failure is not None:
            return self._failed(failure)
        return self._cut(request, response)

    def _failed(self, failure: Failure) -> web.Response | None:
        if failure.status == 0:
            return None
        headers = {"Content-Type": "text/plain", **failure.headers}
        return web.Response(status=failure.status, body=failure.body.encode(), headers=headers)

    def _cut(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        if self.is_open(request) or not isinstance(response, web.Response) or not response.body:
            return response
        fires, self.script.malformed = take(self.script.malformed)
        if fires and isinstance(response.body, bytes):
            half = response.body[: len(response.body) // 2]
            return web.Response(status=response.status, body=half, content_type=response.content_type)
        return response

    async def _note(self, request: web.Request, response: web.StreamResponse) -> None:
        entry = request.get(ENTRY)
        if entry is not None and entry.status is None:
            self.journal.answered(entry, response.status)

    async def _output(self, request: web.Request) -> web.StreamResponse:
        work = self.works.items.get(request.match_info["work"])
        index = request.match_info["name"].partition(".")[0]
        if work is None or self.script.gone or not index.isdigit() or int(index) >= len(work.pictures):
            return web.json_response({"detail": "Not found"}, status=404)
        data = work.pictures[int(index)]
        content_type = {"JPEG": "image/jpeg", "WEBP": "image/webp"}.get(work.form, "image/png")
        if self.script.drip_bytes is None:
            return web.Response(body=data, content_type=content_type)
        response = web.StreamResponse(
            headers={"Content-Type": content_type, "Content-Length": str(len(data))}
        )
        await response.prepare(request)
        for start in range(0, len(data), self.script.drip_bytes):
            await asyncio.sleep(self.script.drip_seconds)
            await response.write(data[start : start + self.script.drip_bytes])
        return response

    # /_sim: script, journal, gates. No real service has anything of the kind.

    def _admin(self) -> list[web.RouteDef]:
        return [
            web.get("/_sim/script", self._get_script),
            web.patch("/_sim/script", self._patch_script),
            web.get("/_sim/journal", self._get_journal),
            web.delete("/_sim/journal", self._delete_journal),
            web.post("/_sim/release", self._release),
        ]

    async def _get_script(self, _request: web.Request) -> web.Response:
        return web.json_response(self.script.to_json())

    async def _patch_script(self, request: web.Request) -> web.Response:
        try:
            self.script.update(await request.json())
        except ValueError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from None
        self.works.look()
        return web.json_response(self.script.to_json())

    async def _get_journal(self, _request: web.Request) -> web.Response:
        return web.json_response(self.journal.to_json() | {"accepted": self.works.created})

    async def _delete_journal(self, _request: web.Request) -> web.Response:
        self.journal.clear()
        return web.Response(status=204)

    async def _release(self, request: web.Request) -> web.Response:
        self.works.release(request.query.get("id"))
        return web.Response(status=204)


def _described(value: Any) -> Any:
    if isinstance(value, web.FileField):
        size = value.file.seek(0, 2)
        value.file.seek(0)
        return {"filename": value.filename, "content_type": value.content_type, "bytes": size}
    return value
