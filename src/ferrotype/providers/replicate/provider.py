"""The Replicate provider: the port's calls, told as stories."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, ClassVar, Final
from urllib.parse import quote

import aiohttp

from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    Unauthorized,
)
from ferrotype.providers.base import (
    AttemptRequest,
    FetchRequest,
    Finished,
    Found,
    Health,
    InputImage,
    Lookup,
    Traits,
    WatchEvent,
)
from ferrotype.providers.hosted.api import Api, Reply
from ferrotype.providers.hosted.outputs import data_uri
from ferrotype.providers.hosted.payload import Send, fill
from ferrotype.providers.hosted.polling import Bells, Pace
from ferrotype.providers.hosted.signatures import check_signature, signing_key
from ferrotype.providers.hosted.text import shown
from ferrotype.providers.replicate.prediction import PICTURE, agrees, is_prediction, path_of, time_of
from ferrotype.providers.replicate.settings import ReplicateSettings
from ferrotype.providers.replicate.story import REFUSED, Story
from ferrotype.providers.replicate.target import Options, Target

#: A larger input picture is uploaded first, in bytes; Replicate asks for that above 256 kB.
INLINE_BYTES: Final = 256_000
#: What `Cancel-After` takes at least, in seconds.
SHORTEST_DEADLINE: Final = 5
#: Seconds after its deadline when a prediction that should have been stopped is given up.
GRACE: Final = 30.0
EVENTS: Final = ("start", "output", "logs", "completed")
#: Looks for a prediction whose id was lost, and how many pages of 100 each of them reads.
LOOKS: Final = 4
PAGES: Final = 5
#: By how much Replicate's clock may be behind ours.
SKEW: Final = timedelta(seconds=60)
#: Seconds after which a wrong signature makes us ask for the signing secret again: it may be a new one.
SECRET_AGE: Final = 60.0
#: Predictions whose state at submit, and whose attempt, are kept in mind.
KEPT: Final = 1_000
RESETS: Final = re.compile(r"(?:resets|available) in ~?(\d+)")


class ReplicateProvider:
    """One Replicate account. Use it from one event loop; `close` it there."""

    traits: ClassVar = Traits(progress=True, cancel="yes", reattach=True, lookup=True, webhooks=True)

    def __init__(
        self, settings: ReplicateSettings, name: str, clock: Clock, pace: Pace | None = None
    ) -> None:
        """Raises ConfigError when the address is none."""
        self.name = name
        token = settings.token or ""
        self._api = Api(
            name,
            settings.base_url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            ca_file=settings.ca_file,
        )
        self._wait = settings.wait
        self._clock = clock
        self._pace = pace or Pace()
        self._bells = Bells()
        self._first: dict[str, dict[str, Any]] = {}  # predictions as their submit was answered, by id
        self._attempts: dict[str, str] = {}  # whose they are, by id
        self._key: tuple[bytes, float] | None = (
            None  # that webhooks are signed with, and since when we have it
        )
        self._fetching = asyncio.Lock()

    async def submit(self, request: AttemptRequest) -> str:
        """Upload what is large, create the prediction; its id."""
        target, options = Target.of(request), Options.of(request)
        wait = self._wait if options.wait is None else options.wait
        body: dict[str, Any] = {"input": await self._input(request, self._send)}
        if target.version is not None:
            body["version"] = target.version
        if (webhook := self._webhook_of(request)) is not None:
            body |= {"webhook": webhook, "webhook_events_filter": list(EVENTS)}
            self._bells.expect(request.attempt_id)
        headers = {"Cancel-After": f"{max(SHORTEST_DEADLINE, math.ceil(request.timeout))}s"}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        what = f"Asking for {request.target}"
        reply = await self._api.send(
            what,
            "POST",
            target.path,
            starts_work=True,
            json=body,
            headers=headers,
            read_timeout=wait + 60.0,
        )
        if not reply.ok:
            raise self._not_accepted(what, reply)
        prediction = self._api.decoded(what, reply, starts_work=True)
        if not is_prediction(prediction):
            raise OutcomeUnknown(f"{what}: {self.name}'s answer is no prediction.")
        request_id = str(prediction["id"])
        _keep(self._first, request_id, prediction)
        _keep(self._attempts, request_id, request.attempt_id)
        return request_id

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncIterator[WatchEvent]:
        """See the port. Looks back off; with webhooks they are rare, and each webhook serves as one."""
        story = Story(self.name, request, self._api.secrets)
        pauses = self._pace.seconds(hooked=self._webhook_of(request) is not None)
        patience = timedelta(seconds=max(request.timeout, SHORTEST_DEADLINE) + GRACE)
        prediction: Any = self._first.pop(request_id, None)
        silent_since: float | None = None
        with self._bells.of(request.attempt_id) as bell:
            while True:
                pause = next(pauses)
                if prediction is None:
                    try:
                        prediction = await self._look(request_id)
                    except (ProviderUnavailable, ProviderBusy) as problem:
                        now = self._clock.monotonic()
                        silent_since = now if silent_since is None else silent_since
                        pause = max(pause, problem.retry_after or 0.0)
                        if now + pause - silent_since > self._pace.patience:
                            raise
                if prediction is not None:
                    silent_since = None
                    for event in story.told_by(prediction):
                        yield event
                        if isinstance(event, Finished):
                            return
                    if self._clock.now() > self._born(request) + patience:
                        await self.cancel(request, request_id)
                        raise ProviderTimeout(f"{self.name} did not end it by its deadline; it was canceled.")
                rung = await bell.wait(pause)
                prediction = bell.word if rung and is_prediction(bell.word, request_id) else None
                bell.word = None

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """Look for the prediction among those since the attempt was made: by its webhook's address, which
        names the attempt, or by an input that is the same to the seed. Only one that fits is it. That none
        is listed proves nothing, so this never answers ABSENT."""
        try:
            sent = await self._input(request, _unsent)
            for pause in (0.0, *islice(self._pace.seconds(), LOOKS - 1)):
                await asyncio.sleep(pause)
                fits = [each for each in await self._since(request) if self._is_of(each, request, sent)]
                if fits:
                    return Found(str(fits[0]["id"])) if len(fits) == 1 else Lookup.UNKNOWN
        except ProviderUnavailable:
            raise
        except ProviderProblem as problem:
            raise ProviderUnavailable(problem.detail, retry_after=problem.retry_after) from None
        return Lookup.UNKNOWN

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """Stop it, waiting or running. Raises ProviderUnavailable, ProviderBusy or ProviderMisconfigured when
        it cannot be asked."""
        what = f"Canceling at {self.name}"
        reply = await self._api.send(what, "POST", f"{path_of(request_id)}/cancel")
        if not reply.ok and reply.status != 404:
            problem = self._api.refused(what, reply)
            if not isinstance(problem, ProviderRejected):  # it has ended
                raise problem
        self._bells.ring(request.attempt_id)

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """Pictures lie at replicate.delivery, open to all; only files of the API itself are shown the key."""
        if origin.provider != self.name or not origin.url.startswith(("http://", "https://")):
            raise ProviderFailed("That origin is not one of Replicate's.")
        if self._api.is_ours(origin.url):
            return FetchRequest(origin.url, dict(self._api.headers), trusted=True, tls=self._api.tls)
        return FetchRequest(origin.url)

    async def hook(self, attempt_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take a signed webhook: its body is the prediction. Raises ProviderUnavailable and its like when the
        signing secret cannot be had now; Replicate sends a webhook again that was not taken."""
        key, since = await self._signing_key()
        try:
            check_signature(key, headers, body, self._clock.now())
        except Unauthorized:
            if self._clock.monotonic() - since < SECRET_AGE:
                raise
            self._key = None
            key, _ = await self._signing_key()
            check_signature(key, headers, body, self._clock.now())
        try:
            word = json.loads(body)
        except ValueError:
            word = None
        self._bells.ring(attempt_id, word)

    async def health(self) -> Health:
        """Whose account the token opens; costs nothing."""
        try:
            account = await self._api.json("Checking the account", "GET", "/v1/account")
        except ProviderProblem as problem:
            return Health(ok=False, detail=problem.detail)
        username = account.get("username") if isinstance(account, dict) else None
        return Health(ok=True, detail=f"Replicate account {shown(username or 'of unknown name')}")

    async def close(self) -> None:
        """Let go of connections; predictions go on over there."""
        await self._api.close()

    # What is sent

    async def _input(self, request: AttemptRequest, send: Send) -> dict[str, Any]:
        options = Options.of(request)
        return await fill(options.input, replace(request, format=options.format_of(request)), send)

    async def _send(self, image: InputImage) -> str:
        """An input picture as a data URI, or the address of its upload."""
        data = await image.read()
        if len(data) <= INLINE_BYTES:
            return data_uri(data, image.content_type)
        form = aiohttp.FormData()
        filename = f"{image.sha256[:16]}.{image.content_type.rpartition('/')[2]}"
        form.add_field("content", data, filename=filename, content_type=image.content_type)
        what = f"Uploading an input picture to {self.name}"
        match await self._api.json(what, "POST", "/v1/files", data=form):
            case {"urls": {"get": str(url)}}:
                return url
        raise ProviderUnavailable(f"{what}: its answer names no address.")

    def _webhook_of(self, request: AttemptRequest) -> str | None:
        """Where it is told to call; Replicate refuses an order whose webhook is not https."""
        url = request.webhook_url
        if url is not None and (url.startswith("https://") or self._api.base.scheme == "http"):
            return url
        return None

    def _not_accepted(self, what: str, reply: Reply) -> ProviderProblem:
        problem = self._api.refused(what, reply, starts_work=True)
        if isinstance(problem, ProviderBusy) and problem.retry_after is None:
            resets = RESETS.search(reply.body[:4_000].decode("utf-8", "replace"))
            problem.retry_after = float(resets[1]) if resets else None
        if isinstance(problem, ProviderRejected):
            if b"Invalid version or not permitted" in reply.body:
                return ProviderMisconfigured(problem.detail)
            if REFUSED.search(problem.detail):
                return ProviderRefused(problem.detail)
        return problem

    # What is asked

    async def _look(self, request_id: str) -> dict[str, Any]:
        """The prediction as it is now. Raises OutcomeUnknown when the account has none of that id."""
        what = f"Asking {self.name} for the prediction"
        reply = await self._api.send(what, "GET", path_of(request_id))
        if reply.status == 404:
            raise OutcomeUnknown(f"{self.name} does not know the prediction (any more).")
        if not reply.ok:
            problem = self._api.refused(what, reply)
            # A key that is refused meanwhile says nothing about the prediction, which goes on.
            never = isinstance(problem, ProviderMisconfigured | ProviderRejected)
            raise ProviderUnavailable(problem.detail) if never else problem
        prediction = self._api.decoded(what, reply)
        if not is_prediction(prediction, request_id):
            raise ProviderUnavailable(f"{what}: its answer is no prediction.")
        assert isinstance(prediction, dict)
        return prediction

    async def _since(self, request: AttemptRequest) -> list[dict[str, Any]]:
        """The account's predictions since the attempt was made, the newest first."""
        since = self._born(request) - SKEW
        path: Any = f"/v1/predictions?created_after={quote(since.isoformat())}"
        found: list[dict[str, Any]] = []
        for _ in range(PAGES):
            page = await self._api.json(f"Listing predictions at {self.name}", "GET", path)
            if not isinstance(page, dict):
                break
            found += [each for each in page.get("results") or [] if is_prediction(each)]
            path = page.get("next")
            if not isinstance(path, str) or not self._api.is_ours(path):
                break
        times = [(each, time_of(each, "created_at")) for each in found]
        return [each for each, made in times if made is not None and made >= since]

    def _is_of(self, prediction: Mapping[str, Any], request: AttemptRequest, sent: Mapping[str, Any]) -> bool:
        if self._attempts.get(str(prediction["id"]), request.attempt_id) != request.attempt_id:
            return False
        kept, sought = prediction.get("webhook"), self._webhook_of(request)
        if kept is not None and sought is not None:
            return bool(kept == sought)
        is_same = Target.of(request).made(prediction) and agrees(sent, prediction.get("input"))
        return is_same and Options.of(request).seeded

    def _born(self, request: AttemptRequest) -> datetime:
        """When the attempt was made: its id, a UUIDv7, tells."""
        digits = request.attempt_id.replace("-", "")
        if len(digits) == 32 and digits[12] == "7":
            return datetime.fromtimestamp(int(digits[:12], 16) / 1000, UTC)
        return self._clock.now()

    async def _signing_key(self) -> tuple[bytes, float]:
        async with self._fetching:
            if self._key is None:
                what = f"Asking {self.name} for its signing secret"
                answer = await self._api.json(what, "GET", "/v1/webhooks/default/secret")
                try:
                    self._key = signing_key(str(answer["key"])), self._clock.monotonic()
                except (ValueError, KeyError, TypeError):
                    raise ProviderUnavailable(f"{what}: its answer is none.") from None
            return self._key


async def _unsent(_image: InputImage) -> object:
    return PICTURE


def _keep(kept: dict[str, Any], key: str, value: Any) -> None:
    kept[key] = value
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
