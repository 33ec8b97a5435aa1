"""The ComfyUI provider when things go wrong: lost answers and sockets, restarts, hangs, cancels."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ferrotype.domain.clock import ManualClock
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from ferrotype.providers.base import Finished, Found, Lookup, Output, Progress, Queued, Started
from ferrotype.providers.comfyui import ComfyUIProvider
from ferrotype.sim.comfyui import ComfySim, Failure, NodeError, Script

from .comfyui_support import (
    CALM,
    QUICK,
    Follower,
    bench,
    only,
    order,
    outputs,
    picture,
    provider_for,
    run,
    told,
    workflow,
)

NO_WEBSOCKET = Failure("GET /ws", status=403, times=-1)


def older(provider: ComfyUIProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server choose prompt ids itself, as older ones do."""
    send = provider._client.prompt

    async def prompt(body: Any) -> dict[str, Any]:
        return await send({key: value for key, value in body.items() if key != "prompt_id"})

    monkeypatch.setattr(provider._client, "prompt", prompt)


def interrupted(sim: ComfySim) -> list[str | None]:
    """The prompts that interrupts named; None for one that named none, which stops everybody's."""
    return [entry.prompt_id for entry in sim.journal.entries if entry.route == "POST /interrupt"]


# Submitting


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure("POST /prompt", status=429), ProviderBusy),
        (Failure("POST /prompt", status=503), ProviderBusy),
        (Failure("POST /prompt", status=404), ProviderUnavailable),
        (Failure("POST /prompt", status=401), ProviderMisconfigured),
        (Failure("POST /prompt", status=403), ProviderMisconfigured),
        (Failure("POST /prompt", status=502), OutcomeUnknown),
        (Failure("POST /prompt", status=0), OutcomeUnknown),
        (Failure("POST /prompt", status=200, body="<html>log in</html>"), OutcomeUnknown),
        (Failure("POST /prompt", status=200, body="{}"), OutcomeUnknown),
    ],
)
async def test_what_a_failed_submit_means(failure: Failure, kind: type[ProviderProblem]) -> None:
    async with bench(Script(failures=[failure])) as (sim, provider):
        request = order()
        with pytest.raises(ProviderProblem) as raised:
            await provider.submit(request)
        assert type(raised.value) is kind
        assert await provider.lookup(request) is Lookup.ABSENT
        assert sim.journal.count("POST /prompt") == 1


@pytest.mark.parametrize("status", [0, 502])
async def test_a_lost_answer_is_looked_up_and_the_prompt_is_watched(status: int) -> None:
    async with bench(Script(failures=[Failure("POST /prompt", status=status, after=True)])) as (
        sim,
        provider,
    ):
        request = order()
        with pytest.raises(OutcomeUnknown):
            await provider.submit(request)
        assert await provider.lookup(request) == Found(request.attempt_id)
        assert len(outputs(await told(provider, request, request.attempt_id))) == 1
        assert sim.journal.count("POST /prompt") == 1


async def test_no_answer_in_time_is_an_unknown_outcome() -> None:
    script = Script(http_seconds={"POST /prompt": 30})
    async with bench(script, request_timeout=0.05) as (_, provider):
        with pytest.raises(OutcomeUnknown, match="in time"):
            await provider.submit(order())


async def test_a_server_that_is_not_there_surely_did_not_accept() -> None:
    async with bench() as (sim, provider):
        await sim.close_door()
        request = order()
        with pytest.raises(ProviderUnavailable):
            await provider.submit(request)
        with pytest.raises(ProviderUnavailable):
            await provider.lookup(request)
        with pytest.raises(ProviderUnavailable):
            await provider.cancel(request, request.attempt_id)
        await sim.open_door()
        assert await provider.lookup(request) is Lookup.ABSENT
        outputs(await run(provider, request))


async def test_a_failed_upload_submits_nothing() -> None:
    script = Script(
        failures=[Failure("POST /upload/image", status=0), Failure("POST /upload/image", status=413)]
    )
    async with bench(script) as (sim, provider):
        request = order("img2img", images=(picture(b"x"),))
        with pytest.raises(ProviderUnavailable):
            await provider.submit(request)
        with pytest.raises(ProviderRejected, match="413"):
            await provider.submit(request)
        assert sim.journal.count("POST /prompt") == 0


# Lookup and reattaching


async def test_lookup_in_every_state() -> None:
    async with bench(Script(hold="start")) as (sim, provider):
        running, pending, never = order(), order(), order()
        await provider.submit(running)
        await provider.submit(pending)
        await sim.held()
        assert await provider.lookup(running) == Found(running.attempt_id)
        assert await provider.lookup(pending) == Found(pending.attempt_id)
        assert await provider.lookup(never) is Lookup.ABSENT
        sim.script.hold = None
        sim.wake()
        await sim.idle()
        assert await provider.lookup(running) == Found(running.attempt_id)
        await sim.restart()
        assert await provider.lookup(running) is Lookup.ABSENT


@pytest.mark.parametrize(
    "failure", [Failure("GET /queue", status=401), Failure("GET /history/{prompt_id}", 500)]
)
async def test_a_lookup_that_cannot_ask_never_says_absent(failure: Failure) -> None:
    async with bench(Script(failures=[failure])) as (_, provider):
        with pytest.raises(ProviderUnavailable):
            await provider.lookup(order())


async def test_another_process_watches_by_id_alone_in_every_state() -> None:
    async with bench(Script(hold=1)) as (sim, first):
        running, pending = order(seed=1), order(seed=2)
        for request in (running, pending):
            await first.submit(request)
        await sim.held()
        second = provider_for(sim.url)
        try:
            one = Follower(second, running, running.attempt_id)
            two = Follower(second, pending, pending.attempt_id)
            await one.first(Started)
            assert await two.first(Queued) == Queued(1)
            sim.script.hold = None
            sim.wake()
            for follower in (one, two):
                assert len(outputs(await follower.end())) == 1
            assert not only(one.seen, Queued)
            ended = await told(second, running, running.attempt_id)
            assert len(outputs(ended)) == 1
            assert sim.journal.count("POST /prompt") == 2
        finally:
            await second.close()


async def test_a_server_that_chooses_ids_itself_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        older(provider, monkeypatch)
        request = order()
        request_id = await provider.submit(request)
        assert request_id != request.attempt_id
        follower = Follower(provider, request, request_id)
        await follower.first(Started)
        await sim.held()
        assert await provider.lookup(request) == Found(request.attempt_id)
        sim.release()
        outputs(await follower.end())
        # by the mark in the queue and in the history, as after a crash before the id was written down
        assert await provider.lookup(request) == Found(request.attempt_id)
        outputs(await told(provider, request, request.attempt_id))
        assert sim.journal.count("POST /prompt") == 1


async def test_a_running_prompt_with_an_id_of_its_own_is_found_by_its_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        older(provider, monkeypatch)
        request = order()
        await provider.submit(request)
        await sim.held()
        follower = Follower(provider, request, request.attempt_id)
        await follower.first(Started)
        sim.release()
        events = await follower.end()
        assert only(events, Progress)
        outputs(events)


# The end


async def test_a_failed_node_is_named_without_a_traceback() -> None:
    script = Script(node_errors=[NodeError("KSampler", "boom\n  File x.py, line 3", "OutOfMemoryError")])
    async with bench(script) as (sim, provider):
        with pytest.raises(ProviderFailed) as raised:
            await run(provider, order())
        assert raised.value.detail == "KSampler (node sampler) failed at ComfyUI: boom"
        assert sim.journal.counts() == {"GET /ws": 1, "POST /prompt": 1, "GET /history/{prompt_id}": 1}


async def test_an_interruption_by_others_is_no_failure() -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await sim.held()
        sim.interrupt(None)
        with pytest.raises(ProviderInterrupted):
            await follower.end()


@pytest.mark.parametrize("script", [Script(history_late=True), Script(history_empty_polls=3)])
async def test_a_late_history_entry_is_waited_for(script: Script) -> None:
    async with bench(script) as (sim, provider):
        outputs(await run(provider, order()))
        assert sim.journal.count("GET /history/{prompt_id}") == script.history_empty_polls + 1
        assert sim.journal.count("GET /queue") == 0


async def test_pictures_sent_before_the_end_went_wrong_are_kept(tmp_path: Path) -> None:
    graph: dict[str, tuple[str, dict[str, Any]]] = {
        "1": ("EmptyImage", {"width": 64, "height": 64, "batch_size": 1, "color": 1}),
        "2": ("SaveImageWebsocket", {"images": ["1", 0]}),
        "3": ("ProbeRaise", {"image": ["1", 0], "message": "boom"}),
        "4": ("SaveImage", {"images": ["3", 0]}),
    }
    script = Script(output_order=["2", "4"])
    async with bench(script, workflows_dir=workflow(tmp_path, "late", graph)) as (_, provider):
        events = await run(provider, order("late"))
    assert len(only(events, Output)) == 1
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert isinstance(finished.problem, ProviderFailed)
    assert "boom" in finished.problem.detail


# Cancelling


async def test_cancelling_the_running_one_leaves_the_waiting_one_alone() -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        ours, other = order(seed=1), order(seed=2)
        followers = [Follower(provider, request, await provider.submit(request)) for request in (ours, other)]
        await sim.held()
        await provider.cancel(ours, ours.attempt_id)
        with pytest.raises(ProviderInterrupted):
            await followers[0].end()
        sim.script.hold = None
        sim.wake()
        outputs(await followers[1].end())
        asked = [entry.prompt_id for entry in sim.journal.entries if entry.route == "POST /interrupt"]
        assert set(asked) == {ours.attempt_id}
        assert sim.journal.count("POST /queue") == 0


async def test_cancelling_a_waiting_one_interrupts_nobody() -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        other, ours = order(seed=1), order(seed=2)
        followers = [Follower(provider, request, await provider.submit(request)) for request in (other, ours)]
        await sim.held()
        await provider.cancel(ours, ours.attempt_id)
        with pytest.raises(ProviderInterrupted):
            await followers[1].end()
        sim.release()
        outputs(await followers[0].end())
        assert sim.journal.count("POST /interrupt") == 0
        assert sim.journal.count("POST /queue") == 1


async def test_cancelling_what_is_unknown_or_ended_is_no_error() -> None:
    async with bench() as (sim, provider):
        ended, never = order(), order()
        outputs(await run(provider, ended))
        for request in (ended, never):
            await provider.cancel(request, request.attempt_id)
        assert sim.journal.count("POST /interrupt") == sim.journal.count("POST /queue") == 0


async def test_a_node_that_does_not_look_is_canceled_when_it_returns() -> None:
    async with bench(Script(hang_at_step=1), CALM) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await sim.held()
        canceling = asyncio.create_task(provider.cancel(request, request.attempt_id))
        await sim.journal.wait("POST /interrupt")
        sim.script.hang_at_step = None
        sim.release()
        with pytest.raises(ProviderInterrupted):
            await follower.end()
        await canceling


# Lost sockets and servers


async def test_a_dropped_socket_mid_run_goes_unnoticed() -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Progress)
        await sim.held()
        sim.drop_sockets()
        await sim.journal.wait("GET /ws", 2)
        sim.release()
        events = await follower.end()
        outputs(events)
        assert len(only(events, Started)) == 1
        fractions = [event.fraction for event in only(events, Progress)]
        assert fractions == sorted(fractions)
        assert sim.journal.count("POST /prompt") == 1


async def test_a_prompt_that_ends_while_the_socket_is_down_is_found() -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Started)
        await sim.held()
        await sim.close_door()
        sim.release()
        await sim.idle()
        await sim.open_door()
        outputs(await follower.end())
        assert sim.journal.count("POST /prompt") == 1


async def test_an_orphaned_socket_is_noticed_and_replaced() -> None:
    async with bench(Script(hold=1), QUICK) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Started)
        await sim.held()
        # A second socket with our client id takes all messages; closing it leaves ours without any.
        async with aiohttp.ClientSession() as session:
            url = f"{sim.url}/ws?clientId={provider._client_id}"
            async with session.ws_connect(url) as thief:
                await thief.receive()
        sim.release()
        outputs(await follower.end())
        outputs(await run(provider, order()))
        await sim.journal.wait("GET /ws", 3)


async def test_without_a_websocket_queue_and_history_are_polled() -> None:
    async with bench(Script(failures=[NO_WEBSOCKET], hold=1), QUICK) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Started)
        await sim.held()
        sim.release()
        outputs(await follower.end())
        assert sim.journal.count("POST /prompt") == 1
        assert sim.journal.count("GET /queue") >= 2
        # the refusal is remembered
        outputs(await run(provider, order()))
        assert sim.journal.count("GET /ws") == 1


async def test_polling_sees_how_it_ended() -> None:
    script = Script(failures=[NO_WEBSOCKET], node_errors=[NodeError("KSampler", "boom")])
    async with bench(script, QUICK) as (_, provider):
        with pytest.raises(ProviderFailed, match="boom"):
            await run(provider, order())


async def test_a_workflow_that_needs_the_websocket_is_not_submitted_without(tmp_path: Path) -> None:
    graph: dict[str, tuple[str, dict[str, Any]]] = {
        "1": ("EmptyImage", {"width": 64, "height": 64, "batch_size": 1, "color": 1}),
        "2": ("SaveImageWebsocket", {"images": ["1", 0]}),
    }
    folder = workflow(tmp_path, "ws", graph)
    async with bench(Script(failures=[NO_WEBSOCKET]), workflows_dir=folder) as (sim, provider):
        with pytest.raises(ProviderUnavailable, match="websocket"):
            await provider.submit(order("ws"))
        assert sim.journal.count("POST /prompt") == 0


@pytest.mark.parametrize("hold", ["start", 1])
async def test_a_restart_that_forgets_everything_is_noticed(hold: Any) -> None:
    async with bench(Script(hold=hold)) as (sim, provider):
        requests = [order(seed=seed) for seed in range(2)]
        followers = [Follower(provider, request, await provider.submit(request)) for request in requests]
        await sim.held()
        await sim.restart()
        for follower in followers:
            with pytest.raises(AttemptLost) as raised:
                await follower.end()
            assert raised.value.retryable
        sim.script.hold = None
        outputs(await run(provider, order()))


async def test_a_prompt_that_others_take_out_of_the_queue_is_lost() -> None:
    async with bench(Script(hold=1), QUICK) as (sim, provider):
        other, ours = order(seed=1), order(seed=2)
        first, second = [
            Follower(provider, request, await provider.submit(request)) for request in (other, ours)
        ]
        await sim.held()
        await second.first(Queued)
        await provider._client.delete_pending(ours.attempt_id)
        sim.release()
        outputs(await first.end())
        with pytest.raises(AttemptLost):
            await second.end()


# Hangs


async def test_a_hung_worker_is_noticed_by_its_silence() -> None:
    clock = ManualClock()
    async with bench(Script(hang_at_step=2), CALM, clock) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Progress)
        await sim.held()
        await follower.stall(clock, 301)
        with pytest.raises(ProviderTimeout, match="300 seconds"):
            await follower.end()
        assert sim.journal.count("POST /prompt") == 1
        assert interrupted(sim) == [request.attempt_id]
        sim.release()


async def test_a_hung_prompt_is_taken_out_of_the_way_of_those_behind_it() -> None:
    clock = ManualClock()
    async with bench(Script(hold=1), CALM, clock) as (sim, provider):
        hung, behind = order(seed=1), order(seed=2)
        follower = Follower(provider, hung, await provider.submit(hung))
        await provider.submit(behind)
        await follower.first(Progress)
        await sim.held()
        await follower.stall(clock, 301)
        with pytest.raises(ProviderTimeout):
            await follower.end()
        assert interrupted(sim) == [hung.attempt_id]
        await sim.journal.wait_mark("started", behind.attempt_id)
        sim.script.hold = None
        sim.wake()
        outputs(await told(provider, behind, behind.attempt_id))


async def test_a_hang_is_told_also_where_the_interrupt_fails() -> None:
    clock = ManualClock()
    script = Script(hold=1, failures=[Failure("POST /interrupt", status=500, times=-1)])
    async with bench(script, CALM, clock) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Progress)
        await follower.stall(clock, 301)
        with pytest.raises(ProviderTimeout, match="no progress"):
            await follower.end()
        sim.release()


async def test_a_hung_worker_that_has_ended_after_all_is_believed() -> None:
    clock = ManualClock()
    async with bench(Script(hold=1), CALM, clock) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Progress)
        await sim.held()
        sim.hub.drop = lambda client_id=None: None  # type: ignore[method-assign]
        sim.hub.send = lambda *args, **kwargs: None  # type: ignore[method-assign]
        sim.release()
        await sim.idle()
        await follower.stall(clock, 301)
        outputs(await follower.end())


async def test_waiting_behind_others_is_no_hang() -> None:
    clock = ManualClock()
    async with bench(Script(hold=1), CALM, clock) as (sim, provider):
        other, ours = order(seed=1), order(seed=2)
        await provider.submit(other)
        follower = Follower(provider, ours, await provider.submit(ours))
        await follower.first(Queued)
        await sim.held()
        for count in range(1, 5):
            clock.advance(301)
            await sim.journal.wait("GET /queue", count)
        sim.script.hold = None
        sim.wake()
        outputs(await follower.end())


async def test_a_dead_worker_with_an_idle_queue_is_noticed() -> None:
    clock = ManualClock()
    async with bench(Script(hold="start"), CALM, clock) as (sim, provider):
        for task in sim._tasks[1:]:
            task.cancel()
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Queued)
        await follower.stall(clock, 301)
        with pytest.raises(ProviderTimeout):
            await follower.end()
        assert interrupted(sim) == []
        assert sim.queue.remaining == 0, "taken out of the queue"


async def test_without_any_view_of_progress_more_patience_is_shown() -> None:
    clock = ManualClock()
    async with bench(Script(hold=1, failures=[NO_WEBSOCKET]), CALM, clock) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Queued)
        await sim.held()
        clock.advance(301)
        await follower.first(Started)
        await sim.journal.wait("GET /queue", 1)
        await follower.stall(clock, 301)
        with pytest.raises(ProviderTimeout, match="1200 seconds"):
            await follower.end()
        sim.release()


async def test_a_server_that_stays_away_ends_the_watch() -> None:
    clock = ManualClock()
    async with bench(Script(hold=1), CALM, clock) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Started)
        await sim.close_door()
        await follower.stall(clock, 301)
        with pytest.raises(ProviderUnavailable, match="could not be asked for 300 seconds"):
            await follower.end()
        # It goes on over there: whoever comes back with the same id gets the picture.
        await sim.open_door()
        sim.release()
        outputs(await told(provider, request, request.attempt_id))
        assert sim.journal.count("POST /prompt") == 1
        assert sim.journal.count("POST /interrupt") == 0


async def test_a_rest_that_the_server_asks_for_is_given() -> None:
    clock = ManualClock()
    limit = Failure("GET /queue", status=429, headers={"Retry-After": "60"})
    async with bench(Script(hold=1, failures=[limit]), CALM, clock) as (sim, provider):
        request = order()
        follower = Follower(provider, request, await provider.submit(request))
        await follower.first(Started)
        await sim.held()
        sim.drop_sockets()  # once it is open again the queue is asked
        await sim.journal.wait("GET /queue")
        clock.advance(59)
        seen = len(only(follower.seen, Progress))
        sim.release(upto=2)
        await follower.until(lambda events: len(only(events, Progress)) > seen)
        assert sim.journal.count("GET /queue") == 1
        clock.advance(1)
        await sim.journal.wait("GET /queue", 2)
        sim.release()
        outputs(await follower.end())
