"""Contract: following a call, whatever happens to the road there and to us."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from ferrotype.domain.problems import AttemptLost, OutcomeUnknown, ProviderBusy, ProviderUnavailable
from ferrotype.imaging.sniff import sniff
from ferrotype.providers.base import Output, Progress, Provider, Queued, Started
from tests.providers.contract.rig import Rig, call, closing, parked, watch

#: Seconds that a service asks for: more than the patience of any rig's provider.
LONG = 600


def follows(provider: Provider) -> None:
    """Skips the test for a provider whose only news are the answer to its submit."""
    if not provider.traits.reattach:
        pytest.skip("all that it hears comes on the connection of its submit")


async def test_events_come_in_order(rig: Rig, provider: Provider) -> None:
    told = await call(provider, rig.order())
    assert told.progress == sorted(told.progress)
    assert all(0 <= fraction <= 1 for fraction in told.progress)
    kinds = [type(event) for event in told.events]
    if Queued in kinds and Started in kinds:
        assert kinds.index(Queued) < kinds.index(Started)
    assert kinds.index(Output) > max([0] + [i for i, kind in enumerate(kinds) if kind in (Queued, Started)])


async def test_progress_while_it_runs(rig: Rig, provider: Provider) -> None:
    if not provider.traits.progress:
        pytest.skip("it tells of no progress")
    rig.hold("end")
    request = rig.order()
    request_id = await provider.submit(request)
    async with aclosing(provider.watch(request, request_id)) as events:  # type: ignore[type-var]
        while not (isinstance(event := await anext(events), Progress) and 0 < event.fraction < 1):
            assert not isinstance(event, Output)
        rig.release()
        assert [event async for event in events if isinstance(event, Output)]


async def test_previews_are_pictures(rig: Rig, provider: Provider) -> None:
    if not provider.traits.previews:
        pytest.skip("it sends no previews")
    told = await call(provider, rig.order())
    assert told.previews
    assert all(sniff(preview.data) is not None for preview in told.previews)


async def test_it_tells_how_long_it_worked(rig: Rig, provider: Provider) -> None:
    rig.needs("seconds")
    told = await call(provider, rig.order())
    assert told.finished.seconds is not None
    assert told.finished.seconds >= 0


async def test_another_process_goes_on_watching(rig: Rig, provider: Provider) -> None:
    async with parked(rig, provider, "end") as held:
        pass
    await provider.close()
    async with closing(rig.make()) as reborn:
        watching = asyncio.create_task(watch(reborn, held.request, held.request_id))
        if provider.traits.reattach:
            await rig.held()
            rig.release()
            assert [output.index for output in (await watching).outputs] == [0]
        else:
            with pytest.raises((OutcomeUnknown, AttemptLost)):
                await watching
    assert rig.paid() == 1


async def test_closing_the_watch_loses_nothing(rig: Rig, provider: Provider) -> None:
    if provider.traits.inline:
        pytest.skip("its work hangs on the connection")
    async with parked(rig, provider) as held:
        held.watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held.watching
        rig.release()
        assert (await watch(provider, held.request, held.request_id)).outputs
    assert rig.paid() == 1


# A road that breaks


async def test_it_survives_that_the_service_is_gone_for_a_moment(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    follows(provider)
    async with parked(rig, provider) as held:
        await rig.close_door()
        await rig.open_door()
        rig.release()
        assert (await held.watching).outputs
    assert rig.paid() == 1


async def test_a_malformed_answer_while_watching_is_no_end(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    follows(provider)
    async with parked(rig, provider) as held:
        rig.garble("watch")
        rig.release()
        assert (await held.watching).outputs
    assert rig.paid() == 1


async def test_a_service_out_of_reach_is_told_and_the_call_can_be_resumed(
    rig: Rig, provider: Provider
) -> None:
    rig.needs("service")
    follows(provider)
    async with parked(rig, provider) as held:
        await rig.close_door()
        await rig.outlast(held.watching)
        with pytest.raises((ProviderUnavailable, ProviderBusy)):
            await held.watching
        await rig.open_door()
        rig.release()
        assert (await watch(provider, held.request, held.request_id)).outputs
    assert rig.paid() == 1


async def test_a_rate_limit_is_obeyed_and_the_call_can_be_resumed(rig: Rig, provider: Provider) -> None:
    """It is not asked again before it wants to be; whoever watches is told when that is."""
    rig.needs("service")
    follows(provider)
    rig.hold("run")
    request = rig.order()
    request_id = await provider.submit(request)
    await rig.held()
    rig.limit_rate(LONG)
    with pytest.raises((ProviderBusy, ProviderUnavailable)) as caught:
        await watch(provider, request, request_id)
    assert caught.value.retry_after == LONG
    assert rig.turned_away() <= 2  # one on each of its roads
    rig.lift_limit()
    rig.release()
    assert (await watch(provider, request, request_id)).outputs
    assert rig.paid() == 1
