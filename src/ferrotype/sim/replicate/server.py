"""The simulated Replicate's routes."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import unquote_to_bytes

import pyvips
from aiohttp import web

from ferrotype.sim.hosted import HostedScript, HostedSim, Work
from ferrotype.sim.replicate import wire
from ferrotype.sim.replicate.hooks import EVENTS, Hooks
from ferrotype.sim.replicate.inputs import describe, wrong_body, wrong_input
from ferrotype.sim.replicate.models import DEPLOYMENTS, FREE, MISSING_VERSION, MODELS, VERSIONS, Model
from ferrotype.sim.replicate.script import ReplicateScript

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
VERSION: Final = re.compile(r"(?:([^/:]+/[^/:]+):)?([0-9a-f]{64})")
PREFER: Final = re.compile(r"wait(?:=([1-9]|[1-5][0-9]|60))?")
#: Shortest `Cancel-After`, in seconds.
SHORTEST: Final = 5
#: The fields of a prediction request that are not `version`.
FIELDS: Final = ("input", "stream", "webhook", "webhook_events_filter")
#: Where models take their input picture, the first that is given counts.
PICTURES: Final = ("image", "input_image", "img", "subject_image", "redux_image", "image_prompt")


class ReplicateSim(HostedSim):
    """Replicate's API."""

    name: ClassVar[str] = "replicate"
    script_class: ClassVar[type[HostedScript]] = ReplicateScript
    script: ReplicateScript

    def __init__(self, script: ReplicateScript | None = None, *, tls: tuple[str, str] | None = None) -> None:
        super().__init__(script or ReplicateScript(), tls=tls)
        self.hooks = Hooks(self.script, self.shown)
        self.files: dict[str, wire.File] = {}
        self.works.on_change.append(self.hooks.told)

    def routes(self) -> Iterable[web.RouteDef]:
        models, predictions = "/v1/models/{owner}/{name}", "/v1/predictions"
        deployments = "/v1/deployments/{owner}/{name}"
        return [
            web.get("/v1/account", self._account),
            web.get(models, self._model),
            web.get(models + "/versions", self._versions),
            web.get(models + "/versions/{version}", self._version),
            web.post(models + "/predictions", self._predict_by_model),
            web.get(deployments, self._deployment),
            web.post(deployments + "/predictions", self._predict_by_deployment),
            web.get(predictions, self._list),
            web.post(predictions, self._predict_by_version),
            web.get(predictions + "/{id}", self._get),
            web.post(predictions + "/{id}/cancel", self._cancel),
            web.get("/v1/streams/{id}", self._stream),
            web.get("/v1/files", self._list_files),
            web.post("/v1/files", self._upload),
            web.get("/v1/files/{id}", self._file),
            web.delete("/v1/files/{id}", self._delete_file),
            web.get("/v1/webhooks/default/secret", self._secret),
        ]

    def unauthorized(self, request: web.Request) -> web.Response:
        given = self.given_key(request)
        detail = (
            "You did not pass a valid authentication token"
            if given
            else "You did not pass an authentication token"
        )
        return wire.problem(401, detail, "Unauthenticated")

    async def stop(self) -> None:
        await self.hooks.close()
        await super().stop()

    def shown(self, work: Work) -> dict[str, Any]:
        """The prediction as the API shows it now."""
        addresses = [self.output_url(work, index) for index in range(len(work.pictures))]
        return wire.prediction(work, addresses, self.script, self.url)

    def expire(self, work_id: str) -> None:
        """Its `Cancel-After` has passed: it is aborted if it waits still, canceled if it runs."""
        work = self.works.items[work_id]
        if work.ended:
            return
        work.request["late"] = True
        work.request["deadline"] = min(work.request["deadline"] or datetime.now(UTC), datetime.now(UTC))
        self.works.cancel(work_id)

    # Accounts, models, deployments

    async def _account(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "type": "organization",
                "username": "acme",
                "name": "Acme Corp, Inc.",
                "github_url": "https://github.com/acme",
            }
        )

    async def _model(self, request: web.Request) -> web.Response:
        model = MODELS.get(_named(request))
        if model is None:
            return wire.not_found()
        owner, name = model.name.split("/")
        return web.json_response(
            {
                "url": f"https://replicate.com/{model.name}",
                "owner": owner,
                "name": name,
                "description": None,
                "visibility": "public",
                "github_url": None,
                "paper_url": None,
                "license_url": None,
                "run_count": self.works.created,
                "cover_image_url": None,
                "default_example": None,
                "latest_version": _version_json(model),
            }
        )

    async def _versions(self, request: web.Request) -> web.Response:
        model = MODELS.get(_named(request))
        if model is None:
            return wire.not_found()
        return web.json_response({"previous": None, "next": None, "results": [_version_json(model)]})

    async def _version(self, request: web.Request) -> web.Response:
        model = MODELS.get(_named(request))
        if model is None or request.match_info["version"] != model.version:
            return wire.not_found()
        return web.json_response(_version_json(model))

    async def _deployment(self, request: web.Request) -> web.Response:
        model = DEPLOYMENTS.get(_named(request))
        if model is None:
            return wire.not_found()
        release = {
            "number": 1,
            "model": model.name,
            "version": model.version,
            "created_at": "2024-02-15T16:32:57.018467Z",
            "created_by": {"type": "organization", "username": "acme", "name": "Acme Corp, Inc."},
            "configuration": {"hardware": "gpu-t4", "min_instances": 1, "max_instances": 5},
        }
        owner, name = _named(request).split("/")
        return web.json_response({"owner": owner, "name": name, "current_release": release})

    # Predictions

    async def _predict_by_model(self, request: web.Request) -> web.Response:
        body = await self.body(request)
        model = MODELS.get(_named(request))
        if model is None or not model.official:
            return wire.not_found()
        return await self._predict(request, body, FIELDS, model, model.version)

    async def _predict_by_deployment(self, request: web.Request) -> web.Response:
        body = await self.body(request)
        model = DEPLOYMENTS.get(_named(request))
        if model is None:
            return wire.not_found()
        return await self._predict(request, body, FIELDS, model, model.version, deployment=_named(request))

    async def _predict_by_version(self, request: web.Request) -> web.Response:
        body = await self.body(request)
        wrongs = wrong_body(body, ("version", *FIELDS))
        if wrongs:
            return wire.invalid(wrongs)
        named = str(body["version"])
        match = VERSION.fullmatch(named)
        if match is not None and match[2] != MISSING_VERSION:
            model = VERSIONS.get(match[2]) or replace(FREE, name=match[1] or FREE.name)
            if match[1] in (None, model.name):
                return await self._predict(request, body, ("version", *FIELDS), model, match[2])
        elif named in MODELS and MODELS[named].official:
            return await self._predict(
                request, body, ("version", *FIELDS), MODELS[named], MODELS[named].version
            )
        return wire.problem(
            422,
            "The specified version does not exist (or perhaps you don't have permission to use it?)",
            "Invalid version or not permitted",
        )

    async def _predict(
        self,
        request: web.Request,
        body: Any,
        fields: tuple[str, ...],
        model: Model,
        version: str,
        deployment: str | None = None,
    ) -> web.Response:
        wrongs = wrong_body(body, fields) or wrong_input(model, body["input"])
        if wrongs:
            return wire.invalid(wrongs)
        prefer, after = request.headers.get("Prefer"), request.headers.get("Cancel-After")
        wait = PREFER.fullmatch(prefer) if prefer is not None else None
        deadline = wire.seconds_of(after) if after is not None else None
        if prefer is not None and wait is None:
            return wire.problem(422, "Prefer: wait=n takes 1 to 60 seconds")
        if after is not None and (deadline is None or deadline < SHORTEST):
            return wire.problem(422, f"Cancel-After takes {SHORTEST} seconds or more")
        given: Mapping[str, Any] = body["input"]
        work = Work("".join(secrets.choice(ALPHABET) for _ in range(26)), {})
        work.request |= {
            "model": model,
            "version": version,
            "deployment": deployment,
            "input": given,
            "webhook": body.get("webhook"),
            "events": body.get("webhook_events_filter") or list(EVENTS),
            "deadline": work.created_at + timedelta(seconds=deadline) if deadline else None,
            "late": False,
        }
        pictures = [self._bytes(given[name]) for name in PICTURES if isinstance(given.get(name), str)]
        work.source = next(iter(pictures), None)
        describe(work, model, given, _size_of(work.source))
        self.works.begin(work)
        if deadline is not None:
            asyncio.get_running_loop().call_later(deadline, self.expire, work.id)
        if wait is None:
            return web.json_response(self.shown(work), status=201)
        return await self._waited(work, float(wait[1] or 60))

    async def _waited(self, work: Work, seconds: float) -> web.Response:
        """The answer to `Prefer: wait`, with the service's own habits: what has its output is said to be
        processing still, and what has none yet to be starting, whatever it does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self.script.longest_wait)):
                await work.end()
        shown = self.shown(work)
        if not work.ended:
            return web.json_response(shown | {"status": "starting", "logs": ""}, status=202)
        if work.state == "succeeded":
            for name in ("completed_at", "metrics"):
                shown.pop(name)
            shown["status"] = "processing"
        return web.json_response(shown, status=201)

    async def _list(self, request: web.Request) -> web.Response:
        start = int(request.query.get("cursor", "0"))
        works = sorted(self.works.items.values(), key=lambda work: work.created_at, reverse=True)
        if "created_after" in request.query:
            after = datetime.fromisoformat(request.query["created_after"])
            works = [work for work in works if work.created_at >= after]

        def link(cursor: int) -> str:
            return str(request.url.update_query(cursor=str(cursor)))

        end = start + self.script.page_size
        return web.json_response(
            {
                "previous": link(max(0, start - self.script.page_size)) if start else None,
                "next": link(end) if end < len(works) else None,
                "results": [self.shown(work) for work in works[start:end]],
            }
        )

    async def _get(self, request: web.Request) -> web.Response:
        work = self.works.items.get(request.match_info["id"])
        return wire.not_found() if work is None else web.json_response(self.shown(work))

    async def _cancel(self, request: web.Request) -> web.Response:
        work = self.works.items.get(request.match_info["id"])
        if work is None:
            return wire.not_found()
        self.works.cancel(work.id)
        return web.json_response(self.shown(work))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: `output` per picture, `error`, `done`."""
        work = self.works.items.get(request.match_info["id"])
        if work is None:
            return wire.not_found()
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        await work.end()
        shown = self.shown(work)
        output = shown["output"] if isinstance(shown["output"], list) else [shown["output"]]
        events = [("output", str(address)) for address in output if address]
        if work.state == "failed":
            events.append(("error", json.dumps({"detail": shown["error"]})))
        reasons = {"failed": {"reason": "error"}, "canceled": {"reason": "canceled"}}
        events.append(("done", json.dumps(reasons.get(work.state, {}))))
        for number, (event, data) in enumerate(events):
            text = f"event: {event}\nid: {int(time.time() * 1000)}:{number}\ndata: {data}\n\n"
            await response.write(text.encode())
        return response

    # Files, webhooks

    async def _upload(self, request: web.Request) -> web.Response:
        form = await self.form(request)
        content = next(iter(form.get("content", [])), None)
        if not isinstance(content, web.FileField):
            return wire.problem(400, "Missing content")
        try:
            metadata = json.loads(str(next(iter(form.get("metadata", [])), "{}")))
        except ValueError:
            return wire.problem(400, "metadata must be valid JSON")
        file = wire.File(
            secrets.token_urlsafe(24),
            content.filename,
            content.content_type,
            content.file.read(),
            metadata,
        )
        self.files[file.id] = file
        return web.json_response(file.to_json(self.url), status=201)

    async def _list_files(self, _request: web.Request) -> web.Response:
        files = [file.to_json(self.url) for file in reversed(self.files.values())]
        return web.json_response({"previous": None, "next": None, "results": files})

    async def _file(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["id"])
        if file is None:
            return wire.problem(404, "File not found")
        return web.json_response(file.to_json(self.url))

    async def _delete_file(self, request: web.Request) -> web.Response:
        if self.files.pop(request.match_info["id"], None) is None:
            return wire.problem(404, "File not found")
        return web.Response(status=204)

    async def _secret(self, _request: web.Request) -> web.Response:
        return web.json_response({"key": self.hooks.secret})

    def _bytes(self, given: str) -> bytes | None:
        """An input file's bytes; None for an address elsewhere, which is not fetched."""
        if given.startswith("data:"):
            meta, _, body = given.partition(",")
            return base64.b64decode(body) if meta.endswith(";base64") else unquote_to_bytes(body)
        file = self.files.get(given.rpartition("/v1/files/")[2])
        return file.data if file is not None else None


def _named(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['name']}"


def _version_json(model: Model) -> dict[str, Any]:
    return {
        "id": model.version,
        "created_at": "2024-08-01T09:00:00.000000Z",
        "cog_version": "0.16.7",
        "openapi_schema": model.openapi(),
    }


def _size_of(picture: bytes | None) -> tuple[int, int] | None:
    if picture is None:
        return None
    try:
        image = pyvips.Image.new_from_buffer(picture, "")
    except pyvips.Error:
        return None
    return image.width, image.height
