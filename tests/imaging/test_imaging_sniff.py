"""Types by first bytes alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging_pictures import OTHERS, PICTURES, REFUSED

from ferrotype.imaging.sniff import ACCEPTED, HEAD, MAGIC, sniff


@pytest.mark.parametrize("name", PICTURES)
def test_accepted_types(name: str) -> None:
    data, content_type, extension = PICTURES[name]
    kind = sniff(data[:HEAD])
    assert kind in ACCEPTED
    assert kind is not None
    assert (kind.content_type, kind.extension) == (content_type, extension)
    assert kind.loader
    assert kind.animated is (name in ("apng", "webp-animated"))
    assert name.startswith(kind.name.split("-")[0])


@pytest.mark.parametrize("name", REFUSED)
def test_types_that_are_known_only_to_be_refused(name: str) -> None:
    kind = sniff(REFUSED[name])
    assert kind is not None
    assert (kind.name, kind.loader) == (name, None)
    assert kind not in ACCEPTED


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_picture(name: str) -> None:
    assert sniff(OTHERS[name]) is None


@pytest.mark.parametrize(
    "text",
    [
        "<svg>",
        "<svg\n",
        "<svg/>",
        "\ufeff <svg ",
        "<?xml version='1.0'?>\n<!-- a > b --><!DOCTYPE svg PUBLIC 'x'>\n<svg ",
        "<SVG >",
        "<s:svg xmlns:s='http://www.w3.org/2000/svg'>",
        "<!----><svg>",
    ],
)
def test_svg_behind_any_preamble(text: str) -> None:
    kind = sniff(text.encode())
    assert kind is not None
    assert kind.name == "svg"


@pytest.mark.parametrize("text", ["<svgx>", "<html><svg>", "x<svg>", "<!-- <svg>", "<?xml", "<", "<svg"])
def test_what_only_resembles_svg(text: str) -> None:
    assert sniff(text.encode()) is None


@pytest.mark.parametrize(
    "evil",
    [b"<?xml ?>" * 512, b"<!----><?x?>" * 400, b"<!--" * 1024, b"<!doctype svg <!-- " * 300, b" " * HEAD],
)
def test_the_search_for_svg_is_linear(evil: bytes) -> None:
    """A backtracking pattern would not come back from these."""
    assert sniff(evil) is None


@given(st.binary(max_size=64))
def test_any_bytes_are_sniffed_by_their_head_alone(data: bytes) -> None:
    for magic, _ in MAGIC:
        kind = sniff(magic + data)
        assert kind is not None
        assert kind.name == sniff(magic + data + bytes(100)).name  # type: ignore[union-attr]
    sniff(data)
    sniff(b"RIFF" + data)
    sniff(data[:4] + b"ftyp" + data[4:])


def test_an_avif_that_also_carries_a_sequence_is_read_as_a_still() -> None:
    kind = sniff(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1avis" + bytes(20))
    assert kind is not None
    assert kind.name == "avif"
