"""Placeholders."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import pyvips
from imaging_pictures import OTHERS, PICTURES, REFUSED

from ferrotype.domain.problems import InvalidField, UnsupportedMedia
from ferrotype.imaging.placeholder import dominant, placeholder


def flat(width: int, height: int, *colour: int) -> Any:
    image = pyvips.Image.black(width, height, bands=len(colour)) + list(colour)
    return image.cast("uchar").copy(interpretation="srgb" if len(colour) > 2 else "b-w")


def tiny(uri: str) -> Any:
    prefix = "data:image/webp;base64,"
    assert uri.startswith(prefix)
    return pyvips.Image.webpload_buffer(b64decode(uri.removeprefix(prefix)))


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
def test_what_is_no_picture_has_none(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        placeholder(data, field="mask")
    assert caught.value.field == "mask"


def test_a_picture_that_cannot_be_decoded() -> None:
    for name in ("png", "webp", "avif"):
        with pytest.raises(InvalidField) as caught:
            placeholder(PICTURES[name][0][:40])
        assert caught.value.field == "image"
