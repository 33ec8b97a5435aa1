"""The simulated OpenAI Images API: generations, edits (multipart and JSON), variations, models.

Sources: openai-python 2.54 and 3.54 (`resources/images.py`, `types/image*.py`, `_streaming.py`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

import pyvips
from aiohttp import web

from ferrotype.sim import pixels
from ferrotype.sim.hosted import HostedSim, Work
from ferrotype.sim.hosted.script import Fault
from ferrotype.sim.hosted.server import LOST
from ferrotype.sim.openai.checks import FORMS, File, Formed, Refusal, Wish, model_of, wish_of
from ferrotype.sim.openai.models import MODELS, usage
from ferrotype.sim.options import take

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OpenAISim(HostedSim):
    """See the package. The SDK's base URL is `{url}/v1`."""

    name: ClassVar[str] = "openai"

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post("/v1/images/generations", self._guarded(self._generations)),
            web.post("/v1/images/edits", self._guarded(self._edits)),
            web.post("/v1/images/variations", self._guarded(self._variations)),
            web.get("/v1/models", self._guarded(self._models)),
            web.get("/v1/models/{model:.+}", self._guarded(self._model)),
        ]

    def unauthorized(self, request: web.Request) -> web.Response:
        given = self.given_key(request)
        if not given:
            return _refused(Refusal("You didn't provide an API key.", status=401))
        shown = f"{given[:4]}...{given[-4:]}" if len(given) > 12 else "***"
        return _refused(Refusal(f"Incorrect API key provided: {shown}.", status=401, code="invalid_api_key"))

    def _guarded(self, answer: Answer) -> Answer:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                response = await answer(request)
            except Refusal as refusal:
                response = _refused(refusal)
            if not response.prepared:
                response.headers["x-request-id"] = f"req_{secrets.token_hex(16)}"
            return response

        return guarded

    # Routes

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [model.to_json() for model in MODELS.values()]})

    async def _model(self, request: web.Request) -> web.Response:
        return web.json_response(model_of({"model": request.match_info["model"]}).to_json())

    async def _generations(self, request: web.Request) -> web.StreamResponse:
        values = await self.body(request)
        if not isinstance(values, dict):
            raise Refusal("We could not parse the JSON body of your request.")
        return await self._make(request, wish_of(values, [], None, edit=False), [])

    async def _edits(self, request: web.Request) -> web.StreamResponse:
        if request.content_type == "application/json":
            values = await self.body(request)
            if not isinstance(values, dict):
                raise Refusal("We could not parse the JSON body of your request.")
            images = values.get("images")
            files = [_referred(one) for one in images] if isinstance(images, list) else []
            mask = _referred(values["mask"]) if values.get("mask") else None
        else:
            values, files, mask = await self._formed(request)
        return await self._make(request, wish_of(values, files, mask, edit=True), files)

    async def _variations(self, request: web.Request) -> web.StreamResponse:
        values, files, _ = await self._formed(request)
        model = model_of({"model": "dall-e-2", **values})
        if model.gpt:
            message = f"Invalid value: '{model.id}'. This endpoint no longer accepts requests."
            raise Refusal(message, param="model", code="invalid_value")
        wish = wish_of({**values, "prompt": "a variation"}, files, None, edit=True)
        return await self._make(request, wish, files)

    async def _formed(self, request: web.Request) -> tuple[dict[str, Any], list[File], File | None]:
        """A form's values, its pictures, and its mask."""
        fields = await self.form(request)
        values = {name: Formed(each[-1]) for name, each in fields.items() if isinstance(each[-1], str)}
        sent = [*fields.get("image", []), *fields.get("image[]", [])]
        files = [_file(one) for one in sent if isinstance(one, web.FileField)]
        masks = [_file(one) for one in fields.get("mask", []) if isinstance(one, web.FileField)]
        return values, files, masks[0] if masks else None

    # Work

    async def _make(self, request: web.Request, wish: Wish, files: list[File]) -> web.StreamResponse:
        if self.works.busy:
            raise Refusal(
                f"Rate limit reached for {wish.model.id} on images per min. Please try again in 1.5s.",
                status=429,
                code="rate_limit_exceeded",
                type="input-images",
                headers={"retry-after-ms": "1500", "retry-after": "2"},
            )
        work = self.works.begin(
            Work(
                id=f"img_{secrets.token_hex(12)}",
                request={"model": wish.model.id},
                prompt=wish.prompt,
                # GPT image models take no seed: no two of their pictures are the same.
                seed=len(self.works.items) if wish.seed is None else wish.seed,
                width=wish.width,
                height=wish.height,
                count=wish.n,
                form=FORMS[wish.output_format],
                source=files[0].data if files else None,
            )
        )
        if wish.stream and not request[LOST]:
            return await self._stream(request, wish, work, len(files))
        return await self._whole(wish, work, len(files))

    async def _whole(self, wish: Wish, work: Work, pictures: int) -> web.Response:
        await work.end()
        if work.fault is not None and work.fault.kind != "empty":
            raise _ending(work.fault)
        inline = [base64.b64encode(picture).decode() for picture in work.pictures]
        items = [
            {"url": self.output_url(work, index)} if wish.url else {"b64_json": text}
            for index, text in enumerate(inline)
        ]
        answer: dict[str, Any] = {"created": int(time.time()), "data": items}
        if wish.model.gpt:
            told = usage(wish.prompt, pictures, wish.quality, len(items), 0)
            answer |= _facts(wish) | {"usage": told}
        response = web.json_response(answer)
        if self.script.metrics:
            response.headers["openai-processing-ms"] = str(round(work.seconds * 1_000))
        return response

    async def _stream(
        self, request: web.Request, wish: Wish, work: Work, pictures: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "x-request-id": f"req_{secrets.token_hex(16)}"}
        )
        await response.prepare(request)
        prefix = "image_edit" if pictures else "image_generation"
        count, sent = min(wish.partial_images, self.script.previews), 0
        while True:
            changed, ended = work.changed, work.ended
            while sent < count and work.step * (count + 1) >= work.steps * (sent + 1):
                share = (sent + 1) / (count + 1)
                data = await asyncio.to_thread(_unfinished, work, share, self.script.picture_side)
                event = _event(f"{prefix}.partial_image", wish, data) | {"partial_image_index": sent}
                await response.write(_line(event))
                sent += 1
            if ended:
                break
            await changed.wait()
        if work.fault is not None and work.fault.kind != "empty":
            await response.write(_line({"type": "error", **_ending(work.fault).to_json()}))
            return response
        for picture in work.pictures:
            told = usage(wish.prompt, pictures, wish.quality, 1, sent)
            line = _line(_event(f"{prefix}.completed", wish, picture) | {"usage": told})
            fires, self.script.malformed = take(self.script.malformed)
            if fires:
                await response.write(line[: len(line) // 2])
                return response
            await response.write(line)
        await response.write(b"data: [DONE]\n\n")
        return response


def _ending(fault: Fault) -> Refusal:
    """The error of work that did not succeed."""
    if fault.kind == "refusal":
        return Refusal(
            "Your request was rejected by the safety system. If you believe this is an error, contact us at "
            f"help.openai.com and include the request ID. safety_violations=[{fault.message}].",
            type="image_generation_user_error",
            code="moderation_blocked",
            moderation_details={"moderation_stage": "output", "categories": [fault.message]},
        )
    return Refusal(fault.message, status=500, type="server_error", code="server_error")


def _refused(refusal: Refusal) -> web.Response:
    return web.json_response(refusal.to_json(), status=refusal.status, headers=refusal.headers)


def _facts(wish: Wish) -> dict[str, Any]:
    quality = "high" if wish.quality == "auto" else wish.quality
    return {
        "size": wish.size,
        "quality": quality,
        "background": wish.background,
        "output_format": wish.output_format,
    }


def _event(kind: str, wish: Wish, data: bytes) -> dict[str, Any]:
    return {
        "type": kind,
        "b64_json": base64.b64encode(data).decode(),
        "created_at": int(time.time()),
        **_facts(wish),
    }


def _line(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _unfinished(work: Work, share: float, side: int | None) -> bytes:
    """A partial picture: as large as the finished one, and of its form."""
    small = pyvips.Image.new_from_buffer(work.preview(share, side), "")
    return pixels.encode(pixels.fit(small, side or work.width, side or work.height), work.form)


def _file(field: web.FileField) -> File:
    return File(field.file.read(), field.content_type)


def _referred(reference: Any) -> File:
    """A picture of the JSON form: `{image_url}` or `{file_id}`."""
    given = reference if isinstance(reference, dict) else {}
    address = given.get("image_url")
    if not isinstance(address, str):
        message = f"No such File object: {given.get('file_id')}"
        raise Refusal(message, status=404, param="file_id")
    meta, comma, body = address.partition(",")
    if not meta.startswith("data:") or not comma:
        message = "Error while downloading the image of that URL."
        raise Refusal(message, param="image_url", code="invalid_image_url")
    try:
        data = base64.b64decode(body, validate=True) if meta.endswith(";base64") else unquote_to_bytes(body)
    except ValueError:
        message = "Invalid base64 image_url."
        raise Refusal(message, param="image_url", code="invalid_base64") from None
    return File(data, meta[5:].partition(";")[0])
