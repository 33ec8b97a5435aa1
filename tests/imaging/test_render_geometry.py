"""Boxes and fits hold what they promise for every size, and agree with what pixels do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.domain.transform import Transform
from ferrotype.domain.transform_query import COMPASS, FITS
from ferrotype.imaging.geometry import Box, lay_out, placed, rotated, stored, turned
from ferrotype.imaging.steps.trim import corner_of

sides = st.integers(1, 20_000)
sizes = st.tuples(sides, sides)
shares = st.floats(0, 1).map(lambda value: round(value, 2))
gravities = st.none() | st.sampled_from(COMPASS) | st.tuples(shares, shares)
#: What each EXIF orientation does to the stored pixels (EXIF 2.32, 4.6.4, Orientation).
UPRIGHT: dict[int, Any] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.T,
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].T,
    8: lambda p: np.rot90(p, 1),
}


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = Box(left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))
    return (width, height), box


@given(boxes(), st.integers(1, 8))
def test_a_box_is_found_where_it_is_stored(found: tuple[tuple[int, int], Box], turn: int) -> None:
    shown, box = found
    width, height = turned(shown, turn)
    pixels = np.arange(width * height).reshape(height, width)
    there = stored(box, shown, turn)
    cut = pixels[there.top : there.top + there.height, there.left : there.left + there.width]
    upright = UPRIGHT[turn](pixels)
    assert upright.shape == shown[::-1]
    expected = upright[box.top : box.top + box.height, box.left : box.left + box.width]
    assert np.array_equal(UPRIGHT[turn](cut), expected)
    x, y = corner_of(there, turn)
    assert pixels[y, x] == expected[0, 0]


@pytest.mark.parametrize("turn", range(1, 9))
def test_libvips_reads_orientations_the_same_way(turn: int) -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = pyvips.Image.new_from_array(pixels).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", turn)
    assert np.array_equal(image.autorot().numpy(), UPRIGHT[turn](pixels))


def transform(fit: str | None, box: tuple[int | None, int | None], enlarge: bool) -> Transform:
    return Transform(w=box[0], h=box[1], fit=fit if None not in box else None, enlarge=enlarge)  # type: ignore[arg-type]


@given(sizes, st.sampled_from(FITS), sizes, st.booleans())
def test_every_layout(source: tuple[int, int], fit: str, box: tuple[int, int], enlarge: bool) -> None:
    found = lay_out(source, transform(fit, box, enlarge))
    for size in (found.scaled, found.window, found.canvas):
        assert min(size) >= 1
    assert all(a <= b for a, b in zip(found.window, found.scaled, strict=True))
    assert all(a <= b for a, b in zip(found.window, found.canvas, strict=True))
    if not enlarge:
        assert all(a <= b for a, b in zip(found.scaled, source, strict=True))
    if fit == "contain" or (enlarge and fit in ("cover", "fill")):
        assert found.canvas == box
    if fit in ("inside", "contain", "cover", "fill"):
        assert all(a <= b for a, b in zip(found.window, box, strict=True))
    if fit == "outside" and enlarge:
        assert all(a >= b for a, b in zip(found.canvas, box, strict=True))
    if fit not in ("cover", "contain"):
        assert found.scaled == found.window == found.canvas


def proportional(size: tuple[int, int], to: tuple[int, int]) -> bool:
    """Up to the rounding of either side, and to sides that cannot be below one."""
    across, down = size[0] / to[0], size[1] / to[1]
    return abs(across - down) <= 0.51 * (1 / to[0] + 1 / to[1]) or 1 in size


@given(sizes, st.sampled_from(FITS), sizes, st.booleans())
def test_proportions_are_kept(source: tuple[int, int], fit: str, box: tuple[int, int], enlarge: bool) -> None:
    found = lay_out(source, transform(fit, box, enlarge))
    if fit != "fill":
        assert proportional(found.scaled, source)
    if fit in ("cover", "fill"):
        assert proportional(found.window, box)


@given(sizes, sides, st.booleans(), st.booleans())
def test_one_side_alone(source: tuple[int, int], side: int, wide: bool, enlarge: bool) -> None:
    found = lay_out(source, transform(None, (side, None) if wide else (None, side), enlarge))
    wanted = side if enlarge else min(side, source[0 if wide else 1])
    assert found.canvas[0 if wide else 1] == wanted
    assert found.scaled == found.window == found.canvas
    assert proportional(found.scaled, source)


@given(sizes)
def test_nothing_asked_is_nothing_done(source: tuple[int, int]) -> None:
    found = lay_out(source, Transform())
    assert found.scaled == found.window == found.canvas == source


@given(sizes, sizes, gravities, st.booleans())
def test_what_is_placed_stays_inside(
    outer: tuple[int, int], inner: tuple[int, int], gravity: Any, keep: bool
) -> None:
    inner = min(inner[0], outer[0]), min(inner[1], outer[1])
    left, top = placed(outer, inner, gravity, keep=keep)
    assert Box(left, top, *inner).within(outer)
    assert min(left, top) >= 0


@given(st.tuples(st.integers(20, 20_000), st.integers(20, 20_000)), st.tuples(shares, shares))
def test_a_focal_point_is_kept(outer: tuple[int, int], focus: tuple[float, float]) -> None:
    inner = outer[0] // 3, outer[1] // 2
    left, top = placed(outer, inner, focus, keep=True)
    assert left - 1 <= focus[0] * outer[0] <= left + inner[0] + 1
    assert top - 1 <= focus[1] * outer[1] <= top + inner[1] + 1


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.integers(0, 359))
def test_the_box_around_a_rotated_picture(size: tuple[int, int], degrees: int) -> None:
    image = pyvips.Image.black(*size).rotate(degrees)
    found = rotated(size, degrees)
    assert abs(found[0] - image.width) <= 2
    assert abs(found[1] - image.height) <= 2


def test_right_angles_add_nothing() -> None:
    assert [rotated((300, 200), turn) for turn in (None, 0, 90, 180, 270)] == [
        (300, 200), (300, 200), (200, 300), (300, 200), (200, 300),
    ]  # fmt: skip
