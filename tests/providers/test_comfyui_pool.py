"""Several ComfyUI servers as one provider: who gets a call, who is found again, whose pictures they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ferrotype.config import ConfigError, load
from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import Clock, ManualClock, SystemClock
from ferrotype.domain.problems import (
    AttemptLost,
    OriginUnavailable,
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
)
from ferrotype.providers.base import Finished, Found, Lookup, Started
from ferrotype.providers.comfyui import COMFYUI, ComfyUIPool, ComfyUIProvider, ComfyUISettings
from ferrotype.providers.comfyui.client import Client
from ferrotype.providers.comfyui.origins import mark_of
from ferrotype.sim.comfyui import ComfySim, Failure, Script
from tests.flows.harness import running

from .comfyui_support import (
    QUICK,
    Follower,
    bench,
    fetched,
    order,
    outputs,
    picture,
    provider_for,
    run,
    told,
    until,
    workflow,
)

NO_WEBSOCKET = Failure("GET /ws", status=403, times=-1)


def url_of(sims: Sequence[ComfySim]) -> str:
    return ", ".join(sim.url for sim in sims)


def pool_for(
    sims: Sequence[ComfySim], clock: Clock | None = None, ask: float = 30.0, **settings: Any
) -> ComfyUIPool:
    values = ComfyUISettings(url=url_of(sims), **settings)
    return ComfyUIPool(values, clock or SystemClock(), replace(QUICK, ask=ask))


@asynccontextmanager
async def servers(*scripts: Script) -> AsyncIterator[list[ComfySim]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ComfySim(script)) for script in scripts]


@asynccontextmanager
async def pooled(*scripts: Script, **more: Any) -> AsyncIterator[tuple[list[ComfySim], ComfyUIPool]]:
    """A simulator for each script, and a pool of them."""
    async with servers(*scripts) as sims:
        pool = pool_for(sims, **more)
        try:
            yield sims, pool
        finally:
            await pool.close()


def prompts(sims: Sequence[ComfySim]) -> list[int]:
    """How many each was given."""
    return [sim.journal.count("POST /prompt") for sim in sims]


async def until_sound(pool: ComfyUIPool, number: int) -> None:
    """Return once the host that failed has answered again."""
    await until(lambda: not pool._hosts[number].failures)


async def until_told(pool: ComfyUIPool) -> None:
    """Return once the websockets of all hosts have told how long their queues are."""
    await until(lambda: None not in [host.provider.queue_told for host in pool._hosts])


# Settings


def test_one_address_is_one_server_and_several_are_a_pool() -> None:
    one = ComfyUISettings(url="http://a:8188")
    assert one.hosts() == [one]
    assert type(COMFYUI.make(one, "comfyui", SystemClock())) is ComfyUIProvider
    two = load(ComfyUISettings, {"COMFYUI_URL": "http://a:8188/x , https://b,http://me:p,w@c"})
    assert [host.url for host in two.hosts()] == ["http://a:8188/x", "https://b", "http://me:p,w@c"]
    pool = COMFYUI.make(two, "studio", SystemClock())
    assert isinstance(pool, ComfyUIPool)
    assert (pool.name, pool.traits) == ("studio", ComfyUIProvider.traits)


def test_credentials_in_an_address_are_that_hosts_own() -> None:
    settings = ComfyUISettings(
        url="http://a,http://bearer:own@b,http://me:pw@c,http://me:e%2Cf@d", token="common"
    )
    headers = [Client(host).headers["Authorization"] for host in settings.hosts()]
    assert headers == ["Bearer common", "Bearer own", "Basic bWU6cHc=", "Basic bWU6ZSxm"]


@pytest.mark.parametrize("url", ["http://a,http://a/", "http://a:80,http://me:pw@A"])
def test_the_same_server_twice_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"COMFYUI_URL.*twice"):
        ComfyUIPool(ComfyUISettings(url=url), SystemClock())


@pytest.mark.parametrize("url", ["http://a,", "http://a,b", "ftp://a,http://b", "http://a http://b"])
def test_a_list_that_cannot_be_read_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="COMFYUI_URL"):
        load(ComfyUISettings, {"COMFYUI_URL": url})


def test_an_address_of_a_pool_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(ConfigError, match="COMFYUI_URL"):
        ComfyUIPool(ComfyUISettings(url="http://a,http://[::1"), SystemClock())


# Who gets a call


async def test_a_burst_spreads_evenly() -> None:
    async with pooled(*(Script(hold="start") for _ in range(3))) as (sims, pool):
        await asyncio.gather(*(pool.submit(order(seed=seed)) for seed in range(9)))
        assert prompts(sims) == [3, 3, 3]
        assert [sim.journal.count("GET /prompt") for sim in sims] == [1, 1, 1], "asked once for all"


async def test_one_after_the_other_spreads_evenly_too() -> None:
    async with pooled(*(Script(hold="start") for _ in range(3))) as (sims, pool):
        for seed in range(7):
            await pool.submit(order(seed=seed))
        assert sorted(prompts(sims)) == [2, 2, 3]


async def test_idle_hosts_take_turns() -> None:
    async with pooled(Script(), Script(), Script()) as (sims, pool):
        for seed in range(6):
            outputs(await run(pool, order(seed=seed)))
        assert prompts(sims) == [2, 2, 2]


@pytest.mark.parametrize("script", [Script(hold="start"), Script(hold="start", failures=[NO_WEBSOCKET])])
async def test_the_shortest_queue_is_used_whoever_filled_the_others(script: Script) -> None:
    async with pooled(script, Script(hold="start")) as (sims, pool):
        stranger = provider_for(sims[0].url)
        for seed in range(3):
            await stranger.submit(order(seed=seed))
        for seed in range(5):
            await pool.submit(order(seed=seed))
        assert prompts(sims) == [3 + 1, 4]
        await stranger.close()


async def test_open_websockets_tell_the_queues_without_being_asked() -> None:
    async with pooled(Script(hold="start"), Script(hold="start")) as (sims, pool):
        await pool.submit(order())
        await until_told(pool)
        before = [sim.journal.count("GET /prompt") for sim in sims]
        stranger = provider_for(sims[1].url)
        for seed in range(4):
            await stranger.submit(order(seed=seed))
        await until(lambda: pool._hosts[1].provider.queue_told == 4)
        for seed in range(3):
            await pool.submit(order(seed=seed))
        assert prompts(sims) == [4, 4]
        assert [sim.journal.count("GET /prompt") for sim in sims] == before == [1, 1]
        await stranger.close()


async def test_one_address_costs_no_question() -> None:
    async with bench() as (sim, provider):
        outputs(await run(provider, order()))
        assert sim.journal.counts() == {"GET /ws": 1, "POST /prompt": 1, "GET /history/{prompt_id}": 1}


async def test_input_pictures_go_to_the_host_that_gets_the_call() -> None:
    async with pooled(Script(), Script()) as (sims, pool):
        await pool.submit(order("img2img", images=(picture(b"x"),)))
        sent = [sim.journal.count("POST /upload/image") for sim in sims]
        assert sorted(sent) == [0, 1]
        assert sent == prompts(sims)


# Hosts that fail


async def test_a_host_that_is_down_is_left_out_and_used_again_once_it_is_back() -> None:
    clock = ManualClock()
    async with pooled(Script(hold="start"), Script(hold="start"), clock=clock) as (sims, pool):
        await sims[0].close_door()
        for seed in range(3):
            await pool.submit(order(seed=seed))
        assert prompts(sims) == [0, 3]
        await sims[0].open_door()
        await pool.submit(order())
        assert prompts(sims) == [0, 4], "it rests"
        clock.advance(QUICK.rests[0])
        await pool.submit(order())
        assert prompts(sims) == [0, 5], "it is asked on the side"
        await until_sound(pool, 0)
        for seed in range(5):
            await pool.submit(order(seed=seed))
        assert prompts(sims) == [5, 5]


async def test_a_host_that_hangs_delays_one_call_and_no_other() -> None:
    clock = ManualClock()
    hung = Script(http_seconds={"GET /prompt": 3600})
    async with pooled(hung, Script(), clock=clock, ask=0.05) as (sims, pool):
        for seed in range(3):
            await pool.submit(order(seed=seed))
        assert prompts(sims) == [0, 3]
        assert sims[0].journal.count("GET /prompt") == 1
        pool._hosts.pace = replace(pool._hosts.pace, ask=3600)
        for seed in range(3):
            clock.advance(60)
            await pool.submit(order(seed=seed))
        assert prompts(sims) == [0, 6]
        assert sims[0].journal.count("GET /prompt") == 2, "one question at a time, and nobody waits for it"


async def test_rests_grow_longer() -> None:
    clock = ManualClock()
    async with pooled(Script(), Script(), clock=clock) as (sims, pool):
        await sims[0].close_door()
        host = pool._hosts[0]
        for failures, rest in enumerate((*QUICK.rests, QUICK.rests[-1]), start=1):
            await pool.submit(order())
            await until(lambda failures=failures: host.failures == failures)  # type: ignore[misc]
            assert host.resting_until - clock.monotonic() == rest
            clock.advance(rest)


@pytest.mark.parametrize("status", [401, 404, 429, 503])
async def test_what_one_refuses_the_next_one_gets(status: int) -> None:
    refusing = Script(failures=[Failure("POST /prompt", status=status, times=-1)])
    async with pooled(refusing, Script()) as (sims, pool):
        for _ in range(2):
            outputs(await run(pool, order()))
        assert prompts(sims) == [1, 2]
        assert len(sims[0].queue.history) == 0
        assert len(sims[1].queue.history) == 2


async def test_a_host_that_asks_for_time_gets_it() -> None:
    clock = ManualClock()
    busy = Script(failures=[Failure("POST /prompt", status=429, headers={"Retry-After": "120"})])
    async with pooled(busy, Script(), clock=clock) as (sims, pool):
        await pool.submit(order())
        assert prompts(sims) == [1, 1]
        clock.advance(119)
        await pool.submit(order())
        assert pool._hosts[0].failures == 1
        clock.advance(1)
        await pool.submit(order())
        await until_sound(pool, 0)


async def test_a_host_that_dies_behind_an_open_websocket_costs_no_order() -> None:
    async with pooled(Script(hold="start"), Script(hold="start")) as (sims, pool):
        await pool.submit(order())
        await until_told(pool)
        dying = 1 - prompts(sims).index(1)
        sims[dying].script.failures.append(Failure("POST /prompt", status=404, times=-1))
        for seed in range(3):
            await pool.submit(order(seed=seed))
        assert len(sims[dying].queue.history) + sims[dying].queue.remaining == 0
        assert prompts(sims)[dying] == 1, "asked for nothing while it rests"


async def test_when_nobody_answers_nothing_is_submitted_and_the_next_call_asks_again() -> None:
    async with pooled(Script(), Script()) as (sims, pool):
        for sim in sims:
            await sim.close_door()
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            await pool.submit(order())
        await sims[1].open_door()
        await pool.submit(order())
        assert prompts(sims) == [0, 1]


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((401, 401), ProviderMisconfigured),
        ((401, 503), ProviderBusy),
        ((404, 401), ProviderUnavailable),
        ((404, 429), ProviderBusy),
    ],
)
@pytest.mark.parametrize("route", ["GET /prompt", "POST /prompt"])
async def test_of_several_refusals_the_most_hopeful_is_told(
    route: str, statuses: tuple[int, int], kind: type[Exception]
) -> None:
    scripts = [Script(failures=[Failure(route, status=status, times=-1)]) for status in statuses]
    async with pooled(*scripts) as (sims, pool):
        with pytest.raises(kind) as raised:
            await pool.submit(order())
        assert type(raised.value) is kind
        assert [len(sim.queue.history) for sim in sims] == [0, 0]


async def test_a_wrong_input_is_final() -> None:
    async with pooled(Script(), Script()) as (sims, pool):
        with pytest.raises(ProviderRejected, match="not in list"):
            await pool.submit(order(options={"checkpoint": "none.safetensors"}))
        assert sum(prompts(sims)) == 1
        assert [host.failures for host in pool._hosts] == [0, 0]


async def test_a_host_without_websockets_is_no_place_for_workflows_that_need_one(tmp_path: Path) -> None:
    graph: dict[str, tuple[str, dict[str, Any]]] = {
        "1": ("EmptyImage", {"width": 64, "height": 64, "batch_size": 1, "color": 1}),
        "2": ("SaveImageWebsocket", {"images": ["1", 0]}),
    }
    folder = workflow(tmp_path, "ws", graph)
    async with pooled(Script(failures=[NO_WEBSOCKET]), Script(), workflows_dir=folder) as (sims, pool):
        for _ in range(2):
            (output,) = outputs(await run(pool, order("ws")))
            assert output.data is not None
        assert prompts(sims) == [0, 2]
        outputs(await run(pool, order()))
        assert prompts(sims) == [1, 2], "others may go there"


# Lost answers


@pytest.mark.parametrize("status", [0, 502])
async def test_a_lost_answer_is_found_where_it_went(status: int) -> None:
    scripts = [Script(failures=[Failure("POST /prompt", status=status, after=True)]) for _ in range(2)]
    async with pooled(*scripts) as (sims, pool):
        request = order()
        with pytest.raises(OutcomeUnknown):
            await pool.submit(request)
        assert await pool.lookup(request) == Found(request.attempt_id)
        assert len(outputs(await told(pool, request, request.attempt_id))) == 1
        assert sum(prompts(sims)) == 1, "an unknown outcome goes to nobody else"


async def test_absent_only_when_every_host_says_so() -> None:
    scripts = [Script(failures=[Failure("POST /prompt", status=0)]) for _ in range(2)]
    async with pooled(*scripts) as (sims, pool):
        request = order()
        with pytest.raises(OutcomeUnknown):
            await pool.submit(request)
        for sim in sims:
            await sim.close_door()
            with pytest.raises(ProviderUnavailable):
                await pool.lookup(request)
            await sim.open_door()
        sims[1].script.failures.append(Failure("GET /queue", status=401))
        with pytest.raises(ProviderUnavailable):
            await pool.lookup(request)
        assert await pool.lookup(request) is Lookup.ABSENT


async def test_a_host_that_has_it_is_enough() -> None:
    async with pooled(Script(), Script(), Script()) as (sims, pool):
        request = order()
        await run(pool, request)
        holder = prompts(sims).index(1)
        others = [sim for number, sim in enumerate(sims) if number != holder]
        await others[0].close_door()
        others[1].script.http_seconds["GET /queue"] = 3600
        assert await pool.lookup(request) == Found(request.attempt_id)


# After a restart of ours


@asynccontextmanager
async def restarted(sims: Sequence[ComfySim], **more: Any) -> AsyncIterator[ComfyUIPool]:
    """The pool of a new process; its settings name the servers in another order."""
    pool = pool_for(list(reversed(sims)), **more)
    try:
        yield pool
    finally:
        await pool.close()


async def test_another_process_finds_and_follows_what_was_submitted() -> None:
    async with pooled(Script(hold=1), Script(hold=1)) as (sims, pool):
        requests = [order(seed=seed) for seed in range(4)]
        for request in requests:
            await pool.submit(request)
        assert prompts(sims) == [2, 2]
        for sim in sims:
            await sim.held()
        async with restarted(sims) as second:
            followers = [Follower(second, request, request.attempt_id) for request in requests]
            for sim in sims:
                sim.script.hold = None
                sim.wake()
            for follower in followers:
                (output,) = outputs(await follower.end())
                assert await fetched(second, output)
        assert prompts(sims) == [2, 2]


async def test_another_process_cancels_on_the_right_host_and_only_there() -> None:
    async with pooled(Script(hold=1), Script(hold=1)) as (sims, pool):
        first, second = order(seed=1), order(seed=2)
        followers = [Follower(pool, request, await pool.submit(request)) for request in (first, second)]
        for sim in sims:
            await sim.held()
        async with restarted(sims) as other:
            await other.cancel(second, second.attempt_id)
            await other.cancel(order(), order().attempt_id)
        with pytest.raises(ProviderInterrupted):
            await followers[1].end()
        asked = [e.prompt_id for sim in sims for e in sim.journal.entries if e.route == "POST /interrupt"]
        assert set(asked) == {second.attempt_id}
        for sim in sims:
            sim.release()
        outputs(await followers[0].end())


async def test_cancel_says_so_when_the_host_may_be_the_one_out_of_reach() -> None:
    async with pooled(Script(hold=1), Script()) as (sims, pool):
        request = order()
        await sims[1].close_door()
        await pool.submit(request)
        await sims[0].held()
        await sims[0].close_door()
        await sims[1].open_door()
        async with restarted(sims) as other:
            with pytest.raises(ProviderUnavailable):
                await other.cancel(request, request.attempt_id)


async def test_a_watch_waits_for_the_host_that_may_have_it() -> None:
    async with pooled(Script(hold=1), Script()) as (sims, pool):
        request = order()
        await sims[1].close_door()
        await pool.submit(request)
        await sims[1].open_door()
        await sims[0].held()
        await sims[0].close_door()
        async with restarted(sims) as other:
            follower = Follower(other, request, request.attempt_id)
            await sims[1].journal.wait("GET /queue", 2)
            assert follower.seen == []
            await sims[0].open_door()
            await follower.first(Started)
            sims[0].release()
            outputs(await follower.end())


async def test_a_watch_that_cannot_ask_everybody_gives_up_for_now() -> None:
    clock = ManualClock()
    async with servers(Script(), Script()) as sims:
        await sims[0].close_door()
        async with restarted(sims, clock=clock, stall_timeout=60) as pool:
            follower = Follower(pool, order(), order().attempt_id)
            await follower.stall(clock, 61)
            with pytest.raises(ProviderUnavailable, match="cannot be reached"):
                await follower.end()


async def test_a_watch_leaves_a_host_alone_that_asks_for_a_long_rest() -> None:
    limit = Failure("GET /queue", status=429, times=-1, headers={"Retry-After": "600"})
    async with servers(Script(failures=[limit]), Script()) as sims:
        async with restarted(sims, stall_timeout=60) as pool:
            with pytest.raises(ProviderUnavailable) as caught:
                await told(pool, order(), order().attempt_id)
        assert caught.value.retry_after == 600
        assert [sim.journal.count("GET /queue") for sim in sims] == [1, 1]


async def test_what_nobody_knows_is_lost() -> None:
    async with pooled(Script(hold="start"), Script(hold="start")) as (sims, pool):
        request = order()
        with pytest.raises(AttemptLost):
            await told(pool, request, request.attempt_id)
        follower = Follower(pool, request, await pool.submit(request))
        for sim in sims:
            await sim.restart()
        with pytest.raises(AttemptLost):
            await follower.end()
        assert request.attempt_id not in pool._host_of


async def test_servers_that_choose_ids_themselves_are_found_by_the_mark() -> None:
    async with pooled(*(Script(own_prompt_ids=True, hold=1) for _ in range(2))) as (sims, pool):
        request = order()
        request_id = await pool.submit(request)
        assert request_id != request.attempt_id
        holder = sims[prompts(sims).index(1)]
        await holder.held()
        async with restarted(sims) as other:
            assert await other.lookup(request) == Found(request.attempt_id)
            follower = Follower(other, request, request_id)
            await follower.first(Started)
            holder.release()
            outputs(await follower.end())


async def test_what_has_ended_is_not_remembered() -> None:
    async with pooled(Script(), Script()) as (_, pool):
        request = order()
        events = await run(pool, request)
        assert isinstance(events[-1], Finished)
        assert pool._host_of == {}
        assert [host.accepted for host in pool._hosts] == [{}, {}]


async def test_closing_a_watch_keeps_the_host_in_mind() -> None:
    async with pooled(Script(hold=1), Script(hold=1)) as (sims, pool):
        request = order()
        watch = pool.watch(request, await pool.submit(request))
        async for event in watch:
            if isinstance(event, Started):
                break
        await watch.aclose()
        for sim in sims:
            sim.release()
        asked = [sim.journal.count("GET /queue") for sim in sims]
        follower = Follower(pool, request, request.attempt_id)
        for sim in sims:
            sim.script.hold = None
            sim.wake()
        outputs(await follower.end())
        idle = 1 - prompts(sims).index(1)
        assert sims[idle].journal.count("GET /queue") == asked[idle]


# Whose pictures they are


async def test_origins_say_which_host_holds_the_picture_and_not_where_it_is() -> None:
    async with pooled(Script(), Script()) as (sims, pool):
        found = [outputs(await run(pool, order(seed=seed)))[0] for seed in range(2)]
        origins = [output.origin for output in found if output.origin is not None]
        assert [origin.url.split("/")[0] for origin in origins] == [mark_of(sim.url) for sim in sims]
        assert not any(str(sim.port) in origin.url for sim in sims for origin in origins)
        async with restarted(sims) as second:
            for sim, output in zip(sims, found, strict=True):
                assert second.fetch_request(output.origin).url.startswith(f"{sim.url}/view?")  # type: ignore[arg-type]
                assert await fetched(second, output)


async def test_a_host_that_was_taken_out_is_not_asked_any_more() -> None:
    async with pooled(Script(), Script(), Script()) as (sims, pool):
        found = [outputs(await run(pool, order(seed=seed)))[0] for seed in range(3)]
        async with restarted(sims[:2]) as smaller:
            assert await fetched(smaller, found[0])
            with pytest.raises(OriginUnavailable, match="no longer in COMFYUI_URL"):
                await fetched(smaller, found[2])
        alone = provider_for(sims[1].url)
        assert await fetched(alone, found[1])
        with pytest.raises(OriginUnavailable, match="no longer in COMFYUI_URL"):
            await fetched(alone, found[0])


async def test_a_picture_from_the_time_of_one_address_is_at_the_first() -> None:
    async with servers(Script(), Script()) as sims:
        alone = provider_for(sims[0].url)
        (output,) = outputs(await run(alone, order()))
        await alone.close()
        pool = pool_for(sims)
        assert await fetched(pool, output)
        await pool.close()


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ("comfyui", "http://evil.example/view?filename=x"),
        ("comfyui", "0123456789ab/free"),
        ("comfyui", "0123456789ab//evil.example/view?filename=x"),
        ("comfyui", "@evil.example/view?filename=x"),
        ("studio", "/view?filename=x"),
    ],
)
async def test_only_our_own_origins_are_fetched(provider: str, url: str) -> None:
    async with pooled(Script(), Script()) as (_, pool):
        with pytest.raises(ProviderFailed, match="not one of ComfyUI's"):
            pool.fetch_request(Origin(provider=provider, url=url))


@pytest.mark.parametrize("count", [1, 2])
async def test_a_connection_with_a_name_of_its_own_fetches_its_pictures(count: int) -> None:
    async with servers(*(Script() for _ in range(count))) as sims:
        studio = COMFYUI.make(ComfyUISettings(url=url_of(sims)), "studio", SystemClock())
        (output,) = outputs(await run(studio, order()))
        assert output.origin is not None
        assert output.origin.provider == "studio"
        assert await fetched(studio, output)
        await studio.close()


async def test_each_host_gets_its_own_credentials_on_every_road() -> None:
    scripts = (
        Script(auth="bearer:s3cret-1"),
        Script(auth="bearer:s3cret-2"),
        Script(auth="basic:me:s3cret-3"),
    )
    async with servers(*scripts) as sims:
        users = ("", "bearer:s3cret-2@", "me:s3cret-3@")
        url = ",".join(sim.url.replace("://", f"://{user}") for sim, user in zip(sims, users, strict=True))
        pool = ComfyUIPool(ComfyUISettings(url=url, token="s3cret-1"), SystemClock(), QUICK)
        found = [outputs(await run(pool, order(seed=seed)))[0] for seed in range(3)]
        assert prompts(sims) == [1, 1, 1]
        for output in found:
            assert await fetched(pool, output)
            assert output.origin is not None
            assert "s3cret" not in output.origin.url
        assert (await pool.health()).ok
        assert {entry.status for sim in sims for entry in sim.journal.entries} <= {101, 200}
        await pool.close()


# Health


async def test_health_counts_hosts_and_adds_up_queues() -> None:
    async with pooled(Script(hold="start"), Script(hold="start"), Script(hold="start")) as (sims, pool):
        for seed in range(4):
            await pool.submit(order(seed=seed))
        health = await pool.health()
        assert (health.ok, health.queue_length) == (True, 4)
        assert health.detail == "3 of 3 ComfyUI servers answer; ComfyUI 0.3.64"
        sims[2].script.auth = "bearer:other"
        await sims[0].close_door()
        health = await pool.health()
        assert (health.ok, health.queue_length) == (True, sims[1].queue.remaining)
        assert health.detail.startswith("1 of 3 ComfyUI servers answer; ComfyUI 0.3.64; number 1: ")
        assert "number 3: " in health.detail
        assert "COMFYUI_TOKEN" in health.detail
        await sims[1].close_door()
        health = await pool.health()
        assert (health.ok, health.queue_length) == (False, None)
        assert health.detail.startswith("0 of 3")


async def test_a_host_that_hangs_does_not_hide_the_health_of_the_others() -> None:
    async with pooled(Script(http_seconds={"GET /system_stats": 3600}), Script()) as (_, pool):
        pool._hosts.pace = replace(pool._hosts.pace, health=0.5)
        health = await pool.health()
        assert (health.ok, health.queue_length) == (True, 0)
        assert health.detail.endswith("number 1: no answer in 0.5 seconds")


async def test_closing_twice_and_amid_questions_is_harmless() -> None:
    async with pooled(Script(http_seconds={"GET /prompt": 3600}), Script()) as (sims, pool):
        submitting = asyncio.create_task(pool.submit(order()))
        await until(lambda: sims[0].journal.count("GET /prompt"))
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)
        await pool.close()
        await pool.close()


# Through the whole server


async def test_pictures_of_one_order_are_made_side_by_side(tmp_path: Path) -> None:
    async with servers(Script(hold=1), Script(hold=1)) as sims:
        async with running(tmp_path / "data", COMFYUI_URL=url_of(sims)) as client:
            asking = asyncio.create_task(
                client.order(prompt="a fox", num_images=2, width=256, height=256, params={"steps": 2})
            )
            for sim in sims:
                await sim.held()
            for sim in sims:
                sim.script.hold = None
                sim.wake()
            reply = await asking
            assert reply.json["status"] == "succeeded", reply.json["error"]
            assert prompts(sims) == [1, 1]
            for asset in reply.json["output"]:
                assert (await client.get(asset["url"])).status == 200
        assert [sim.journal.count("GET /view") for sim in sims] == [1, 1]
