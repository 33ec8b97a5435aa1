"""Webhooks serve as looks where they are signed; what is not signed is not believed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import web

from ferrotype.domain.clock import ManualClock, SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    Problem,
    ProviderUnavailable,
    Unauthorized,
)
from ferrotype.providers.base import (
    AttemptRequest,
    Hooked,
)
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.hosted.signatures import check_signature, signing_key
from ferrotype.providers.replicate import ReplicateProvider
from ferrotype.sim.options import Failure
from ferrotype.sim.replicate import ReplicateSim
from tests.providers.contract.rig import HostedRig, call, watch
from tests.providers.replicate.support import BY_MODEL, GET, TLS, connected

# Webhooks


class Receiver:
    """The gateway's door for webhooks: gives each to the provider, notes what it answered."""

    def __init__(self, provider: ReplicateProvider) -> None:
        self.provider = provider
        self.statuses: list[int] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Receiver:
        app = web.Application()
        app.router.add_post("/{attempt}", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def of(self, request: AttemptRequest) -> AttemptRequest:
        """The same order, with its webhooks sent here."""
        return replace(request, webhook_url=f"{self.url}/{request.attempt_id}")

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            await self.provider.hook(request.match_info["attempt"], headers, await request.read())
        except Problem as problem:
            self.statuses.append(problem.status)
            return web.Response(status=problem.status)
        self.statuses.append(204)
        return web.Response(status=204)


async def test_webhooks_serve_as_looks(rig: HostedRig, sim: ReplicateSim) -> None:
    never = Pace(first=3_600, cap=3_600)
    async with connected(sim, pace=never) as provider, Receiver(provider) as receiver:
        assert isinstance(provider, Hooked)
        rig.hold("end")
        request = receiver.of(rig.order())
        request_id = await provider.submit(request)
        body = sim.journal.of(BY_MODEL)[0].body
        assert body["webhook"] == request.webhook_url
        assert body["webhook_events_filter"] == ["start", "output", "logs", "completed"]
        await sim.hooks.wait(2)  # before anybody watches: the last of them is not lost
        rig.release()
        told = await watch(provider, request, request_id)
        await sim.hooks.wait(4)
    assert told.outputs
    assert told.finished.seconds is not None
    assert sim.journal.count(GET) == 0
    assert sim.journal.count("GET /v1/webhooks/default/secret") == 1
    assert set(receiver.statuses) == {204}
    assert [delivery.event for delivery in sim.hooks.delivered] == ["start", "logs", "output", "completed"]


async def test_a_webhook_that_is_not_https_is_left_out(rig: HostedRig) -> None:
    """Replicate refuses it; only a simulator without TLS takes one."""
    tls = (str(TLS / "cert.pem"), str(TLS / "key.pem"))
    async with ReplicateSim(tls=tls) as sim, connected(sim, ca_file=tls[0]) as provider:
        sim.script.webhooks = "lost"
        for scheme in ("http", "https"):
            told = await call(provider, rig.order(webhook_url=f"{scheme}://gateway.example.com/hook"))
            assert told.outputs
            wanted = provider.fetch_request(told.outputs[0].origin)
            assert wanted.tls is not None
        bodies = [entry.body for entry in sim.journal.of(BY_MODEL)]
    assert [body.get("webhook") for body in bodies] == [None, "https://gateway.example.com/hook"]


async def test_webhooks_that_are_lost_are_made_up_for(rig: HostedRig, sim: ReplicateSim) -> None:
    sim.script.webhooks = "lost"
    async with connected(sim) as provider, Receiver(provider) as receiver:
        told = await call(provider, receiver.of(rig.order()))
    assert told.outputs
    assert not receiver.statuses


async def test_forged_webhooks_are_refused_and_not_believed(rig: HostedRig, sim: ReplicateSim) -> None:
    sim.script.webhooks = "forged"
    async with connected(sim) as provider, Receiver(provider) as receiver:
        told = await call(provider, receiver.of(rig.order()))
        await sim.hooks.wait(1)
    assert told.outputs
    assert sim.journal.count(GET) > 0
    assert set(receiver.statuses) == {401}


async def test_a_webhook_about_another_prediction_only_wakes(rig: HostedRig, sim: ReplicateSim) -> None:
    rig.hold("run")
    async with connected(sim, pace=Pace(first=3_600, cap=3_600)) as provider:
        request = replace(rig.order(), webhook_url="https://gateway.example.com/hook")
        sim.script.webhooks = "lost"
        request_id = await provider.submit(request)
        await rig.held()
        sim.script.webhooks = "sent"
        watching = asyncio.ensure_future(watch(provider, request, request_id))
        await asyncio.sleep(0)
        for body in (
            b'{"id": "other", "status": "succeeded", "output": "https://a.example/x.png"}',
            b"no JSON",
        ):
            seen = sim.journal.count(GET)
            await provider.hook(request.attempt_id, sim.hooks.headers(body), body)
            await sim.journal.wait(GET, seen + 1)
        assert not watching.done()
        sim.script.webhooks = "lost"
        rig.release()
        await sim.works.idle()
        sim.script.webhooks = "sent"
        body = json.dumps(sim.shown(sim.works.items[request_id])).encode()
        await provider.hook(request.attempt_id, sim.hooks.headers(body), body)
        assert (await watching).outputs


async def test_a_webhook_that_nobody_waits_for_is_no_error(
    sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    await provider.hook(new_id(), sim.hooks.headers(b"{}"), b"{}")
    with pytest.raises(Unauthorized):
        await provider.hook(new_id(), {}, b"{}")


async def test_a_new_signing_secret_is_asked_for(sim: ReplicateSim) -> None:
    clock = SystemClock()
    manual = ManualClock(clock.now())
    async with connected(sim, manual) as provider:
        await provider.hook(new_id(), sim.hooks.headers(b"{}"), b"{}")
        sim.hooks.key = b"a new key of the account"
        with pytest.raises(Unauthorized):  # at once it is not asked again: anybody could make us ask
            await provider.hook(new_id(), sim.hooks.headers(b"{}"), b"{}")
        manual.advance(61)
        await provider.hook(new_id(), sim.hooks.headers(b"{}"), b"{}")
    assert sim.journal.count("GET /v1/webhooks/default/secret") == 2


@pytest.mark.parametrize("body", ['{"key": "whsec_"}', '{"key": "whsec_???"}', '{"secret": 1}', "[]"])
async def test_a_signing_secret_that_is_none(
    sim: ReplicateSim, provider: ReplicateProvider, body: str
) -> None:
    sim.script.failures.append(Failure("GET /v1/webhooks/default/secret", 200, body=body))
    with pytest.raises(ProviderUnavailable):
        await provider.hook(new_id(), sim.hooks.headers(b"{}"), b"{}")


def test_signatures() -> None:
    """The example of Replicate's and Svix's documentation, and what must not pass."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    clock = ManualClock()
    clock.advance(1614265330 - clock.now().timestamp())
    body = b'{"test": 2432232314}'
    good = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    check_signature(key, good, body, clock.now())
    several = f"v1a,zzzz v1,{'A' * 43}= v1,ümlaut {good['webhook-signature']}"
    check_signature(key, good | {"webhook-signature": several}, body, clock.now())
    for headers, text, seconds in (
        (good, body + b" ", 0),
        (good, body, 301),
        (good, body, -301),
        (good | {"webhook-id": "msg_other"}, body, 0),
        (good | {"webhook-timestamp": "1614265331"}, body, 0),
        (good | {"webhook-timestamp": "soon"}, body, 0),
        (good | {"webhook-timestamp": "²"}, body, 0),
        (good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}, body, 0),
        (good | {"webhook-signature": ""}, body, 0),
        ({}, body, 0),
    ):
        with pytest.raises(Unauthorized):
            check_signature(key, headers, text, clock.now() + timedelta(seconds=seconds))
    for secret in ("", "whsec_", "whsec_not base64"):
        with pytest.raises(ValueError, match="signing secret"):
            signing_key(secret)
