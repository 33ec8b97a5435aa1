"""ThumbHash against vectors made with the reference encoder (npm `thumbhash` 0.1.1)."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferrotype.imaging.thumbhash import thumbhash

VECTORS = [
    (1, 1, False, 0, "AAgCBwAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    (1, 1, True, 5, "GIqyhSIACPeIh3B/+AiIgIAICPeIh3B/+A=="),
    (32, 32, False, 1, "3hgKHwwEVnYkiKd2eWmIZ4iH9/TSB1oI"),
    (32, 18, False, 2, "3hgKJI4GZ6dVmJeGaYY/bryQhg=="),
    (18, 32, False, 3, "YjkGLAgGNIE8qZV1iHd/PFn0Qg=="),
    (32, 32, True, 4, "X+iFHQQIz0SGMVV3We+q+aycllB2ZWh5pw=="),
    (32, 20, True, 5, "X+iFG4YH7gV3RHX/qcufelezaTp2pAY="),
    (7, 32, True, 6, "4riFKQ4Hd38WlVZ9X5X3qXF5g3UhOQU="),
    (100, 3, False, 7, "HggGKYZXOvuDaXl4rW9ZcHk="),
    (3, 100, True, 8, "3ueFEQoHdXUo+Ve/aIYIJ3d4h4hieAc="),
    (100, 100, False, 9, "4AcCBwCHh2CsnL85GWlJyLxlB+eUpX8K"),
    (31, 32, True, 10, "oReGFQgIC6lc2WhZhgt3uGByl3CGdnhKlw=="),
    (2, 2, False, 0, "AQgCBwJ1CoqFeHqHiKiHCIp6CAd3cIoI"),
    (64, 48, True, 11, "4AeCBIIHe396aomJKA1in42VonGIOQh4BQ=="),
]


def pixels(width: int, height: int, alpha: bool, seed: int) -> bytes:
    """The pattern that the vectors were made from."""
    return bytes(
        value % 256
        for y in range(height)
        for x in range(width)
        for value in (
            x * 7 + y * 3 + seed * 31,
            x * x + y * 5 + seed * 17,
            x * y + seed * 11,
            x * 13 + y * 29 + seed if alpha else 255,
        )
    )


@pytest.mark.parametrize(("width", "height", "alpha", "seed", "expected"), VECTORS)
def test_the_reference_encoder_agrees(width: int, height: int, alpha: bool, seed: int, expected: str) -> None:
    assert b64encode(thumbhash(width, height, pixels(width, height, alpha, seed))).decode() == expected


def test_nothing_to_see_at_all() -> None:
    found = thumbhash(4, 4, bytes([200, 30, 90, 0]) * 16)
    assert b64encode(found).decode() == "AAiCBQAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="


@given(st.data(), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=50, deadline=None)
def test_any_pixels_have_a_hash_of_bounded_length(data: st.DataObject, width: int, height: int) -> None:
    rgba = data.draw(st.binary(min_size=width * height * 4, max_size=width * height * 4))
    assert 5 < len(thumbhash(width, height, rgba)) <= 25


@pytest.mark.parametrize(("width", "height", "length"), [(101, 1, 404), (1, 101, 404), (2, 2, 15)])
def test_what_it_does_not_take(width: int, height: int, length: int) -> None:
    with pytest.raises(ValueError, match="pixels"):
        thumbhash(width, height, bytes(length))
