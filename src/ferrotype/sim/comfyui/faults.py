"""What happens to a request around its handler: journal, scripted faults, access checks, crashes."""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from ferrotype.sim.options import due, take

from .journal import Entry

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from .server import ComfySim

ENTRY = web.RequestKey("entry", Entry)
ADMIN = "/_sim/"
_VIEW_ONLY = {"POST /prompt", "GET /view", "HEAD /view", "GET /ws"}
_CRASH = "500 Internal Server Error\n\nServer got itself in trouble"


def route_of(request: web.Request, base_path: str) -> str:
    """`GET /history/{prompt_id}`: method and pattern without base path and `/api`."""
    resource = request.match_info.route.resource
    known = resource is not None and not isinstance(resource, web.StaticResource)
    path = (resource.canonical if resource is not None and known else request.path).removeprefix(base_path)
    return f"{request.method} {path.removeprefix('/api') if path.startswith('/api/') else path}"


def middleware(sim: ComfySim) -> Middleware:
    """The one middleware of a simulator."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        script = sim.script
        if request.path.startswith(sim.base_path + ADMIN):
            return await handler(request)
        route = route_of(request, sim.base_path)
        entry = sim.journal.open(request.method, request.path, request.query_string, route)
        request[ENTRY] = entry
        refused, script.refuse = take(script.refuse)
        if refused:
            return _aborted(request, entry, sim)
        try:
            response = await _answer(request, handler, sim, route)
        except asyncio.CancelledError:
            sim.journal.answered(entry, 0)
            raise
        if response is None:
            return _aborted(request, entry, sim)
        return response

    return guard


def note_status(sim: ComfySim) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The signal handler that journals the status; a file's is decided only while it is being sent."""

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        entry = request.get(ENTRY)
        if entry is not None and entry.status is None:
            sim.journal.answered(entry, response.status)

    return note


async def _answer(
    request: web.Request, handler: Handler, sim: ComfySim, route: str
) -> web.StreamResponse | None:
    """The reply, or None where the connection is to be aborted."""
    script = sim.script
    if not _authorised(request, script.auth):
        scheme = script.auth.partition(":")[0].capitalize() if script.auth else ""
        return web.Response(status=401, headers={"WWW-Authenticate": f'{scheme} realm="comfyui"'})
    if script.view_only and route not in _VIEW_ONLY:
        return web.Response(status=404)
    delay = script.http_seconds.get(route, script.http_seconds.get("*", 0.0))
    if delay > 0:
        await asyncio.sleep(delay)
    failure = due(script.failures, route)
    if failure is None or failure.after:
        response = await _handled(request, handler)
        if failure is None:
            return response
    if failure.status == 0:
        return None
    return web.Response(status=failure.status, text=failure.body, headers=failure.headers)


async def _handled(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not _same_origin(request):
        return web.Response(status=403)
    if request.method == "OPTIONS":
        return web.Response()
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception as error:
        # aiohttp would answer the same, but log a traceback for what the real server does on purpose.
        request[ENTRY].error = f"{type(error).__name__}: {error}"
        response = web.Response(status=500, text=_CRASH)
        response.force_close()
        return response


def _aborted(request: web.Request, entry: Entry, sim: ComfySim) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    sim.journal.answered(entry, 0)
    return web.Response(status=500)  # never reaches anybody


def _authorised(request: web.Request, auth: str | None) -> bool:
    if auth is None:
        return True
    scheme, _, secret = auth.partition(":")
    if scheme == "basic":
        secret = base64.b64encode(secret.encode()).decode()
    given_scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given_scheme.lower() == scheme and hmac.compare_digest(given.encode(), secret.encode())


def _same_origin(request: web.Request) -> bool:
    """On a loopback Host the Origin, if there is one with a host, must be the same host and port."""
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    if not host or not origin:
        return True
    ours, theirs = urlsplit(f"//{host.lower()}"), urlsplit(origin.lower())
    if not ours.hostname or not theirs.hostname or not _loopback(ours.hostname):
        return True
    if ours.port is None or theirs.port is None:
        return ours.hostname == theirs.hostname
    return (ours.hostname, ours.port) == (theirs.hostname, theirs.port)


def _loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
