"""Placeholders and prescaling."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from imaging_pictures import OTHERS, PICTURES, REFUSED, oriented, scene

from ferrotype.domain.problems import InvalidField, UnsupportedMedia
from ferrotype.imaging.placeholder import dominant, placeholder
from ferrotype.imaging.prescale import fit, prescale


def flat(width: int, height: int, *colour: int) -> Any:
    image = pyvips.Image.black(width, height, bands=len(colour)) + list(colour)
    return image.cast("uchar").copy(interpretation="srgb" if len(colour) > 2 else "b-w")


def quarters() -> Any:
    """Red, green / blue, white: every turn and mirror of it looks different."""
    tiles = [flat(40, 30, *colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250))]
    return pyvips.Image.arrayjoin(tiles, across=2)


def tiny(uri: str) -> Any:
    prefix = "data:image/webp;base64,"
    assert uri.startswith(prefix)
    return pyvips.Image.webpload_buffer(b64decode(uri.removeprefix(prefix)))


def opened(data: bytes | None) -> Any:
    assert data is not None
    return pyvips.Image.new_from_buffer(data, "")


@pytest.mark.parametrize("name", PICTURES)
def test_every_type_has_a_placeholder(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(PICTURES[name][0])
    found = placeholder(path)
    assert found == placeholder(PICTURES[name][0])
    image = tiny(found.data_uri)
    assert (image.width, image.height) == (32, 24)
    assert bool(image.hasalpha()) is (name in ("png-interlaced", "webp-alpha"))
    assert len(found.data_uri) < 1500
    assert 5 < len(b64decode(found.thumbhash)) <= 25


@pytest.mark.parametrize(
    ("width", "height", "small"),
    [(1, 1, (1, 1)), (20, 10, (20, 10)), (3000, 2, (32, 1)), (2, 3000, (1, 32)), (1600, 900, (32, 18))],
)
def test_any_proportions(width: int, height: int, small: tuple[int, int]) -> None:
    image = tiny(placeholder(flat(width, height, 9, 9, 9).jpegsave_buffer()).data_uri)
    assert (image.width, image.height) == small


@pytest.mark.parametrize("suffix", [".png", ".webp[lossless]", ".tif", ".gif", ".jpg[Q=100]"])
def test_a_flat_colour_is_its_own_dominant(suffix: str) -> None:
    colour = placeholder(flat(300, 200, 10, 200, 90).write_to_buffer(suffix)).color
    near = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    assert all(abs(a - b) <= 2 for a, b in zip(near, (10, 200, 90), strict=True)), colour


def test_the_dominant_colour_is_one_of_the_picture_and_not_the_mean() -> None:
    image = flat(300, 200, 255, 0, 0).insert(flat(100, 200, 0, 0, 255), 0, 0)
    assert placeholder(image.pngsave_buffer()).color == "#ff0000"


def test_what_is_transparent_does_not_vote() -> None:
    image = flat(300, 200, 0, 255, 0, 0).insert(flat(60, 60, 0, 0, 255, 255), 0, 0)
    assert placeholder(image.pngsave_buffer()).color == "#0000ff"
    assert dominant(bytes(16)) == "#000000"


def test_grey_wide_and_wrongly_profiled_pictures() -> None:
    grey = flat(64, 64, 105)
    assert placeholder(grey.jpegsave_buffer(Q=100)).color == "#696969"
    assert placeholder(flat(64, 64, 105, 105, 105).colourspace("grey16").pngsave_buffer()).color == "#696969"
    p3 = flat(64, 64, 200, 30, 90).icc_transform("p3", input_profile="srgb")
    assert p3(1, 1)[0] < 190
    assert placeholder(p3.pngsave_buffer()).color in ("#c81e5a", "#c81e59")
    broken = flat(64, 64, 200, 30, 90).copy()
    broken.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"garbage" * 40)
    assert placeholder(broken.pngsave_buffer()).color == "#c81e5a"


@pytest.mark.parametrize("data", [*REFUSED.values(), *OTHERS.values(), b""])
def test_no_picture_has_neither(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        placeholder(data, field="mask")
    assert caught.value.field == "mask"
    with pytest.raises(UnsupportedMedia):
        prescale(data, 10, 10)


@pytest.mark.parametrize("call", [placeholder, lambda data: prescale(data, 10, 10)])
def test_a_picture_that_cannot_be_decoded(call: Any) -> None:
    for name in ("png", "webp", "avif"):
        with pytest.raises(InvalidField) as caught:
            call(PICTURES[name][0][:40])
        assert caught.value.field == "image"


def test_what_fits_is_left_alone() -> None:
    assert prescale(scene().jpegsave_buffer(), 64 * 48, 64) is None
    assert prescale(scene().jpegsave_buffer(), 64 * 48, 64, 16) is None


@pytest.mark.parametrize(
    ("suffix", "loader"),
    [
        (".jpg", "jpegload_buffer"),
        (".png", "pngload_buffer"),
        (".webp", "webpload_buffer"),
        (".gif[effort=1,bitdepth=4]", "pngload_buffer"),
        (".tif", "pngload_buffer"),
        (".avif[effort=0]", "pngload_buffer"),
    ],
)
def test_formats_and_sizes(suffix: str, loader: str) -> None:
    image = opened(prescale(scene(320, 240).write_to_buffer(suffix), 160 * 120, 4096))
    assert (image.width, image.height, image.get("vips-loader")) == (160, 120, loader)
    assert image.interpretation == "srgb"


def test_alpha_is_kept_and_metadata_is_not() -> None:
    source = oriented(scene(640, 480, alpha=True), 1)
    source.set_type(pyvips.GValue.blob_type, "xmp-data", b"<secret/>")
    for suffix in (".png", ".webp"):
        data = prescale(source.write_to_buffer(suffix), 10_000, 100)
        assert opened(data).hasalpha()
        assert b"secret" not in (data or b"")


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_is_written_upright(orientation: int) -> None:
    source = oriented(quarters(), orientation)
    expected = source.autorot()
    for limit in (10**6, 1200):
        image = opened(prescale(source.jpegsave_buffer(Q=95), limit, 4096))
        assert image.get_typeof("orientation") == 0
        assert (image.width > image.height) == (expected.width > expected.height)
        for x in (0.25, 0.75):
            for y in (0.25, 0.75):
                got = image(int(image.width * x), int(image.height * y))
                want = expected(int(expected.width * x), int(expected.height * y))
                assert all(abs(a - b) < 40 for a, b in zip(got, want, strict=True))


def test_sides_become_multiples() -> None:
    image = opened(prescale(scene(1000, 700).pngsave_buffer(), 10**6, 512, 64))
    assert (image.width, image.height) == (512, 320)
    image = opened(prescale(scene(100, 70).pngsave_buffer(), 10**6, 512, 16))
    assert (image.width, image.height) == (96, 64)
    image = opened(prescale(scene(100, 5).pngsave_buffer(), 10**6, 512, 16))
    assert (image.width, image.height) == (96, 16)


sizes = st.integers(1, 20_000)


@given(sizes, sizes, st.integers(1, 10**8), sizes, st.sampled_from([1, 8, 16, 64]))
def test_a_fit_keeps_the_bounds_and_the_proportions(
    width: int, height: int, max_pixels: int, max_side: int, multiple: int
) -> None:
    w, h = fit(width, height, max_pixels, max_side, multiple)
    assert w % multiple == h % multiple == 0
    assert w <= max(width, multiple)
    assert h <= max(height, multiple)
    assert max(w, h) <= max(max_side, multiple)
    if min(w, h) > multiple:
        assert w * h <= max_pixels
        assert abs(w / width - h / height) <= multiple / min(width, height) + 1e-9
    if width * height <= max_pixels and max(width, height) <= max_side and multiple == 1:
        assert (w, h) == (width, height)


def test_the_exact_half_is_not_rounded_away() -> None:
    assert fit(1024, 1024, 512 * 512, 4096) == (512, 512)
    assert fit(6000, 4000, 10**8, 1500) == (1500, 1000)
    assert fit(3000, 3000, 10**8, 1000) == (1000, 1000)
