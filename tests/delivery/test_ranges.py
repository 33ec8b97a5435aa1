"""`Range` against RFC 9110, section 14; the size is 10,000 as in its examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.http.ranges import ByteRange, Unsatisfiable, parse_range

SIZE = 10_000

PARTS = [
    # 14.1.2: "The first 500 bytes", "The second 500 bytes", "The final 500 bytes", two spellings.
    ("bytes=0-499", 0, 500),
    ("bytes=500-999", 500, 1_000),
    ("bytes=-500", 9_500, SIZE),
    ("bytes=9500-", 9_500, SIZE),
    # "Thus the first ... byte only", "the last byte only".
    ("bytes=0-0", 0, 1),
    ("bytes=-1", 9_999, SIZE),
    ("bytes=9999-9999", 9_999, SIZE),
    # An end beyond the last byte, and a suffix longer than the whole, are cut.
    ("bytes=0-99999", 0, SIZE),
    ("bytes=9000-10000", 9_000, SIZE),
    ("bytes=-20000", 0, SIZE),
    ("bytes=0-", 0, SIZE),
    # Units are case-insensitive (14.1); empty list elements do not count (5.6.1.2).
    ("BYTES=0-1", 0, 2),
    ("bytes= 0-1 ", 0, 2),
    ("bytes=, 0-1,,", 0, 2),
    ("bytes=000-0001", 0, 2),
]
IGNORED = [
    "", "bytes", "bytes=", "bytes=-", "bytes=,", "bytes 0-1", "bytes=1", "bytes=5-4", "bytes=a-b",
    "bytes=0x0-0x9", "bytes=0-1-2", "bytes=--1", "bytes=-1-", "bytes=+0-1", "bytes=0 - 1", "bytes=1.0-2",
    "bytes=0-1,3-4", "bytes=0-0,-1", "items=0-1", "bytes=0-1;q=1", "bytes=²-3", "=0-1", "bytes==0-1",
    "bytes=0-" + "9" * 5_000, "bytes=" + "," * 300 + "0-1",
]  # fmt: skip
UNSATISFIABLE = ["bytes=10000-", "bytes=10000-10001", "bytes=99999999-", "bytes=-0", "bytes=10000-20000"]


@pytest.mark.parametrize(("header", "start", "stop"), PARTS)
def test_a_part_is_found(header: str, start: int, stop: int) -> None:
    assert parse_range(header.encode(), SIZE) == ByteRange(start, stop)


@pytest.mark.parametrize("header", IGNORED)
def test_what_is_not_one_good_range_is_ignored(header: str) -> None:
    assert parse_range(header.encode("latin-1"), SIZE) is None


@pytest.mark.parametrize("header", UNSATISFIABLE)
def test_a_range_outside_is_unsatisfiable(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header.encode(), SIZE)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_an_empty_representation_has_no_part(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header.encode(), 0)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 50))
def test_a_closed_range_is_a_slice(first: int, last: int, size: int) -> None:
    whole = bytes(range(size))
    header = f"bytes={first}-{last}".encode()
    if last < first:
        assert parse_range(header, size) is None
    elif first >= size:
        with pytest.raises(Unsatisfiable):
            parse_range(header, size)
    else:
        part = parse_range(header, size)
        assert part is not None
        assert whole[part.start : part.stop] == whole[first : last + 1]
        assert part.content_range(size) == b"bytes %d-%d/%d" % (first, min(last, size - 1), size)


@given(st.integers(1, 60), st.integers(1, 50))
def test_a_suffix_is_the_end(count: int, size: int) -> None:
    whole = bytes(range(size))
    part = parse_range(b"bytes=-%d" % count, size)
    assert part is not None
    assert whole[part.start : part.stop] == whole[-count:]


@given(
    st.binary(max_size=300) | st.text("bytes=-,0123456789 \t", max_size=40).map(str.encode),
    st.integers(0, 100),
)
def test_no_header_breaks_it(header: bytes, size: int) -> None:
    try:
        part = parse_range(header, size)
    except Unsatisfiable:
        return
    assert part is None or 0 <= part.start < part.stop <= size
