"""What is asked of Replicate, and what its answers to it mean."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ferrotype.domain.problems import (
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderRejected,
    ProviderUnavailable,
)
from ferrotype.providers.base import (
    Finished,
    Output,
    Progress,
    Queued,
    Started,
)
from ferrotype.providers.replicate import ReplicateProvider
from ferrotype.sim.options import Failure
from ferrotype.sim.replicate import ReplicateSim
from ferrotype.sim.replicate.models import MISSING_VERSION
from tests.providers.contract.rig import KEY, HostedRig, call, picture, png, watch
from tests.providers.contract.rigs.replicate import EDIT, INPUT
from tests.providers.replicate.support import BY_MODEL, BY_VERSION, GET, PORTRAITS, connected

# What is asked for


@pytest.mark.parametrize(
    ("target", "route", "path", "version"),
    [
        ("black-forest-labs/flux-schnell", BY_MODEL, "/v1/models/black-forest-labs/flux-schnell", None),
        (f"acme/portraits:{PORTRAITS}", BY_VERSION, "/v1/predictions", PORTRAITS),
        (PORTRAITS, BY_VERSION, "/v1/predictions", PORTRAITS),
        (f"some.one/x-1:{'5' * 64}", BY_VERSION, "/v1/predictions", "5" * 64),
        (
            "deployments/acme/fast-flux",
            "POST /v1/deployments/{owner}/{name}/predictions",
            "/v1/deployments/acme/fast-flux",
            None,
        ),
    ],
)
async def test_models_versions_and_deployments(
    rig: HostedRig,
    sim: ReplicateSim,
    provider: ReplicateProvider,
    target: str,
    route: str,
    path: str,
    version: str | None,
) -> None:
    told = await call(provider, rig.order(target=target))
    assert told.outputs
    (entry,) = sim.journal.of(route)
    assert entry.path.startswith(path)
    assert entry.body.get("version") == version
    assert entry.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "target",
    [
        "",
        "flux",
        "a/b/c",
        "owner/name:latest",
        "owner/name:" + "F" * 64,
        "deployments/acme",
        f"deployments/acme/x:{PORTRAITS}",
        "../account",
        "acme/portraits?x=1",
        "https://evil.example.com/x",
    ],
)
async def test_a_target_of_another_form_is_never_sent(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider, target: str
) -> None:
    with pytest.raises(ProviderMisconfigured, match="black-forest-labs/flux-schnell"):
        await provider.submit(rig.order(target=target))
    assert not sim.journal.entries


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "input"),
        ({"input": "prompt"}, "input"),
        ({"input": INPUT, "wait": 61}, "wait"),
        ({"input": INPUT, "wait": True}, "wait"),
        ({"input": INPUT, "wait": "5"}, "wait"),
        ({"input": INPUT, "default_format": 1}, "default_format"),
        ({"input": INPUT, "formats": ["jpg"]}, "formats"),
        ({"input": {"prompt": "{promt}"}}, "promt"),
    ],
)
async def test_options_of_no_use_are_named(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProviderMisconfigured, match=words):
        await provider.submit(rig.order(options=options))
    assert not sim.journal.entries


@pytest.mark.parametrize(
    ("timeout", "header"), [(600.0, "600s"), (90.2, "91s"), (1.0, "5s"), (5_400.0, "5400s")]
)
async def test_the_call_is_stopped_over_there_after_its_timeout(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider, timeout: float, header: str
) -> None:
    await call(provider, rig.order(timeout=timeout))
    assert sim.journal.of(BY_MODEL)[0].headers["cancel-after"] == header


@pytest.mark.parametrize(
    ("form", "more", "sent"),
    [
        ("jpeg", {}, "jpg"),
        ("png", {}, "png"),
        (None, {}, None),
        (None, {"default_format": "webp"}, "webp"),
        (None, {"default_format": "jpeg"}, "jpg"),
        ("png", {"default_format": "webp"}, "png"),
        ("jpeg", {"formats": {"jpeg": "jpeg"}}, "jpeg"),
    ],
)
async def test_formats_have_the_model_s_own_names(
    rig: HostedRig,
    sim: ReplicateSim,
    provider: ReplicateProvider,
    form: str | None,
    more: dict[str, Any],
    sent: str | None,
) -> None:
    await provider.submit(rig.order(target="5" * 64, format=form, options={"input": INPUT, **more}))
    assert sim.journal.of(BY_VERSION)[0].body["input"].get("output_format") == sent


# Waiting for the answer


async def test_it_asks_replicate_to_wait(rig: HostedRig, sim: ReplicateSim) -> None:
    async with connected(sim, wait=3) as provider:
        await call(provider, rig.order())
        await call(provider, rig.order(options={"input": INPUT, "wait": 60}))
        await call(provider, rig.order(options={"input": INPUT, "wait": 0}))
    headers = [entry.headers.get("prefer") for entry in sim.journal.of(BY_MODEL)]
    assert headers == ["wait=3", "wait=60", None]


async def test_pictures_of_a_call_that_was_waited_for_are_told_before_its_end(
    rig: HostedRig, sim: ReplicateSim
) -> None:
    """Such an answer has the output and says `processing`; the look after it is for the metrics."""
    async with connected(sim, wait=60) as provider:
        request = rig.order(num_images=2)
        request_id = await provider.submit(request)
        assert sim.journal.count(GET) == 0
        events = provider.watch(request, request_id)
        first = [await anext(events) for _ in range(4)]
        assert [type(event) for event in first] == [Started, Progress, Output, Output]
        assert sim.journal.count(GET) == 0
        (finished,) = [event async for event in events]
        assert isinstance(finished, Finished)
        assert finished.seconds is not None
        assert sim.journal.count(GET) == 1


async def test_a_wait_that_is_over_leaves_the_id(rig: HostedRig, sim: ReplicateSim) -> None:
    sim.script.longest_wait = 0.0
    rig.hold("run")
    async with connected(sim, wait=5) as provider:
        request = rig.order()
        request_id = await provider.submit(request)
        rig.release()
        told = await watch(provider, request, request_id)
    assert isinstance(told.events[0], Queued)  # Replicate calls it starting, whatever it does
    assert told.outputs


# What is not accepted


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            402,
            '{"title":"Insufficient credit","detail":"You have insufficient credit to run this model.",'
            '"status":402}',
            ProviderMisconfigured,
            "out of credit",
        ),
        (
            401,
            '{"title":"Unauthenticated","detail":"Invalid token","status":401}',
            ProviderMisconfigured,
            "key",
        ),
        (400, '{"detail":"Content moderated","status":400}', ProviderRefused, "moderated"),
        (
            422,
            '{"detail":"- input.steps: Must be less than or equal to 4\\n","title":"Input validation"}',
            ProviderRejected,
            "input.steps",
        ),
        (200, '{"predictions": []}', OutcomeUnknown, "no prediction"),
        (201, '["p"]', OutcomeUnknown, "no prediction"),
        (500, "<html>oops</html>", OutcomeUnknown, "500"),
    ],
)
async def test_answers_to_a_submit(
    rig: HostedRig, provider: ReplicateProvider, status: int, body: str, kind: type[Problem], words: str
) -> None:
    rig.refuse(status, body=body)
    with pytest.raises(kind, match=words):
        await provider.submit(rig.order())


async def test_an_unknown_model_is_a_fault_of_the_catalogue(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    for target in ("acme/nothing", MISSING_VERSION, "deployments/acme/nothing"):
        with pytest.raises(ProviderMisconfigured):
            await provider.submit(rig.order(target=target))
    assert rig.paid() == 0


async def test_an_input_that_the_model_does_not_take(rig: HostedRig, provider: ReplicateProvider) -> None:
    with pytest.raises(ProviderRejected, match=r"input\.aspect_ratio"):
        await provider.submit(rig.order(aspect_ratio="7:3"))
    assert rig.paid() == 0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Request was throttled. Your rate limit resets in ~30s.", 30.0),
        ("Request was throttled. Expected available in 1 second.", 1.0),
        ("Too many requests", None),
    ],
)
async def test_a_rate_limit_tells_its_end_in_words(
    rig: HostedRig, provider: ReplicateProvider, words: str, seconds: float | None
) -> None:
    rig.refuse(429, body=json.dumps({"detail": words, "status": 429}))
    with pytest.raises(ProviderBusy) as caught:
        await provider.submit(rig.order())
    assert caught.value.retry_after == seconds


# Input pictures


async def test_a_small_picture_travels_within_the_input(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    assert rig.edit is not None
    await call(provider, rig.order(**rig.edit))
    sent = sim.journal.of(BY_MODEL)[0].body["input"]["image"]
    assert sent == f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    assert not sim.files


async def test_a_large_picture_is_uploaded_first(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    assert rig.edit is not None
    data = png() + bytes(300_000)
    mask = picture(png(8, 8))
    options = {"input": {**EDIT, "mask": "{mask}"}}
    order = {**rig.edit, "images": (picture(data),), "mask": mask, "options": options}
    await call(provider, rig.order(**order))
    (file,) = sim.files.values()
    assert (file.data, file.content_type) == (data, "image/png")
    assert file.name.endswith(".png")
    sent = sim.journal.of(BY_MODEL)[0].body["input"]
    assert sent["image"] == f"{sim.url}/v1/files/{file.id}"
    assert sent["mask"].startswith("data:")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure("POST /v1/files", 500), ProviderUnavailable),
        (Failure("POST /v1/files", 0), ProviderUnavailable),
        (Failure("POST /v1/files", 429, headers={"Retry-After": "3"}), ProviderBusy),
        (
            Failure("POST /v1/files", 413, body='{"detail": "Files must be less than 100MB"}'),
            ProviderRejected,
        ),
        (Failure("POST /v1/files", 201, body='{"id": "f"}'), ProviderUnavailable),
    ],
)
async def test_a_failed_upload_costs_nothing(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider, failure: Failure, kind: type[Problem]
) -> None:
    assert rig.edit is not None
    sim.script.failures.append(failure)
    with pytest.raises(kind):
        await provider.submit(rig.order(**{**rig.edit, "images": (picture(png() + bytes(300_000)),)}))
    assert rig.paid() == 0
