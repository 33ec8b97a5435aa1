"""A PNG that is cleaned while it arrives is the one that is cleaned when it is whole."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.imaging.imaging_pictures import chunk, scene

from ferrotype.imaging.provenance import flow
from ferrotype.imaging.provenance.flow import Flow, Unflowing
from ferrotype.imaging.provenance.strip import cleaned

PNG = scene(64, 48).pngsave_buffer()
AT = PNG.index(b"IDAT") - 4
START, PIXELS, END = PNG[:AT], PNG[AT:-12], PNG[-12:]
WORKFLOW = chunk(b"tEXt", b'prompt\0{"3": {"class_type": "KSampler", "inputs": {"seed": 7}}}')
HARMLESS = chunk(b"tEXt", b"Title\0A fox")
PACKED = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b'{"nodes": [], "last_node_id": 3}'))
BETWEEN = chunk(b"comf", b'workflow\0{"nodes": []}')
MANIFEST = chunk(b"caBX", b"\0\0\0\x10jumb" + bytes(8))
FRONT = [WORKFLOW, HARMLESS, PACKED, chunk(b"pHYs", struct.pack(">IIB", 2834, 2834, 1))]


def flowed(data: bytes, *sizes: int) -> bytes:
    """What comes out when it arrives in pieces of these sizes, the last one again and again."""
    it, out, at, turn = Flow(), b"", 0, 0
    while at < len(data):
        size = sizes[min(turn, len(sizes) - 1)]
        out += it.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return out


@given(
    front=st.lists(st.sampled_from(FRONT), max_size=4),
    behind=st.lists(st.sampled_from([BETWEEN, HARMLESS, WORKFLOW]), max_size=2),
    tail=st.sampled_from([b"", b"behind the end"]),
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=4),
)
def test_it_comes_out_as_if_it_had_been_whole(
    front: list[bytes], behind: list[bytes], tail: bytes, sizes: list[int]
) -> None:
    data = START + b"".join(front) + PIXELS + b"".join(behind) + END + tail
    assert flowed(data, *sizes) == cleaned(data)


def test_a_manifest_goes_together_with_the_workflow() -> None:
    data = START + MANIFEST + WORKFLOW + PIXELS + END
    out = flowed(data, 7)
    assert out == cleaned(data) == START + PIXELS + END


def test_nothing_is_held_back_behind_the_beginning() -> None:
    it = Flow()
    assert it.feed(START + WORKFLOW) == b""
    assert not it.is_begun
    assert it.feed(PIXELS[:20]) == START + PIXELS[:20]
    assert it.is_begun
    assert it.feed(PIXELS[20:21]) == PIXELS[20:21]


@pytest.mark.parametrize(
    "data",
    [
        START + MANIFEST + PIXELS,  # a text behind the pixels would make it void
        b"\xff\xd8\xff\xe0" + bytes(64),
        START + HARMLESS * 1_001 + PIXELS,
    ],
    ids=["manifest", "another format", "too many texts"],
)
def test_what_has_to_be_whole_first(data: bytes) -> None:
    it = Flow()
    with pytest.raises(Unflowing):
        it.feed(data)
    assert not it.is_begun


def test_what_is_in_front_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MAX_HELD", 1_000)
    with pytest.raises(Unflowing):
        flowed(START + chunk(b"tEXt", b"prompt\0" + b"x" * 2_000) + PIXELS + END, 100)
    with pytest.raises(Unflowing):
        flowed(START + PIXELS + chunk(b"tEXt", b"prompt\0" + b"x" * 2_000) + END, 100)
