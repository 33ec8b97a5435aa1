"""RunPod: what workers return and tell, in all its forms; what it costs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ferrotype.domain.asset import Origin
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    ProviderFailed,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
)
from ferrotype.imaging.sniff import sniff
from ferrotype.providers.runpod.progress import fraction_of
from ferrotype.sim.hosted import Fault, HostedScript
from tests.providers.contract.rig import bytes_of, call, picture, png, watch
from tests.providers.runpod_support import (
    CHECKPOINT,
    KEY,
    PICTURE,
    RUN,
    STATUS,
    Fixed,
    b64,
    bench,
    order,
    returned,
)

# worker-comfyui


@pytest.mark.parametrize("target", ["comfyui", "comfyui-4", "comfyui-s3", "comfyui-4-s3"])
async def test_both_generations_of_the_worker_with_and_without_a_bucket(target: str) -> None:
    async with bench() as (sim, provider):
        told = await call(provider, order(target))
        (output,) = told.outputs
        assert (output.origin is not None) == target.endswith("s3")
        assert sniff(await bytes_of(provider, output)) is not None
        (work,) = sim.works.items.values()
        assert (work.prompt, work.seed, work.width, work.height) == ("a lighthouse", 7, 64, 48)


async def test_several_pictures_of_one_workflow() -> None:
    async with bench() as (_, provider):
        told = await call(provider, order(num_images=3))
        assert [output.index for output in told.outputs] == [0, 1, 2]
        assert len({output.data for output in told.outputs}) == 3
        assert told.finished.problem is None


async def test_files_are_named_after_the_attempt() -> None:
    async with bench() as (sim, provider):
        request = order()
        await call(provider, request)
        graph = sim.journal.of(RUN)[0].body["input"]["workflow"]
        prefixes = [
            node["inputs"]["filename_prefix"]
            for node in graph.values()
            if "filename_prefix" in node["inputs"]
        ]
        assert prefixes == [f"ferrotype_{request.attempt_id}"]


@pytest.mark.parametrize("target", ["comfyui", "comfyui-4"])
async def test_input_pictures_go_along_under_the_names_that_the_workflow_has(target: str) -> None:
    data = png(40, 30)
    async with bench() as (sim, provider):
        options = {"workflow": "img2img", **CHECKPOINT}
        told = await call(provider, order(target, options=options, images=(picture(data),)))
        assert told.outputs
        (image,) = sim.journal.of(RUN)[0].body["input"]["images"]
        assert image["image"] == b64(data)  # no data URI: older workers know none
        graph = sim.journal.of(RUN)[0].body["input"]["workflow"]
        loaded = [node["inputs"]["image"] for node in graph.values() if node["class_type"] == "LoadImage"]
        assert loaded == [image["name"]]


async def test_a_picture_that_is_also_the_mask_is_sent_once() -> None:
    both = picture()
    async with bench() as (sim, provider):
        options = {"workflow": "inpaint", **CHECKPOINT}
        await call(provider, order(options=options, images=(both,), mask=both))
        assert len(sim.journal.of(RUN)[0].body["input"]["images"]) == 1


async def test_a_workflow_that_saves_nothing_makes_no_picture(tmp_path: Path) -> None:
    shown = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}}
    shown["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    (tmp_path / "shown.json").write_text(json.dumps(shown))
    async with bench(workflows_dir=str(tmp_path)) as (sim, provider):
        with pytest.raises(ProviderFailed, match="made no picture"):
            await call(provider, order(options={"workflow": "shown"}))
        assert sim.works.created == 1


async def test_a_workflow_that_sends_by_websocket_is_refused_before_it_costs(tmp_path: Path) -> None:
    sent = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}}
    sent["2"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    (tmp_path / "sent.json").write_text(json.dumps(sent))
    async with bench(workflows_dir=str(tmp_path)) as (sim, provider):
        with pytest.raises(ProviderRejected, match="websocket"):
            await provider.submit(order(options={"workflow": "sent"}))
        assert not sim.journal.entries


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": {"workflow": "nothing"}}, "no workflow 'nothing'"),
        ({"options": {"workflow": "txt2img"}}, "{{checkpoint}}"),
        ({"mask": picture()}, "takes no mask"),
        ({"images": (picture(),)}, "takes 0 input pictures"),
    ],
)
async def test_what_the_workflow_cannot_do_is_refused_before_it_costs(
    changes: dict[str, Any], words: str
) -> None:
    async with bench() as (sim, provider):
        with pytest.raises(ProviderRejected) as caught:
            await provider.submit(order(**changes))
        assert words in caught.value.detail
        assert not sim.journal.entries


async def test_a_workflow_that_comfyui_refuses_is_the_input_s_fault() -> None:
    async with bench() as (_, provider):
        with pytest.raises(ProviderRejected) as caught:
            await call(provider, order(params={"sampler": "heun_9000"}))
        assert "value_not_in_list" in caught.value.detail or "heun_9000" in caught.value.detail


# Outputs of every kind


@pytest.mark.parametrize(
    "output",
    [
        {"images": [{"filename": "a.png", "type": "base64", "data": PICTURE}]},
        {"images": [{"filename": "a.png", "type": "base64", "data": f"data:image/png;base64,{PICTURE}"}]},
        {"status": "success", "message": PICTURE},
        {"message": f"data:image/png;base64,{PICTURE}"},
        {"image": PICTURE},
        {"images": [PICTURE]},
        {"images": [{"image": PICTURE, "seed": 3}]},
        [{"image": PICTURE, "seed": 3}],
        [PICTURE],
        PICTURE,
    ],
)
async def test_inline_pictures(output: Any) -> None:
    told = await returned(output)
    assert [each.data for each in told.outputs] == [png()]


@pytest.mark.parametrize(
    "output",
    [
        {"images": [{"filename": "a.png", "type": "s3_url", "data": "https://b.example.com/a.png?X-Amz=1"}]},
        {"status": "success", "message": "https://b.example.com/a.png?X-Amz=1"},
        {"image_url": "https://b.example.com/a.png?X-Amz=1", "cost": 0.1},
        {"image_urls": ["https://b.example.com/a.png?X-Amz=1"]},
        ["https://b.example.com/a.png?X-Amz=1"],
    ],
)
async def test_pictures_by_address(output: Any) -> None:
    told = await returned(output)
    assert [each.origin for each in told.outputs] == [
        Origin(provider="runpod", url="https://b.example.com/a.png?X-Amz=1")
    ]


async def test_where_the_pictures_are_can_be_said() -> None:
    output = {"image": PICTURE, "result": [{"final": [b64(png(30, 30))]}]}
    options = {"input": {"prompt": "{prompt}"}, "output": "result.0.final"}
    told = await returned(output, options=options)
    assert [each.data for each in told.outputs] == [png(30, 30)]
    with pytest.raises(ProviderFailed, match="made no picture"):
        await returned(output, options=options | {"output": "result.1.final"})


async def test_more_pictures_than_ordered_are_left_out() -> None:
    told = await returned({"images": [PICTURE, PICTURE, PICTURE]}, num_images=2)
    assert [each.index for each in told.outputs] == [0, 1]
    assert told.finished.problem is None


async def test_fewer_pictures_than_ordered_are_told() -> None:
    images = [{"filename": "a.png", "type": "base64", "data": PICTURE}]
    errors = ["Error uploading b.png to S3: AccessDenied"]
    told = await returned({"images": images, "errors": errors}, num_images=2)
    assert len(told.outputs) == 1
    assert told.finished.problem is not None
    assert "1 of 2" in told.finished.problem.detail
    assert "AccessDenied" in told.finished.problem.detail


async def test_an_old_worker_s_picture_is_no_complaint() -> None:
    told = await returned({"status": "success", "message": PICTURE}, num_images=2)
    assert told.finished.problem is not None
    assert PICTURE[:40] not in told.finished.problem.detail


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"status": "success_no_images", "images": []}, "made no picture"),
        (
            {"status": "error", "message": "the image does not exist in the specified output folder"},
            "not exist",
        ),
        ({"error": "CUDA error", "details": ["device lost"]}, "CUDA error"),
        (
            {"images": [{"filename": "a.png", "type": "s3_url", "data": "simulated_uploaded/a.png"}]},
            "no picture",
        ),
        ({"images": [{"filename": "a.png", "type": "base64", "data": ""}]}, "no picture"),
        ({}, "no picture"),
        (None, "no picture"),
        ("done", "no picture"),
        (7, "no picture"),
    ],
)
async def test_a_success_without_a_picture_is_a_failure(output: Any, words: str) -> None:
    with pytest.raises(ProviderFailed, match=words):
        await returned(output)


async def test_broken_base64_is_a_failure() -> None:
    with pytest.raises(ProviderFailed, match="base64"):
        await returned({"images": [{"filename": "a.png", "type": "base64", "data": "!!!"}]})


# How jobs end badly


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("CUDA out of memory", ProviderFailed, "CUDA out of memory"),
        (["prompt is a required input."], ProviderRejected, "prompt is a required input."),
        ("Invalid parameter: width must be divisible by 64", ProviderRejected, "divisible by 64"),
        ("Missing 'workflow' parameter", ProviderRejected, "workflow"),
        ("NSFW content detected", ProviderRefused, "NSFW"),
        ("The prompt was rejected by our safety system", ProviderRefused, "safety system"),
        ("safety checker weights could not be loaded", ProviderFailed, "weights"),
        ("job timed out after 1 retries", ProviderTimeout, "timed out"),
        (
            '{"error_type": "X", "error_message": "no GPU", "error_traceback": "SECRET"}',
            ProviderFailed,
            "no GPU",
        ),
        (f"bad key {KEY}", ProviderFailed, "[secret]"),
        ("<html><body>502</body></html>", ProviderFailed, "does not say why"),
        ({"code": 7}, ProviderFailed, "does not say why"),
    ],
)
async def test_what_handlers_say(error: Any, kind: type[ProviderProblem], words: str) -> None:
    with pytest.raises(ProviderProblem) as caught:
        await returned(error=error)
    assert type(caught.value) is kind
    assert words in caught.value.detail
    assert "SECRET" not in caught.value.detail
    assert KEY not in caught.value.detail


async def test_the_details_of_worker_comfyui_are_told() -> None:
    async with bench() as (sim, provider):
        sim.script.faults.append(Fault("error", "out of memory in layer 3"))
        with pytest.raises(ProviderFailed, match=r"Job processing failed: .*out of memory in layer 3"):
            await call(provider, order())


# Progress and costs


@pytest.mark.parametrize(
    ("told", "fraction"),
    [
        ("Update 2/4", 0.5),
        ("step 3 of 4", 0.75),
        (" 45%|####5     | 9/20 [00:03<00:04]", 0.45),
        ("45%", 0.45),
        (45, 0.45),
        (0.45, 0.45),
        (100, 1.0),
        (0, 0.0),
        (1, None),
        (-3, None),
        (101, None),
        (True, None),
        ("loading the model", None),
        ("1.5/2.5", None),
        ("7/4", None),
        ("1/0", None),
        ({"progress": 45}, 0.45),
        ({"percent": 1}, 0.01),
        ({"percentage": 250}, None),
        ({"step": 3, "total": 4}, 0.75),
        ({"message": "Update 2/4"}, 0.5),
        ({"images": []}, None),
        (None, None),
        (["45%"], None),
    ],
)
def test_progress_in_whatever_words(told: Any, fraction: float | None) -> None:
    assert fraction_of(told) == fraction


async def test_progress_never_falls() -> None:
    async with bench(HostedScript(hold="end", steps=2)) as (sim, provider):
        sim.endpoints["odd"] = Fixed(PICTURE, told=["10%", "50%", "20%", "nonsense", "60%"])
        request = order("odd", options={"input": {"prompt": "{prompt}"}})
        request_id = await provider.submit(request)
        await sim.works.held()
        (work,) = sim.works.items.values()
        watching = asyncio.ensure_future(watch(provider, request, request_id))
        for step in range(1, 5):
            work.step = step
            await sim.journal.wait(STATUS, sim.journal.count(STATUS) + 2)
        sim.works.release()
        assert (await watching).progress == [0.5, 0.6]


async def test_seconds_and_dollars() -> None:
    options = {
        "input": {"prompt": "{prompt}", "width": "{width}", "height": "{height}", "seed": "{seed}"},
        "usd": "cost",
    }
    async with bench() as (_, provider):
        request = order("black-forest-labs-flux-1-schnell", width=512, height=256, options=options)
        told = await call(provider, request)
        assert told.outputs[0].origin is not None
        assert told.finished.usd == pytest.approx(512 * 256 / 1e6 * 0.0024)
        assert told.finished.seconds is not None
        # Without the option nothing is taken for a price.
        plain = replace(request, options={"input": options["input"]}, attempt_id=new_id())
        assert (await call(provider, plain)).finished.usd is None


@pytest.mark.parametrize("cost", ["0.1", None, True])
async def test_a_price_that_is_none(cost: Any) -> None:
    told = await returned({"image": PICTURE, "cost": cost}, options={"input": {"p": 1}, "usd": "cost"})
    assert told.finished.usd is None
