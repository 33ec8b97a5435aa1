from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.storage.base import Picture
from ferrotype.storage.packed import HEADER, Damaged, pack, pack_head, unpack

KINDS = st.from_regex(r"image/[a-z+]{1,40}", fullmatch=True)


@given(st.binary(max_size=5_000), KINDS)
def test_what_was_packed_comes_out(body: bytes, kind: str) -> None:
    picture = Picture(body, kind)
    assert unpack(pack(picture)) == picture
    assert pack(picture) == pack_head(picture) + body


def test_the_wrapping_is_small() -> None:
    assert len(pack(Picture(b"", "image/png"))) == HEADER.size + 9 == 26


@given(st.binary(min_size=1, max_size=500), KINDS, st.data())
def test_a_cut_or_longer_piece_is_damaged(body: bytes, kind: str, data: st.DataObject) -> None:
    whole = pack(Picture(body, kind))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Damaged):
        unpack(whole[:cut])
    with pytest.raises(Damaged):
        unpack(whole + b"\0")


@given(st.binary(min_size=1, max_size=500), KINDS, st.data())
def test_a_changed_bit_anywhere_is_damage(body: bytes, kind: str, data: st.DataObject) -> None:
    piece = bytearray(pack(Picture(body, kind)))
    bit = data.draw(st.integers(0, 8 * len(piece) - 1))
    piece[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        unpack(bytes(piece))


@given(st.binary(max_size=100))
def test_anything_else_is_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        unpack(data)
