"""fal: what is its own about orders, states, errors, files, webhooks; on its simulator."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ferrotype.config import ConfigError, load
from ferrotype.domain.clock import Clock, ManualClock, SystemClock
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    Unauthorized,
)
from ferrotype.providers.base import AttemptRequest, Hooked, Lookup, Progress, Queued, Started
from ferrotype.providers.fal import FAL, FalProvider, FalSettings
from ferrotype.providers.fal.endpoint import Endpoint
from ferrotype.providers.fal.results import pictures_of
from ferrotype.providers.hosted.polling import Pace
from ferrotype.sim.fal import FalScript, FalSim, Signer
from ferrotype.sim.options import Failure
from tests.providers.contract.rig import KEY, bytes_of, call, picture, png, watch
from tests.providers.contract.rigs.fal import BASE, EDIT, INPUT, PACE

SUBMIT = "POST /{endpoint}"
STATUS = "GET /{app}/requests/{id}/status"
STREAM = "GET /{app}/requests/{id}/status/stream"
RESULT = "GET /{app}/requests/{id}"
CANCEL = "PUT /{app}/requests/{id}/cancel"
INITIATE = "POST /rest/storage/upload/initiate"
JWKS = "GET /rest/.well-known/jwks.json"
ATTEMPT = BASE.attempt_id


@pytest.fixture
async def sim() -> AsyncIterator[FalSim]:
    async with FalSim(FalScript(key=KEY)) as simulator:
        yield simulator


@asynccontextmanager
async def opened(
    sim: FalSim, *, clock: Clock | None = None, pace: Pace = PACE, **settings: Any
) -> AsyncIterator[FalProvider]:
    known = {"api_key": KEY, "base_url": sim.url, "rest_url": sim.rest_url} | settings
    provider = FalProvider(FalSettings(**known), clock or SystemClock(), pace)
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def fal(sim: FalSim) -> AsyncIterator[FalProvider]:
    async with opened(sim) as provider:
        yield provider


def order(**changes: Any) -> AttemptRequest:
    return replace(BASE, **changes)


def with_options(**options: Any) -> AttemptRequest:
    return order(options={"input": INPUT} | options)


def failing(sim: FalSim, route: str, status: int, body: Any = "", times: int = 1, **headers: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/plain" if isinstance(body, str) else "application/json"
    told = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    sim.script.failures.append(Failure(route, status, times, text, headers=told))


@dataclass
class Hostile:
    """A host that is not fal's; what it is asked is noted."""

    url: str
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    async def hear(request: web.Request) -> web.Response:
        host.heard.append((f"{request.method} {request.path}", dict(request.headers), await request.read()))
        return web.json_response({"status": "COMPLETED", "images": [{"url": "http://10.0.0.1/x.png"}]})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = Hostile(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield host
    await runner.cleanup()


# Settings


def test_settings_are_those_of_fals_own_clients() -> None:
    settings = load(FalSettings, {"FAL_KEY": "id:secret"})
    assert settings.configured
    assert settings.queue_url == "https://queue.fal.run"
    assert settings.storage_url == "https://rest.fal.ai"
    settings = load(FalSettings, {"FAL_RUN_HOST": "fal.example:8443"})
    assert not settings.configured
    assert settings.queue_url == "https://queue.fal.example:8443"
    hosts = {"FAL_RUN_HOST": "fal.example", "FAL_QUEUE_RUN_HOST": "lines.example"}
    assert load(FalSettings, hosts).queue_url == "https://lines.example"
    hosts["FAL_BASE_URL"] = "http://127.0.0.1:9/fal"
    assert load(FalSettings, hosts).queue_url == "http://127.0.0.1:9/fal"


@pytest.mark.parametrize(
    ("environ", "storage"),
    [
        ({}, "https://rest.fal.ai"),
        ({"FAL_RUN_HOST": "eu.fal.run"}, "https://rest.fal.ai"),
        ({"FAL_BASE_URL": "https://queue.fal.run"}, "https://rest.fal.ai"),
        ({"FAL_BASE_URL": "https://proxy.example/fal"}, None),
        ({"FAL_RUN_HOST": "fal.example"}, None),
        ({"FAL_QUEUE_RUN_HOST": "queue.notfal.run"}, None),
        (
            {"FAL_BASE_URL": "https://proxy.example/fal", "FAL_REST_URL": "https://r.example"},
            "https://r.example",
        ),
    ],
)
def test_a_proxy_s_key_is_not_shown_to_fal(environ: dict[str, str], storage: str | None) -> None:
    assert load(FalSettings, environ).storage_url == storage


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FAL_RUN_HOST", "https://fal.run"),
        ("FAL_QUEUE_RUN_HOST", "queue.fal.run/path"),
        ("FAL_BASE_URL", "queue.fal.run"),
        ("FAL_REST_URL", "ftp://rest.fal.ai"),
    ],
)
def test_an_address_of_the_wrong_form_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        load(FalSettings, {variable: value})


def test_the_kind_makes_a_provider_of_that_name() -> None:
    provider = FAL.make(FalSettings(api_key=KEY), "fal-two", SystemClock())
    assert provider.name == "fal-two"
    assert isinstance(provider, Hooked)
    assert provider.traits.webhooks


@pytest.mark.parametrize(
    ("target", "path", "app"),
    [
        ("fal-ai/flux", "/fal-ai/flux", "/fal-ai/flux"),
        ("fal-ai/flux/dev/image-to-image", "/fal-ai/flux/dev/image-to-image", "/fal-ai/flux"),
        ("fal-ai/flux-pro/v1.1", "/fal-ai/flux-pro/v1.1", "/fal-ai/flux-pro"),
        ("workflows/me/portrait", "/workflows/me/portrait", "/workflows/me/portrait"),
        ("comfy/me/flow/run", "/comfy/me/flow/run", "/comfy/me/flow"),
        ("110602490-lora", "/110602490/lora", "/110602490/lora"),
    ],
)
def test_addresses_of_a_request_drop_what_follows_the_app(target: str, path: str, app: str) -> None:
    endpoint = Endpoint.of(target)
    assert (endpoint.path, endpoint.app) == (path, app)
    links = endpoint.links("r1")
    assert links.result == f"{app}/requests/r1"
    assert links.status == f"{app}/requests/r1/status"
    assert links.stream == f"{app}/requests/r1/status/stream"
    assert links.cancel == f"{app}/requests/r1/cancel"


@pytest.mark.parametrize(
    "target", ["", "flux", "fal-ai//dev", "fal-ai/../keys", "a/b?x=1", "workflows/me", "a/b#c"]
)
async def test_a_target_that_is_no_app_is_a_fault_of_configuration(
    sim: FalSim, fal: FalProvider, target: str
) -> None:
    with pytest.raises(ProviderMisconfigured):
        await fal.submit(order(target=target))
    assert not sim.journal.entries


# Orders


async def test_an_order_as_it_goes_out(sim: FalSim, fal: FalProvider) -> None:
    request_id = await fal.submit(order(timeout=90.0))
    (entry,) = sim.journal.of(SUBMIT)
    assert entry.path == "/fal-ai/flux/schnell"
    assert entry.query == ""
    assert entry.body == {
        "prompt": "a red fox",
        "image_size": {"width": 64, "height": 48},
        "seed": 7,
        "num_images": 1,
        "num_inference_steps": 4,
        "output_format": "png",
    }
    assert entry.headers["authorization"] == f"Key {KEY}"
    assert entry.headers["x-fal-request-timeout"] == "90"
    for header in ("x-fal-queue-priority", "x-fal-no-retry", "x-fal-store-io"):
        assert header not in entry.headers
    assert list(sim.calls) == [request_id]


async def test_options_become_platform_headers(sim: FalSim, fal: FalProvider) -> None:
    await fal.submit(with_options(priority="low", retries=False, store_io=False, keep_seconds=3600))
    (entry,) = sim.journal.of(SUBMIT)
    assert entry.headers["x-fal-queue-priority"] == "low"
    assert entry.headers["x-fal-no-retry"] == "1"
    assert entry.headers["x-fal-store-io"] == "0"
    told = json.loads(entry.headers["x-fal-object-lifecycle-preference"])
    assert told == {"expiration_duration_seconds": 3600}


@pytest.mark.parametrize(
    "options",
    [
        {"input": "a text"},
        {"priority": "high"},
        {"priority": "low\r\nX-Evil: 1"},
        {"retries": "no"},
        {"store_io": 0},
        {"keep_seconds": "1 day"},
        {"keep_seconds": -1},
        {"inputs": "ftp"},
        {"default_format": 1},
        {"usd_per_unit": "0.025"},
        {"usd_per_unit": True},
        {"stream": "yes"},
    ],
)
async def test_an_option_of_a_wrong_kind_is_said_and_nothing_sent(
    sim: FalSim, fal: FalProvider, options: dict[str, Any]
) -> None:
    with pytest.raises(ProviderMisconfigured, match=next(iter(options))):
        await fal.submit(with_options(**options))
    assert not sim.journal.entries


async def test_a_format_that_nobody_named_is_the_deployment_s(sim: FalSim, fal: FalProvider) -> None:
    options = {"input": INPUT | {"output_format": "{format}"}, "default_format": "png"}
    for form in (None, "jpeg"):
        await fal.submit(order(options=options, format=form))
    assert [entry.body["output_format"] for entry in sim.journal.of(SUBMIT)] == ["png", "jpeg"]


async def test_a_key_out_of_a_file_may_end_with_its_line(sim: FalSim) -> None:
    async with opened(sim, api_key=f"{KEY}\n") as fal:
        assert (await call(fal, order())).outputs


async def test_a_deployment_without_input_is_said(fal: FalProvider) -> None:
    with pytest.raises(ProviderMisconfigured, match=r"flux/schnell.*options\.input"):
        await fal.submit(order(options={}))


@pytest.mark.parametrize(
    ("status", "body", "problem", "words"),
    [
        (401, {"detail": "Invalid key"}, ProviderMisconfigured, "refused our key (401)"),
        (
            403,
            {"detail": "User is locked. Reason: Exhausted balance."},
            ProviderMisconfigured,
            "Exhausted balance",
        ),
        (404, {"detail": 'Application "x" not found'}, ProviderMisconfigured, "not found"),
        (400, {"detail": "Bad header", "error_type": "bad_request"}, ProviderRejected, "Bad header"),
        (
            422,
            {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]},
            ProviderRefused,
            "flagged",
        ),
        (500, {"detail": "Internal Server Error"}, OutcomeUnknown, "500"),
        (200, {"status": "IN_QUEUE"}, OutcomeUnknown, "names no request"),
        (200, {"request_id": "../../keys"}, OutcomeUnknown, "names no request"),
        (200, ["no object"], OutcomeUnknown, "names no request"),
        (302, "", ProviderMisconfigured, "302"),
    ],
)
async def test_answers_to_an_order(
    sim: FalSim, fal: FalProvider, status: int, body: Any, problem: type[Problem], words: str
) -> None:
    failing(sim, SUBMIT, status, body)
    with pytest.raises(problem) as caught:
        await fal.submit(order())
    assert words in caught.value.detail
    assert type(caught.value) is problem


async def test_an_app_that_fal_does_not_have(sim: FalSim, fal: FalProvider) -> None:
    with pytest.raises(ProviderMisconfigured, match="not found"):
        await fal.submit(order(target="nobody/nothing"))
    assert sim.works.created == 0


async def test_a_lost_call_cannot_be_looked_up(fal: FalProvider) -> None:
    assert await fal.lookup(order()) is Lookup.UNKNOWN
    assert not fal.traits.lookup
    assert not fal.traits.idempotent


# States


async def test_a_call_by_stream_costs_three_requests(sim: FalSim, fal: FalProvider) -> None:
    told = await call(fal, order())
    assert [entry.route for entry in sim.journal.entries] == [SUBMIT, STREAM, RESULT]
    (stream,) = sim.journal.of(STREAM)
    assert stream.path.startswith("/fal-ai/flux/requests/")
    assert stream.query == "logs=1"
    (output,) = told.outputs
    assert (output.width, output.height, output.seed, output.content_type) == (64, 48, 7, "image/png")


async def test_states_are_told_once_each(sim: FalSim, fal: FalProvider) -> None:
    sim.script.slots, sim.script.hold = 1, "run"
    first, second, third = [await fal.submit(order()) for _ in range(3)]
    async with aclosing(fal.watch(order(), third)) as events:
        assert await anext(events) == Queued(2)
        sim.works.release(first)
        assert await anext(events) == Queued(1)
        sim.works.release(second)
        assert await anext(events) == Started()
        assert await anext(events) == Progress(0.25)
        sim.works.release(third)
        rest = [event async for event in events]
    assert not [event for event in rest if isinstance(event, Queued | Started)]
    fractions = [event.fraction for event in rest if isinstance(event, Progress)]
    assert fractions == sorted(set(fractions))


@pytest.mark.parametrize("how", ["no stream there", "switched off", "switched off here", "it breaks"])
async def test_without_a_stream_fal_is_asked(sim: FalSim, how: str) -> None:
    sim.script.hold = "run"
    sim.script.streams = how != "no stream there"
    sim.script.stream_breaks = int(how == "it breaks")
    options = {"stream": False} if how == "switched off here" else {}
    request = with_options(**options)
    async with opened(sim, stream=how != "switched off") as fal:
        request_id = await fal.submit(request)
        await sim.works.held()
        watching = asyncio.ensure_future(watch(fal, request, request_id))
        await sim.journal.wait(STATUS, 2)
        sim.release()
        told = await watching
    assert told.outputs
    assert sim.journal.count(STREAM) == (0 if how.startswith("switched off") else 1)
    assert {entry.query for entry in sim.journal.of(STATUS)} == {"logs=1"}
    assert told.progress[0] == 0.25
    assert told.finished.seconds is not None


async def test_a_stream_without_end_is_left(
    sim: FalSim, fal: FalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.providers.hosted.api.MAX_REPLY", 10_000)
    sim.script.failures.append(
        Failure(STREAM, 200, body=f"data: {'x' * 20_000}", headers={"Content-Type": "text/event-stream"})
    )
    assert (await call(fal, order())).outputs
    assert sim.journal.count(STATUS) >= 1


async def test_a_stream_that_makes_no_sense_is_left(sim: FalSim, fal: FalProvider) -> None:
    sim.script.failures.append(
        Failure(STREAM, 200, body="data: [1, 2\n\n", headers={"Content-Type": "text/event-stream"})
    )
    assert (await call(fal, order())).outputs
    assert sim.journal.count(STATUS) >= 1


async def test_a_call_that_goes_back_into_the_queue_starts_once(sim: FalSim) -> None:
    """A runner that breaks makes fal queue the call again."""
    states = [
        {"status": "IN_PROGRESS", "logs": None},
        {"status": "IN_QUEUE", "queue_position": 3},
        {"status": "UNHEARD_OF"},
    ]
    async with opened(sim, stream=False) as fal:
        request_id = await fal.submit(order())
        for state in states:
            failing(sim, STATUS, 202, state)
        told = await watch(fal, order(), request_id)
    assert told.of(Queued) == []
    assert told.of(Started) == [Started()]
    assert told.outputs


async def test_the_time_it_took(sim: FalSim, fal: FalProvider) -> None:
    told = await call(fal, order())
    (work,) = sim.works.items.values()
    assert told.finished.seconds == work.seconds
    sim.script.metrics = False  # apps of old do not tell: then what the model says itself
    told = await call(fal, order())
    assert told.finished.seconds == list(sim.works.items.values())[1].seconds


@pytest.mark.parametrize(("height", "units"), [(1024, 1), (1040, 2)])  # a begun megapixel counts whole
async def test_dollars_are_what_fal_bills(sim: FalSim, fal: FalProvider, height: int, units: int) -> None:
    sim.script.picture_side = 64
    request = replace(with_options(usd_per_unit=0.003), width=1024, height=height, num_images=2)
    assert (await call(fal, request)).finished.usd == pytest.approx(2 * units * 0.003)
    assert (await call(fal, replace(request, options={"input": INPUT}))).finished.usd is None


async def test_without_units_the_dollars_are_the_catalogue_s(sim: FalSim, fal: FalProvider) -> None:
    result = {"images": [{"url": f"{sim.url}/outputs/x/0.png"}]}
    for units in ({}, {"X_Fal_Billable_Units": "many"}, {"X_Fal_Billable_Units": "nan"}):
        failing(sim, RESULT, 200, result, **units)
        assert (await call(fal, with_options(usd_per_unit=0.003))).finished.usd is None


# Ends


def error(kind: str, message: str = "words of fal") -> dict[str, Any]:
    return {"detail": [{"loc": ["body", "prompt"], "msg": message, "type": kind, "input": "a secret prompt"}]}


def request_error(kind: str) -> dict[str, Any]:
    return {"detail": "words of fal", "error_type": kind}


@pytest.mark.parametrize(
    ("status", "body", "headers", "problem"),
    [
        (422, error("missing"), {}, ProviderRejected),
        (422, error("content_policy_violation"), {}, ProviderRefused),
        (400, error("content_policy_violation"), {}, ProviderRefused),
        (422, error("image_too_small"), {}, ProviderRejected),
        (422, error("no_media_generated"), {}, ProviderFailed),
        (400, error("downstream_service_error"), {}, ProviderFailed),
        (500, error("internal_server_error"), {}, ProviderFailed),
        (504, error("generation_timeout"), {}, ProviderTimeout),
        (429, error("downstream_service_unavailable"), {}, ProviderFailed),
        (422, {"detail": "words of fal"}, {}, ProviderRejected),
        (500, {"detail": "words of fal"}, {}, ProviderFailed),
        (503, request_error("runner_disconnected"), {}, ProviderFailed),
        (504, request_error("request_timeout"), {}, ProviderTimeout),
        (504, request_error("startup_timeout"), {}, AttemptLost),
        (503, request_error("runner_scheduling_failure"), {}, AttemptLost),
        (503, request_error("runner_connection_refused"), {}, AttemptLost),
        (503, request_error("runner_connection_error"), {}, ProviderFailed),
        (502, request_error("runner_incomplete_response"), {}, ProviderFailed),
        (499, request_error("client_cancelled"), {}, ProviderInterrupted),
        (499, {"detail": "words of fal"}, {}, ProviderInterrupted),
        (504, {"detail": "words of fal"}, {"X_Fal_Request_Timeout_Type": "user"}, ProviderTimeout),
        (503, {"detail": "words of fal"}, {"X_Fal_Error_Type": "request_timeout"}, ProviderTimeout),
        (404, {"detail": "Path /words of fal not found"}, {}, ProviderRejected),
    ],
)
async def test_errors_of_a_result(
    sim: FalSim,
    fal: FalProvider,
    status: int,
    body: Any,
    headers: dict[str, str],
    problem: type[Problem],
) -> None:
    failing(sim, RESULT, status, body, **headers)
    with pytest.raises(problem) as caught:
        await call(fal, order())
    assert type(caught.value) is problem
    assert "words of fal" in caught.value.detail
    assert "secret prompt" not in caught.value.detail
    assert sim.works.created == 1


async def test_wrong_input_is_said_by_the_app_not_by_the_queue(sim: FalSim, fal: FalProvider) -> None:
    request = with_options(input=INPUT | {"num_inference_steps": 99})
    with pytest.raises(ProviderRejected, match=r"num_inference_steps: .*less than or equal to 12"):
        await call(fal, request)
    assert sim.works.created == 0


async def test_a_path_that_the_app_does_not_have(fal: FalProvider) -> None:
    with pytest.raises(ProviderRejected, match="Path /turbo not found"):
        await call(fal, order(target="fal-ai/flux/turbo"))


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, {"detail": "Request is still in progress"}, {}),
        (502, "<html><body>nginx</body></html>", {}),
        (503, "", {}),
        (429, {"detail": "Too many requests"}, {"Retry_After": "0"}),
        (401, {"detail": "Invalid key"}, {}),
        (404, {"detail": "Request not found"}, {}),
        (200, "no JSON", {}),
    ],
)
@pytest.mark.parametrize("route", [RESULT, STATUS])
async def test_what_passes_is_asked_again(
    sim: FalSim, route: str, status: int, body: Any, headers: dict[str, str]
) -> None:
    failing(sim, route, status, body, **headers)
    async with opened(sim, stream=False) as fal:
        assert (await call(fal, order())).outputs
    assert sim.journal.count(route) >= 2
    assert sim.works.created == 1


async def test_a_request_that_fal_forgot_may_have_run(sim: FalSim, fal: FalProvider) -> None:
    request_id = await fal.submit(order())
    sim.script.forgotten = True
    with pytest.raises(OutcomeUnknown, match="may have run"):
        await watch(fal, order(), request_id)


async def test_a_key_that_was_withdrawn_meanwhile_leaves_the_call_open(sim: FalSim, fal: FalProvider) -> None:
    request_id = await fal.submit(order())
    sim.script.key = "another"
    with pytest.raises(ProviderUnavailable, match="refused our key"):
        await watch(fal, order(), request_id)
    sim.script.key = KEY
    assert (await watch(fal, order(), request_id)).outputs


async def test_a_retry_after_beyond_our_patience_is_told_at_once(sim: FalSim, fal: FalProvider) -> None:
    failing(sim, RESULT, 429, {"detail": "slow down"}, Retry_After="120")
    request_id = await fal.submit(order())
    with pytest.raises(ProviderBusy) as caught:
        await watch(fal, order(), request_id)
    assert caught.value.retry_after == 120
    assert (await watch(fal, order(), request_id)).outputs


# Pictures


async def test_pictures_that_the_safety_checker_blackened_are_not_passed_on(
    sim: FalSim, fal: FalProvider
) -> None:
    sim.script.nsfw = 1
    told = await call(fal, order(num_images=3))
    assert [output.index for output in told.outputs] == [1, 2]
    assert isinstance(told.finished.problem, ProviderRefused)
    assert "1 of 3" in told.finished.problem.detail
    assert told.finished.seconds is not None
    pictures = [await bytes_of(fal, output) for output in told.outputs]
    assert pictures[0] != pictures[1]


async def test_when_all_were_blackened_it_is_a_refusal(sim: FalSim, fal: FalProvider) -> None:
    sim.script.nsfw = 2
    with pytest.raises(ProviderRefused, match="2 of 2"):
        await call(fal, order(num_images=2))


def test_results_in_all_their_forms() -> None:
    address = "https://v3.fal.media/files/a/b.png"
    one = {"url": address, "width": 64, "height": 48, "content_type": "image/png"}
    for result in (
        {"images": [one], "seed": 3},
        {"image": one, "seed": 3},
        {"images": one, "seed": 3},
        {"output": [one], "seed": 3},
    ):
        (output,), problem = pictures_of(result, "fal")
        assert output.origin is not None
        assert output.origin.url == address
        assert (output.width, output.height, output.seed, problem) == (64, 48, 3, None)
    (output,), _ = pictures_of({"images": [address]}, "fal")
    assert output.origin is not None
    (output,), _ = pictures_of(
        {"image": {"url": "data:image/png;base64,aGk=", "width": 0, "height": None}}, "fal"
    )
    assert (output.data, output.content_type, output.width) == (b"hi", "image/png", None)
    (output,), _ = pictures_of({"images": [one], "seed": True, "has_nsfw_concepts": [False]}, "fal")
    assert output.seed is None
    (output,), _ = pictures_of({"images": [one], "seed": 18_007_395_797_655_263_000}, "fal")
    assert output.seed is None  # no column holds it
    with pytest.raises(ProviderRefused):
        pictures_of({"images": [one], "has_nsfw_concepts": True}, "fal")
    (_, second), _ = pictures_of({"images": [one, one], "seed": 3}, "fal")
    assert second.seed is None  # fal does not tell what it was made with


@pytest.mark.parametrize(
    "result", [{}, {"images": []}, {"image": None}, [], None, "words", {"video": {"url": 1}}]
)
def test_a_result_without_a_picture_is_a_failure(result: Any) -> None:
    with pytest.raises(ProviderFailed, match="without a picture"):
        pictures_of(result, "fal")


# Input pictures


async def test_a_small_picture_travels_in_the_order(sim: FalSim, fal: FalProvider) -> None:
    await call(fal, order(**EDIT, images=(picture(),)))
    (entry,) = sim.journal.of(SUBMIT)
    assert entry.body["image_url"] == "data:image/png;base64," + base64.b64encode(png()).decode()
    assert not sim.storage.files


async def test_a_large_one_is_uploaded_first_for_a_day(sim: FalSim) -> None:
    async with opened(sim, max_data_uri=10) as fal:
        told = await call(fal, order(**EDIT, images=(picture(),)))
    assert told.outputs
    (file,) = sim.storage.files.values()
    assert (file.data, file.content_type) == (png(), "image/png")
    assert file.name.endswith(".png")
    assert file.lifecycle == {"expiration_duration_seconds": 86_400}
    (entry,) = sim.journal.of(SUBMIT)
    assert entry.body["image_url"] == f"{sim.url}/files/{file.id}/{file.name}"


@pytest.mark.parametrize(("how", "limit"), [("data", 0), ("upload", 1_000_000)])
async def test_a_deployment_may_choose(sim: FalSim, how: str, limit: int) -> None:
    options = EDIT["options"] | {"inputs": how}
    async with opened(sim, max_data_uri=limit) as fal:
        await fal.submit(order(**EDIT | {"options": options}, images=(picture(),)))
    (entry,) = sim.journal.of(SUBMIT)
    assert entry.body["image_url"].startswith("data:") == (how == "data")


async def test_without_a_storage_they_travel_in_the_order(sim: FalSim) -> None:
    """Behind a proxy: nothing but the configured address is ever asked."""
    async with opened(sim, rest_url=None, max_data_uri=0) as fal:
        assert (await call(fal, order(**EDIT, images=(picture(),)))).outputs
        health = await fal.health()
        assert health.ok
        assert "inside the orders" in health.detail
        await fal.hook(ATTEMPT, {}, b"{}")  # nobody can tell whose it is: it wakes, and no more
        options = EDIT["options"] | {"inputs": "upload"}
        with pytest.raises(ProviderMisconfigured, match="FAL_REST_URL"):
            await fal.submit(order(**EDIT | {"options": options}, images=(picture(),)))
    assert not [entry for entry in sim.journal.entries if entry.path.startswith("/rest/")]
    assert len(sim.journal.of(SUBMIT)) == 1


async def test_image_and_mask_go_their_own_ways(sim: FalSim, fal: FalProvider) -> None:
    template = INPUT | {"image_url": "{image}", "mask_url": "{mask}"}
    mask = picture(png(8, 8))
    request = order(
        target="fal-ai/flux-lora/inpainting",
        options={"input": template},
        images=(picture(),),
        mask=mask,
    )
    assert (await call(fal, request)).outputs
    (entry,) = sim.journal.of(SUBMIT)
    assert base64.b64decode(entry.body["mask_url"].partition(",")[2]) == await mask.read()


@pytest.mark.parametrize(
    ("route", "status", "problem"),
    [
        (INITIATE, 500, ProviderUnavailable),
        (INITIATE, 429, ProviderBusy),
        (INITIATE, 401, ProviderMisconfigured),
        (INITIATE, 200, ProviderUnavailable),  # and no address in it
        ("PUT /rest/uploads/{file}", 500, ProviderUnavailable),
        ("PUT /rest/uploads/{file}", 413, ProviderRejected),
        ("PUT /rest/uploads/{file}", 0, ProviderUnavailable),
    ],
)
async def test_a_failed_upload_is_surely_no_order(
    sim: FalSim, route: str, status: int, problem: type[Problem]
) -> None:
    failing(sim, route, status, {}, times=-1)
    async with opened(sim, max_data_uri=0) as fal:
        with pytest.raises(problem):
            await fal.submit(order(**EDIT, images=(picture(),)))
    assert sim.journal.count(SUBMIT) == 0


# Our key


async def test_addresses_on_another_host_are_not_followed(
    sim: FalSim, fal: FalProvider, hostile: Hostile
) -> None:
    sim.script.links_host = hostile.url
    told = await call(fal, order())
    assert told.outputs[0].origin is not None
    assert told.outputs[0].origin.url.startswith(sim.url)
    sim.script.hold = "queue"
    request_id = await fal.submit(order())
    await fal.cancel(order(), request_id)
    assert sim.calls[request_id].state == "COMPLETED"
    assert not hostile.heard


async def test_addresses_on_another_host_are_not_followed_when_asking(sim: FalSim, hostile: Hostile) -> None:
    sim.script.links_host, sim.script.streams = hostile.url, False
    async with opened(sim) as fal:
        assert (await call(fal, order())).outputs
    assert not hostile.heard


async def test_a_redirect_does_not_carry_the_key_away(
    sim: FalSim, fal: FalProvider, hostile: Hostile
) -> None:
    for route in (SUBMIT, STREAM, STATUS, RESULT):
        failing(sim, route, 307, "", Location=f"{hostile.url}/x")
    with pytest.raises(ProviderMisconfigured):
        await fal.submit(order())
    assert (await call(fal, order())).outputs
    assert not hostile.heard


async def test_addresses_of_our_host_are_used_as_they_are(sim: FalSim, fal: FalProvider) -> None:
    """fal asks not to build them; only a process that did not hear them does."""
    sim.script.links_host = f"{sim.url}/else"
    request_id = await fal.submit(order())
    with pytest.raises(ProviderUnavailable):
        await watch(fal, order(), request_id)
    assert all(entry.path.startswith("/else/fal-ai/") for entry in sim.journal.entries[1:])
    async with opened(sim) as reborn:
        assert (await watch(reborn, order(), request_id)).outputs


async def test_an_upload_is_not_sent_into_our_own_network(sim: FalSim, hostile: Hostile) -> None:
    sim.script.links_host = hostile.url
    async with opened(sim, max_data_uri=0) as fal:
        with pytest.raises(ProviderUnavailable, match="address of no use"):
            await fal.submit(order(**EDIT, images=(picture(),)))
    assert not hostile.heard
    assert sim.journal.count(SUBMIT) == 0


async def test_an_upload_to_fals_bucket_goes_without_our_key(
    sim: FalSim, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.net.guard.refusal", lambda _address: None)  # as if it were out there
    sim.script.links_host = hostile.url
    async with opened(sim, max_data_uri=0) as fal:
        await fal.submit(order(**EDIT, images=(picture(),)))
    ((route, headers, body),) = hostile.heard
    assert route.startswith("PUT /rest/uploads/")
    assert body == png()
    assert KEY not in repr(headers)
    assert "Authorization" not in headers


# Cancelling


async def test_what_waits_is_taken_out_of_the_queue(sim: FalSim, fal: FalProvider) -> None:
    sim.script.slots, sim.script.hold = 1, "run"
    first, second = [await fal.submit(order()) for _ in range(2)]
    await sim.works.held()
    await fal.cancel(order(), second)
    with pytest.raises(ProviderInterrupted):
        await watch(fal, order(), second)
    sim.release()
    assert (await watch(fal, order(), first)).outputs
    assert sim.works.created == 1


async def test_a_running_call_stops_where_the_model_listens(sim: FalSim, fal: FalProvider) -> None:
    sim.script.hold, sim.script.stops_running = "run", True
    request_id = await fal.submit(order())
    await sim.works.held()
    await fal.cancel(order(), request_id)
    with pytest.raises(ProviderInterrupted, match="cancelled by the client"):
        await watch(fal, order(), request_id)


async def test_a_running_call_goes_on_where_it_does_not(sim: FalSim, fal: FalProvider) -> None:
    sim.script.hold = "run"
    request_id = await fal.submit(order())
    await sim.works.held()
    await fal.cancel(order(), request_id)
    sim.release()
    assert (await watch(fal, order(), request_id)).outputs
    assert fal.traits.cancel == "queued"


async def test_what_we_stopped_and_fal_forgot_was_stopped(sim: FalSim, fal: FalProvider) -> None:
    sim.script.hold = "queue"
    request_id = await fal.submit(order())
    await fal.cancel(order(), request_id)
    sim.script.forgotten = True
    with pytest.raises(ProviderInterrupted, match="took the call out"):
        await watch(fal, order(), request_id)


async def test_a_cancel_that_could_not_be_told_is_a_problem(sim: FalSim, fal: FalProvider) -> None:
    sim.script.hold = "queue"
    request_id = await fal.submit(order())
    failing(sim, CANCEL, 502)
    with pytest.raises(ProviderUnavailable):
        await fal.cancel(order(), request_id)
    await fal.cancel(order(), request_id)


# Webhooks

HOOKED = order(webhook_url=f"https://us.example.com/v1/hooks/fal/{ATTEMPT}?a=b&c=d")


def signed(signer: Signer, told: dict[str, Any], **changes: Any) -> tuple[dict[str, str], bytes]:
    body = json.dumps(told).encode()
    headers = signer.headers(told.get("request_id", ""), body, **changes)
    return {name.lower(): value for name, value in headers.items()}, body


def ended(request_id: str, payload: Any = None, status: str = "OK") -> dict[str, Any]:
    image = {"url": "https://v3.fal.media/files/x/y.png", "width": 64, "height": 48}
    ids = {"request_id": request_id, "gateway_request_id": request_id}
    return {
        **ids,
        "status": status,
        "payload": {"images": [image], "seed": 7} if payload is None else payload,
    }


@pytest.fixture
async def waiting(sim: FalSim) -> AsyncIterator[FalProvider]:
    """A provider that would ask only once a day."""
    async with opened(sim, stream=False, pace=Pace(first=0.01, cap=86_400.0, patience=0.4)) as provider:
        yield provider


async def test_the_order_names_the_address_of_webhooks(sim: FalSim, fal: FalProvider) -> None:
    sim.script.hold = "queue"
    request_id = await fal.submit(HOOKED)
    assert sim.calls[request_id].webhook == HOOKED.webhook_url


async def test_a_signed_webhook_brings_the_result_along(sim: FalSim, waiting: FalProvider) -> None:
    sim.script.hold = "end"
    request_id = await waiting.submit(HOOKED)
    watching = asyncio.ensure_future(watch(waiting, HOOKED, request_id))
    await sim.journal.wait(STATUS)
    await sim.works.held()
    sim.release()
    await sim.works.idle()
    await waiting.hook(ATTEMPT, *signed(sim.signer, ended(request_id)))
    told = await watching
    assert told.outputs[0].origin is not None
    assert told.outputs[0].origin.url == "https://v3.fal.media/files/x/y.png"
    assert told.finished.seconds is not None
    assert sim.journal.count(RESULT) == 0


async def test_where_the_price_is_by_units_a_webhook_only_makes_us_ask(
    sim: FalSim, waiting: FalProvider
) -> None:
    """They stand in the headers of the result, and not in a webhook."""
    hooked = replace(HOOKED, options=HOOKED.options | {"usd_per_unit": 0.003})
    request_id = await waiting.submit(hooked)
    await sim.works.idle()
    await waiting.hook(ATTEMPT, *signed(sim.signer, ended(request_id)))
    told = await watch(waiting, hooked, request_id)
    assert told.finished.usd == pytest.approx(0.003)
    assert told.finished.seconds is not None
    assert sim.journal.count(RESULT) == 1


async def test_a_webhook_ends_a_stream_that_says_nothing(sim: FalSim, fal: FalProvider) -> None:
    sim.script.hold = "end"
    request_id = await fal.submit(HOOKED)
    watching = asyncio.ensure_future(watch(fal, HOOKED, request_id))
    await sim.works.held()
    await sim.journal.wait(STREAM)
    await fal.hook(ATTEMPT, *signed(sim.signer, ended(request_id)))
    assert (await watching).outputs
    assert sim.journal.count(RESULT) == 0


async def test_a_webhook_that_comes_before_the_watch_is_not_lost(sim: FalSim, waiting: FalProvider) -> None:
    request_id = await waiting.submit(HOOKED)
    await sim.works.idle()
    await waiting.hook(ATTEMPT, *signed(sim.signer, ended(request_id)))
    assert (await watch(waiting, HOOKED, request_id)).outputs
    assert sim.journal.count(RESULT) == 0


@pytest.mark.parametrize(
    "told",
    [
        {"payload": None, "payload_error": "not serializable"},
        {"status": "ERROR", "payload": {"detail": []}, "error": "Invalid status code: 422"},
        {"request_id": "somebody-else-s"},
        {"status": None},
    ],
)
async def test_a_webhook_that_does_not_bring_the_result_makes_us_ask(
    sim: FalSim, waiting: FalProvider, told: dict[str, Any]
) -> None:
    """Also one of another request: whoever has an account at fal can have it signed."""
    sim.script.hold = "end"
    request_id = await waiting.submit(HOOKED)
    watching = asyncio.ensure_future(watch(waiting, HOOKED, request_id))
    await sim.journal.wait(STATUS)
    await sim.works.held()
    sim.release()
    await sim.works.idle()
    await waiting.hook(ATTEMPT, *signed(sim.signer, ended(request_id) | told))
    result = await watching
    assert sim.journal.count(RESULT) == 1
    assert result.outputs[0].origin is not None
    assert result.outputs[0].origin.url.startswith(sim.url)


@pytest.mark.parametrize(
    "wrong", ["signature", "body", "old", "new", "no time", "header", "user", "other key", "none"]
)
async def test_a_webhook_that_is_not_fals_is_refused(sim: FalSim, fal: FalProvider, wrong: str) -> None:
    now = int(SystemClock().now().timestamp())
    signer = Signer() if wrong == "other key" else sim.signer
    headers, body = signed(
        signer, ended("r1"), timestamp={"old": now - 301, "new": now + 302}.get(wrong, now)
    )
    match wrong:
        case "signature":
            headers["x-fal-webhook-signature"] = "zz"
        case "body":
            body = body.replace(b"y.png", b"z.png")
        case "no time":
            headers["x-fal-webhook-timestamp"] = "9" * 5_000
        case "header":
            del headers["x-fal-webhook-request-id"]
        case "user":
            headers["x-fal-webhook-user-id"] = "somebody"
        case "none":
            headers = {}
    with pytest.raises(Unauthorized):
        await fal.hook(ATTEMPT, headers, body)


async def test_a_refused_webhook_wakes_nobody(sim: FalSim, waiting: FalProvider) -> None:
    sim.script.hold = "end"
    request_id = await waiting.submit(HOOKED)
    watching = asyncio.ensure_future(watch(waiting, HOOKED, request_id))
    await sim.journal.wait(STATUS)
    with pytest.raises(Unauthorized):
        await waiting.hook(ATTEMPT, *signed(Signer(), ended(request_id)))
    await sim.journal.wait(JWKS)
    assert not watching.done()
    assert sim.journal.count(STATUS) == 1
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_while_fals_keys_cannot_be_had_a_webhook_only_makes_us_ask(
    sim: FalSim, waiting: FalProvider
) -> None:
    failing(sim, JWKS, 503, times=-1)
    sim.script.hold = "end"
    request_id = await waiting.submit(HOOKED)
    watching = asyncio.ensure_future(watch(waiting, HOOKED, request_id))
    await sim.journal.wait(STATUS)
    await sim.works.held()
    sim.release()
    await sim.works.idle()
    await waiting.hook(ATTEMPT, {}, json.dumps(ended(request_id)).encode())
    told = await watching
    assert told.outputs[0].origin is not None
    assert told.outputs[0].origin.url.startswith(sim.url)


async def test_keys_are_kept_for_a_day_and_asked_for_anew_when_they_change(sim: FalSim) -> None:
    clock = ManualClock(SystemClock().now())
    async with opened(sim, clock=clock) as fal:

        async def hook(signer: Signer) -> None:
            await fal.hook(ATTEMPT, *signed(signer, ended("r1"), timestamp=int(clock.now().timestamp())))

        for _ in range(3):
            await hook(sim.signer)
        assert sim.journal.count(JWKS) == 1
        sim.signer = Signer()
        with pytest.raises(Unauthorized):  # they were asked for a moment ago
            await hook(sim.signer)
        assert sim.journal.count(JWKS) == 1
        clock.advance(61)
        await hook(sim.signer)
        assert sim.journal.count(JWKS) == 2
        clock.advance(86_401)
        await hook(sim.signer)
        assert sim.journal.count(JWKS) == 3
        failing(sim, JWKS, 500)
        clock.advance(86_401)
        await hook(sim.signer)  # keys of yesterday are better than none
        assert sim.journal.count(JWKS) == 4


@pytest.mark.parametrize(
    "keys",
    [
        {
            "keys": [
                {"kty": "RSA", "x": "AQAB"},
                {"kty": "OKP", "x": "short"},
                {"x": 5},
                "text",
                {"kty": "OKP"},
            ]
        },
        {"keys": "none"},
        [],
    ],
)
async def test_a_key_set_of_other_things_is_none(sim: FalSim, fal: FalProvider, keys: Any) -> None:
    failing(sim, JWKS, 200, keys)
    await fal.hook(ATTEMPT, {}, b"{}")  # nobody can tell, and nobody waits


# Health


async def test_health_tells_a_wrong_key_from_a_host_that_is_not_there(sim: FalSim, fal: FalProvider) -> None:
    assert (await fal.health()).detail == "the queue answers and takes our key"
    sim.script.key = "another"
    health = await fal.health()
    assert not health.ok
    assert "refused our key" in health.detail
    sim.script.key = KEY
    failing(sim, "POST /rest/storage/auth/token", 401, {"detail": "Invalid key"})
    assert not (await fal.health()).ok
    failing(sim, "POST /rest/storage/auth/token", 403, {"detail": "not allowed"})
    health = await fal.health()
    assert health.ok
    assert "cannot be uploaded" in health.detail
    failing(sim, STATUS, 422, {"detail": "Invalid request id"})  # it answers, and that is the question
    assert (await fal.health()).ok
    failing(sim, STATUS, 503)
    assert not (await fal.health()).ok
    await sim.close_door()
    health = await fal.health()
    assert not health.ok
    assert "cannot be reached" in health.detail
    assert not sim.calls


# The simulator itself


async def test_the_simulated_queue_expires_what_did_not_start(sim: FalSim) -> None:
    sim.script.hold, sim.script.key = "queue", None
    headers = {"X-Fal-Request-Timeout": "0.15"}
    async with aiohttp.ClientSession(sim.url, headers=headers) as session:
        async with session.post("/fal-ai/flux/dev", json={"prompt": "x"}) as response:
            told = await response.json()
        await sim.works.idle()
        async with session.get(told["response_url"]) as response:
            assert response.status == 504
            assert response.headers["X-Fal-Error-Type"] == "request_timeout"
            assert response.headers["X-Fal-Request-Timeout-Type"] == "user"
        async with session.post("/fal-ai/flux", headers={"X-Fal-Request-Timeout": "soon"}) as response:
            assert response.status == 400


@pytest.mark.parametrize(
    ("endpoint", "arguments", "field", "kind"),
    [
        ("fal-ai/flux/schnell", {}, "prompt", "missing"),
        ("fal-ai/flux/schnell", {"prompt": 5}, "prompt", "string_type"),
        ("fal-ai/flux/schnell", {"prompt": "x", "num_images": 5}, "num_images", "less_than_equal"),
        ("fal-ai/flux/schnell", {"prompt": "x", "seed": "7"}, "seed", "int_type"),
        ("fal-ai/flux/schnell", {"prompt": "x", "sync_mode": "yes"}, "sync_mode", "bool_type"),
        ("fal-ai/flux/schnell", {"prompt": "x", "image_size": "huge"}, "image_size", "literal_error"),
        ("fal-ai/flux/schnell", {"prompt": "x", "output_format": "webp"}, "output_format", "literal_error"),
        ("fal-ai/esrgan", {"image_url": "https://x.example/y.png"}, "image_url", "file_download_error"),
        (
            "fal-ai/esrgan",
            {"image_url": "data:image/png;base64,aGk=", "scale": 9},
            "scale",
            "less_than_equal",
        ),
    ],
)
async def test_the_simulated_apps_look_at_their_input(
    sim: FalSim, endpoint: str, arguments: dict[str, Any], field: str, kind: str
) -> None:
    headers = {"Authorization": f"Key {KEY}"}
    async with (
        aiohttp.ClientSession(sim.url, headers=headers) as session,
        session.post(f"/run/{endpoint}", json=arguments) as response,
    ):
        assert response.status == 422
        (wrong,) = (await response.json())["detail"]
    assert wrong["loc"] == ["body", field]
    assert wrong["type"] == kind


async def test_whoever_goes_away_stops_a_synchronous_call(sim: FalSim) -> None:
    sim.script.hold = "run"
    headers = {"Authorization": f"Key {KEY}"}
    async with aiohttp.ClientSession(sim.url, headers=headers) as session:
        posting = asyncio.ensure_future(session.post("/run/fal-ai/flux/dev", json={"prompt": "x"}))
        await sim.works.held()
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
    await sim.works.idle()
    assert [work.state for work in sim.works.items.values()] == ["canceled"]
