"""The Cog provider: the port's calls, told as stories. The package's text says how results get here."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, Final

from yarl import URL

from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderTimeout,
    ProviderUnavailable,
    Unauthorized,
)
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
from ferrotype.providers.cog.run import Run, Runs
from ferrotype.providers.cog.server import Seen, Server
from ferrotype.providers.cog.settings import CogSettings
from ferrotype.providers.cog.told import Told
from ferrotype.providers.hosted import api as hosted
from ferrotype.providers.hosted.outputs import as_data_uri
from ferrotype.providers.hosted.payload import fill
from ferrotype.providers.hosted.polling import Pace

#: The user in a webhook's address; the password is the call's own.
USER: Final = "cog"
#: For a deployment without an `input`: those of these that the server's schema knows.
USUAL: Final[dict[str, str]] = {
    "prompt": "{prompt}",
    "negative_prompt": "{negative_prompt}",
    "image": "{image}",
    "images": "{images}",
    "input_image": "{image}",
    "img": "{image}",
    "mask": "{mask}",
    "width": "{width}",
    "height": "{height}",
    "seed": "{seed}",
    "num_outputs": "{num_images}",
    "num_images": "{num_images}",
}


class CogProvider:
    """One Cog server. Use it from one event loop; `close` it there."""

    #: Without webhooks. With them a call can also be followed and looked up after a restart.
    traits: Traits = Traits(progress=True, cancel="yes", webhooks=True)

    def __init__(
        self, settings: CogSettings, clock: Clock, pace: Pace | None = None, *, name: str = "cog"
    ) -> None:
        """Raises ConfigError when the settings name no address."""
        self.name = name
        self._clock = clock
        self._pace = pace or Pace()
        self._server = Server(settings, name, clock)
        self._secret = settings.webhook_secret
        self._uploads = URL(settings.upload_url).origin() if settings.upload_url else None
        self._runs = Runs()
        if self._secret is not None:
            self.traits = Traits(progress=True, cancel="yes", reattach=True, lookup=True, webhooks=True)

    # Submitting

    async def submit(self, request: AttemptRequest) -> str:
        """See the port. Returns once the server is known to work on it, has a result already, or cannot be
        looked at and has refused nothing for a moment."""
        if self._runs.get(request.attempt_id) is not None:
            return request.attempt_id
        body: dict[str, Any] = {"input": await self._input(request)}
        if prefix := request.options.get("output_file_prefix"):
            body["output_file_prefix"] = prefix  # Python servers; later ones know `--upload-url` only
        run = self._runs.keep(request.attempt_id)
        try:
            if self._is_hooked(request) and await self._can_hook():
                await self._start(run, body | {"webhook": self._webhook(request)})
            else:
                run.held = asyncio.create_task(self._hold(run, body, request.timeout))
                await self._accepted(run)
        except OutcomeUnknown:
            if run.held is not None:
                self._runs.drop(run)  # else its webhook may come yet, or is here
            raise
        except BaseException:
            self._runs.drop(run)
            raise
        return request.attempt_id

    async def _can_hook(self) -> bool:
        """Whether webhooks surely bring the pictures; an open request does at any rate."""
        try:
            return await self._server.hooks_bring_pictures()
        except ProviderProblem:
            return False

    async def _start(self, run: Run, body: Mapping[str, Any]) -> None:
        what = "Starting a prediction"
        reply = await self._server.put(what, run.id, body, headers={"Prefer": "respond-async"})
        if not reply.ok:
            raise await self._server.refusal(what, reply)
        run.tell(self._server.api.decoded(what, reply, starts_work=True))

    async def _hold(self, run: Run, body: Mapping[str, Any], timeout: float) -> None:
        """Keep the request open until the result is here."""
        what = "Running a prediction"
        try:
            try:
                # A little longer than the watch waits, so that it is the one to speak.
                reply = await self._server.put(what, run.id, body, read_timeout=timeout + 10)
            except OutcomeUnknown:
                run.cut = True
                raise
            if not reply.ok:
                run.cut = reply.status in (502, 504)
                raise await self._server.refusal(what, reply)
            if reply.status == 202:
                raise OutcomeUnknown(f"{what}: {self.name} already works on it for somebody else.")
            run.tell(self._server.api.decoded(what, reply, starts_work=True))
            if not run.ended:
                raise OutcomeUnknown(f"{what}: {self.name}'s answer is no result.")
        except ProviderProblem as problem:
            run.fail(problem)

    async def _accepted(self, run: Run) -> None:
        """Return when the server has it. Raises its refusal."""
        for pause in self._pace.seconds():
            await run.bell.wait(pause)
            if run.problem is not None:
                raise run.problem
            if run.ended or await self._look_quietly(run) is not Seen.ABSENT:
                return

    async def _input(self, request: AttemptRequest) -> Mapping[str, Any]:
        """The model's inputs: by the deployment's template, else the usual ones that its schema knows."""
        template = request.options.get("input")
        if template is None:
            known = (await self._server.inputs()).get("properties", {})
            if not known:
                raise ProviderMisconfigured(
                    f"{self.name} tells no schema of its inputs: write options.input for {request.model}."
                )
            own = {name: f"{{params.{name}}}" for name in request.params}
            template = {name: value for name, value in (USUAL | own).items() if name in known}
        return await fill(template, request, as_data_uri)

    # Watching

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent]:
        """See the port."""
        run = self._runs.get(request_id)
        if run is None and not self._is_hooked(request):
            await self._free(request_id)
            raise AttemptLost(f"The request that was to bring {self.name}'s result is gone.")
        run = run or self._runs.keep(request_id)
        told = Told(self.name, self._clock, self._pace, hooked=run.held is None)
        try:
            yield Started()  # Cog has no queue: what it accepts, it works on
            while True:
                for event in told.events(run.state):
                    yield event
                if run.ended:
                    yield told.finished(run)
                    break
                await self._next(run, request, told)
        except ProviderProblem:
            self._runs.drop(run)
            raise
        self._runs.drop(run)

    async def _next(self, run: Run, request: AttemptRequest, told: Told) -> None:
        """Return when there may be more to tell. Raises the port's problems."""
        left = told.left(request.timeout)
        if left <= 0:
            await self._free(run.id)
            raise ProviderTimeout(f"{self.name} had no result after {request.timeout:.0f} seconds.")
        if await run.bell.wait(min(told.pause(), left)) or run.ended:
            return
        if run.held is not None:
            await self._look_quietly(run)
            return
        try:
            seen = await self._server.look(run)
            lost = seen is Seen.HIDDEN and not await self._server.hooks_bring_pictures()
            if seen is Seen.HIDDEN and await self._server.is_idle():
                seen = Seen.ABSENT
        except ProviderProblem as problem:
            if told.for_long("out of reach", True, problem.retry_after or 0.0):
                raise ProviderUnavailable(problem.detail, retry_after=problem.retry_after) from None
            return
        told.for_long("out of reach", False)
        if lost:
            await self._free(run.id)
            raise AttemptLost(f"The request that was to bring {self.name}'s result is gone.")
        if seen is Seen.ABSENT and run.canceled:
            raise ProviderInterrupted(f"{self.name} was told to stop.")
        if told.for_long("absent", seen is Seen.ABSENT):
            raise AttemptLost(
                f"{self.name} no longer works on it and its webhook with the result did not come: it was"
                " restarted, or cannot reach our public URL."
            )

    async def _look_quietly(self, run: Run) -> Seen:
        """A look while an open request tells the truth anyway."""
        try:
            return await self._server.look(run)
        except ProviderProblem:
            return Seen.ABSENT

    async def _free(self, request_id: str) -> None:
        """Free the slot of a call whose result nobody will get."""
        with suppress(ProviderProblem):
            await self._server.cancel(request_id)

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """See the port. Without webhooks nothing could bring the result: UNKNOWN. With them ABSENT says that
        it is not under way and that its result did not come; Cog keeps nothing of it and charges nothing."""
        if not self._is_hooked(request):
            return Lookup.UNKNOWN
        run = self._runs.keep(request.attempt_id)
        try:
            seen = await self._server.look(run)
        except ProviderProblem as problem:
            raise ProviderUnavailable(problem.detail, retry_after=problem.retry_after) from None
        if seen is Seen.ABSENT and not run.state:
            await run.bell.wait(self._pace.patience)  # its webhook may be on its way
        if run.state:
            return Found(request.attempt_id)
        self._runs.drop(run)
        return Lookup.ABSENT if seen is Seen.ABSENT else Lookup.UNKNOWN

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """See the port. Raises ProviderUnavailable when the server cannot be told."""
        run = self._runs.get(request_id)
        if run is not None:
            run.canceled = True
        await self._server.cancel(request_id)

    # Webhooks

    def _is_hooked(self, request: AttemptRequest) -> bool:
        return self._secret is not None and request.webhook_url is not None

    def _webhook(self, request: AttemptRequest) -> str:
        """The webhook's address with a password that only the server it is given to can know."""
        url = URL(request.webhook_url or "").with_user(USER)
        return str(url.with_password(self._password(request.attempt_id)))

    def _password(self, attempt_id: str) -> str:
        return hmac.new((self._secret or "").encode(), attempt_id.encode(), "sha256").hexdigest()

    async def hook(self, attempt_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """See the port. A body that is no state of that call is passed over."""
        pair = base64.b64encode(f"{USER}:{self._password(attempt_id)}".encode()).decode()
        given = headers.get("authorization", "")
        if self._secret is None or not hmac.compare_digest(given.encode(), f"Basic {pair}".encode()):
            raise Unauthorized(f"The webhook does not carry the password that {self.name} was given for it.")
        if len(body) > hosted.MAX_REPLY:
            detail = f"{self.name} sent a result of more than {hosted.MAX_REPLY} bytes."
            self._runs.keep(attempt_id).fail(ProviderFailed(detail))
            return
        try:
            state = json.loads(body)
        except ValueError:
            return
        if isinstance(state, Mapping) and state.get("id") == attempt_id:
            self._runs.keep(attempt_id).tell(state)

    # The rest of the port

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """Pictures that Cog uploaded, or that a model gave the address of."""
        api = self._server.api
        if origin.provider != self.name:
            raise ProviderFailed("That origin is not one of this Cog server's.")
        if api.is_ours(origin.url):
            return FetchRequest(origin.url, dict(api.headers), trusted=True, tls=api.tls)
        with suppress(ValueError):
            if self._uploads is not None and URL(origin.url).origin() == self._uploads:
                return FetchRequest(origin.url, trusted=True)
        return FetchRequest(origin.url)

    async def health(self) -> Health:
        """The server's version and state; costs nothing."""
        try:
            facts = await self._server.health()
        except ProviderProblem as problem:
            return Health(ok=False, detail=problem.detail)
        return Health(ok=facts["status"] in ("READY", "BUSY"), detail=self._server.words(facts))

    async def close(self) -> None:
        """Let go of connections. Cog stops what runs for an open request."""
        await self._runs.close()
        await self._server.api.close()
