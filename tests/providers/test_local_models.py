"""Orders for the models of this machine: what is refused before any work, and what comes out of the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pyvips

from ferrotype.domain.problems import ProviderRejected
from ferrotype.providers.base import Finished, Output, Progress, Started
from ferrotype.providers.local import LocalSettings, encode
from ferrotype.providers.local.encode import ENCODINGS
from ferrotype.providers.local.models import BASE, RESTYLE_ANY, UPSCALE_ALPHA, UPSCALE_OPAQUE
from ferrotype.providers.local.settings import MOST_THREADS, group_limits, machine_memory
from tests.providers.contract.rig import call
from tests.providers.local_support import drawn, local, order, pixels, png


def upscale(data: bytes, scale: Any = 2, target: str = "upscale-photo", **changes: Any) -> Any:
    return order(target, data, params={"scale": scale}, **changes)


async def refused(request: Any, **settings: Any) -> ProviderRejected:
    """The problem of submitting it; nothing was started for it."""
    async with local(**settings) as provider:
        with pytest.raises(ProviderRejected) as caught:
            await provider.submit(request)
        assert not provider._models.workers.pids
    return caught.value


def wide(width: int, height: int) -> bytes:
    return bytes(pyvips.Image.black(width, height, bands=3).cast("uchar").pngsave_buffer())


async def test_the_events_of_a_call() -> None:
    async with local() as provider:
        found = await call(provider, upscale(png(drawn(24, 20)), format="jpeg"))
    assert isinstance(found.events[0], Started)
    assert isinstance(found.events[-2], Output)
    assert isinstance(found.events[-1], Finished)
    fractions = [event.fraction for event in found.events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert (found.outputs[0].width, found.outputs[0].height) == (48, 40)
    assert found.outputs[0].content_type == "image/jpeg"
    assert found.events[-1].seconds is not None
    assert found.events[-1].seconds > 0


@pytest.mark.parametrize("target", ["upscale-photo", "upscale-art"])
@pytest.mark.parametrize("scale", [2, 4])
async def test_every_upscaler_at_every_scale(target: str, scale: int) -> None:
    async with local() as provider:
        found = await call(provider, upscale(png(drawn(24, 20)), scale, target))
    assert pixels(found.outputs[0].data).shape == (20 * scale, 24 * scale, 3)


@pytest.mark.parametrize("scale", [None, 1, 3, 8, "2"])
async def test_other_scales_are_refused(scale: Any) -> None:
    problem = await refused(upscale(png(drawn(24, 20)), scale))
    assert (problem.field, problem.limit) == ("params.scale", [2, 4])


async def test_results_beyond_the_longest_side_of_a_picture_are_refused() -> None:
    assert (await refused(upscale(wide(4096, 8), 4))).limit == 16_383
    async with local() as provider:
        await provider.submit(upscale(wide(4095, 8), 4))


async def test_results_beyond_the_most_pixels_are_refused() -> None:
    """24 megapixels, as cameras make them."""
    problem = await refused(upscale(wide(6000, 4000), 2))
    assert problem.detail == "2x makes it 12000 x 8000; 67108864 pixels are allowed."
    assert (problem.field, problem.limit) == ("image", 64 * 1024 * 1024)
    assert (await refused(upscale(wide(40, 20), 2), local_max_pixels=3199)).limit == 3199
    async with local(local_max_pixels=3200) as provider:
        await provider.submit(upscale(wide(40, 20), 2))


@pytest.mark.parametrize("alpha", [False, True])
async def test_what_would_not_fit_in_memory_is_refused(alpha: bool) -> None:
    data = wide(1000, 500)
    if alpha:
        data = bytes(pyvips.Image.black(1000, 500, bands=4).cast("uchar").pngsave_buffer())
    needed = BASE + 2000 * 1000 * (UPSCALE_ALPHA if alpha else UPSCALE_OPAQUE)
    problem = await refused(upscale(data), local_memory_bytes=needed - 1)
    assert "2000 x 1000 needs about" in problem.detail
    assert problem.limit == needed - 1
    async with local(local_memory_bytes=needed) as provider:
        await provider.submit(upscale(data))


async def test_restyling_needs_more_memory() -> None:
    painted = order("restyle", png(drawn(24, 20)), params={"style": "wave"}, width=1000, height=1000)
    needed = BASE + 1000 * 1000 * RESTYLE_ANY
    assert (await refused(painted, local_memory_bytes=needed - 1)).field == "image"
    async with local(local_memory_bytes=needed) as provider:
        await provider.submit(painted)


async def test_exactly_one_source_of_the_style() -> None:
    picture = png(drawn(24, 20))
    for request in (
        order("restyle", picture),
        order("restyle", picture, picture, params={"style": "wave"}),
        order("restyle", picture, picture, picture),
    ):
        assert (await refused(request)).field == "params.style"
    for target in ("restyle", "upscale-art"):
        assert (await refused(order(target))).field == "image"


async def test_what_is_no_picture_is_refused() -> None:
    assert (await refused(upscale(b"GIF but not really"))).field == "image"
    assert "damaged" in (await refused(upscale(png(drawn(24, 20))[:20]))).detail


async def test_a_reference_that_is_damaged_is_named() -> None:
    torn = png(drawn(64, 64))[:900]
    async with local() as provider:
        with pytest.raises(ProviderRejected) as caught:
            await call(provider, order("restyle", png(drawn(24, 20)), torn))
    assert caught.value.field == "images.1"


async def test_a_target_that_does_not_exist() -> None:
    assert "no target 'downscale'" in (await refused(order("downscale"))).detail


async def test_a_call_that_nobody_heard_of_is_canceled_without_a_fuss() -> None:
    async with local() as provider:
        await provider.cancel(upscale(png(drawn(24, 20))), "unknown")


@pytest.mark.parametrize("format", [None, *ENCODINGS])
def test_each_format(format: str | None) -> None:
    data, content_type = encode.encode(drawn(24, 20), format)
    assert content_type == f"image/{format or 'webp'}"
    assert pixels(data).shape == (20, 24, 3)


def test_large_pictures_get_a_format_that_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "SAFE_WEBP_PIXELS", 24 * 20 - 1)
    clear = drawn(24, 20).bandjoin(drawn(24, 20)[0]).copy(interpretation="srgb")
    assert encode.encode(drawn(24, 20), None)[1] == "image/jpeg"
    assert encode.encode(clear, None)[1] == "image/png"
    assert encode.encode(clear, "webp")[1] == "image/webp"


def test_what_is_clear_becomes_white_in_a_jpeg() -> None:
    clear = drawn(24, 20).bandjoin(0).cast("uchar").copy(interpretation="srgb")
    assert pixels(encode.encode(clear, "jpeg")[0]).min() > 250


def test_memory_is_shared_by_the_workers_and_bounded() -> None:
    assert LocalSettings(local_memory_bytes=5).memory == 5
    one, four = LocalSettings().memory, LocalSettings(local_workers=4).memory
    assert one <= machine_memory() // 2
    assert four <= machine_memory() // 8
    assert 1 <= LocalSettings(local_workers=64).threads <= LocalSettings().threads <= MOST_THREADS


def test_bounds_of_containers_and_services_are_heeded(tmp_path: Path) -> None:
    def put(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    assert list(group_limits(tmp_path)) == [], "not Linux"
    put("proc/self/cgroup", "4:memory:/docker/ab\n3:cpu:/\n0::/system.slice/ferrotype.service\n")
    assert list(group_limits(tmp_path)) == []
    put("sys/fs/cgroup/memory.max", "8000\n")
    put("sys/fs/cgroup/system.slice/memory.max", "max\n")
    put("sys/fs/cgroup/system.slice/ferrotype.service/memory.max", "5000\n")
    put("sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes", "6000\n")
    assert sorted(group_limits(tmp_path)) == [5000, 6000, 8000]
