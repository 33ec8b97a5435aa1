"""Profiles that say what sRGB says, and those that do not."""

from __future__ import annotations

import icc
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageCms

from ferrotype.imaging.profile import is_srgb

SAMPLED = [icc.srgb_linear(step / 1023) for step in range(1024)]


def of_libvips(name: str) -> bytes:
    flat = pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb")
    found: bytes = flat.icc_transform(name, input_profile="srgb", depth=8).get("icc-profile-data")
    return found


SAME = {
    "a formula": icc.rgb(icc.SRGB, icc.SRGB_FORMULA),
    "a formula with offsets": icc.rgb(
        icc.SRGB, icc.formula(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0, 0)
    ),
    "a table": icc.rgb(icc.SRGB, icc.table(SAMPLED)),
    "a small table": icc.rgb(icc.SRGB, icc.table([icc.srgb_linear(step / 255) for step in range(256)])),
    "littleCMS": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "libvips": of_libvips("srgb"),
}
OTHER = {
    "Adobe RGB": icc.rgb(icc.ADOBE_RGB, icc.gamma(2.2)),
    "Display P3": icc.rgb(icc.DISPLAY_P3, icc.SRGB_FORMULA),
    "Display P3 of libvips": of_libvips("p3"),
    "its primaries with a bare power": icc.rgb(icc.SRGB, icc.gamma(2.2)),
    "its primaries, linear": icc.rgb(icc.SRGB, icc.table([0, 1])),
    "its primaries with gamma 1.8": icc.rgb(
        icc.SRGB, icc.table([(step / 255) ** 1.8 for step in range(256)])
    ),
    "red and green exchanged": icc.rgb((icc.SRGB[1], icc.SRGB[0], icc.SRGB[2]), icc.SRGB_FORMULA),
    "a table of colours": icc.rgb(icc.SRGB, icc.SRGB_FORMULA, A2B0=b"mft2" + bytes(44)),
    "grey": icc.grey(icc.gamma(2.2)),
    "CMYK": of_libvips("cmyk"),
    "a curve that cannot be": icc.rgb(icc.SRGB, icc.formula(3, -2.4, 0, 0, 1 / 12.92, 0.04045)),
    "a curve without end": icc.rgb(icc.SRGB, icc.formula(3, 32767, 32767, 32767, 1, 0)),
    "an unknown curve": icc.rgb(icc.SRGB, icc.formula(9)),
    "no curves": icc.profile(b"RGB ", {b"rXYZ": icc.xyz(icc.SRGB[0])}),
    "nothing": b"",
    "garbage": b"garbage" * 40,
}


@pytest.mark.parametrize("name", SAME)
def test_srgb_in_many_spellings(name: str) -> None:
    assert is_srgb(SAME[name])


@pytest.mark.parametrize("name", OTHER)
def test_what_is_not_srgb(name: str) -> None:
    assert not is_srgb(OTHER[name])


@given(st.sampled_from(["a formula", "a table", "littleCMS"]), st.data())
def test_no_profile_however_broken_raises(name: str, data: st.DataObject) -> None:
    whole = SAME[name]
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    assert is_srgb(bytes(broken)) in (True, False)
