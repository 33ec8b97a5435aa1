"""Templates with input pictures end to end, and servers that choose the prompt id themselves."""

from __future__ import annotations

import json

import pytest
import pyvips

from ferrotype.domain.problems import ProviderInterrupted, ProviderRejected
from ferrotype.providers.base import Found, InputImage, Lookup, Progress, Started
from ferrotype.providers.workflows.order import MAX_PIXELS, MAX_SIDE, scaled
from ferrotype.sim.comfyui import ComfySim, Script

from .comfyui_support import (
    CALM,
    QUICK,
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
)

COLOUR = [10, 200, 30]


def flat(width: int, height: int) -> InputImage:
    image = pyvips.Image.black(width, height).new_from_image(COLOUR).cast("uchar")
    return picture(image.copy(interpretation="srgb").pngsave_buffer())


def right_half(width: int, height: int) -> InputImage:
    """A mask whose right half is white, that is to be redrawn."""
    half = pyvips.Image.black(width // 2, height)
    return picture(half.join(half.invert(), "horizontal").pngsave_buffer())


def submitted(sim: ComfySim, prompt_id: str) -> dict[str, dict[str, object]]:
    """The inputs of each node of an ended prompt, by class."""
    graph = json.loads(json.dumps(sim.queue.history[prompt_id]["prompt"][2]))
    return {node["class_type"]: node["inputs"] for node in graph.values()}


@pytest.mark.parametrize("count", [1, 2])
async def test_inpainting_changes_what_the_mask_shows_and_nothing_else(count: int) -> None:
    async with bench() as (sim, provider):
        image, mask = flat(128, 128), right_half(32, 32)
        request = order("inpaint", operation="edit", images=(image,), mask=mask, num_images=count)
        found = outputs(await run(provider, request))
        assert len(found) == count
        for output in found:
            data = await fetched(provider, output)
            assert size_of(data) == (64, 64)
            done = pyvips.Image.new_from_buffer(data, "")
            assert all(done(x, y) == COLOUR for x in (0, 8, 20) for y in (0, 31, 63)), "kept"
            assert any(done(x, 31) != COLOUR for x in range(44, 64)), "redrawn"
        assert sim.journal.count("POST /upload/image") == 2
        nodes = submitted(sim, request.attempt_id)
        names = {str(nodes["LoadImage"]["image"]), str(nodes["LoadImageMask"]["image"])}
        assert names == {path.name for path in sim.folders.input.glob("ferrotype_*")}
        sent = (sim.folders.input / str(nodes["LoadImageMask"]["image"])).read_bytes()
        assert sent == await mask.read()


async def test_inpainting_without_a_mask_is_refused_before_anything_is_sent() -> None:
    async with bench() as (sim, provider):
        with pytest.raises(ProviderRejected, match="mask"):
            await provider.submit(order("inpaint", images=(flat(64, 64),)))
        assert sim.journal.entries == []


async def test_upscaling_makes_a_picture_four_times_as_large() -> None:
    async with bench() as (sim, provider):
        request = order("upscale", operation="upscale", prompt="", images=(flat(600, 50),), params={})
        events = await run(provider, request)
        (output,) = outputs(events)
        # No size is told: only the picture itself knows what the model made of it.
        assert (output.width, output.height) == (None, None)
        assert size_of(await fetched(provider, output)) == (2400, 200)
        fractions = [event.fraction for event in only(events, Progress)]
        assert fractions == sorted(fractions)
        assert submitted(sim, request.attempt_id)["UpscaleModelLoader"] == {
            "model_name": "RealESRGAN_x4plus.pth"
        }


@pytest.mark.parametrize("model", ["RealESRGAN_x4plus.pth", "RealESRGAN_x2plus.pth"])
@pytest.mark.parametrize("scale", [2, 4])
async def test_the_scale_is_that_of_the_result_whatever_the_models_own(scale: int, model: str) -> None:
    script = Script(upscale_models=["RealESRGAN_x4plus.pth", "RealESRGAN_x2plus.pth"])
    async with bench(script) as (_, provider):
        image = flat(61, 50)
        params = {"scale": scale, "upscale_model": model}
        request = order(
            "upscale", operation="upscale", prompt="", width=61, height=50, images=(image,), params=params
        )
        (output,) = outputs(await run(provider, request))
        assert (output.width, output.height) == (61 * scale, 50 * scale)
        assert size_of(await fetched(provider, output)) == (61 * scale, 50 * scale)


@pytest.mark.parametrize(
    ("size", "scale", "result"),
    [
        ((3000, 2000), 2, (6000, 4000)),  # of which only a smaller copy was sent
        ((2048, 2048), 4, (8192, 8192)),
        ((3000, 2000), 4, (10033, 6688)),
        ((8000, 1000), 4, (16384, 2048)),
        ((1, 1), 2, (2, 2)),
    ],
)
def test_the_scaled_size_stays_within_what_can_be_made(
    size: tuple[int, int], scale: int, result: tuple[int, int]
) -> None:
    found = scaled(order(width=size[0], height=size[1]), scale)
    assert found == result
    assert found[0] * found[1] <= MAX_PIXELS
    assert max(found) <= MAX_SIDE


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0, None])
async def test_a_variation_keeps_as_much_of_its_input_as_the_strength_leaves(strength: float | None) -> None:
    async with bench() as (sim, provider):
        image = flat(64, 64)
        params = {"steps": 2} | ({} if strength is None else {"strength": strength})
        request = order("variation", operation="variation", prompt="", images=(image,), params=params)
        (output,) = outputs(await run(provider, request))
        expected = 0.6 if strength is None else strength
        assert submitted(sim, request.attempt_id)["KSampler"]["denoise"] == expected
        done = pyvips.Image.new_from_buffer(await fetched(provider, output), "")
        assert (done.width, done.height) == (64, 64)
        unchanged = all(done(x, y) == COLOUR for x in (0, 31, 63) for y in (0, 31, 63))
        assert unchanged is (strength == 0)


async def test_an_upscale_model_that_is_not_there_is_named() -> None:
    async with bench() as (_, provider):
        request = order("upscale", images=(flat(64, 64),), params={"upscale_model": "none.pth"})
        with pytest.raises(ProviderRejected, match=r"none\.pth"):
            await provider.submit(request)


# A server that ignores the client's prompt_id


async def test_ids_of_the_servers_own_are_submitted_watched_and_looked_up() -> None:
    async with bench(Script(own_prompt_ids=True, hold=1), QUICK) as (sim, provider):
        request = order()
        assert await provider.lookup(request) is Lookup.ABSENT
        request_id = await provider.submit(request)
        assert request_id != request.attempt_id
        follower = Follower(provider, request, request_id)
        await follower.first(Started)
        await sim.held()
        assert await provider.lookup(request) == Found(request.attempt_id)
        sim.release()
        (output,) = outputs(await follower.end())
        assert size_of(await fetched(provider, output)) == (64, 64)
        assert await provider.lookup(request) == Found(request.attempt_id)
        # After a crash before the id was written down only the attempt's own id is known.
        (again,) = outputs(await told(provider, request, request.attempt_id))
        assert again.origin == output.origin
        assert sim.journal.count("POST /prompt") == 1


@pytest.mark.parametrize("by_mark", [False, True])
async def test_a_running_one_with_an_id_of_its_own_is_interrupted_and_no_other(by_mark: bool) -> None:
    async with bench(Script(own_prompt_ids=True, hold=1), CALM) as (sim, provider):
        ours, other = order(seed=1), order(seed=2)
        ids = [await provider.submit(request) for request in (ours, other)]
        known = ours.attempt_id if by_mark else ids[0]
        followers = [Follower(provider, ours, known), Follower(provider, other, ids[1])]
        await sim.held()
        await followers[0].first(Started)
        await provider.cancel(ours, known)
        with pytest.raises(ProviderInterrupted):
            await followers[0].end()
        sim.script.hold = None
        sim.wake()
        outputs(await followers[1].end())
        asked = {entry.prompt_id for entry in sim.journal.entries if entry.route == "POST /interrupt"}
        assert asked == {ids[0]}


@pytest.mark.parametrize("by_mark", [False, True])
async def test_a_waiting_one_with_an_id_of_its_own_is_taken_out_of_the_queue(by_mark: bool) -> None:
    async with bench(Script(own_prompt_ids=True, hold=1), QUICK) as (sim, provider):
        other, ours = order(seed=1), order(seed=2)
        ids = [await provider.submit(request) for request in (other, ours)]
        known = ours.attempt_id if by_mark else ids[1]
        followers = [Follower(provider, other, ids[0]), Follower(provider, ours, known)]
        await sim.held()
        await provider.cancel(ours, known)
        with pytest.raises(ProviderInterrupted):
            await followers[1].end()
        sim.release()
        outputs(await followers[0].end())
        assert sim.journal.count("POST /interrupt") == 0
        assert {e.prompt_id for e in sim.journal.entries if e.route == "POST /queue"} == {ids[1]}


async def test_a_server_that_is_strict_about_ids_takes_ours() -> None:
    async with bench(Script(strict_prompt_ids=True)) as (_, provider):
        request = order()
        assert await provider.submit(request) == request.attempt_id
        outputs(await told(provider, request, request.attempt_id))
