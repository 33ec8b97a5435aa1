"""How predictions end, what each ending means, how they are canceled."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest

from ferrotype.domain.clock import ManualClock
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
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.providers.base import (
    Finished,
    Output,
    Progress,
    Queued,
    Started,
)
from ferrotype.providers.hosted.polling import Pace
from ferrotype.providers.replicate import ReplicateProvider
from ferrotype.providers.replicate.story import Story
from ferrotype.sim.options import Failure
from ferrotype.sim.replicate import ReplicateSim
from tests.providers.contract.rig import KEY, HostedRig, call, watch
from tests.providers.contract.rigs.replicate import INPUT
from tests.providers.replicate.support import GET, connected

# How a call ends


@pytest.mark.parametrize(
    ("error", "started", "kind"),
    [
        ("CUDA out of memory", True, ProviderFailed),
        ("CUDA out of memory", False, ProviderFailed),
        ("", True, ProviderFailed),
        (None, True, ProviderFailed),
        ("NSFW content detected. Try running it again, or try a different prompt.", True, ProviderRefused),
        (
            "All generated images contained NSFW content. Try running it again with a different prompt.",
            True,
            ProviderRefused,
        ),
        (
            "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
            " (uIJ6l3ruRD)",
            False,
            ProviderRefused,
        ),
        ("Request Moderated", True, ProviderRefused),
        ("Error running safety checker: CUDA out of memory", True, ProviderFailed),
        ("Prediction interrupted; please retry (code: PA)", False, AttemptLost),
        ("Prediction interrupted; please retry (code: PA)", True, ProviderInterrupted),
        ("Director: unexpected error handling prediction (E9828)", False, AttemptLost),
        ("Director: unexpected error handling prediction (E9828)", True, ProviderFailed),
        ("Timeout starting prediction (E6716)", False, AttemptLost),
        ("E1001: out of memory", False, ProviderFailed),
    ],
)
def test_what_a_failure_means(rig: HostedRig, error: str | None, started: bool, kind: type[Problem]) -> None:
    """Replicate charges what ran: a fault of its own machinery before the start costs nothing."""
    prediction = {"id": "p", "status": "failed", "error": error}
    if started:
        prediction |= {"started_at": "2026-01-01T00:00:00Z", "metrics": {"predict_time": 1.5}}
    with pytest.raises(kind):
        list(Story("replicate", rig.order()).told_by(prediction))


async def test_a_picture_that_the_filter_withheld_is_told(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    sim.script.withheld = [1]
    told = await call(provider, rig.order(num_images=3))
    assert [output.index for output in told.outputs] == [0, 1]
    assert isinstance(told.finished.problem, ProviderRefused)
    assert "2 of 3" in told.finished.problem.detail


async def test_a_picture_that_is_missing_is_told(rig: HostedRig, provider: ReplicateProvider) -> None:
    told = await call(provider, rig.order(num_images=2, options={"input": {**INPUT, "num_outputs": 1}}))
    assert len(told.outputs) == 1
    assert isinstance(told.finished.problem, ProviderFailed)


async def test_pictures_that_replicate_has_removed(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    request = rig.order()
    request_id = await provider.submit(request)
    await sim.works.idle()
    sim.script.removed = True
    with pytest.raises(ProviderFailed, match="removed"):
        async with connected(sim) as reborn:
            await watch(reborn, request, request_id)


@pytest.mark.parametrize(("place", "status"), [("queue", "aborted"), ("run", "canceled")])
async def test_a_deadline_over_there_is_a_time_out(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider, place: str, status: str
) -> None:
    rig.hold(place)
    request = rig.order()
    request_id = await provider.submit(request)
    await rig.held()
    sim.expire(request_id)
    assert sim.shown(sim.works.items[request_id])["status"] == status
    with pytest.raises(ProviderTimeout):
        await watch(provider, request, request_id)


async def test_a_call_that_outlives_its_deadline_is_canceled_and_given_up(
    rig: HostedRig, sim: ReplicateSim
) -> None:
    sim.script.hang_times = 1
    clock = ManualClock()
    async with connected(sim, clock) as provider:
        attempt_id = new_id(int(clock.now().timestamp() * 1000))
        request = replace(rig.order(timeout=60.0), attempt_id=attempt_id)
        request_id = await provider.submit(request)
        watching = asyncio.ensure_future(watch(provider, request, request_id))
        await sim.journal.wait(GET)
        clock.advance(60.0)
        await sim.journal.wait(GET, sim.journal.count(GET) + 2)
        assert not watching.done()  # Replicate may need a moment to stop it itself
        clock.advance(60.0)
        with pytest.raises(ProviderTimeout):
            await watching
    assert rig.states() == ["canceled"]


async def test_a_prediction_of_another_account_is_of_unknown_outcome(
    rig: HostedRig, provider: ReplicateProvider
) -> None:
    with pytest.raises(OutcomeUnknown):
        await watch(provider, rig.order(), "gm3qorzdhgbfurvjtvhg6dckhu")


async def test_a_key_that_is_refused_meanwhile_ends_nothing(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    rig.hold("run")
    request = rig.order()
    request_id = await provider.submit(request)
    sim.script.key = "another"
    with pytest.raises(ProviderUnavailable):
        await watch(provider, request, request_id)
    sim.script.key = KEY
    rig.release()
    assert (await watch(provider, request, request_id)).outputs


async def test_progress_never_falls_and_nothing_is_told_twice(rig: HostedRig) -> None:
    story = Story("replicate", rig.order())
    running = {"id": "p", "status": "processing", "output": None}
    states = [
        {"id": "p", "status": "starting"},
        {"id": "p", "status": "starting"},
        running | {"logs": " 50%|#####     | 2/4 [00:01<00:01, 1.00it/s]"},
        running | {"logs": " 25%|##        | 1/4 [00:01<00:01, 1.00it/s]"},  # a webhook that came late
        {"id": "p", "status": "starting"},
        running | {"output": "https://replicate.delivery/xezq/abc/out-0.webp"},
        {"id": "p", "status": "succeeded", "output": ["https://replicate.delivery/xezq/abc/out-0.webp"]},
    ]
    kinds = [type(event) for state in states for event in story.told_by(state)]
    assert kinds == [Queued, Started, Progress, Output, Finished]


@pytest.mark.parametrize(
    ("output", "address", "data"),
    [
        ("https://replicate.delivery/a.png", "https://replicate.delivery/a.png", None),
        (["https://replicate.delivery/a.png"], "https://replicate.delivery/a.png", None),
        ({"image": "https://replicate.delivery/a.png"}, "https://replicate.delivery/a.png", None),
        ([{"file": "https://replicate.delivery/a.png"}], "https://replicate.delivery/a.png", None),
        (f"data:image/png;base64,{base64.b64encode(b'png').decode()}", None, b"png"),
        ([f"data:image/png;base64,{base64.b64encode(b'png').decode()}"], None, b"png"),
    ],
)
def test_every_form_of_output(rig: HostedRig, output: Any, address: str | None, data: bytes | None) -> None:
    story = Story("replicate", rig.order())
    prediction = {"id": "p", "status": "succeeded", "output": output}
    (told,) = [event for event in story.told_by(prediction) if isinstance(event, Output)]
    assert told.data == data
    assert (told.origin.url if told.origin else None) == address


# Cancel


async def test_a_cancel_that_cannot_be_asked_is_told(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    rig.hold("run")
    request = rig.order()
    request_id = await provider.submit(request)
    route = "POST /v1/predictions/{id}/cancel"
    sim.script.failures += [Failure(route, 500), Failure(route, 401), Failure(route, 429)]
    for kind in (ProviderUnavailable, ProviderMisconfigured, ProviderBusy):
        with pytest.raises(kind):
            await provider.cancel(request, request_id)
    assert "canceled" not in rig.states()
    await provider.cancel(request, request_id)
    assert rig.states() == ["canceled"]


async def test_a_cancel_wakes_the_watch(rig: HostedRig, sim: ReplicateSim) -> None:
    rig.hold("run")
    async with connected(sim, pace=Pace(first=3_600, cap=3_600)) as provider:
        request = rig.order()
        request_id = await provider.submit(request)
        watching = asyncio.ensure_future(watch(provider, request, request_id))
        await asyncio.sleep(0)
        await provider.cancel(request, request_id)
        with pytest.raises(ProviderInterrupted):
            await watching
