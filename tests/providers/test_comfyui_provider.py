"""The ComfyUI provider against the simulator: what a healthy server is asked, and what comes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ferrotype.domain.asset import Origin
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import ProviderFailed, ProviderRejected
from ferrotype.providers.base import (
    Finished,
    Found,
    Lookup,
    Output,
    Preview,
    Progress,
    Queued,
    Started,
    WatchEvent,
)
from ferrotype.providers.comfyui import Pace
from ferrotype.providers.comfyui import socket as socket_module
from ferrotype.sim.comfyui import Script

from .comfyui_support import (
    Follower,
    bench,
    fetched,
    only,
    order,
    outputs,
    picture,
    run,
    size_of,
    told,
    workflow,
)

BATCH = {
    "1": ("EmptyImage", {"width": "{{width}}", "height": "{{height}}", "batch_size": 2, "color": 620}),
    "2": ("ImageAddNoise", {"image": ["1", 0], "seed": "{{seed}}", "strength": 0.5}),
}


async def test_a_healthy_server_is_asked_twice_and_nothing_more() -> None:
    async with bench() as (sim, provider):
        request = order()
        request_id = await provider.submit(request)
        assert request_id == request.attempt_id
        events = await told(provider, request, request_id)
        assert sim.journal.counts() == {"GET /ws": 1, "POST /prompt": 1, "GET /history/{prompt_id}": 1}
        assert isinstance(events[0], Queued)
        assert isinstance(events[1], Started)
        (output,) = outputs(events)
        assert (output.width, output.height, output.seed) == (64, 64, 7)
        assert output.content_type == "image/png"
        assert output.origin is not None
        assert output.origin.url.startswith(f"/view?filename=ferrotype_{request.attempt_id}_00001_.png&")
        assert size_of(await fetched(provider, output)) == (64, 64)
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert finished.seconds is not None


async def test_the_second_prompt_uses_the_same_socket_and_cached_nodes() -> None:
    async with bench() as (sim, provider):
        await run(provider, order())
        sim.journal.clear()
        again = order()
        (output,) = outputs(await run(provider, again))
        assert output.origin is not None
        assert again.attempt_id in output.origin.url
        assert sim.journal.counts() == {"POST /prompt": 1, "GET /history/{prompt_id}": 1}


async def test_ten_at_once_share_one_socket_and_each_costs_two_requests() -> None:
    async with bench(Script(step_seconds=0.001)) as (sim, provider):
        requests = [order(seed=seed) for seed in range(10)]
        results = await asyncio.gather(*(run(provider, request) for request in requests))
        for request, events in zip(requests, results, strict=True):
            (output,) = outputs(events)
            assert output.origin is not None
            assert request.attempt_id in output.origin.url
            for route in ("POST /prompt", "GET /history/{prompt_id}"):
                assert sim.journal.count(route, request.attempt_id) == 1
        assert sim.journal.counts() == {"GET /ws": 1, "POST /prompt": 10, "GET /history/{prompt_id}": 10}


def _reached(seen: list[WatchEvent]) -> float:
    return max((event.fraction for event in only(seen, Progress)), default=0)


async def test_progress_is_weighted_and_never_falls() -> None:
    async with bench(Script(hold=0)) as (sim, provider):
        request = order(params={"steps": 20})
        follower = Follower(provider, request, await provider.submit(request))
        seen = []
        for step in range(1, 20):
            await sim.held()
            sim.release(upto=step)
            # Four light nodes of half a step each before the sampler, two behind it.
            least = (2 + step) / 23 - 1e-9
            await follower.until(lambda told, least=least: _reached(told) >= least)
            seen.append(_reached(follower.seen))
        sim.release()
        events = await follower.end()
    fractions = [event.fraction for event in only(events, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert seen == pytest.approx([(2 + step) / 23 for step in range(1, 20)])


@pytest.mark.parametrize(("preview", "content_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
@pytest.mark.parametrize("hello", [socket_module.HELLO, '{"type": "none"}'])
async def test_previews_of_both_binary_types(
    monkeypatch: pytest.MonkeyPatch, preview: Any, content_type: str, hello: str
) -> None:
    monkeypatch.setattr(socket_module, "HELLO", hello)
    async with bench(Script(preview=preview)) as (_, provider):
        previews = only(await run(provider, order()), Preview)
    assert previews
    assert {event.content_type for event in previews} == {content_type}


@pytest.mark.parametrize("hello", [socket_module.HELLO, '{"type": "none"}'])
async def test_websocket_pictures_come_with_their_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hello: str
) -> None:
    monkeypatch.setattr(socket_module, "HELLO", hello)
    folder = workflow(tmp_path, "ws", BATCH | {"s": ("SaveImageWebsocket", {"images": ["2", 0]})})
    async with bench(workflows_dir=folder) as (sim, provider):
        events = await run(provider, order("ws"))
        first, second = outputs(events)
        assert not only(events, Preview)
        for output in (first, second):
            assert output.data is not None
            assert size_of(output.data) == (output.width, output.height) == (64, 64)
            assert (output.origin, output.content_type) == (None, "image/png")
        assert first.data != second.data
        assert sim.journal.counts() == {"GET /ws": 1, "POST /prompt": 1, "GET /history/{prompt_id}": 1}


async def test_files_and_websocket_pictures_of_one_workflow_are_counted_on(tmp_path: Path) -> None:
    graph = BATCH | {
        "3": ("SaveImageWebsocket", {"images": ["2", 0]}),
        "4": ("SaveImage", {"images": ["2", 0], "filename_prefix": "x"}),
        "5": ("PreviewImage", {"images": ["2", 0]}),
    }
    async with bench(workflows_dir=workflow(tmp_path, "both", graph)) as (_, provider):
        found = outputs(await run(provider, order("both")))
    assert [output.data is None for output in found] == [False, False, True, True]
    assert all("type=output" in output.origin.url for output in found if output.origin is not None)


async def test_a_batch_is_one_prompt() -> None:
    async with bench() as (sim, provider):
        found = outputs(await run(provider, order(num_images=4)))
        assert len({await fetched(provider, output) for output in found}) == 4
        assert sim.journal.count("POST /prompt") == 1
    names = [parse_qs(urlsplit(output.origin.url).query)["filename"][0] for output in found if output.origin]
    assert [name[-11:] for name in names] == [f"_0000{number}_.png" for number in (1, 2, 3, 4)]


async def test_older_files_of_others_are_never_taken_for_ours() -> None:
    async with bench() as (sim, provider):
        request = order()
        (sim.folders.output / "ComfyUI_00001_.png").write_bytes(b"foreign")
        (sim.folders.output / "ferrotype_00001_.png").write_bytes(b"foreign")
        (output,) = outputs(await run(provider, request))
        assert await fetched(provider, output) != b"foreign"


@pytest.mark.parametrize("target", ["img2img", "txt2img_lora"])
async def test_the_other_shipped_templates_run(target: str) -> None:
    async with bench() as (sim, provider):
        source = await fetched(provider, outputs(await run(provider, order(width=96, height=80)))[0])
        request = order(
            target,
            images=(picture(source),) if target == "img2img" else (),
            params={"steps": 2, "lora": sim.script.loras[0]},
        )
        (output,) = outputs(await run(provider, request))
        assert size_of(await fetched(provider, output)) == (output.width, output.height) == (64, 64)


async def test_input_pictures_are_sent_first_and_again_without_harm(tmp_path: Path) -> None:
    graph: dict[str, tuple[str, dict[str, Any]]] = {
        "1": ("LoadImage", {"image": "{{image_1}}"}),
        "2": ("LoadImage", {"image": "{{image_2}}"}),
        "3": ("LoadImageMask", {"image": "{{mask}}", "channel": "red"}),
        "4": (
            "ImageCompositeMasked",
            {
                "destination": ["1", 0],
                "source": ["2", 0],
                "mask": ["3", 0],
                "x": 0,
                "y": 0,
                "resize_source": True,
            },
        ),
        "5": ("SaveImage", {"images": ["4", 0], "filename_prefix": "{{filename_prefix}}"}),
    }
    async with bench(workflows_dir=workflow(tmp_path, "paste", graph)) as (sim, provider):
        sources = [
            picture(await fetched(provider, outputs(await run(provider, order(seed=seed)))[0]))
            for seed in (1, 2)
        ]
        sim.journal.clear()
        for _ in range(2):
            request = order("paste", images=tuple(sources), mask=sources[0])
            (output,) = outputs(await run(provider, request))
            assert size_of(await fetched(provider, output)) == (64, 64)
        routes = [entry.route for entry in sim.journal.entries]
        assert routes[:4] == ["POST /upload/image"] * 3 + ["POST /prompt"]
        assert len(list(sim.folders.input.glob("ferrotype_*"))) == 2


HOSTILE = '"}}, {{seed}} \\" {"class_type": "Evil"} \n\t \u2028 {{checkpoint}} embedding:x (a:1.2)'


async def test_a_hostile_prompt_arrives_as_the_text_it_is() -> None:
    async with bench() as (sim, provider):
        request = order(prompt=HOSTILE, negative_prompt=HOSTILE[::-1])
        outputs(await run(provider, request))
        entry = sim.queue.history[request.attempt_id]
        graph = entry["prompt"][2]
        assert graph["positive"]["inputs"]["text"] == HOSTILE
        assert graph["negative"]["inputs"]["text"] == HOSTILE[::-1]
        assert {node["class_type"] for node in graph.values()} == {
            "CheckpointLoaderSimple",
            "CLIPTextEncode",
            "EmptyLatentImage",
            "KSampler",
            "VAEDecode",
            "SaveImage",
        }


async def test_what_cannot_be_filled_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    graph = {
        "1": ("LoadImage", {"image": "{{image}}", "x": "{{nonsense}}"}),
        "2": ("SaveImage", {"images": ["1", 0]}),
    }
    async with bench(workflows_dir=workflow(tmp_path, "odd", graph)) as (sim, provider):
        with pytest.raises(ProviderRejected, match=r"\{\{nonsense\}\}"):
            await provider.submit(order("odd", images=(picture(b"x"),)))
        with pytest.raises(ProviderRejected, match="nosuch"):
            await provider.submit(order("nosuch"))
        with pytest.raises(ProviderRejected, match="negative"):
            await provider.submit(order("upscale", negative_prompt="blur"))
        assert sim.journal.entries == []


async def test_a_refused_workflow_names_node_and_reason() -> None:
    async with bench() as (sim, provider):
        with pytest.raises(ProviderRejected) as raised:
            await provider.submit(order(options={"checkpoint": "missing.safetensors"}))
        assert "CheckpointLoaderSimple (node checkpoint): Value not in list" in raised.value.detail
        assert sim.journal.count("POST /prompt") == 1


async def test_a_refused_branch_is_told_at_the_end(tmp_path: Path) -> None:
    graph = BATCH | {
        "3": ("SaveImage", {"images": ["2", 0]}),
        "4": ("LoadImage", {"image": "nope.png"}),
        "5": ("SaveImage", {"images": ["4", 0]}),
    }
    async with bench(workflows_dir=workflow(tmp_path, "half", graph)) as (_, provider):
        events = await run(provider, order("half"))
    assert len(only(events, Output)) == 2
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert isinstance(finished.problem, ProviderRejected)
    assert "nope.png" in finished.problem.detail
    assert only(events, Progress)[-1].fraction == 1


async def test_a_workflow_without_pictures_fails_and_says_so(tmp_path: Path) -> None:
    graph = BATCH | {"3": ("PreviewAny", {"source": ["2", 0]})}
    async with bench(workflows_dir=workflow(tmp_path, "text", graph)) as (_, provider):
        with pytest.raises(ProviderFailed, match="no picture, only text"):
            await run(provider, order("text"))


async def test_the_position_is_told_while_it_waits() -> None:
    async with bench(Script(hold="start"), Pace(first_look=0.01)) as (sim, provider):
        requests = [order(seed=seed) for seed in range(3)]
        for request in requests:
            await provider.submit(request)
        await sim.held()
        last = Follower(provider, requests[2], requests[2].attempt_id)
        await last.until(lambda seen: Queued(2) in seen)
        sim.release(requests[0].attempt_id)
        await last.until(lambda seen: Queued(1) in seen)
        assert not only(last.seen, Started)
        sim.script.hold = None
        sim.wake()
        outputs(await last.end())


async def test_closing_a_watch_stops_watching_and_not_the_work() -> None:
    async with bench(Script(hold=1)) as (sim, provider):
        request = order()
        watch = provider.watch(request, await provider.submit(request))
        async for event in watch:
            if isinstance(event, Started):
                break
        await watch.aclose()
        await sim.held()
        sim.release()
        await sim.idle()
        assert await provider.lookup(request) == Found(request.attempt_id)
        assert len(outputs(await told(provider, request, request.attempt_id))) == 1
        assert sim.journal.count("POST /prompt") == 1
        assert sim.journal.count("POST /interrupt") == 0


async def test_health_tells_version_and_queue() -> None:
    async with bench(Script(hold="start")) as (sim, provider):
        health = await provider.health()
        assert (health.ok, health.queue_length) == (True, 0)
        assert "0.3.64" in health.detail
        await provider.submit(order())
        await provider.submit(order())
        assert (await provider.health()).queue_length == 2
        await sim.close_door()
        health = await provider.health()
        assert not health.ok
        assert "cannot be reached" in health.detail


@pytest.mark.parametrize(
    ("provider_name", "url"),
    [
        ("comfyui", "http://evil.example/view?filename=x"),
        ("comfyui", "//evil.example/view?filename=x"),
        ("comfyui", "/free"),
        ("replicate", "/view?filename=x"),
    ],
)
async def test_only_our_own_outputs_are_fetched_with_our_credentials(provider_name: str, url: str) -> None:
    async with bench() as (_, provider):
        with pytest.raises(ProviderFailed):
            provider.fetch_request(Origin(provider=provider_name, url=url))


async def test_unknown_ids_are_told_apart() -> None:
    async with bench() as (_, provider):
        assert await provider.lookup(order(attempt_id=new_id())) is Lookup.ABSENT
