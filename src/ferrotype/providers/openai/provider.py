"""The OpenAI provider: the port's calls, told as stories.

An Images API has no job and no id: the POST's answer is the work itself. So `submit` opens the request and
returns once the head of the reply is here, `watch` reads the rest, and whoever closes the connection gives
the picture up. A streamed reply begins at once, another one when the picture is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import aiohttp

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import OutcomeUnknown, ProviderFailed, ProviderInterrupted, ProviderProblem
from ferrotype.providers.base import (
    AttemptRequest,
    FetchRequest,
    Found,
    Health,
    Lookup,
    Started,
    Traits,
    WatchEvent,
)
from ferrotype.providers.hosted.api import Api
from ferrotype.providers.openai.answer import Answer
from ferrotype.providers.openai.endings import refused
from ferrotype.providers.openai.options import Options
from ferrotype.providers.openai.order import order_of
from ferrotype.providers.openai.settings import OpenAISettings

#: Open replies that nobody watches yet; older ones are given up.
UNWATCHED: Final = 1_000


@dataclass(slots=True)
class Call:
    """A reply whose rest is still to come. `deadline` is in the loop's time."""

    what: str
    response: aiohttp.ClientResponse
    stack: AsyncExitStack
    options: Options
    deadline: float
    streams: bool
    canceled: bool = False

    async def close(self) -> None:
        """Break the connection, if it is still open."""
        self.response.close()
        await self.stack.aclose()

    @property
    def seconds(self) -> float | None:
        """How long it worked; of a stream the service measures its beginning only."""
        try:
            milliseconds = float(self.response.headers.get("openai-processing-ms", ""))
        except ValueError:
            return None
        return None if self.streams or not milliseconds >= 0 else milliseconds / 1_000


class OpenAIProvider:
    """One OpenAI-compatible server. Use it from one event loop; `close` it there."""

    traits: ClassVar = Traits(previews=True, cancel="connection", inline=True)

    def __init__(self, settings: OpenAISettings, *, name: str = "openai") -> None:
        """Raises ConfigError when the base address is none."""
        self.name = name
        self._has_key = settings.api_key is not None
        headers = {
            "Authorization": settings.api_key and f"Bearer {settings.api_key}",
            "OpenAI-Organization": settings.organization,
            "OpenAI-Project": settings.project,
        }
        self._api = Api(
            name,
            settings.base_url,
            headers={header: value for header, value in headers.items() if value},
            secrets=(settings.api_key or "",),
            ca_file=settings.ca_file,
        )
        self._calls: dict[str, Call] = {}

    async def submit(self, request: AttemptRequest) -> str:
        """Post the order; its attempt id once the head of the reply is here.

        The whole call may take `request.timeout` from here on.
        """
        options = Options.of(request)
        order = await order_of(request, options)
        what = f"Ordering from {request.target}"
        deadline = asyncio.get_running_loop().time() + request.timeout
        stack = AsyncExitStack()
        try:
            opening = self._api.open(
                what, "POST", order.path, starts_work=True, read_timeout=request.timeout, **order.body
            )
            response = await stack.enter_async_context(opening)
            if not 200 <= response.status < 300:
                reply = await self._api.read(what, response, starts_work=response.status >= 500)
                raise refused(self._api, what, reply)
        except BaseException:
            await stack.aclose()
            raise
        call = Call(what, response, stack, options, deadline, order.streams)
        await self._keep(request.attempt_id, call)
        return request.attempt_id

    async def _keep(self, request_id: str, call: Call) -> None:
        self._calls[request_id] = call
        while len(self._calls) > UNWATCHED:
            await self._calls.pop(next(iter(self._calls))).close()

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent]:
        """Read the reply that `submit` opened. Closing the watch closes the connection."""
        call = self._calls.get(request_id)
        if call is None:
            raise OutcomeUnknown(f"The connection to {self.name} on which the picture was to come is gone.")
        answer = Answer(self._api, request, call.options.usd_per_million_tokens, call.seconds)
        try:
            yield Started()
            async with aclosing(answer.events(self._chunks(call))) as events:
                async for event in events:
                    yield event
        except ProviderProblem:
            if call.canceled:
                raise ProviderInterrupted(f"The connection to {self.name} was closed.") from None
            raise
        finally:
            self._calls.pop(request_id, None)
            await call.close()

    async def _chunks(self, call: Call) -> AsyncGenerator[bytes]:
        """The reply's rest, until the call's time is over."""
        async with aclosing(self._api.chunks(call.what, call.response, starts_work=True)) as chunks:
            while True:
                try:
                    async with asyncio.timeout_at(call.deadline):
                        chunk = await anext(chunks, None)
                except TimeoutError:
                    raise OutcomeUnknown(f"{call.what}: {self.name} was not done in time.") from None
                if chunk is None:
                    return
                yield chunk

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """UNKNOWN: the service keeps nothing that could be asked for."""
        return Lookup.UNKNOWN

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """Close the connection: the service may work and charge on."""
        call = self._calls.get(request_id)
        if call is not None:
            call.canceled = True
            call.response.close()

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """The picture's address. Our key goes with it to the server's own origin, and nowhere else."""
        if origin.provider != self.name or not origin.url.startswith(("http://", "https://")):
            raise ProviderFailed("That origin is not one of an OpenAI-compatible server's.")
        if not self._api.is_ours(origin.url):
            return FetchRequest(origin.url)
        return FetchRequest(origin.url, dict(self._api.headers), trusted=True, tls=self._api.tls)

    async def health(self) -> Health:
        """Whether it lists its models, which is free."""
        what = "Listing models"
        try:
            reply = await self._api.send(what, "GET", "/models")
            if reply.status == 404:
                detail = f"{self.name} answers, and has no /models: does the base address end in /v1?"
                return Health(ok=False, detail=detail)
            if not reply.ok:
                raise refused(self._api, what, reply)
            models = self._api.decoded(what, reply)
        except ProviderProblem as problem:
            return Health(
                ok=False, detail=problem.detail if self._has_key else f"{problem.detail} No key is set."
            )
        return Health(ok=True, detail=f"It answers, with {_count(models)} models")

    async def close(self) -> None:
        """Let go of connections, also of those on which pictures were to come."""
        calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            await call.close()
        await self._api.close()


def _count(models: Any) -> int:
    listed = models.get("data") if isinstance(models, dict) else models
    return len(listed) if isinstance(listed, list) else 0
