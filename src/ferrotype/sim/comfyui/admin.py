"""The simulator's own routes under /_sim: script, journal, gates. The real server has nothing of the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from .script import Script

if TYPE_CHECKING:
    from .server import ComfySim


class Admin:
    """Handlers bound to one simulator. They are neither journaled nor subject to faults."""

    def __init__(self, sim: ComfySim) -> None:
        self._sim = sim

    def table(self) -> list[web.RouteDef]:
        """All routes of this part, without prefix."""
        return [
            web.get("/_sim/script", self.get_script),
            web.put("/_sim/script", self.put_script),
            web.patch("/_sim/script", self.patch_script),
            web.get("/_sim/journal", self.get_journal),
            web.delete("/_sim/journal", self.delete_journal),
            web.post("/_sim/reset", self.reset),
            web.post("/_sim/restart", self.restart),
            web.post("/_sim/release", self.release),
            web.get("/_sim/held", self.held),
            web.post("/_sim/drop_sockets", self.drop_sockets),
        ]

    async def get_script(self, request: web.Request) -> web.Response:
        return web.json_response(self._sim.script.to_json())

    async def put_script(self, request: web.Request) -> web.Response:
        return await self._change(request, fresh=True)

    async def patch_script(self, request: web.Request) -> web.Response:
        return await self._change(request, fresh=False)

    async def _change(self, request: web.Request, *, fresh: bool) -> web.Response:
        values = await _object(request)
        try:
            if fresh:
                self._sim.script.update({**Script().to_json(), **values})
            else:
                self._sim.script.update(values)
        except ValueError as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from None
        self._sim.wake()
        return await self.get_script(request)

    async def get_journal(self, request: web.Request) -> web.Response:
        return web.json_response(self._sim.journal.to_json())

    async def delete_journal(self, request: web.Request) -> web.Response:
        self._sim.journal.clear()
        return web.Response(status=204)

    async def reset(self, request: web.Request) -> web.Response:
        self._sim.forget()
        self._sim.script.update(Script().to_json())
        self._sim.journal.clear()
        return web.Response(status=204)

    async def restart(self, request: web.Request) -> web.Response:
        self._sim.forget()
        return web.Response(status=204)

    async def release(self, request: web.Request) -> web.Response:
        data = await _object(request)
        self._sim.release(data.get("prompt_id"), data.get("upto"))
        return web.Response(status=204)

    async def held(self, request: web.Request) -> web.Response:
        return web.json_response({"prompt_ids": self._sim.parked()})

    async def drop_sockets(self, request: web.Request) -> web.Response:
        self._sim.drop_sockets()
        return web.Response(status=204)


async def _object(request: web.Request) -> dict[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        data = await request.json()
    except ValueError:
        raise web.HTTPBadRequest(text="not JSON") from None
    if not isinstance(data, dict):
        raise web.HTTPBadRequest(text="an object is wanted")
    return data
