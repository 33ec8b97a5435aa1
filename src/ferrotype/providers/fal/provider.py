"""The provider `fal`: models at fal.ai, through its queue.

Wire facts are those of fal-client 1.0, @fal-ai/client 1.x and fal.ai/docs (queue, webhooks, platform headers,
model errors, request errors).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
)
from ferrotype.providers.base import (
    AttemptRequest,
    FetchRequest,
    Found,
    Health,
    InputImage,
    Lookup,
    Traits,
    WatchEvent,
)
from ferrotype.providers.connections import Kind
from ferrotype.providers.fal import problems
from ferrotype.providers.fal.endpoint import REQUEST_ID, Endpoint, Links, told_links
from ferrotype.providers.fal.settings import FalSettings
from ferrotype.providers.fal.storage import Storage, sent
from ferrotype.providers.fal.watch import Watch
from ferrotype.providers.fal.webhooks import Signatures
from ferrotype.providers.hosted.api import Api
from ferrotype.providers.hosted.payload import fill
from ferrotype.providers.hosted.polling import Bells, Pace
from ferrotype.providers.hosted.text import said

SUBMITTING: Final = "Submitting"
#: fal takes no shorter time to start, in seconds.
MIN_START_SECONDS: Final = 1.0
#: Calls whose addresses, or whose asked-for end, are remembered.
REMEMBERED: Final = 10_000
#: A request that nobody ever made, at an app that stays: asking for it proves the key and costs nothing.
PROBE: Final = "/fal-ai/flux/requests/00000000-0000-0000-0000-000000000000/status"
TOKEN: Final = "/storage/auth/token?storage_type=fal-cdn-v3"
#: The options of a deployment that are read here, and what each may be.
OPTIONS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "input": lambda value: isinstance(value, Mapping),
    "default_format": lambda value: isinstance(value, str),
    "inputs": lambda value: value in ("auto", "data", "upload"),
    "priority": lambda value: value in ("normal", "low"),
    "stream": lambda value: isinstance(value, bool),
    "retries": lambda value: isinstance(value, bool),
    "store_io": lambda value: isinstance(value, bool),
    "keep_seconds": lambda value: type(value) is int and value > 0,
    "usd_per_unit": lambda value: type(value) in (int, float) and 0 <= value < 1e9,
}


class FalProvider:
    """A `Provider` on an account at fal. Use it from one event loop; `close` it there."""

    #: A running call is stopped only by models that listen for it; what waits is surely taken out.
    traits: ClassVar = Traits(progress=True, cancel="queued", reattach=True, webhooks=True)

    def __init__(
        self, settings: FalSettings, clock: Clock, pace: Pace | None = None, *, name: str = "fal"
    ) -> None:
        """Raises ConfigError when an address is none."""
        self.name = name
        self._settings = settings
        self._clock = clock
        self._pace = pace or Pace()
        key = (settings.api_key or "").strip()
        secrets = tuple(part for part in (key, key.partition(":")[2]) if part)
        shared: dict[str, Any] = {
            "secrets": secrets,
            "ca_file": settings.ca_file,
            "read_timeout": settings.request_timeout,
        }
        headers = {"Authorization": f"Key {key}"}
        self._queue = Api(name, settings.queue_url, headers=headers, **shared)
        rest = settings.storage_url
        self._rest = Api(name, rest, headers=headers, **shared) if rest is not None else None
        self._storage = Storage(self._rest, settings.request_timeout) if self._rest is not None else None
        self._signatures = Signatures(self._rest, clock)
        self._bells = Bells()
        self._links: OrderedDict[str, Links] = OrderedDict()
        self._stopped: OrderedDict[str, None] = OrderedDict()

    async def submit(self, request: AttemptRequest) -> str:
        endpoint = Endpoint.of(request.target)
        body = await self._input(request)
        path = endpoint.path
        if request.webhook_url is not None:
            path = f"{path}?{urlencode({'fal_webhook': request.webhook_url})}"
            self._bells.expect(request.attempt_id)
        headers = _headers(request)
        reply = await self._queue.send(SUBMITTING, "POST", path, json=body, headers=headers, starts_work=True)
        if not reply.ok:
            if problems.refused_by_policy(reply):
                raise ProviderRefused(f"{self.name} refused: {said(reply.body, self._queue.secrets)}")
            raise self._queue.refused(SUBMITTING, reply, starts_work=True)
        told = self._queue.decoded(SUBMITTING, reply, starts_work=True)
        request_id = told.get("request_id") if isinstance(told, dict) else None
        if not (isinstance(request_id, str) and REQUEST_ID.fullmatch(request_id)):
            raise OutcomeUnknown(f"{SUBMITTING}: {self.name}'s answer names no request.")
        links = told_links(told)
        if links is not None and all(
            self._queue.is_ours(url) for url in (links.status, links.result, links.cancel)
        ):
            _remember(self._links, request_id, links)
        return request_id

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent, None]:
        links = self._links_of(request, request_id)
        with self._bells.of(request.attempt_id) as bell:
            watch = Watch(
                self._queue,
                links,
                request_id,
                bell,
                self._pace,
                self._clock,
                streams=self._settings.stream and request.options.get("stream") is not False,
                hooked=request.webhook_url is not None,
                stopped=lambda: request_id in self._stopped,
                usd_per_unit=request.options.get("usd_per_unit"),
            )
            async with aclosing(watch.events()) as events:
                async for event in events:
                    yield event

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """fal takes no id from its clients, and its list of requests knows those that have ended: one that
        still waits or runs looks like none."""
        return Lookup.UNKNOWN

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        _remember(self._stopped, request_id, None)
        what = "Canceling"
        reply = await self._queue.send(what, "PUT", self._links_of(request, request_id).cancel)
        # 400 says that it has ended, 404 that it is not known: neither can be stopped any more.
        if not reply.ok and reply.status not in (400, 404):
            raise self._queue.refused(what, reply)

    async def hook(self, attempt_id: str, headers: Mapping[str, str], body: bytes) -> None:
        self._bells.ring(attempt_id, await self._signatures.check(headers, body))

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """Results are public files on fal's delivery network: our key is never needed. A file on the
        operator's own address is a simulator's or a proxy's."""
        ours = self._queue.is_ours(origin.url)
        return FetchRequest(origin.url, trusted=ours, tls=self._queue.tls if ours else None)

    async def health(self) -> Health:
        try:
            reply = await self._queue.send("Asking the queue", "GET", PROBE)
            if not reply.ok and reply.status not in (400, 404, 422):  # nobody knows the request, as it should
                return Health(False, self._queue.refused("Asking the queue", reply).detail)
            if self._rest is None:
                return Health(True, "the queue answers; input pictures travel inside the orders")
            reply = await self._rest.send("Asking for a token", "POST", TOKEN, json={})
            if reply.status in (401, 402):
                return Health(False, self._rest.refused("Asking for a token", reply).detail)
        except ProviderProblem as problem:
            return Health(False, problem.detail)
        if not reply.ok:
            return Health(True, f"the queue answers; input pictures cannot be uploaded ({reply.status})")
        return Health(True, "the queue answers and takes our key")

    async def close(self) -> None:
        await self._queue.close()
        if self._rest is not None:
            await self._rest.close()
        if self._storage is not None:
            await self._storage.close()

    async def _input(self, request: AttemptRequest) -> dict[str, Any]:
        """The order's body. What is wrong with it is found before anything is paid for."""
        _check_options(request)
        template, how = request.options.get("input"), request.options.get("inputs", "auto")
        if template is None:
            raise ProviderMisconfigured(
                f"{request.model}: its deployment on {self.name} has no options.input."
            )

        if how == "upload" and self._storage is None:
            raise ProviderMisconfigured(
                f"{request.model}: its deployment uploads input pictures, and FAL_REST_URL is not set."
            )

        async def send(image: InputImage) -> str:
            return await sent(image, how, self._settings.max_data_uri, self._storage)

        form = request.format or request.options.get("default_format")
        return await fill(template, replace(request, format=form), send)

    def _links_of(self, request: AttemptRequest, request_id: str) -> Links:
        return self._links.get(request_id) or Endpoint.of(request.target).links(request_id)


def _headers(request: AttemptRequest) -> dict[str, str]:
    """fal's platform headers: until when the call must have begun, and what the deployment's options say."""
    options, headers = request.options, {}
    if request.timeout > MIN_START_SECONDS:
        headers["X-Fal-Request-Timeout"] = f"{request.timeout:g}"
    if "priority" in options:
        headers["X-Fal-Queue-Priority"] = str(options["priority"])
    if options.get("retries") is False:
        headers["X-Fal-No-Retry"] = "1"
    if options.get("store_io") is False:
        headers["X-Fal-Store-IO"] = "0"
    if "keep_seconds" in options:
        kept = {"expiration_duration_seconds": options["keep_seconds"]}
        headers["X-Fal-Object-Lifecycle-Preference"] = json.dumps(kept)
    return headers


def _check_options(request: AttemptRequest) -> None:
    """Raises ProviderMisconfigured for an option whose value means nothing here: it would be ignored."""
    for name, allowed in OPTIONS.items():
        if name in request.options and not allowed(request.options[name]):
            raise ProviderMisconfigured(
                f"{request.model}: options.{name} of its deployment has a wrong value."
            )


def _remember(kept: OrderedDict[str, Any], request_id: str, value: Any) -> None:
    kept[request_id] = value
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)


FAL = Kind(
    FalSettings, FalProvider.traits, lambda settings, name, clock: FalProvider(settings, clock, name=name)
)
