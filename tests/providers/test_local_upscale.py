"""Enlarging: true networks on small pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pyvips

from ferrotype.providers.local.pictures import Picture, array_of, decode, image_of
from ferrotype.providers.local.upscale import MARGIN, TILE, count_tiles, mirrored, network, tiles, upscale
from tests.providers.local_support import drawn, png, psnr, sharpness

TARGETS = ("upscale-photo", "upscale-art")


def enlarged(target: str, scale: int, picture: Picture, tile: int = TILE) -> Any:
    return upscale(picture, network(target, scale, 1), lambda _: None, tile)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scale", [2, 4])
def test_it_is_sharper_than_bicubic_and_the_same_picture(target: str, scale: int) -> None:
    truth = drawn(192, 160)
    small = truth.resize(1 / scale, kernel="lanczos3")
    found = enlarged(target, scale, decode(png(small)))
    bicubic = array_of(small.resize(scale, kernel="cubic")).astype(float)
    real = array_of(truth).astype(float)
    assert found.shape == real.shape
    found = found.astype(float)
    assert psnr(found, bicubic) > 22  # garbage is below 12
    invents = 0.5 if target == "upscale-art" else 0.0  # dB: it draws lines where it can only guess
    assert psnr(found, real) > psnr(bicubic, real) - invents
    assert sharpness(found) > 1.3 * sharpness(bicubic)


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_picture_comes_out_every_time_and_with_any_threads(target: str) -> None:
    picture = decode(png(drawn(64, 48)))
    first = enlarged(target, 2, picture)
    assert np.array_equal(first, enlarged(target, 2, picture))
    assert np.array_equal(first, upscale(picture, network(target, 2, 2), lambda _: None))


@pytest.mark.parametrize("target", TARGETS)
def test_tiles_leave_no_seam(target: str) -> None:
    picture = decode(png(drawn(120, 72)))
    whole = enlarged(target, 2, picture).astype(int)
    for tile in (24, 56):
        difference = np.abs(enlarged(target, 2, picture, tile).astype(int) - whole)
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.01


def test_a_smaller_margin_would_leave_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above sees something: with a margin of 2 pixels the seams are there."""
    picture = decode(png(drawn(120, 72)))
    whole = enlarged("upscale-art", 2, picture).astype(int)
    monkeypatch.setattr("ferrotype.providers.local.upscale.MARGIN", 2)
    assert np.abs(enlarged("upscale-art", 2, picture, 24).astype(int) - whole).max() > 8


@pytest.mark.parametrize(("width", "height"), [(16, 16), (1, 1), (1, 40), (33, 17), (129, 5)])
def test_tiny_and_odd_sizes(width: int, height: int) -> None:
    small = drawn(136, 40).crop(3, 0, width, height)
    found = enlarged("upscale-photo", 4, decode(png(small)))
    assert found.shape == (4 * height, 4 * width, 3)
    again = array_of(image_of(found).resize(0.25, kernel="linear")).astype(float)
    assert psnr(again, array_of(small).astype(float)) > 25


def disc(side: int = 48) -> pyvips.Image:
    """A white disc; around it black that nobody sees."""
    far = (pyvips.Image.xyz(side, side) - side / 2) ** 2
    inside = ((far[0] + far[1]) < (side / 3) ** 2).ifthenelse(255, 0).gaussblur(0.8).cast("uchar")
    seen = inside > 0
    color = seen.ifthenelse(255, 0).cast("uchar")
    return color.bandjoin([color, color, inside]).copy(interpretation="srgb")


@pytest.mark.parametrize("target", TARGETS)
def test_transparency_is_enlarged_and_what_is_unseen_does_not_shine_through(target: str) -> None:
    found = enlarged(target, 4, decode(png(disc())))
    assert found.shape == (192, 192, 4)
    alpha = found[:, :, 3].astype(float)
    assert alpha[0, 0] == 0
    assert alpha[96, 96] == 255
    wanted = array_of(disc()[3].resize(4, kernel="cubic"))[:, :, 0].astype(float)
    assert psnr(alpha, wanted) > 22
    # White on white: a dark ring would be the black around the disc.
    on_white = found[:, :, :3] * (alpha[:, :, None] / 255) + (255 - alpha[:, :, None])
    assert on_white.min() > 235


def test_opaque_transparency_stays_opaque() -> None:
    picture = drawn(40, 30).bandjoin(255).cast("uchar").copy(interpretation="srgb")
    found = enlarged("upscale-photo", 2, decode(png(picture)))
    assert found.shape == (60, 80, 4)
    assert (found[:, :, 3] == 255).all()
    assert np.array_equal(found[:, :, :3], enlarged("upscale-photo", 2, decode(png(drawn(40, 30)))))


def test_grey_stays_grey() -> None:
    grey = drawn(48, 40).colourspace("b-w")
    found = enlarged("upscale-photo", 2, decode(png(grey)))
    assert found.shape == (80, 96, 1)
    assert psnr(found.astype(float), array_of(grey.resize(2, kernel="cubic")).astype(float)) > 24
    with_alpha = grey.bandjoin(128).cast("uchar").copy(interpretation="b-w")
    assert enlarged("upscale-photo", 2, decode(png(with_alpha))).shape == (80, 96, 2)


def test_sixteen_bits_are_read_as_eight() -> None:
    eight = drawn(40, 30)
    sixteen = (eight * 257).cast("ushort").copy(interpretation="rgb16")
    picture = decode(bytes(sixteen.pngsave_buffer(bitdepth=16)))
    assert np.array_equal(picture.color, decode(png(eight)).color)
    grey = (eight.colourspace("b-w") * 257).cast("ushort").copy(interpretation="grey16")
    assert decode(bytes(grey.pngsave_buffer(bitdepth=16))).grey


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_pictures_are_enlarged_upright(orientation: int) -> None:
    turned = drawn(48, 32).copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    picture = decode(bytes(turned.jpegsave_buffer(Q=95)))
    assert picture.size == ((32, 48) if orientation > 4 else (48, 32))
    assert psnr(picture.color.astype(float), array_of(turned.autorot()).astype(float)) > 25


def test_the_first_frame_of_an_animation() -> None:
    frames = [drawn(24, 20), drawn(24, 20).invert()]
    roll = pyvips.Image.arrayjoin(frames, across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 20)
    picture = decode(bytes(roll.webpsave_buffer(lossless=True)))
    assert picture.size == (24, 20)
    assert psnr(picture.color.astype(float), array_of(frames[0]).astype(float)) > 35


def test_progress_is_told_by_tile_and_ends_at_one() -> None:
    picture = decode(png(drawn(70, 50).bandjoin(drawn(70, 50)[0]).copy(interpretation="srgb")))
    told: list[float] = []
    upscale(picture, network("upscale-photo", 2, 1), told.append, 32)
    assert len(told) == 2 * count_tiles((70, 50), 32) == 12
    assert told == sorted(told)
    assert told[-1] == 1


def test_tiles_cover_everything_once() -> None:
    seen = np.zeros((50, 70), int)
    for top, bottom, left, right in tiles(70, 50, 32):
        seen[top:bottom, left:right] += 1
    assert (seen == 1).all()


def test_beyond_the_edges_is_the_mirror() -> None:
    assert mirrored(-3, 7, 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert mirrored(-2, 3, 1).tolist() == [0] * 5
    assert set(mirrored(-MARGIN, 2 + MARGIN, 2)) == {0, 1}
