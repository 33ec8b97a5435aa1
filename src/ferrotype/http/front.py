"""The door: pictures go straight to delivery, everything else through access and bounds to the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from starlette.datastructures import Headers

from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import Overloaded, Problem, TooLarge
from ferrotype.http.access import Access
from ferrotype.http.asgi import Message, Receive, Scope, Send
from ferrotype.http.problems import reply
from ferrotype.http.settings import HttpSettings
from ferrotype.http.streams.sse import BEHIND
from ferrotype.net.telemetry import Telemetry

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

IMAGES: Final = "/images/"
#: The studio's files; signing in to it is the API's.
STUDIO: Final = "/studio"
SESSION: Final = "/studio/session"
#: What a server that stops takes no more: whatever brings new work, and how its path ends where it has an id.
NEW_WORK: Final = frozenset({"/v1/generations", "/v1/batches", "/v1/assets"})
NEW_WORK_OF: Final = ("/fresh", "/retry", "/clone")
#: How long to wait for another server, in seconds.
RETRY_AFTER: Final = 5

log = structlog.get_logger(__name__)


class Front:
    """The ASGI application that the server runs."""

    def __init__(
        self,
        delivery: Application,
        studio: Application,
        api: Application,
        sockets: Application,
        access: Access,
        settings: HttpSettings,
        telemetry: Telemetry,
    ) -> None:
        self._delivery = delivery
        self._studio = studio
        self._api = api
        self._sockets = sockets
        self._access = access
        self._max_body = settings.max_body_bytes
        self._telemetry = telemetry
        self._stopping = False
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def stop(self) -> None:
        """Take no new orders and be no longer ready; what is under way goes on."""
        self._stopping = True

    async def idle(self) -> None:
        """Return when no request to the API is open."""
        await self._idle.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"].startswith(IMAGES):
                await self._delivery(scope, receive, send)
            elif scope["path"].startswith(STUDIO) and scope["path"] != SESSION:
                await self._studio(scope, receive, send)
            else:
                with self._counted():
                    sending, behind = await self._guarded(scope, receive, send)
                    for stream in behind:
                        await stream(scope, receive, sending)
        elif scope["type"] == "lifespan":
            await self._api(scope, receive, send)
        else:
            with self._counted():
                await self._sockets(scope, receive, send)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """One more that is open."""
        self._open += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> tuple[Send, list[Application]]:
        """Answer, or find out the streams that the answer is: run behind it, they hold nothing of it."""
        headers = Headers(scope=scope)
        request_id = new_id()
        started, status = time.perf_counter(), 500
        behind: list[Application] = []
        scope[BEHIND] = behind

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", [])
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                self._access.check(scope["path"], headers, scope["method"])
                if self._stopping and _needs_time(scope["method"], scope["path"]):
                    raise Overloaded("The server is stopping.", retry_after=RETRY_AFTER)
                await self._api(scope, self._bounded(headers, receive), sending)
            except Problem as problem:
                await reply(problem)(scope, receive, sending)
            finally:
                status = 200 if behind else status
                seconds = time.perf_counter() - started
                route = scope.get("route")
                name = f"{scope['method']} {route.path}" if route is not None else "unmatched"
                self._telemetry.observe(name, seconds, ok=status < 400)
                log.debug(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    seconds=round(seconds, 4),
                )

        return sending, behind

    def _bounded(self, headers: Headers, receive: Receive) -> Receive:
        """`receive` that refuses a body over the limit, declared or actual."""
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_body:
            raise TooLarge(f"A body has at most {self._max_body} bytes.", field="body", limit=self._max_body)
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise TooLarge(
                    f"A body has at most {self._max_body} bytes.", field="body", limit=self._max_body
                )
            return message

        return receiving


def _needs_time(method: str, path: str) -> bool:
    """Whether a server that stops has to refuse it."""
    if method == "POST":
        return path in NEW_WORK or path.endswith(NEW_WORK_OF)
    return method == "GET" and path == "/readyz"
