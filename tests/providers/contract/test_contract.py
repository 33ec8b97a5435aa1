"""One suite over every hosted provider: what the port promises, whatever the service calls it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import pkgutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from ferrotype.domain.problems import (
    AttemptLost,
    Forbidden,
    OriginProblem,
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    TooLarge,
)
from ferrotype.imaging.sniff import sniff
from ferrotype.providers.base import Found, Lookup, Output, Provider, Queued, Started
from tests.providers.contract import rigs
from tests.providers.contract.rig import KEY, HostedRig, bytes_of, call, closing, picture, watch

NAMES = sorted(module.name for module in pkgutil.iter_modules(rigs.__path__))


@pytest.fixture(params=NAMES)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[HostedRig]:
    module = importlib.import_module(f"tests.providers.contract.rigs.{request.param}")
    async with module.rig() as made:
        yield made


@pytest.fixture
async def provider(rig: HostedRig) -> AsyncIterator[Provider]:
    async with closing(rig.make()) as made:
        yield made


async def refusal(provider: Provider, rig: HostedRig, **changes: Any) -> Problem:
    """The problem that an order ends with, from submit, from watch, or told at the end."""
    try:
        told = await call(provider, rig.order(**changes))
    except Problem as problem:
        return problem
    assert told.finished.problem is not None
    assert not told.outputs
    return told.finished.problem


# Outputs


async def test_a_picture_is_made_and_can_be_had(rig: HostedRig, provider: Provider) -> None:
    told = await call(provider, rig.order())
    assert [output.index for output in told.outputs] == [0]
    assert told.finished.problem is None
    kind = sniff(await bytes_of(provider, told.outputs[0]))
    assert kind is not None
    assert kind.loader is not None
    assert rig.paid() == 1
    assert told.outputs[0].origin is None or told.outputs[0].origin.provider == provider.name


async def test_outputs_by_address(rig: HostedRig, provider: Provider) -> None:
    if "url outputs" in rig.lacks:
        pytest.skip("the service has no output addresses")
    told = await call(provider, rig.order(**rig.url_outputs))
    assert told.outputs[0].origin is not None
    assert sniff(await bytes_of(provider, told.outputs[0])) is not None


async def test_outputs_inline(rig: HostedRig, provider: Provider) -> None:
    if "inline outputs" in rig.lacks:
        pytest.skip("the service has no inline outputs")
    told = await call(provider, rig.order(**rig.inline_outputs))
    assert told.outputs[0].data is not None
    assert sniff(told.outputs[0].data) is not None


async def test_our_key_never_goes_to_a_foreign_host(rig: HostedRig, provider: Provider) -> None:
    if "url outputs" in rig.lacks:
        pytest.skip("the service has no output addresses")
    rig.sim.script.output_host = "http://pictures.example.com"
    told = await call(provider, rig.order(**rig.url_outputs))
    assert told.outputs[0].origin is not None
    try:
        wanted = provider.fetch_request(told.outputs[0].origin)
    except Problem:
        return  # a service that has its own addresses only refuses others
    assert KEY not in repr(dict(wanted.headers))
    assert not wanted.trusted
    assert wanted.tls is None


async def test_addresses_that_expired_are_told(rig: HostedRig, provider: Provider) -> None:
    if "url outputs" in rig.lacks:
        pytest.skip("the service has no output addresses")
    told = await call(provider, rig.order(**rig.url_outputs))
    rig.sim.script.gone = True
    with pytest.raises(OriginProblem):
        await bytes_of(provider, told.outputs[0])


@pytest.mark.parametrize("kind", ["truncated", "text", "html", "empty"])
async def test_a_broken_picture_breaks_nothing_else(rig: HostedRig, provider: Provider, kind: str) -> None:
    """The bytes are judged where they arrive; here nothing may hang, crash or look like a success with
    another picture's bytes."""
    rig.spoil(kind)
    try:
        told = await call(provider, rig.order())
    except ProviderProblem:
        return
    for output in told.outputs:
        if output.data is not None:
            assert sniff(output.data) is None or kind == "truncated"


async def test_a_huge_output_is_bounded(
    rig: HostedRig, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.providers.hosted.api.MAX_REPLY", 2_000_000)
    rig.sim.script.huge_bytes = 4_000_000
    rig.spoil("huge")
    if "inline outputs" in rig.lacks:
        told = await call(provider, rig.order())
        assert told.outputs[0].origin is not None
        return
    with pytest.raises((ProviderFailed, OutcomeUnknown, TooLarge)):
        await call(provider, rig.order(**rig.inline_outputs))


async def test_a_success_without_pictures_is_none(rig: HostedRig, provider: Provider) -> None:
    rig.fault("empty")
    try:
        told = await call(provider, rig.order())
    except (ProviderFailed, ProviderRefused):
        return
    assert not told.outputs  # the caller turns that into a failure


async def test_two_calls_do_not_mix(rig: HostedRig, provider: Provider) -> None:
    first, second = rig.order(seed=1), rig.order(seed=2)
    told = await asyncio.gather(call(provider, first), call(provider, second))
    pictures = [await bytes_of(provider, one.outputs[0]) for one in told]
    assert pictures[0] != pictures[1]
    assert rig.paid() == 2


# Inputs


async def test_an_input_picture_reaches_the_service(rig: HostedRig, provider: Provider) -> None:
    if rig.edit is None:
        pytest.skip("the service takes no pictures")
    told = await call(provider, rig.order(**rig.edit))
    assert told.outputs
    (work,) = rig.sim.works.items.values()
    assert work.source is not None
    assert sniff(work.source) is not None


async def test_a_large_input_picture_reaches_the_service(rig: HostedRig, provider: Provider) -> None:
    if rig.edit is None:
        pytest.skip("the service takes no pictures")
    import pyvips

    noise = pyvips.Image.gaussnoise(900, 700, mean=120, sigma=60).cast("uchar")
    data = bytes(noise.bandjoin([noise, noise]).pngsave_buffer())
    assert len(data) > 1_000_000
    told = await call(provider, rig.order(**(rig.edit | {"images": (picture(data),)})))
    assert told.outputs
    (work,) = rig.sim.works.items.values()
    assert work.source == data


# Watching


async def test_events_come_in_order(rig: HostedRig, provider: Provider) -> None:
    told = await call(provider, rig.order())
    assert told.progress == sorted(told.progress)
    assert all(0 <= fraction <= 1 for fraction in told.progress)
    kinds = [type(event) for event in told.events]
    if Queued in kinds and Started in kinds:
        assert kinds.index(Queued) < kinds.index(Started)
    assert kinds.index(Output) > max([0] + [i for i, kind in enumerate(kinds) if kind in (Queued, Started)])


async def test_progress_while_it_runs(rig: HostedRig, provider: Provider) -> None:
    if not provider.traits.progress or "progress" in rig.lacks:
        pytest.skip("it tells of no progress")
    rig.hold("end")
    request = rig.order()
    request_id = await provider.submit(request)
    seen = []
    async with aclosing(provider.watch(request, request_id)) as events:  # type: ignore[type-var]
        async for event in events:
            if hasattr(event, "fraction"):
                seen.append(event.fraction)
                rig.release()
    assert 0 < seen[0] < 1


async def test_previews_are_pictures(rig: HostedRig, provider: Provider) -> None:
    if not provider.traits.previews:
        pytest.skip("it sends no previews")
    told = await call(provider, rig.order())
    assert told.previews
    assert all(sniff(preview.data) is not None for preview in told.previews)


async def test_the_service_tells_how_long_it_worked(rig: HostedRig, provider: Provider) -> None:
    if "seconds" in rig.lacks:
        pytest.skip("the service does not tell")
    told = await call(provider, rig.order())
    assert told.finished.seconds is not None
    assert told.finished.seconds >= 0


async def test_another_process_goes_on_watching(rig: HostedRig, provider: Provider) -> None:
    rig.hold("end")
    request = rig.order()
    submitting = asyncio.ensure_future(provider.submit(request))
    await rig.held()
    if not provider.traits.reattach:
        rig.release()
        request_id = await submitting
        async with closing(rig.make()) as reborn:
            with pytest.raises((OutcomeUnknown, AttemptLost)):
                await watch(reborn, request, request_id)
        assert rig.paid() == 1
        return
    request_id = await submitting
    async with closing(rig.make()) as reborn:
        watching = asyncio.ensure_future(watch(reborn, request, request_id))
        rig.release()
        told = await watching
    assert [output.index for output in told.outputs] == [0]
    assert rig.paid() == 1


async def test_it_survives_that_the_service_is_gone_for_a_moment(rig: HostedRig, provider: Provider) -> None:
    if not provider.traits.reattach:
        pytest.skip("a broken connection ends it")
    rig.hold("run")
    request = rig.order()
    request_id = await provider.submit(request)
    await rig.held()
    watching = asyncio.ensure_future(watch(provider, request, request_id))
    await rig.sim.close_door()
    await rig.sim.open_door()
    rig.release()
    told = await watching
    assert told.outputs
    assert rig.paid() == 1


async def test_a_malformed_answer_while_watching_is_no_end(rig: HostedRig, provider: Provider) -> None:
    if not provider.traits.reattach:
        pytest.skip("its only answer is the malformed one")
    rig.hold("run")
    request = rig.order()
    request_id = await provider.submit(request)
    await rig.held()
    rig.sim.script.malformed = 1
    watching = asyncio.ensure_future(watch(provider, request, request_id))
    rig.release()
    told = await watching
    assert told.outputs
    assert rig.paid() == 1


async def test_a_service_out_of_reach_is_told_and_the_call_can_be_resumed(
    rig: HostedRig, provider: Provider
) -> None:
    if not provider.traits.reattach:
        pytest.skip("a broken connection ends it")
    rig.hold("run")
    request = rig.order()
    request_id = await provider.submit(request)
    await rig.held()
    await rig.sim.close_door()
    with pytest.raises((ProviderUnavailable, ProviderBusy)):
        await watch(provider, request, request_id)
    await rig.sim.open_door()
    rig.release()
    told = await watch(provider, request, request_id)
    assert told.outputs
    assert rig.paid() == 1


# Submitting


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_service_surely_did_nothing(rig: HostedRig, provider: Provider, status: int) -> None:
    rig.refuse(status, headers={"Retry-After": "7"})
    with pytest.raises(ProviderBusy) as caught:
        await provider.submit(rig.order())
    assert caught.value.retry_after == 7
    assert rig.paid() == 0
    assert (await call(provider, rig.order())).outputs


async def test_no_connection_is_surely_nothing(rig: HostedRig, provider: Provider) -> None:
    await rig.sim.close_door()
    with pytest.raises(ProviderUnavailable):
        await provider.submit(rig.order())
    await rig.sim.open_door()
    assert rig.paid() == 0


async def test_a_lost_answer_is_looked_up(rig: HostedRig, provider: Provider) -> None:
    rig.lose_reply()
    request = rig.order()
    with pytest.raises(OutcomeUnknown):
        await provider.submit(request)
    assert rig.paid() == 1
    found = await provider.lookup(request)
    if not provider.traits.lookup:
        assert found is Lookup.UNKNOWN
        return
    assert isinstance(found, Found)
    assert (await watch(provider, request, found.request_id)).outputs
    assert rig.paid() == 1


async def test_a_call_that_was_never_made_is_not_found(rig: HostedRig, provider: Provider) -> None:
    assert await provider.lookup(rig.order()) in (Lookup.ABSENT, Lookup.UNKNOWN)


async def test_the_same_call_twice_runs_once_where_that_is_promised(
    rig: HostedRig, provider: Provider
) -> None:
    if not provider.traits.idempotent:
        pytest.skip("the service makes it twice")
    rig.hold("run")
    request = rig.order()
    first = await provider.submit(request)
    await rig.held()
    second = await provider.submit(request)
    rig.release()
    assert first == second
    assert (await watch(provider, request, first)).outputs
    assert rig.paid() == 1


async def test_a_failing_gateway_leaves_the_outcome_open(rig: HostedRig, provider: Provider) -> None:
    rig.refuse(502, body="<html><body><h1>502 Bad Gateway</h1></body></html>")
    with pytest.raises((OutcomeUnknown, ProviderUnavailable)) as caught:
        await provider.submit(rig.order())
    if isinstance(caught.value, ProviderUnavailable):
        assert provider.traits.idempotent  # only then may it simply be made again
    assert "<" not in caught.value.detail


async def test_a_malformed_answer_to_submit_leaves_the_outcome_open(
    rig: HostedRig, provider: Provider
) -> None:
    rig.sim.script.malformed = 1
    request = rig.order()
    try:
        told = await call(provider, request)
    except (OutcomeUnknown, ProviderFailed):
        assert rig.paid() == 1
        return
    except ProviderUnavailable:
        assert provider.traits.idempotent
        return
    assert told.outputs  # it asked again by id
    assert rig.paid() == 1


# Endings


async def test_a_failure_says_why(rig: HostedRig, provider: Provider) -> None:
    rig.fault("error", "CUDA out of memory at layer 7")
    problem = await refusal(provider, rig)
    assert isinstance(problem, ProviderFailed)
    assert rig.paid() == 1


async def test_a_refusal_is_a_refusal(rig: HostedRig, provider: Provider) -> None:
    if "refusal" in rig.lacks:
        pytest.skip("the service has no content policy")
    rig.fault("refusal", "The prompt was flagged as sensitive")
    assert isinstance(await refusal(provider, rig), ProviderRefused)


async def test_html_of_a_failure_never_reaches_the_caller(rig: HostedRig, provider: Provider) -> None:
    rig.fault("error", "<html><script>alert(1)</script><body>Internal</body></html>")
    problem = await refusal(provider, rig)
    assert "<" not in problem.detail


async def test_a_long_text_is_trimmed(rig: HostedRig, provider: Provider) -> None:
    rig.fault("error", "boom " * 5_000)
    problem = await refusal(provider, rig)
    assert len(problem.detail) < 600


async def test_a_call_stopped_over_there(rig: HostedRig, provider: Provider) -> None:
    rig.fault("canceled", "stopped by its operator")
    problem = await refusal(provider, rig)
    assert isinstance(problem, ProviderInterrupted | ProviderFailed | ProviderTimeout)


# Cancelling


@pytest.mark.parametrize("place", ["queue", "run"])
async def test_cancel(rig: HostedRig, provider: Provider, place: str) -> None:
    how = provider.traits.cancel
    if how == "no" or (how == "queued" and place == "run"):
        pytest.skip("the service cannot be told")
    rig.hold(place)
    request = rig.order()
    submitting = asyncio.ensure_future(provider.submit(request))
    await rig.held()
    if provider.traits.inline:
        await asyncio.wait((submitting,), timeout=0.2)
        if not submitting.done():  # its answer begins only with the picture
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting
            rig.release()
            return
    request_id = await submitting
    watching = asyncio.ensure_future(watch(provider, request, request_id))
    await asyncio.sleep(0)
    await provider.cancel(request, request_id)
    try:
        told = await watching
    except (ProviderInterrupted, ProviderFailed):
        pass
    else:
        assert not told.outputs
    rig.release()
    if how == "yes":
        assert rig.states() == ["canceled"]


async def test_cancel_of_an_ended_or_unknown_call_is_no_error(rig: HostedRig, provider: Provider) -> None:
    request = rig.order()
    request_id = await provider.submit(request)
    await watch(provider, request, request_id)
    await provider.cancel(request, request_id)
    other = rig.order()
    await provider.cancel(other, other.attempt_id)


async def test_closing_the_watch_does_not_stop_the_work(rig: HostedRig, provider: Provider) -> None:
    if provider.traits.inline:
        pytest.skip("its work hangs on the connection")
    rig.hold("run")
    request = rig.order()
    request_id = await provider.submit(request)
    await rig.held()
    watching = asyncio.ensure_future(watch(provider, request, request_id))
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    rig.release()
    assert (await watch(provider, request, request_id)).outputs
    assert rig.paid() == 1


# Keys


async def test_a_wrong_key_is_a_fault_of_configuration(
    rig: HostedRig, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rig.sim.script.key = "another-key"
    with pytest.raises(ProviderMisconfigured) as caught:
        await call(provider, rig.order())
    assert provider.name in caught.value.detail
    assert KEY not in repr(caught.value.to_json())
    health = await provider.health()
    assert not health.ok
    assert KEY not in health.detail
    assert KEY not in caplog.text
    assert rig.paid() == 0


async def test_a_key_in_a_service_s_own_words_is_cut_out(rig: HostedRig, provider: Provider) -> None:
    rig.refuse(400, headers={"Content-Type": "application/json"}, body=f'{{"detail": "bad token {KEY}"}}')
    with pytest.raises((ProviderRejected, ProviderMisconfigured)) as caught:
        await provider.submit(rig.order())
    assert KEY not in caught.value.detail


async def test_health(rig: HostedRig, provider: Provider) -> None:
    assert (await provider.health()).ok
    assert rig.paid() == 0
    await rig.sim.close_door()
    assert not (await provider.health()).ok


async def test_foreign_origins_are_not_fetched_with_our_key(rig: HostedRig, provider: Provider) -> None:
    from ferrotype.domain.asset import Origin

    for url in ("http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/x.png", "file:///etc/passwd"):
        try:
            wanted = provider.fetch_request(Origin(provider=provider.name, url=url))
        except (Problem, Forbidden):
            continue
        assert not wanted.trusted, url
        assert KEY not in repr(dict(wanted.headers))
