"""RunPod: submitting, following, canceling, webhooks, health; on the simulator."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.providers.base import Lookup, Queued, Started
from ferrotype.providers.runpod.payload import RUN_BYTES, policy
from ferrotype.sim.hosted import Fault, HostedScript
from ferrotype.sim.options import Failure
from tests.providers.contract.rig import call, picture, png, watch
from tests.providers.runpod_support import (
    INPUT,
    KEY,
    RUN,
    RUNSYNC,
    STATUS,
    b64,
    bench,
    handled,
    order,
)

#: Milliseconds.
WEEK = 604_800_000

# How jobs go on and end


async def test_a_job_that_takes_too_long_is_given_up_by_runpod() -> None:
    async with bench(HostedScript(hold="run")) as (sim, provider):
        sim.second = 0.002
        with pytest.raises(ProviderTimeout):
            # Only its execution is short here: a second is two milliseconds.
            await call(provider, order(timeout=5.0, options={**order().options, "policy": {"ttl": WEEK}}))
        (work,) = sim.works.items.values()
        assert work.state == "canceled"


async def test_a_job_whose_time_to_live_is_over_is_gone() -> None:
    async with bench(HostedScript(hold="queue")) as (sim, provider):
        sim.second = 0.001
        with pytest.raises(OutcomeUnknown, match="no longer knows"):
            await call(provider, order(timeout=5.0, options={**order().options, "policy": {"ttl": 10_000}}))


@pytest.mark.parametrize("status", ["RUNNING", "IN_PROGRESS", "SOMETHING_NEW"])
async def test_states_that_go_on(status: str) -> None:
    body = json.dumps({"id": "x", "status": status})
    failure = Failure(STATUS, 200, times=2, body=body, headers={"Content-Type": "application/json"})
    async with bench(HostedScript(failures=[failure])) as (_, provider):
        told = await call(provider, order())
        assert [type(event) for event in told.events[:1]] == [Started]
        assert len(told.of(Started)) == 1
        assert told.outputs


async def test_waiting_is_told_before_working() -> None:
    async with bench(HostedScript(hold="queue")) as (sim, provider):
        request = order()
        request_id = await provider.submit(request)
        await sim.works.held()
        seen = []
        async for event in provider.watch(request, request_id):
            seen.append(type(event))
            if isinstance(event, Queued):
                sim.script.hold = "end"
                sim.works.look()
            if isinstance(event, Started):
                sim.script.hold = None
                sim.works.look()
        assert seen[:2] == [Queued, Started]


async def test_one_look_that_finds_nothing_is_not_believed() -> None:
    async with bench(HostedScript(failures=[Failure(STATUS, 404, times=2)])) as (sim, provider):
        assert (await call(provider, order())).outputs
        sim.script.failures.append(Failure(STATUS, 404, times=3))
        request = order()
        request_id = await provider.submit(request)
        with pytest.raises(OutcomeUnknown):
            await watch(provider, request, request_id)


async def test_an_expired_result_is_not_said_to_have_cost_nothing() -> None:
    async with bench() as (sim, provider):
        request = order()
        request_id = await provider.submit(request)
        await sim.works.idle()
        sim.script.gone = True
        with pytest.raises(OutcomeUnknown):
            await watch(provider, request, request_id)


async def test_a_key_that_is_revoked_meanwhile_does_not_make_the_job_unmade() -> None:
    async with bench() as (sim, provider):
        request = order()
        request_id = await provider.submit(request)
        sim.script.key = "another"
        with pytest.raises(ProviderUnavailable) as caught:
            await watch(provider, request, request_id)
        assert "key" in caught.value.detail
        sim.script.key = KEY
        assert (await watch(provider, request, request_id)).outputs


async def test_a_long_retry_after_sends_the_caller_away() -> None:
    failure = Failure(STATUS, 429, headers={"Retry-After": "60"})
    async with bench(HostedScript(failures=[failure])) as (_, provider):
        request = order()
        request_id = await provider.submit(request)
        with pytest.raises(ProviderBusy) as caught:
            await watch(provider, request, request_id)
        assert caught.value.retry_after == 60
        assert (await watch(provider, request, request_id)).outputs


# Submitting


async def test_the_endpoint_of_the_settings() -> None:
    async with bench(endpoint="comfyui-s3") as (sim, provider):
        request = order("default")
        request_id = await provider.submit(request)
        assert request_id.startswith("comfyui-s3/")
        assert (await watch(provider, request, request_id)).outputs
        assert sim.journal.of(RUN)[0].path == "/v2/comfyui-s3/run"


@pytest.mark.parametrize("target", ["default", "../../v1", "", "a/b", "nowhere"])
async def test_endpoints_that_are_none(target: str) -> None:
    async with bench() as (sim, provider):
        with pytest.raises(ProviderMisconfigured) as caught:
            await provider.submit(order(target))
        assert "runpod" in caught.value.detail
        assert sim.works.created == 0
        assert bool(sim.journal.entries) == (target == "nowhere")


async def test_a_job_is_followed_where_it_was_started() -> None:
    async with bench() as (_, provider):
        request = order("comfyui")
        request_id = await provider.submit(request)
        moved = replace(request, target="handler", options={"workflow": "a", "input": {}})
        assert (await watch(provider, moved, request_id)).outputs


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"workflow": "txt2img", "input": {}},
        {"input": "text"},
        {"workflow": 7},
        {"input": {}, "pictures": "url"},
        {"input": {}, "output": 7},
        {"input": {}, "usd": True},
        {"input": {}, "wait": 0.5},
        {"input": {}, "wait": 301},
        {"input": {}, "wait": True},
        {"input": {}, "wait": "10"},
        {"input": {}, "policy": "low"},
        {"input": {"prompt": "{nonsense}"}},
    ],
)
async def test_options_of_no_use(options: dict[str, Any]) -> None:
    async with bench() as (sim, provider):
        with pytest.raises(ProviderMisconfigured, match="acme/lighthouse"):
            await provider.submit(order(options=options))
        assert not sim.journal.entries


async def test_an_empty_input_is_called_wrong_by_runpod() -> None:
    async with bench() as (sim, provider):
        with pytest.raises(ProviderRejected, match="input is required"):
            await provider.submit(order("handler", options={"input": {}}))
        assert sim.works.created == 0


async def test_the_body_of_a_job() -> None:
    async with bench() as (sim, provider):
        request = handled(
            timeout=90.0,
            images=(picture(png(20, 20)),),
            options={"input": INPUT, "pictures": "base64", "policy": {"lowPriority": True}},
        )
        assert (await call(provider, request)).outputs
        assert sim.journal.of(RUN)[0].body == {
            "input": {
                "prompt": "a lighthouse",
                "seed": 7,
                "width": 64,
                "height": 48,
                "image": b64(png(20, 20)),
            },
            "policy": {"executionTimeout": 90_000, "ttl": 150_000, "lowPriority": True},
        }


def test_policies_stay_within_runpod_s_bounds() -> None:
    assert policy(0.5) == {"executionTimeout": 5_000, "ttl": 60_500}
    assert policy(1e9) == {"executionTimeout": 604_800_000, "ttl": 604_800_000}


async def test_a_job_that_is_too_large_is_not_sent() -> None:
    large = picture(bytes(RUN_BYTES * 3 // 4))
    async with bench() as (sim, provider):
        with pytest.raises(ProviderRejected, match="too large") as caught:
            await provider.submit(handled(images=(large,)))
        assert caught.value.limit == RUN_BYTES
        assert "`wait`" in caught.value.detail
        larger = picture(bytes(RUN_BYTES * 2))
        with pytest.raises(ProviderRejected) as caught:
            await provider.submit(handled(images=(larger,), options={"input": INPUT, "wait": 5}))
        assert "`wait`" not in caught.value.detail
        assert not sim.journal.entries
        assert await provider.submit(handled(images=(large,), options={"input": INPUT, "wait": 5}))


async def test_nobody_can_tell_about_a_lost_answer() -> None:
    async with bench() as (_, provider):
        assert await provider.lookup(order()) is Lookup.UNKNOWN


async def test_an_answer_without_an_id_leaves_the_outcome_open() -> None:
    failure = Failure(RUN, 200, body='{"status": "IN_QUEUE"}', after=True)
    async with bench(HostedScript(failures=[failure])) as (sim, provider):
        with pytest.raises(OutcomeUnknown):
            await provider.submit(order())
        assert sim.works.created == 1


# runsync


async def test_runsync_brings_the_result_along() -> None:
    async with bench() as (sim, provider):
        request = order(options={**order().options, "wait": 20})
        request_id = await provider.submit(request)
        assert sim.journal.of(RUNSYNC)[0].query == "wait=20000"
        assert (await watch(provider, request, request_id)).outputs
        assert sim.journal.count(STATUS) == 0
        # Whoever comes later asks for the status.
        assert (await watch(provider, request, request_id)).outputs
        assert sim.journal.count(STATUS) == 1


async def test_runsync_that_ends_too_early_is_followed() -> None:
    async with bench(HostedScript(hold="run")) as (sim, provider):
        sim.second = 0.001
        request = handled(timeout=WEEK / 1_000, options={"input": INPUT, "wait": 1.0})
        request_id = await provider.submit(request)
        watching = asyncio.ensure_future(watch(provider, request, request_id))
        await sim.journal.wait(STATUS)
        sim.release()
        told = await watching
        assert told.outputs
        assert len(told.of(Started)) == 1
        assert sim.works.created == 1


async def test_runsync_that_failed_at_once_is_told_by_the_watch() -> None:
    script = HostedScript(faults=[Fault("error", "no GPU")])
    async with bench(script) as (sim, provider):
        request = order(options={**order().options, "wait": 20})
        request_id = await provider.submit(request)
        with pytest.raises(ProviderFailed, match="no GPU"):
            await watch(provider, request, request_id)
        assert sim.journal.count(STATUS) == 0


async def test_a_400_that_carries_a_failed_job_says_why() -> None:
    body = json.dumps({"id": "sync-1", "status": "FAILED", "error": "Invalid parameter: width is odd"})
    failure = Failure(RUNSYNC, 400, body=body)
    async with bench(HostedScript(failures=[failure])) as (_, provider):
        with pytest.raises(ProviderRejected, match="width is odd"):
            await provider.submit(order(options={**order().options, "wait": 20}))


# Origins, health


async def test_addresses_get_our_key_only_at_the_configured_host() -> None:
    async with bench() as (sim, provider):
        ours = provider.fetch_request(Origin(provider="runpod", url=f"{sim.url}/outputs/x/0.png"))
        assert ours.trusted
        assert KEY in ours.headers["Authorization"]
        for url in ("https://b.s3.amazonaws.com/a.png", f"http://127.0.0.1.example.com:{sim.port}/a.png"):
            foreign = provider.fetch_request(Origin(provider="runpod", url=url))
            assert (foreign.trusted, dict(foreign.headers)) == (False, {})
        for origin in (
            Origin(provider="runpod", url="file:///etc/passwd"),
            Origin(provider="x", url=sim.url),
        ):
            with pytest.raises(ProviderFailed):
                provider.fetch_request(origin)


async def test_health_tells_of_workers_and_queue() -> None:
    async with bench(HostedScript(hold="queue", key=KEY), endpoint="comfyui") as (sim, provider):
        await provider.submit(order())
        await sim.works.held()
        health = await provider.health()
        assert (health.ok, health.queue_length) == (True, 1)
        assert "1 idle" in health.detail
        assert "throttled" not in health.detail


async def test_health_without_an_endpoint_tells_of_the_key() -> None:
    async with bench() as (sim, provider):
        health = await provider.health()
        assert health.ok
        assert "RUNPOD_ENDPOINT" in health.detail
        sim.endpoints.clear()
        assert (await provider.health()).ok
        assert sim.works.created == 0


@pytest.mark.parametrize("endpoint", [None, "comfyui"])
async def test_health_tells_a_wrong_key_from_an_unreachable_host(endpoint: str | None) -> None:
    async with bench(HostedScript(key="another"), endpoint=endpoint) as (sim, provider):
        wrong = await provider.health()
        await sim.close_door()
        gone = await provider.health()
    assert (wrong.ok, gone.ok) == (False, False)
    assert "key" in wrong.detail
    assert "cannot be reached" in gone.detail


async def test_health_of_an_endpoint_that_is_none() -> None:
    async with bench(endpoint="nowhere") as (_, provider):
        health = await provider.health()
        assert not health.ok
        assert "nowhere" in health.detail
