"""The Gemini provider: one request whose answer is the work itself, left open between submit and watch."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, Final
from urllib.parse import quote

import aiohttp

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import OutcomeUnknown, ProviderFailed, ProviderInterrupted, ProviderProblem
from ferrotype.providers.base import (
    AttemptRequest,
    FetchRequest,
    Finished,
    Found,
    Health,
    Lookup,
    Output,
    Started,
    Traits,
    WatchEvent,
)
from ferrotype.providers.gemini.answer import Answer
from ferrotype.providers.gemini.chunks import read_chunks
from ferrotype.providers.gemini.errors import ended, error_in, refused
from ferrotype.providers.gemini.order import Body, body_of
from ferrotype.providers.gemini.settings import GeminiSettings
from ferrotype.providers.hosted.api import Api, Reply

WHAT: Final = "Making a picture"
#: Seconds for the list of models, which costs nothing.
HEALTH_SECONDS: Final = 15.0
#: The shortest `X-Server-Timeout` that Google takes, in seconds.
MIN_DEADLINE: Final = 10
#: Open answers, and ends of those that were closed before they were watched, that are kept.
KEPT: Final = 1_000


@dataclass(eq=False, slots=True)
class Opened:
    """An answer whose head is here. Leaving `stack` closes the connection."""

    stack: AsyncExitStack
    response: aiohttp.ClientResponse
    canceled: bool = False


class GeminiProvider:
    """One key's access to Gemini. Use it from one event loop; `close` it there."""

    traits: ClassVar = Traits(cancel="connection", inline=True)

    def __init__(self, settings: GeminiSettings, *, name: str = "gemini") -> None:
        """Raises ConfigError when the base address is none."""
        self.name = name
        self._settings = settings
        key = settings.key
        self._api = Api(
            name,
            settings.base_url,
            headers={} if key is None else {"x-goog-api-key": key},
            secrets=() if key is None else (key,),
            ca_file=settings.ca_file,
            read_timeout=settings.stall_timeout,
        )
        self._opened: OrderedDict[str, Opened] = OrderedDict()
        self._watched: dict[str, Opened] = {}

    async def submit(self, request: AttemptRequest) -> str:
        """Send the order; the attempt's id once the head of the answer is here."""
        body = await body_of(request, self._settings.max_request_bytes)
        opened = await self._open(request, body)
        if opened is None:
            # Signatures age, and moving to another of its hosts voids them. Nothing was made: the picture
            # can be shown as a mere picture.
            body = await body_of(request, self._settings.max_request_bytes, signed=False)
            opened = await self._open(request, body)
            assert opened is not None
        self._opened[request.attempt_id] = opened
        while len(self._opened) > KEPT:
            await self._close(self._opened.popitem(last=False)[1])
        return request.attempt_id

    async def _open(self, request: AttemptRequest, body: Body) -> Opened | None:
        """The open answer; None where the service does not take the body's signature."""
        headers = {
            "Content-Type": "application/json",
            # What runs longer is of no use to anybody, and would be charged for.
            "X-Server-Timeout": str(max(MIN_DEADLINE, math.ceil(request.timeout))),
        }
        async with AsyncExitStack() as stack:
            response = await stack.enter_async_context(
                self._api.open(
                    WHAT,
                    "POST",
                    self._path(request),
                    starts_work=True,
                    headers=headers,
                    data=BytesIO(body.data),
                )
            )
            if 200 <= response.status < 300:
                return Opened(stack.pop_all(), response)
            reply = await self._api.read(WHAT, response, starts_work=response.status >= 500)
            if body.signed and _is_about_signature(reply):
                return None
            raise refused(self._api, WHAT, reply, starts_work=True)
        raise AssertionError("the block above returns or raises")

    def _path(self, request: AttemptRequest) -> str:
        target = request.target if "/" in request.target else f"models/{request.target}"
        streams = request.options.get("stream", True)
        method = "streamGenerateContent?alt=sse" if streams else "generateContent"
        return f"/{self._settings.api_version}/{quote(target)}:{method}"

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent]:
        """Read the answer to its end. Only the process that submitted the order has it."""
        opened = self._opened.pop(request_id, None)
        if opened is None:
            raise OutcomeUnknown(f"{self.name}'s answer belonged to another process and is gone.")
        answer = Answer()
        self._watched[request_id] = opened
        try:
            async with opened.stack:
                yield Started()
                async with aclosing(read_chunks(opened.response, self.name)) as chunks:
                    async for chunk in chunks:
                        if "error" in chunk and isinstance(chunk["error"], dict):
                            raise ended(self._api, chunk["error"])
                        first = answer.count
                        for index, picture in enumerate(answer.take(chunk), first):
                            yield Output(index, data=picture.data, content_type=picture.content_type)
        except OutcomeUnknown:
            if opened.canceled:
                raise ProviderInterrupted(f"The connection to {self.name} was closed to stop it.") from None
            if not answer.count:
                raise
            # Pictures are whole or not there at all: only what the call cost is lost.
        finally:
            self._watched.pop(request_id, None)
            opened.response.close()
        if opened.canceled and not answer.ended:
            raise ProviderInterrupted(f"The connection to {self.name} was closed to stop it.")
        if not answer.count:
            raise answer.problem(self.name, self._api.secrets)
        prices = request.options.get("usd_per_million_tokens")
        yield Finished(usd=answer.usd(prices), notes=answer.notes(request))

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """Gemini keeps nothing that could be asked for."""
        return Lookup.UNKNOWN

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """Close the connection. Whether Google then stops, and what it charges, it does not say."""
        opened = self._watched.get(request_id) or self._opened.get(request_id)
        if opened is not None:
            opened.canceled = True
            opened.response.close()

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """Raises ProviderFailed: pictures come inline only."""
        raise ProviderFailed(f"{self.name}'s pictures have no addresses.")

    async def health(self) -> Health:
        """Whether it lists models for our key, which costs nothing."""
        what, path = "Asking for its models", f"/{self._settings.api_version}/models?pageSize=1"
        try:
            reply = await self._api.send(what, "GET", path, read_timeout=HEALTH_SECONDS)
            if not reply.ok:
                raise refused(self._api, what, reply)
            listed = self._api.decoded(what, reply)
        except ProviderProblem as problem:
            return Health(ok=False, detail=problem.detail)
        if not isinstance(listed, dict) or not isinstance(listed.get("models"), list):
            return Health(ok=False, detail=f"{what}: what answers for {self.name} is no Gemini API.")
        return Health(ok=True, detail="It answers and takes our key")

    async def close(self) -> None:
        """Close every connection; calls under way end as they may."""
        while self._opened:
            await self._close(self._opened.popitem()[1])
        await self._api.close()

    async def _close(self, opened: Opened) -> None:
        opened.response.close()
        await opened.stack.aclose()


def _is_about_signature(reply: Reply) -> bool:
    """`Corrupted thought signature.` and its kin."""
    if reply.status != 400:
        return False
    message = str((error_in(reply.body) or {}).get("message", "")).lower().replace("_", " ")
    return "thought signature" in message
