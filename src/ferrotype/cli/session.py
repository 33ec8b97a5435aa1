"""The two roads of a command: a running server over HTTP, or the application in this process."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from ferrotype.app.lock import running_server
from ferrotype.app.settings import AppSettings
from ferrotype.config import ConfigError
from ferrotype.domain.event import TERMINAL_EVENTS
from ferrotype.domain.ids import new_id
from ferrotype.domain.order import Order
from ferrotype.domain.problems import MalformedRequest, Overloaded, Problem, ServerProblem, from_json

if TYPE_CHECKING:
    from ferrotype.app.compose import Ferrotype

Event = tuple[str, dict[str, Any]]


class Session(Protocol):
    """Where orders go."""

    where: str
    #: What makes the URLs of its envelopes absolute; empty where nobody serves them.
    base_url: str

    def order(self, body: dict[str, Any]) -> AsyncIterator[Event]:
        """Order, then yield (event type, data) up to the terminal event, whose data has `generation`.
        The first event is `accepted`, with the envelope. Raises Problem."""
        ...

    async def cancel(self, generation_id: str) -> None:
        """Ask for the order's end."""
        ...

    async def fetch(self, asset: dict[str, Any]) -> bytes:
        """The bytes of an asset of an envelope."""
        ...


class Remote:
    """A server at an address."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str) -> None:
        self.where = base_url
        self._http = http
        self.base_url = self._base = base_url.rstrip("/")

    async def order(self, body: dict[str, Any]) -> AsyncIterator[Event]:
        headers = {"Prefer": "respond-async", "Idempotency-Key": new_id()}
        async with self._http.post(f"{self._base}/v1/generations", json=body, headers=headers) as reply:
            envelope = await read_json(reply)
        yield "accepted", {"generation": envelope}
        where = f"{self._base}/v1/generations/{envelope['id']}"
        async with self._http.get(f"{where}/events") as stream:
            if stream.status != 200:
                await read_json(stream)
            async for type, data in read_events(stream):
                yield type, data
                state = data.get("generation", {}).get("status")
                if (type in TERMINAL_EVENTS or state in TERMINAL_EVENTS) and "asset_id" not in data:
                    return
        raise Overloaded(f"The server stopped. It finishes the order when it is back: {where}")

    async def cancel(self, generation_id: str) -> None:
        async with self._http.post(f"{self._base}/v1/generations/{generation_id}/cancel") as reply:
            await read_json(reply)

    async def fetch(self, asset: dict[str, Any]) -> bytes:
        async with self._http.get(f"{self._base}/images/{asset['id']}") as reply:
            if reply.status != 200:
                await read_json(reply)
            return await reply.read()


class InProcess:
    """The application itself, without its HTTP server."""

    def __init__(self, application: Ferrotype) -> None:
        self.where = "this process"
        self.base_url = ""
        self._app = application

    async def order(self, body: dict[str, Any]) -> AsyncIterator[Event]:
        from pydantic import ValidationError

        from ferrotype.http.problems import from_validation

        app, generation_id = self._app, new_id()
        try:
            order = Order.model_validate(body)
        except ValidationError as error:
            raise from_validation([dict(item) for item in error.errors()]) from None
        with app.bus.subscribe(generation_id) as events:
            await app.admit(order, account_id=app.account_id, generation_id=generation_id)
            yield "accepted", {"generation": await self._envelope(generation_id)}
            while True:
                event = await events.get()
                data: dict[str, Any] = dict(event.data)
                if event.terminal:
                    data["generation"] = await self._envelope(generation_id)
                yield event.type, data
                if event.terminal:
                    return

    async def cancel(self, generation_id: str) -> None:
        await self._app.context.cancel(generation_id, self._app.account_id)

    async def fetch(self, asset: dict[str, Any]) -> bytes:
        arrival = self._app.arrivals.get(asset["id"])
        if arrival is not None:
            await arrival.finished()
        return await self._app.originals.read(asset["id"])

    async def _envelope(self, generation_id: str) -> dict[str, Any]:
        return await self._app.envelopes.generation(generation_id, self._app.account_id, "")


@asynccontextmanager
async def open_session(settings: AppSettings, server: str | None) -> AsyncIterator[Session]:
    """The named server, else the one that owns the data folder, else this process."""
    if server is not None and not server.startswith(("http://", "https://")):
        raise ConfigError(f"--server: {server!r} is no address; write http://host:port.")
    url = server or (running_server(settings.data_dir) or {}).get("url")
    if url:
        key = settings.http.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            try:
                yield Remote(http, url)
            except aiohttp.ClientConnectorError as error:
                raise ServerProblem(f"{url} cannot be reached: {_reason(error)}.") from None
            except (aiohttp.InvalidURL, ValueError) as error:
                raise ConfigError(f"--server: {url!r} is no address ({error}).") from None
            except (aiohttp.ClientError, TimeoutError) as error:
                raise ServerProblem(f"{url} broke off: {error or type(error).__name__}.") from None
        return
    from ferrotype.app.compose import Ferrotype  # slow to import, and a running server does without

    application = Ferrotype(settings)
    await application.start()
    try:
        yield InProcess(application)
    finally:
        await application.drain(settings.http.drain_seconds)
        await application.close()


def _reason(error: aiohttp.ClientConnectorError) -> str:
    """What the operating system says, without its numbers."""
    number = error.os_error.errno
    return os.strerror(number) if number and number > 0 else str(error.os_error)


async def read_events(stream: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """Server-sent events, each with one data line, as the server writes them."""
    type = "message"
    # Lines can be as long as a preview: they are put together here, not by the client's line limit.
    rest = b""
    async for chunk in stream.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            name, _, value = line.partition(b": ")
            if name == b"event":
                type = value.decode()
            elif name == b"data":
                yield type, json.loads(value)


async def read_json(reply: aiohttp.ClientResponse) -> dict[str, Any]:
    """The reply's object. Raises the Problem that it is, or MalformedRequest for what is no JSON."""
    try:
        body = await reply.json(content_type=None)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise MalformedRequest(f"{reply.url} answered {reply.status} and no JSON: is it a Ferrotype server?")
    if reply.status >= 400:
        raise _problem(body)
    return body


def _problem(body: dict[str, Any]) -> Problem:
    return from_json(body)


def read_data_uri(path: Path) -> str:
    """A file as a data URI, for an order's inputs. The server reads the type from the bytes."""
    import base64

    return f"data:application/octet-stream;base64,{base64.b64encode(path.read_bytes()).decode()}"
