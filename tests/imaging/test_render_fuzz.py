"""Whatever a file holds and whatever is asked of it: a picture or a problem, soon, in little memory.

libvips is C: what breaks it would end the process, and so the test run. `make soak` looks longer.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from golden.cases import MARKS
from golden.sources import SOURCES
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from render_tools import LIMITS

from ferrotype.domain.problems import InvalidField, UnsupportedMedia
from ferrotype.domain.transform import Transform
from ferrotype.domain.transform_query import FITS, GRAVITIES, SMART, Vocabulary, tidy
from ferrotype.imaging.render import Rendered, render

#: Small, so that what is broken into something huge is refused and not drawn.
BOUNDS = LIMITS.model_copy(update={"max_pixels": 1_000_000, "max_side": 4000, "max_frames": 50})
KNOWN = Vocabulary(watermarks={name: name for name in MARKS}, max_side=1500)
FORMATS = ("avif", "webp", "jpeg", "png", "gif")
#: The large ones only take longer.
SMALL = sorted(name for name in SOURCES if len(SOURCES[name]()) < 50_000)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 100), round(high * 100)).map(lambda value: value / 100)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "crop": st.tuples(*[st.integers(0, 70)] * 2, *[st.integers(1, 60)] * 2),
    "trim": st.integers(0, 254),
    "w": st.integers(1, 300),
    "h": st.integers(1, 300),
    "fit": st.sampled_from(FITS),
    "gravity": st.sampled_from(GRAVITIES) | st.tuples(numbers(0, 1), numbers(0, 1)),
    "enlarge": st.booleans(),
    "rotate": st.integers(0, 359),
    "flip": st.sampled_from(("h", "v", "hv")),
    "blur": numbers(0.3, 250),
    "sharpen": numbers(0.1, 10),
    "bg": st.sampled_from(("ff8000", "00ff0080", "00000000")),
    "watermark": st.sampled_from(sorted(MARKS)),
    "format": st.sampled_from(FORMATS),
    "q": st.integers(1, 100),
    "strip": st.booleans(),
}


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    values = draw(st.fixed_dictionaries({}, optional=VALUES))
    if not {"w", "h"} <= values.keys():
        values.pop("fit", None)
    if values.get("fit") == "contain" and values.get("gravity") in SMART:
        del values["gravity"]
    return tidy(values, KNOWN)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A picture with some of its bytes changed, moved, doubled, cut out or cut off."""
    data = bytearray(SOURCES[draw(st.sampled_from(SMALL))]())
    # Headers and tables stand first: that is where a changed byte does most.
    early = min(len(data) - 1, 700)
    at = st.integers(0, early) | st.integers(0, len(data) - 1)
    for _ in range(draw(st.integers(1, 6))):
        place, length = draw(at), draw(st.integers(1, 40))
        match draw(st.sampled_from(("set", "flip", "insert", "delete", "double", "move", "cut", "max"))):
            case "set":
                data[place : place + 1] = bytes((draw(st.integers(0, 255)),))
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=40))
            case "delete":
                del data[place : place + length]
            case "double":
                data[place:place] = data[place : place + length]
            case "move":
                data[place : place + length] = data[:length]
            case "cut":
                del data[max(place, 20) :]
            case "max":
                data[place : place + 4] = draw(
                    st.sampled_from((b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\0"))
                )
    return bytes(data)


def outcome(source: bytes, transform: Transform) -> Rendered | None:
    """The picture that came of it, whole and within the limits; None for a problem of the right kind."""
    try:
        found = render(source, transform, BOUNDS, MARKS)
    except UnsupportedMedia:
        return None
    except InvalidField as problem:
        if problem.field in {"image", *VALUES}:
            return None
        raise
    if found.data == source:  # untouched, which says nothing of its pixels
        return found
    with Image.open(io.BytesIO(found.data)) as image:
        frames = getattr(image, "n_frames", 1)
        assert image.size == (found.width, found.height)
        assert Image.MIME[image.format or ""] == found.content_type
        assert frames * found.width * found.height <= BOUNDS.max_pixels
        image.load()
    return found


common = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(common, max_examples=120)
@given(st.sampled_from(SMALL), transforms())
def test_any_transform_of_any_picture(name: str, transform: Transform) -> None:
    outcome(SOURCES[name](), transform)


@settings(common, max_examples=250)
@given(broken(), transforms())
def test_any_transform_of_a_broken_picture(source: bytes, transform: Transform) -> None:
    outcome(source, transform)


@settings(common, max_examples=80)
@given(
    st.sampled_from(
        [
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"GIF89a",
            b"II*\0",
            b"RIFF\0\0\0\0WEBP",
            b"\0\0\0\x1cftypavif",
        ]
    ),
    st.binary(max_size=400),
)
def test_anything_behind_a_picture_s_first_bytes(magic: bytes, rest: bytes) -> None:
    assert outcome(magic + rest, Transform(w=9)) is None


def look_for_hours() -> None:
    """Print after each batch how many MB of this process are in memory."""
    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    for batch in range(20):

        @seed(batch)
        @settings(common, max_examples=500, database=None)
        @given(broken(), transforms())
        def look(source: bytes, transform: Transform) -> None:
            outcome(source, transform)

        look()
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(pages * resource.getpagesize() // 2**20, flush=True)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_hours_of_broken_pictures() -> None:
    """Ten thousand of them, and the process is hardly larger afterwards than after the first thousands.

    In a process of its own with one arena: glibc's many are fragmented by libvips's threads, which looks
    like a leak and is none.
    """
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", "from test_render_fuzz import look_for_hours as look; look()"]
    found = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, timeout=1700)
    assert found.returncode == 0
    sizes = [int(line) for line in found.stdout.split()]
    assert len(sizes) == 20
    assert max(sizes[10:]) - max(sizes[:5]) < 40, sizes
