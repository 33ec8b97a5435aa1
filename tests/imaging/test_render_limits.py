"""What is refused, what is damaged, what takes too long, and that memory stays small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from golden.sources import SOURCES, moving, still
from imaging_pictures import OTHERS, REFUSED, png_bomb
from PIL import Image
from render_tools import LIMITS, encoded, rendered, shown

from ferrotype.domain.problems import InvalidField, Overloaded, UnsupportedMedia
from ferrotype.imaging import render as module
from ferrotype.imaging.deadline import Deadline
from ferrotype.imaging.settings import ImagingSettings

PNG = encoded(still())
BIG = encoded(Image.new("RGB", (3000, 2000), (90, 120, 30)))


def within(**values: Any) -> ImagingSettings:
    return ImagingSettings(**values)


def refused(source: Any, query: str, **limits: Any) -> InvalidField:
    with pytest.raises(InvalidField) as caught:
        rendered(source, query, limits=within(**limits))
    return caught.value


# Sources


@pytest.mark.parametrize(("limits", "limit"), [({"max_pixels": 9599}, 9599), ({"max_side": 119}, 119)])
def test_a_source_beyond_the_limits(limits: dict[str, Any], limit: int) -> None:
    problem = refused(PNG, "w=10", **limits)
    assert (problem.field, problem.limit) == ("image", limit)
    assert shown(PNG, "w=10", limits=within(**{name: value + 1 for name, value in limits.items()})).size == (
        10,
        7,
    )


def test_frames_are_counted_even_where_only_the_first_is_shown() -> None:
    for query in ("w=10", "w=10&format=png"):
        problem = refused(SOURCES["gif-moving"](), query, max_frames=3)
        assert (problem.field, problem.limit) == ("image", 3)
        problem = refused(SOURCES["webp-moving"](), query, max_pixels=4 * 9600 - 1)
        assert (problem.field, problem.limit) == ("image", 4 * 9600 - 1)


def test_bytes_are_no_limit_here() -> None:
    """What was let in may be shown: how large a file may be is decided where it comes in."""
    assert shown(PNG, "w=10", limits=within(max_upload_bytes=1024)).size == (10, 7)


def test_a_bomb_is_refused_before_it_is_opened() -> None:
    for side in (20_000, 2**31 - 1):
        assert refused(png_bomb(side, side), "w=10").field == "image"


@pytest.mark.parametrize("name", [*REFUSED, *OTHERS])
def test_what_is_no_picture(name: str) -> None:
    with pytest.raises(UnsupportedMedia):
        rendered((REFUSED | OTHERS)[name], "w=10")


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rendered(tmp_path / "none.png", "w=10")


def test_a_file_that_goes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went to its store: not the picture's fault."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    opened = module.open_image
    monkeypatch.setattr(module, "open_image", lambda *args, **more: (path.unlink(), opened(*args, **more))[1])
    with pytest.raises(FileNotFoundError):
        rendered(path, "w=10")


# Damage


@pytest.mark.parametrize("name", sorted(SOURCES))
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("query", ["w=20", "crop=0,0,4,4", "trim=4&w=2"])
def test_what_is_cut_short_is_refused(name: str, share: float, query: str) -> None:
    """Also where what is asked for stands in the part that is there, save in a TIFF, whose strips are read
    one by one."""
    whole = SOURCES[name]()
    if query.startswith("crop") and name.startswith("tiff"):
        query = "w=2"
    with pytest.raises(InvalidField) as caught:
        rendered(whole[: int(len(whole) * share)], query)
    assert caught.value.field == "image"
    assert caught.value.detail.endswith("picture is damaged or cut short.")


@pytest.mark.parametrize("name", ["png", "png-16-alpha", "webp-moving", "gif-moving", "apng"])
def test_nor_does_it_pass_untouched(name: str) -> None:
    with pytest.raises(InvalidField):
        rendered(SOURCES[name]()[:-9], "format=webp")


def test_damage_in_the_middle() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    data = bytearray(encoded(Image.fromarray(noise)))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InvalidField):
        rendered(bytes(data), "w=20")


# Results


@pytest.mark.parametrize(
    ("query", "field", "limit"),
    [
        ("w=5000&enlarge=1", "w", 4000),
        ("h=3000&enlarge=1", "h", 4000),
        ("w=4000&h=4000&fit=contain", "w", 9_000_000),
        ("w=3900&h=2600&enlarge=1&fit=fill", "w", 9_000_000),
        ("w=400&h=3900&enlarge=1", "w", 9_000_000),  # 5850 x 3900 before it is cut
        ("w=300&h=3900&enlarge=1&fit=outside", "w", 4000),
        ("rotate=45&w=3900&enlarge=1", "rotate", 4000),
        ("rotate=45", "rotate", 9_000_000),
    ],
)
def test_results_have_the_limits_of_sources(query: str, field: str, limit: int) -> None:
    problem = refused(BIG, query, max_side=4000, max_pixels=9_000_000)
    assert (problem.field, problem.limit) == (field, limit)


def test_a_result_within_the_limits() -> None:
    assert shown(BIG, "w=3600&enlarge=1", limits=within(max_side=4000, max_pixels=9_000_000)).size == (
        3600,
        2400,
    )


def test_what_a_format_cannot_hold() -> None:
    wide = encoded(Image.new("L", (16_384, 2)))
    problem = refused(wide, "format=webp")
    assert (problem.field, problem.limit) == ("format", 16_383)
    assert shown(wide, "format=jpeg").size == (16_384, 2)
    large = encoded(Image.new("L", (4000, 3000)))
    assert refused(large, "format=gif").limit == 4_000_000
    assert refused(large, "format=avif").limit == 10_000_000
    assert shown(large, "w=1600&format=gif").size == (1600, 1200)


def test_frames_share_the_pixels() -> None:
    problem = refused(SOURCES["webp-moving"](), "w=200&enlarge=1", max_pixels=4 * 9600)
    assert (problem.field, problem.limit) == ("w", 9600)


# Time


def test_what_takes_too_long_is_stopped() -> None:
    """Seconds of work, and next to no time for it."""
    noise = pyvips.Image.gaussnoise(3000, 3000).cast("uchar").bandjoin([0, 0]).copy(interpretation="srgb")
    data = noise.pngsave_buffer(compression=1)
    with pytest.raises(Overloaded) as caught:
        rendered(data, "sharpen=3&format=webp", limits=within(transform_timeout=0.01))
    assert caught.value.limit == 0.01
    assert caught.value.retry_after is not None


def slow(image: Any, deadline: Deadline, at: int = 20) -> Any:
    """An image that lets the time run out when so many percent of it are there."""

    def look(_: Any, progress: Any) -> None:
        if progress.percent >= at:
            deadline.expire()

    image.set_progress(True)
    image.signal_connect("eval", look)
    return image


def tall() -> Any:
    """Enough strips for libvips to look up between."""
    return pyvips.Image.gaussnoise(500, 16_000).cast("uchar").bandjoin([0, 0]).copy(interpretation="srgb")


@pytest.mark.parametrize(
    "work",
    [
        lambda image: image.copy_memory(),
        lambda image: image.webpsave_buffer(effort=0),
        lambda image: image.jpegsave_buffer(),
        lambda image: image.pngsave_buffer(compression=1),
        lambda image: image.avg(),
    ],
)
def test_the_end_of_the_time_ends_the_work(work: Any) -> None:
    with Deadline(3600) as deadline:
        image = deadline.watch(slow(tall(), deadline))
        with pytest.raises(pyvips.Error, match="kill"):
            work(image)
        with pytest.raises(Overloaded):
            deadline.check()


def test_what_would_only_begin_then_does_not() -> None:
    with Deadline(3600) as deadline:
        deadline.expire()
        for call in (deadline.watch, deadline.settle):
            with pytest.raises(Overloaded):
                call(tall())


@pytest.mark.parametrize("form", ["webp", "jpeg", "png"])
def test_a_picture_whose_time_runs_out_is_not_called_damaged(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEPS", (lambda image, work: slow(image, work.deadline),))
    with pytest.raises(Overloaded):
        rendered(tall().pngsave_buffer(compression=1), f"format={form}")


def test_an_animation_stops_between_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def step(image: Any, work: Any) -> Any:
        seen.append(image)
        if len(seen) == 2:
            work.deadline.expire()
        return image

    monkeypatch.setattr(module, "STEPS", (step,))
    with pytest.raises(Overloaded):
        rendered(moving("GIF"), "w=60")
    assert len(seen) == 2


def test_the_timer_ends_with_the_work() -> None:
    with Deadline(3600) as deadline:
        pass
    assert deadline._timer.finished.is_set()
    assert not deadline.expired


# Memory

PROBE = """
import resource, sys
from pathlib import Path
from render_tools import rendered
rendered(Path(sys.argv[1]), "w=9")  # what the libraries themselves need
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rendered(Path(sys.argv[2]), sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
@pytest.mark.parametrize(
    ("form", "query"),
    [
        ("png", "w=300&format=webp"),
        ("png-alpha", "trim=9&w=99"),
        ("jpeg", "w=300&h=300&gravity=attention&rotate=30&blur=4"),
        ("webp", "w=300&format=webp"),
    ],
)
def test_a_large_picture_is_never_whole_in_memory(form: str, query: str, tmp_path: Path) -> None:
    """5000 x 4000 pixels are 60 MB, 80 with alpha; a few strips of them and the result are a part of that."""
    ramp = pyvips.Image.xyz(5000, 4000)
    image = (ramp[0] / 30).bandjoin([ramp[1] / 25, (ramp[0] / 2 + ramp[1] / 3) % 255]).cast("uchar")
    image = image.copy(interpretation="srgb")
    if form == "png-alpha":
        image = image.bandjoin((ramp[0] / 24).cast("uchar"))
    small, large = tmp_path / "small.png", tmp_path / "large"
    small.write_bytes(PNG)
    saver, _, _ = form.partition("-")
    options = {"png": {"compression": 1}, "webp": {"effort": 0}}.get(saver, {})
    large.write_bytes(getattr(image, f"{saver}save_buffer")(**options))
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", PROBE, str(small), str(large), query]
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=100)
    assert int(found.stdout) / 1024 < 40, f"{int(found.stdout) / 1024} MB"


def test_the_limits_that_everything_here_is_tested_with_are_the_defaults() -> None:
    assert within() == LIMITS
