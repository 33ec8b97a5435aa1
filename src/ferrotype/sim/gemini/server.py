"""The routes of the Gemini API, and how an answer is made and sent."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from aiohttp import web

from ferrotype.sim.gemini.errors import STATUSES, ApiError, exhausted, no_key, wrong_key
from ferrotype.sim.gemini.files import Files, page
from ferrotype.sim.gemini.models import MODELS, ImageModel
from ferrotype.sim.gemini.orders import plain, read_order
from ferrotype.sim.gemini.replies import Replies, merged
from ferrotype.sim.hosted import HostedScript, HostedSim, Work
from ferrotype.sim.hosted.server import LOST
from ferrotype.sim.options import take

VERSION: Final = "{version:v1|v1beta|v1alpha}"
MODEL: Final = "{model:[^:/]+}"


@dataclass
class GeminiScript(HostedScript):
    """The script of a Gemini API; what every service understands, and:

    `finish` and `block` are used up one by one: the next answers end with these finishReasons, the next
    orders are blocked with these blockReasons. `words` are what the model says. A fault `refusal` ends with
    IMAGE_SAFETY, `empty` with words in place of a picture, `error` and `canceled` with an error in mid
    stream.
    """

    finish: list[str] = field(default_factory=list)
    block: list[str] = field(default_factory=list)
    words: str = "Here is your picture."
    form: str = "JPEG"  # of its pictures: JPEG, PNG or WEBP
    retry_seconds: float = 17.0  # what a busy service (`slots`) asks callers to wait


class GeminiSim(HostedSim):
    """A Gemini API; an async context manager."""

    name: ClassVar[str] = "gemini"
    script_class: ClassVar[type[HostedScript]] = GeminiScript

    def __init__(self, script: HostedScript | None = None, *, tls: tuple[str, str] | None = None) -> None:
        super().__init__(script, tls=tls)
        self.files = Files(lambda: self.url)
        #: Signatures that were given out; tests forget them to let them grow stale.
        self.issued: set[str] = set()

    @property
    def _script(self) -> GeminiScript:
        assert isinstance(self.script, GeminiScript)
        return self.script

    def routes(self) -> Iterable[web.RouteDef]:
        """See the class."""
        return [
            web.get(f"/{VERSION}/models", self._list_models),
            web.get(f"/{VERSION}/models/{MODEL}", self._get_model),
            web.post(f"/{VERSION}/models/{MODEL}:generateContent", self._generate),
            web.post(f"/{VERSION}/models/{MODEL}:streamGenerateContent", self._stream),
            web.post(f"/{VERSION}/models/{MODEL}:countTokens", self._count),
            *self.files.routes(),
        ]

    def given_key(self, request: web.Request) -> str:
        """`x-goog-api-key`, or `?key=`."""
        return request.headers.get("x-goog-api-key") or request.query.get("key", "")

    def is_open(self, request: web.Request) -> bool:
        """The address of an upload is its own key."""
        return "upload_id" in request.query or super().is_open(request)

    def unauthorized(self, request: web.Request) -> web.Response:
        """A 400 for a wrong key, a 403 for none."""
        return (wrong_key() if self.given_key(request) else no_key()).response()

    # Models

    async def _list_models(self, request: web.Request) -> web.Response:
        return web.json_response(page(request, "models", [model.to_json() for model in MODELS.values()]))

    async def _get_model(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(_model(request).to_json())
        except ApiError as error:
            return error.response()

    async def _count(self, request: web.Request) -> web.Response:
        body = await self.body(request)
        try:
            order = read_order(body, _model(request), self.files.data, self.issued)
        except ApiError as error:
            return error.response()
        return web.json_response({"totalTokens": len(order.text.split()) + 560 * len(order.images)})

    # Pictures

    async def _generate(self, request: web.Request) -> web.Response:
        try:
            replies = await self._begin(request)
            pieces = [piece async for piece in self._pieces(replies)]
        except ApiError as error:
            return error.response()
        return web.json_response(merged(pieces))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        listed = request.query.get("alt") != "sse"
        try:
            replies = await self._begin(request)
            if listed:
                return web.json_response([piece async for piece in self._pieces(replies)])
        except ApiError as error:
            return error.response(listed=listed)
        work = replies.work
        if request.get(LOST):
            await work.end()
            return web.Response()
        while work.state == "queued":
            await work.change()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            async for piece in self._pieces(replies):
                if not await self._write(response, piece):
                    return response
        except ApiError as error:
            await self._write(response, error.to_json())
        await response.write_eof()
        return response

    async def _write(self, response: web.StreamResponse, piece: dict[str, Any]) -> bool:
        """One event; False where it was cut in its middle."""
        data = b"data: " + json.dumps(piece).encode() + b"\r\n\r\n"
        cut, self.script.malformed = take(self.script.malformed)
        await response.write(data[: len(data) // 2] if cut else data)
        if cut:
            await response.write_eof()
        return not cut

    async def _begin(self, request: web.Request) -> Replies:
        """The work of an order that is taken. Raises ApiError."""
        body = await self.body(request)
        model = _model(request)
        order = await asyncio.to_thread(read_order, body, model, self.files.data, self.issued)
        if self.works.busy:
            raise exhausted(model.name, self._script.retry_seconds)
        work = Work(
            id=secrets.token_urlsafe(12),
            request=body,
            prompt=order.text,
            # Without a seed no two answers are alike.
            seed=order.seed if order.seed is not None else self.works.created,
            width=order.width,
            height=order.height,
            form=self._script.form,
            source=order.images[-1] if order.images else None,
        )
        signature = base64.b64encode(f"signature of {work.id}".encode()).decode()
        self.issued.add(plain(signature))
        return Replies(model, order, self.works.begin(work), signature, self._script.words)

    async def _pieces(self, replies: Replies) -> AsyncGenerator[dict[str, Any], None]:
        """The answer, piece by piece. Raises ApiError where the work breaks."""
        work, script = replies.work, self._script
        if script.block:
            yield replies.blocked(script.block.pop(0))
            return
        if replies.order.includes_thoughts:
            for draft in range(1, script.previews + 1):
                share = draft / (script.previews + 1)
                yield replies.thought(await asyncio.to_thread(work.preview, share))
        await work.end()
        fault = work.fault
        if script.finish:
            reason = script.finish.pop(0)
            if reason == "STOP" or fault is not None:
                yield replies.said(script.words)
            yield replies.end(reason, "" if reason == "STOP" else script.words)
        elif fault is None and work.state == "succeeded":
            yield replies.picture()
            yield replies.end("STOP")
        elif fault is None or fault.kind == "canceled":
            raise ApiError(
                "CANCELLED", fault.message if fault is not None else "The operation was cancelled."
            )
        elif fault.kind == "refusal":
            yield replies.end("IMAGE_SAFETY", fault.message)
        elif fault.kind == "empty":
            yield replies.said(script.words)
            yield replies.end("STOP")
        else:
            status = next((name for name in STATUSES if fault.message.startswith(name)), "INTERNAL")
            raise ApiError(status, fault.message)


def _model(request: web.Request) -> ImageModel:
    name = request.match_info["model"]
    if name not in MODELS:
        raise ApiError(
            "NOT_FOUND",
            f"models/{name} is not found for API version {request.match_info['version']}, or is not supported"
            " for generateContent. Call ListModels to see the list of available models and their supported"
            " methods.",
        )
    return MODELS[name]
