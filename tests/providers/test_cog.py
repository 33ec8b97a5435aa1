"""What is special about Cog: the open request, looks that start nothing, webhooks with a password, health."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from ferrotype.config import ConfigError
from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import ManualClock, SystemClock
from ferrotype.domain.ids import new_id
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
from ferrotype.providers.base import AttemptRequest, Finished, Hooked, Lookup, Output, Progress, Started
from ferrotype.providers.cog import CogProvider, CogSettings
from ferrotype.providers.cog.run import KEPT, Run, Runs
from ferrotype.providers.cog.server import Seen
from ferrotype.providers.cog.told import Told
from ferrotype.providers.connections import load_connections
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.registry import KINDS
from ferrotype.sim.cog import CogScript, CogSim
from ferrotype.sim.hosted import Fault
from ferrotype.sim.options import Failure
from tests.providers.contract.rig import Told as Watched
from tests.providers.contract.rig import call, closing, watch

ROUTE = "PUT /predictions/{id}"
SECRET = "a long text of our own"
PACE = Pace(first=0.05, cap=0.05, patience=0.2)
BASE = AttemptRequest(
    attempt_id=new_id(),
    operation="generate",
    target="painter",
    model="me/painter",
    prompt="a red fox",
    width=32,
    height=24,
    seed=7,
    options={
        "input": {
            "prompt": "{prompt}",
            "width": "{width}",
            "height": "{height}",
            "num_outputs": "{num_images}",
            "seed": "{seed}",
        }
    },
)


def order(**changes: Any) -> AttemptRequest:
    return replace(BASE, attempt_id=new_id(), **changes)


@pytest.fixture
async def sim() -> AsyncIterator[CogSim]:
    async with CogSim(CogScript(webhook_interval=0.0, webhook_backoff=0.01)) as made:
        yield made


def provider_of(sim: CogSim, pace: Pace = PACE, **settings: Any) -> CogProvider:
    return CogProvider(CogSettings(url=sim.url, **settings), SystemClock(), pace)


@pytest.fixture
async def provider(sim: CogSim) -> AsyncIterator[CogProvider]:
    async with closing(provider_of(sim)) as made:
        assert isinstance(made, CogProvider)
        yield made


async def held(sim: CogSim, provider: CogProvider, request: AttemptRequest, place: str = "run") -> str:
    """Submits it; returns when its work is parked."""
    sim.script.hold = place  # type: ignore[assignment]
    request_id = await provider.submit(request)
    await sim.works.held()
    return request_id


def release(sim: CogSim) -> None:
    sim.release()


def orders(sim: CogSim) -> list[Any]:
    """The bodies of the PUTs that could start work."""
    return [entry.body for entry in sim.journal.of(ROUTE) if entry.body["input"] != []]


def looks(sim: CogSim) -> list[Any]:
    return [entry.body for entry in sim.journal.of(ROUTE) if entry.body["input"] == []]


# The open request


async def test_the_order_is_one_put_and_looks_are_inputs_that_no_schema_allows(
    sim: CogSim, provider: CogProvider
) -> None:
    request = order()
    request_id = await held(sim, provider, request)
    assert orders(sim) == [
        {"input": {"prompt": "a red fox", "width": 32, "height": 24, "num_outputs": 1, "seed": 7}}
    ]
    assert looks(sim)
    release(sim)
    assert (await watch(provider, request, request_id)).outputs
    assert len(orders(sim)) == 1
    assert sim.works.created == 1


async def test_pictures_of_an_iterator_come_while_it_works(sim: CogSim, provider: CogProvider) -> None:
    sim.script.outputs, sim.script.steps = "stream", 4
    request = order(num_images=4)
    request_id = await held(sim, provider, request, "end")
    told: list[Any] = []
    async with aclosing(provider.watch(request, request_id)) as events:
        async for event in events:
            told.append(event)
            if isinstance(event, Output) and event.index == 2:
                assert not sim.works.items[request_id].ended
                release(sim)
    watched = Watched(told)
    assert [output.index for output in watched.outputs] == [0, 1, 2, 3]
    assert len({output.data for output in watched.outputs}) == 4
    assert watched.finished.problem is None


async def test_a_failure_after_some_pictures_keeps_them(sim: CogSim, provider: CogProvider) -> None:
    sim.script.outputs, sim.script.steps = "stream", 4
    sim.script.faults = [Fault("error", "CUDA out of memory")]
    request = order(num_images=4)
    request_id = await held(sim, provider, request, "end")
    seen = asyncio.Event()

    async def following() -> Watched:
        told = []
        async for event in provider.watch(request, request_id):
            told.append(event)
            if isinstance(event, Output):
                seen.set()
        return Watched(told)

    watching = asyncio.ensure_future(following())
    await seen.wait()
    release(sim)
    told = await watching
    assert len(told.outputs) >= 3
    assert isinstance(told.finished.problem, ProviderFailed)
    assert "out of memory" in told.finished.problem.detail


async def test_one_file_that_is_no_list(sim: CogSim, provider: CogProvider) -> None:
    sim.script.outputs = "one"
    told = await call(provider, order())
    assert [output.index for output in told.outputs] == [0]


async def test_a_connection_that_breaks_loses_the_call(sim: CogSim, provider: CogProvider) -> None:
    request = order()
    request_id = await held(sim, provider, request)
    watching = asyncio.ensure_future(watch(provider, request, request_id))
    await sim.close_door()
    with pytest.raises(AttemptLost, match="keeps no result"):
        await watching
    assert sim.works.items[request_id].state == "canceled"  # nobody waited for it
    assert len(orders(sim)) == 1  # aiohttp would send a PUT again by itself


@pytest.mark.parametrize(
    ("status", "body", "problem", "words"),
    [
        (504, "<html>Gateway Time-out</html>", AttemptLost, "a proxy between may have a time-out"),
        (502, "", AttemptLost, "keeps no result"),
        (500, "Internal Server Error", OutcomeUnknown, "Internal Server Error"),
        (500, '{"detail": "1 validation error for Output"}', ProviderFailed, "validation error"),
        (200, '{"status": "processing"}', OutcomeUnknown, "is no result"),
        (200, '{"status": "succ', OutcomeUnknown, "cannot be read"),
    ],
)
async def test_an_answer_instead_of_the_result(
    sim: CogSim, provider: CogProvider, status: int, body: str, problem: type[Problem], words: str
) -> None:
    sim.script.schema = False  # no looks, which would get that answer first
    sim.script.failures = [Failure(ROUTE, status, after=True, body=body)]
    request = order()
    request_id = await held(sim, provider, request)
    release(sim)
    with pytest.raises(problem, match=words) as caught:
        await watch(provider, request, request_id)
    assert "<" not in caught.value.detail


async def test_a_call_that_is_hung_is_stopped(sim: CogSim, provider: CogProvider) -> None:
    sim.script.hang_times = 1
    request = order(timeout=0.3)
    request_id = await provider.submit(request)
    with pytest.raises(ProviderTimeout):
        await watch(provider, request, request_id)
    await sim.works.items[request_id].end()
    assert sim.works.items[request_id].state == "canceled"


async def test_a_submit_that_is_given_up_stops_the_work(sim: CogSim) -> None:
    async with closing(provider_of(sim, Pace(first=30, cap=30))) as provider:
        sim.script.hold = "run"
        submitting = asyncio.ensure_future(provider.submit(order()))
        (work_id,) = await sim.works.held()
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        await sim.works.items[work_id].end()
    assert sim.works.items[work_id].state == "canceled"


async def test_closing_the_provider_stops_the_work(sim: CogSim) -> None:
    async with closing(provider_of(sim)) as provider:
        assert isinstance(provider, CogProvider)
        request_id = await held(sim, provider, order())
    await sim.works.items[request_id].end()
    assert sim.works.items[request_id].state == "canceled"


async def test_a_call_of_another_process_is_lost_and_its_slot_freed(sim: CogSim) -> None:
    async with closing(provider_of(sim)) as provider, closing(provider_of(sim)) as other:
        assert isinstance(provider, CogProvider)
        request = order()
        request_id = await held(sim, provider, request)
        with pytest.raises(AttemptLost):
            await watch(other, request, request_id)
        assert sim.works.items[request_id].state == "canceled"
        assert await other.lookup(request) is Lookup.UNKNOWN
        with pytest.raises(ProviderInterrupted):
            await watch(provider, request, request_id)


async def test_the_same_call_of_another_process_is_told(sim: CogSim) -> None:
    async with closing(provider_of(sim)) as provider, closing(provider_of(sim)) as other:
        assert isinstance(provider, CogProvider)
        request = order()
        request_id = await held(sim, provider, request)
        assert await provider.submit(request) == request_id
        with pytest.raises(OutcomeUnknown, match="for somebody else"):
            await other.submit(request)
        release(sim)
        assert (await watch(provider, request, request_id)).outputs
        assert sim.works.created == 1


async def test_a_server_without_a_schema_is_not_looked_at(sim: CogSim, provider: CogProvider) -> None:
    sim.script.schema = False
    request = order()
    request_id = await held(sim, provider, request)
    assert not looks(sim)
    release(sim)
    told = await watch(provider, request, request_id)
    assert told.outputs
    assert not looks(sim)


async def test_a_server_that_checks_first_is_looked_at_once(sim: CogSim, provider: CogProvider) -> None:
    """A Python server's 422 does not tell whether a prediction of that id is under way."""
    request = order()
    body = '{"detail":[{"type":"model_attributes_type","loc":["body","input"],"msg":"no dictionary"}]}'
    sim.script.failures = [Failure(ROUTE, 422, times=1, body=body)]
    run = Run(request.attempt_id)
    assert await provider._server.look(run) is Seen.HIDDEN
    assert await provider._server.look(run) is Seen.HIDDEN
    assert sim.journal.count(ROUTE) == 1


# Slots


async def test_no_slot_free_is_busy(sim: CogSim, provider: CogProvider) -> None:
    first = order()
    first_id = await held(sim, provider, first)
    with pytest.raises(ProviderBusy, match="no slot free"):
        await provider.submit(order())
    assert len(orders(sim)) == 2  # it was asked once
    release(sim)
    assert (await watch(provider, first, first_id)).outputs
    assert (await call(provider, order())).outputs
    assert sim.works.created == 2


@pytest.mark.parametrize("late", [1, 2])
async def test_a_slot_that_is_left_a_moment_later_is_waited_for(
    sim: CogSim, provider: CogProvider, late: int
) -> None:
    sim.script.late_slots = late
    assert (await call(provider, order())).outputs
    assert sim.works.created == 1
    assert len(orders(sim)) == late + 1


async def test_a_server_that_says_both_full_and_ready_is_busy(sim: CogSim, provider: CogProvider) -> None:
    sim.script.late_slots = 50
    with pytest.raises(ProviderBusy):
        await provider.submit(order())
    assert len(orders(sim)) == 3


@pytest.mark.parametrize(
    ("health", "problem", "words"),
    [
        ("STARTING", ProviderBusy, "Setup has not finished yet"),
        ("SETUP_FAILED", ProviderMisconfigured, "could not be set up: worker setup failed"),
        ("DEFUNCT", ProviderUnavailable, "must be restarted"),
        ("UNHEALTHY", ProviderUnavailable, "not well: Healthcheck error"),
    ],
)
async def test_what_a_server_that_cannot_work_says(
    sim: CogSim, provider: CogProvider, health: Any, problem: type[Problem], words: str
) -> None:
    sim.script.health = health
    with pytest.raises(problem, match=words):
        await provider.submit(order())
    assert sim.works.created == 0
    told = await provider.health()
    assert not told.ok
    assert told.detail.startswith("Cog 0.23.1: ")


async def test_a_worker_that_dies(sim: CogSim, provider: CogProvider) -> None:
    request = order()
    request_id = await held(sim, provider, request)
    watching = asyncio.ensure_future(watch(provider, request, request_id))
    sim.crash()
    with pytest.raises(ProviderFailed, match="Worker crashed"):
        await watching


async def test_wrong_inputs_are_named(sim: CogSim, provider: CogProvider) -> None:
    with pytest.raises(ProviderRejected, match=r"body\.input\.width: 99999 is greater than the maximum"):
        await provider.submit(order(width=99_999))
    assert sim.works.created == 0


# Inputs


async def test_without_a_template_the_schema_says_what_it_takes(sim: CogSim, provider: CogProvider) -> None:
    request = order(options={}, negative_prompt="dogs", params={"output_format": "webp", "steps": 4})
    assert (await call(provider, request)).outputs[0].content_type == "image/webp"
    (body,) = orders(sim)
    assert body["input"] == {
        "prompt": "a red fox",
        "negative_prompt": "dogs",
        "width": 32,
        "height": 24,
        "seed": 7,
        "num_outputs": 1,
        "output_format": "webp",
    }


async def test_without_template_and_schema_nothing_is_sent(sim: CogSim, provider: CogProvider) -> None:
    sim.script.schema = False
    with pytest.raises(ProviderMisconfigured, match=r"options\.input for me/painter"):
        await provider.submit(order(options={}))
    assert sim.journal.count(ROUTE) == 0


async def test_a_prefix_for_files_goes_along(sim: CogSim, provider: CogProvider) -> None:
    options = {**BASE.options, "output_file_prefix": "http://10.0.0.9/pictures/"}
    await call(provider, order(options=options))
    assert orders(sim)[0]["output_file_prefix"] == "http://10.0.0.9/pictures/"


# Endings


@pytest.mark.parametrize(
    ("error", "problem", "words"),
    [
        ("Prediction failed: Prediction failed: ValueError: no", ProviderFailed, "cog: ValueError: no"),
        ("", ProviderFailed, "cog: the model failed and says nothing."),
        ("NSFW content detected. Try running it again.", ProviderRefused, "cog: NSFW content detected."),
        ("Exception: Blocked by the safety checker", ProviderRefused, "cog: Exception: Blocked"),
        ("The input was flagged as sensitive (E005)", ProviderRefused, "cog: The input was flagged"),
        ("<html><body>Oops</body></html>", ProviderFailed, "cog: the model failed and says nothing."),
    ],
)
def test_failures_in_words(error: str, problem: type[Problem], words: str) -> None:
    run = Run("x")
    run.tell({"id": "x", "status": "failed", "error": error})
    with pytest.raises(problem) as caught:
        told().finished(run)
    assert type(caught.value) is problem
    assert caught.value.detail.startswith(words)


def told() -> Told:
    return Told("cog", ManualClock(), PACE, hooked=False)


@pytest.mark.parametrize(
    ("output", "count"),
    [
        (["https://x/1.png", "https://x/2.png"], 2),
        ("https://x/1.png", 1),
        ({"image": "https://x/1.png", "seed": 5}, 1),
        ([{"image": "https://x/1.png"}, {"image": "https://x/2.png"}], 2),
        (["words", "https://x/1.png"], 1),
    ],
)
def test_outputs_of_all_forms(output: Any, count: int) -> None:
    one = told()
    found = one.events({"status": "succeeded", "output": output})
    assert [event.index for event in found if isinstance(event, Output)] == list(range(count))


@pytest.mark.parametrize("output", [None, [], "a poem", ["to", "ken"], {"text": "x"}, 5])
def test_no_picture_is_a_failure(output: Any) -> None:
    run, one = Run("x"), told()
    run.tell({"status": "succeeded", "output": output})
    assert one.events(run.state) == []
    with pytest.raises(ProviderFailed, match="gave no picture"):
        one.finished(run)


def test_outputs_are_told_once_and_whole_ones_only() -> None:
    one = told()
    first = {"status": "processing", "output": ["https://x/1.png"]}
    assert [type(event) for event in one.events(first)] == [Output]
    assert one.events(first) == []
    more = {"status": "succeeded", "output": ["https://x/1.png", "https://x/2.png"]}
    assert [event.index for event in one.events(more) if isinstance(event, Output)] == [1]
    other = told()
    assert other.events({"status": "processing", "output": {"image": "https://x/1.png"}}) == []


def test_progress_never_falls() -> None:
    one = told()
    fractions = []
    for logs in ("", " 50%|##### | 1/2", " 25%|##| 1/4", "Step 9/10"):
        fractions += [event.fraction for event in one.events({"logs": logs}) if isinstance(event, Progress)]
    assert fractions == [0.5, 0.9]


@pytest.mark.parametrize("problem", [ProviderBusy("x"), ProviderUnavailable("x"), ProviderMisconfigured("x")])
def test_a_late_refusal_means_that_nothing_ran(problem: Any) -> None:
    run = Run("x")
    run.fail(problem)
    with pytest.raises(AttemptLost):
        told().finished(run)


def test_what_breaks_after_a_cancel_is_the_cancel() -> None:
    run = Run("x")
    run.canceled = run.cut = True
    run.fail(OutcomeUnknown("The connection broke."))
    with pytest.raises(ProviderInterrupted):
        told().finished(run)


def test_seconds_are_those_of_the_server() -> None:
    run, one = Run("x"), told()
    run.tell({"status": "succeeded", "output": "https://x/1.png", "metrics": {"predict_time": 2}})
    one.events(run.state)
    assert one.finished(run) == Finished(None, seconds=2.0)


# Webhooks


class Hooks:
    """Where webhooks arrive: `providers` get them; `statuses` are answered first instead."""

    def __init__(self) -> None:
        self.providers: list[CogProvider] = []
        self.statuses: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.states: list[dict[str, Any]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        state = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.headers.append(headers)
        self.states.append(state)
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        for provider in self.providers:
            await provider.hook(state["id"], headers, await request.read())
        return web.Response()


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    made = Hooks()
    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/hooks/{id}", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/1"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def hooked(sim: CogSim, hooks: Hooks, **settings: Any) -> AsyncIterator[CogProvider]:
    async with closing(provider_of(sim, webhook_secret=SECRET, **settings)) as provider:
        assert isinstance(provider, CogProvider)
        hooks.providers.append(provider)
        yield provider


async def test_the_result_is_the_last_webhook(sim: CogSim, hooks: Hooks) -> None:
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url, num_images=2)
        told = await call(provider, request)
        assert len(told.outputs) == 2
        assert told.progress[-1] == 1.0
        assert told.finished.seconds is not None
    (entry,) = [entry for entry in sim.journal.of(ROUTE) if entry.body["input"] != []]
    assert entry.headers["prefer"] == "respond-async"
    address = entry.body["webhook"]
    password = provider._password(request.attempt_id)
    assert address == hooks.url.replace("http://", f"http://cog:{password}@")
    assert SECRET not in address
    pair = base64.b64encode(f"cog:{password}".encode()).decode()
    assert {headers["authorization"] for headers in hooks.headers} == {f"Basic {pair}"}


async def test_the_last_webhook_comes_again_until_it_is_taken(sim: CogSim, hooks: Hooks) -> None:
    async with hooked(sim, hooks) as provider:
        hooks.statuses = [500] * 9  # seven states before the end, and the last one twice
        assert (await call(provider, order(webhook_url=hooks.url))).outputs
        assert [state["status"] for state in hooks.states].count("succeeded") >= 2


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Bearer x", "Basic " + base64.b64encode(b"cog:wrong").decode(), "Basic ü"],
)
async def test_a_webhook_without_its_password_is_refused(
    sim: CogSim, hooks: Hooks, authorization: str
) -> None:
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url)
        request_id = await held(sim, provider, request)
        forged = {"id": request_id, "status": "succeeded", "output": ["https://evil.example/x.png"]}
        with pytest.raises(Unauthorized):
            await provider.hook(request_id, {"authorization": authorization}, json.dumps(forged).encode())
        release(sim)
        told = await watch(provider, request, request_id)
        assert all(output.data is not None for output in told.outputs)


async def test_a_password_is_good_for_its_own_call_only(sim: CogSim, hooks: Hooks) -> None:
    async with hooked(sim, hooks) as provider:
        one, other = new_id(), new_id()
        with pytest.raises(Unauthorized):
            await provider.hook(one, authorization_of(provider, other), b"{}")
        await provider.hook(other, authorization_of(provider, other), b"{}")


def authorization_of(provider: CogProvider, attempt_id: str) -> dict[str, str]:
    pair = f"cog:{provider._password(attempt_id)}".encode()
    return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}


async def test_webhooks_are_refused_without_a_secret(provider: CogProvider) -> None:
    attempt_id = new_id()
    with pytest.raises(Unauthorized):
        await provider.hook(attempt_id, authorization_of(provider, attempt_id), b"{}")


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b'{"status": "succeeded"}', b'{"id": "x", "status": "succeeded"}']
)
async def test_a_body_that_is_no_state_of_the_call_is_passed_over(
    sim: CogSim, hooks: Hooks, body: bytes
) -> None:
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url)
        request_id = await held(sim, provider, request)
        await provider.hook(request_id, authorization_of(provider, request_id), body)
        release(sim)
        assert (await watch(provider, request, request_id)).outputs


async def test_a_late_webhook_changes_nothing() -> None:
    """A real server's last webhook may come before one about an output."""
    run = Run("x")
    run.tell({"id": "x", "status": "succeeded", "output": ["https://x/1.png"]})
    run.tell({"id": "x", "status": "processing", "output": []})
    run.fail(ProviderFailed("x"))
    assert run.state["status"] == "succeeded"
    assert run.problem is None


@pytest.mark.parametrize("state", [None, [], "x", {}, {"status": 5}])
def test_what_is_no_state_is_passed_over(state: Any) -> None:
    run = Run("x")
    run.tell(state)
    assert run.state == {}


async def test_without_a_secret_webhooks_are_not_asked_for(
    sim: CogSim, hooks: Hooks, provider: CogProvider
) -> None:
    assert (await call(provider, order(webhook_url=hooks.url))).outputs
    assert "webhook" not in orders(sim)[0]
    assert not hooks.states


async def test_a_restart_over_there_loses_the_call(sim: CogSim, hooks: Hooks) -> None:
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url)
        request_id = await held(sim, provider, request)
        sim.forget()
        with pytest.raises(AttemptLost, match="cannot reach our public URL"):
            await watch(provider, request, request_id)
        assert len(orders(sim)) == 1


async def test_a_restart_over_there_is_seen_without_a_schema(sim: CogSim, hooks: Hooks) -> None:
    sim.script.schema = False
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url)
        request_id = await held(sim, provider, request)
        sim.forget()
        sim.script.health = "STARTING"
        with pytest.raises(AttemptLost):
            await watch(provider, request, request_id)


async def test_a_cancel_whose_webhook_is_lost(sim: CogSim, hooks: Hooks) -> None:
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url)
        request_id = await held(sim, provider, request)
        hooks.statuses = [400] * 10  # never sent again
        await provider.cancel(request, request_id)
        with pytest.raises(ProviderInterrupted):
            await watch(provider, request, request_id)


async def test_a_lost_answer_whose_webhook_is_here(sim: CogSim, hooks: Hooks) -> None:
    async with hooked(sim, hooks) as provider:
        sim.script.failures = [Failure(ROUTE, 0, after=True)]
        request = order(webhook_url=hooks.url)
        with pytest.raises(OutcomeUnknown):
            await provider.submit(request)
        found = await provider.lookup(request)
        assert not isinstance(found, Lookup)
        assert (await watch(provider, request, found.request_id)).outputs
        assert sim.works.created == 1


async def test_a_call_that_never_arrived_is_absent(sim: CogSim, hooks: Hooks) -> None:
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url)
        assert await provider.lookup(request) is Lookup.ABSENT
        sim.script.schema = False
        async with hooked(sim, hooks) as blind:
            assert await blind.lookup(request) is Lookup.UNKNOWN
        await sim.close_door()
        with pytest.raises(ProviderUnavailable):
            await provider.lookup(request)


@pytest.mark.parametrize("uploads", [False, True])
async def test_a_server_whose_webhooks_bring_no_pictures_is_not_given_one(
    sim: CogSim, hooks: Hooks, uploads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python server names files on its own disk in webhooks, unless it uploads them."""
    settings = {"upload_url": "http://10.0.0.9/pictures/"} if uploads else {}
    async with hooked(sim, hooks, **settings) as provider:

        async def health() -> dict[str, Any]:
            return {"status": "READY", "setup": {}}

        monkeypatch.setattr(provider._server, "health", health)
        assert (await call(provider, order(webhook_url=hooks.url))).outputs
        assert ("webhook" in orders(sim)[0]) is uploads


def test_calls_that_nobody_watches_are_forgotten_the_oldest_first() -> None:
    runs = Runs()
    first = runs.keep("held")
    first.held = object()  # type: ignore[assignment]
    for index in range(2 * KEPT):
        runs.keep(f"{index}")
    assert runs.get("held") is first
    assert runs.get("0") is None
    assert runs.get(f"{2 * KEPT - 1}") is not None
    assert len(list(runs)) <= KEPT + 2


# Health and origins


async def test_health_of_a_good_server(sim: CogSim, provider: CogProvider) -> None:
    health = await provider.health()
    assert (health.ok, health.detail) == (True, "Cog 0.23.1: ready")
    await held(sim, provider, order())
    health = await provider.health()
    assert (health.ok, health.detail) == (True, "Cog 0.23.1: every slot is taken")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "", "no Cog server answers at that address (404)"),
        (200, "<html>nginx</html>", "cannot be read"),
        (200, "[]", "is no Cog server"),
        (200, '{"ok": true}', "is no Cog server"),
        (401, "", "refused our key (401)"),
        (502, "<html>Bad gateway</html>", "failed (502)"),
    ],
)
async def test_health_of_something_else(
    sim: CogSim, provider: CogProvider, status: int, body: str, words: str
) -> None:
    sim.script.failures = [Failure("GET /health-check", status, body=body)]
    health = await provider.health()
    assert not health.ok
    assert words in health.detail
    assert "<" not in health.detail


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "READY"}, "Cog: ready"),  # cog 0.9 tells no version
        ({"status": "READY", "version": {"coglet": "0.17.0"}}, "Cog 0.17.0: ready"),
        ({"status": "SETUP_FAILED", "setup": {"logs": ["a\n", "no weights\n"]}}, "could not be set up: no"),
        (
            {"status": "SETUP_FAILED", "setup": {"logs": "a\nno weights\n\n"}},
            "could not be set up: no weights",
        ),
        ({"status": "NEW_ONE"}, "Cog: NEW_ONE"),
        ({}, "Cog: nobody knows"),
    ],
)
def test_health_in_words(facts: dict[str, Any], words: str) -> None:
    provider = CogProvider(CogSettings(url="http://127.0.0.1:1"), SystemClock())
    assert words in provider._server.words(facts)


def test_only_configured_origins_are_trusted() -> None:
    settings = CogSettings(
        url="http://10.0.0.5:5000/model", token="key", upload_url="https://files.lan/pictures/"
    )
    provider = CogProvider(settings, SystemClock())

    def fetch(url: str) -> tuple[bool, bool]:
        wanted = provider.fetch_request(Origin(provider="cog", url=url))
        return wanted.trusted, bool(wanted.headers)

    assert fetch("http://10.0.0.5:5000/x.png") == (True, True)
    assert fetch("https://files.lan/pictures/x.png") == (True, False)
    assert fetch("http://files.lan/pictures/x.png") == (False, False)
    assert fetch("https://files.lan.example.com/x.png") == (False, False)
    assert fetch("http://10.0.0.5/x.png") == (False, False)
    assert fetch("no address") == (False, False)
    with pytest.raises(ProviderFailed):
        provider.fetch_request(Origin(provider="replicate", url="https://files.lan/x.png"))


# Settings


def test_a_server_is_configured_by_its_address() -> None:
    environ = {"COG_URL": "http://10.0.0.5:5000", "COG_TOKEN": "k", "COG_WEBHOOK_SECRET": SECRET}
    (connection,) = [c for c in load_connections(KINDS, environ).values() if c.kind == "cog"]
    provider = KINDS["cog"].make(connection.settings, "cog", SystemClock())
    assert provider.name == "cog"
    assert isinstance(provider, Hooked)
    assert "cog" not in load_connections(KINDS, {"COG_TOKEN": "k"})


@pytest.mark.parametrize(
    "environ",
    [
        {"COG_URL": "10.0.0.5:5000"},
        {"COG_URL": "http://"},
        {"COG_URL": "http://x", "COG_WEBHOOK_SECRET": "short"},
        {"COG_URL": "http://x", "COG_UPLOAD_URL": "s3://bucket"},
    ],
)
def test_settings_that_cannot_be_used(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_connections(KINDS, environ)
    assert "short" not in str(caught.value)


def test_traits_tell_of_webhooks_only_what_they_can_do() -> None:
    plain = CogProvider(CogSettings(url="http://x"), SystemClock()).traits
    assert plain == CogProvider.traits
    assert (plain.reattach, plain.lookup, plain.idempotent) == (False, False, False)
    hooked = CogProvider(CogSettings(url="http://x", webhook_secret=SECRET), SystemClock()).traits
    assert (hooked.reattach, hooked.lookup, hooked.idempotent) == (True, True, False)


async def test_the_watch_begins_with_the_start(sim: CogSim, provider: CogProvider) -> None:
    told = await call(provider, order())
    assert isinstance(told.events[0], Started)


def test_the_simulator_reads_its_own_options() -> None:
    make: Callable[..., Any] = CogScript.from_json
    script = make({"slots": "3", "health": "DEFUNCT", "schema": "false", "outputs": "one"})
    assert (script.slots, script.health, script.schema, script.outputs) == (3, "DEFUNCT", False, "one")
    with pytest.raises(ValueError, match="health"):
        make({"health": "FINE"})


async def test_a_server_that_wants_to_be_left_alone_is(sim: CogSim, hooks: Hooks) -> None:
    """A short wait is waited for, during which its webhook still wakes the watch; a long one is told."""
    async with hooked(sim, hooks) as provider:
        request = order(webhook_url=hooks.url)
        request_id = await held(sim, provider, request)
        sim.journal.clear()
        sim.script.failures = [Failure("*", 429, times=-1, headers={"Retry-After": "60"})]
        with pytest.raises(ProviderUnavailable) as caught:
            await watch(provider, request, request_id)
        assert caught.value.retry_after == 60
        assert len(sim.journal.entries) == 1
        sim.script.failures = []
        release(sim)
        assert (await watch(provider, request, request_id)).outputs


def test_looks_wait_as_long_as_the_server_asks() -> None:
    clock = ManualClock()
    told = Told("cog", clock, Pace(first=1.0, factor=1.0, cap=1.0, jitter=0.0, patience=10.0), hooked=True)
    assert told.pause() == 1.0
    assert not told.for_long("out of reach", True, 4.0)
    assert told.pause() == 4.0
    clock.advance(3.5)
    assert told.pause() == 1.0
    assert not told.for_long("out of reach", True, 6.0)
    assert told.for_long("out of reach", True, 7.0)
    told.for_long("out of reach", False)
    assert not told.for_long("out of reach", True, 7.0)
