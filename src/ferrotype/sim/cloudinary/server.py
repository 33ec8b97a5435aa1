"""The simulated Cloudinary around its parts. The SDK's `upload_prefix` is the simulator's URL."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

from aiohttp import web

from ferrotype.domain.clock import Clock, SystemClock
from ferrotype.sim.cloudinary.delivery import Delivery
from ferrotype.sim.cloudinary.errors import Refusal
from ferrotype.sim.cloudinary.library import Library
from ferrotype.sim.cloudinary.listing import listed, listing
from ferrotype.sim.cloudinary.script import CloudinaryScript
from ferrotype.sim.cloudinary.uploads import UploadApi
from ferrotype.sim.hosted import HostedSim
from ferrotype.sim.options import take

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
UNSIGNED = "Upload preset must be specified when using unsigned upload"


class CloudinarySim(HostedSim):
    """See the package. `library` is what it keeps; `clock` is its own."""

    name: ClassVar[str] = "cloudinary"
    script_class: ClassVar[type[CloudinaryScript]] = CloudinaryScript
    script: CloudinaryScript

    def __init__(
        self,
        script: CloudinaryScript | None = None,
        *,
        tls: tuple[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(script, tls=tls)
        self.library = Library()
        self._clock = clock or SystemClock()
        self._uploads = UploadApi(self.script, self.library, self._clock)
        self._delivery = Delivery(self.script, self.library)

    def routes(self) -> Iterable[web.RouteDef]:
        kinds = "{resource_type:image|raw}"
        return [
            web.post(f"/v1_1/{{cloud}}/{kinds}/upload", self._guarded(self._upload)),
            web.post(f"/v1_1/{{cloud}}/{kinds}/destroy", self._guarded(self._destroy)),
            web.get("/v1_1/{cloud}/ping", self._guarded(self._ping)),
            web.get(f"/v1_1/{{cloud}}/resources/{kinds}", self._guarded(self._resources)),
            web.get(f"/v1_1/{{cloud}}/resources/{kinds}/{{type}}", self._guarded(self._resources)),
            web.get(
                f"/v1_1/{{cloud}}/resources/{kinds}/{{type}}/{{public_id:.+}}", self._guarded(self._resource)
            ),
            web.get(
                f"/{{cloud}}/{kinds}/{{type:upload|private|authenticated}}/{{tail:.+}}", self._delivery.answer
            ),
        ]

    def given_key(self, request: web.Request) -> str:
        return self.script.key or ""  # the APIs check signatures and passwords themselves

    def is_open(self, request: web.Request) -> bool:
        return not request.path.startswith("/v1_1/")

    @property
    def base(self) -> str:
        """The delivery network's address for the cloud."""
        return f"{self.url}/{self.script.cloud}"

    def _guarded(self, answer: Answer) -> Answer:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await answer(request)
            except Refusal as refusal:
                return refusal.answer()

        return guarded

    async def _upload(self, request: web.Request) -> web.Response:
        params, file = await self._params(request)
        self._uploads.check(request.match_info["cloud"], params, UNSIGNED)
        self._check_processing()
        asset, told = self._uploads.upload(request.match_info["resource_type"], params, file, request.headers)
        if asset is not None:
            told = {**asset.to_json(self.base, self.script.secret), **told, "api_key": params["api_key"]}
        return web.json_response(told)

    async def _destroy(self, request: web.Request) -> web.Response:
        params, _ = await self._params(request)
        self._uploads.check(request.match_info["cloud"], params, "Missing required parameter - signature")
        self._check_processing()
        return web.json_response(
            {"result": self._uploads.destroy(request.match_info["resource_type"], params)}
        )

    async def _ping(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, headers=self._admitted(request))

    async def _resource(self, request: web.Request) -> web.Response:
        headers, info = self._admitted(request), request.match_info
        asset = self.library.assets.get((info["resource_type"], info["type"], info["public_id"]))
        if asset is None:
            raise Refusal(f"Resource not found - {info['public_id']}", 404, headers)
        return web.json_response(asset.to_json(self.base, self.script.secret), headers=headers)

    async def _resources(self, request: web.Request) -> web.Response:
        headers, info = self._admitted(request), request.match_info
        page = listing(self.library, info["resource_type"], info.get("type"), request.query, headers)
        told = [
            listed(asset.to_json(self.base, self.script.secret), asset.context, request.query)
            for asset in page.assets
        ]
        following = {"next_cursor": page.next_cursor} if page.next_cursor else {}
        return web.json_response({"resources": told, **following}, headers=headers)

    async def _params(self, request: web.Request) -> tuple[dict[str, str], Any]:
        """The call's parameters, and its file."""
        fields = await self.form(request)
        params = {
            name.removesuffix("[]"): ",".join(each for each in values if isinstance(each, str))
            for name, values in fields.items()
            if name != "file"
        }
        return params, fields.get("file", [None])[0]

    def _check_processing(self) -> None:
        fires, self.script.processing = take(self.script.processing)
        if fires:
            raise Refusal("Processing", 423)

    def _admitted(self, request: web.Request) -> dict[str, str]:
        """The headers of every answer of the Admin API. Raises Refusal for a wrong password, and beyond the
        hour's calls."""
        script = self.script
        kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            kind = ""
        if kind.lower() != "basic":
            raise Refusal("Missing credentials", 401)
        if script.key is not None and key != script.key:
            raise Refusal("unknown api_key", 401)
        if secret != script.secret or request.match_info["cloud"] != script.cloud:
            raise Refusal("api_secret mismatch", 401)
        reset = self._clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        headers = {
            "X-FeatureRateLimit-Limit": str(script.admin_limit),
            "X-FeatureRateLimit-Reset": format_datetime(reset, usegmt=True),
            "X-FeatureRateLimit-Remaining": str(max(script.admin_limit - script.admin_calls - 1, 0)),
        }
        if script.admin_calls >= script.admin_limit:
            text = f"Rate Limit Exceeded. Limit of {script.admin_limit} api operations reached."
            raise Refusal(f"{text} Try again on {reset:%Y-%m-%d %H:%M:%S} UTC", 420, headers)
        script.admin_calls += 1
        return headers
