"""Restyling: true networks on small pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ferrotype.providers.local import restyle as module
from ferrotype.providers.local.pictures import Picture, decode
from ferrotype.providers.local.restyle import INNER_SIDE, restyle
from ferrotype.providers.local.styles import STYLES
from tests.providers.local_support import drawn, png, psnr, sharpness


def painted(picture: Picture, style: str | Picture, strength: float = 1.0, keep: bool = False) -> Any:
    return restyle(picture, style, strength, keep, 1, lambda _: None)


def content(width: int = 96, height: int = 80, seed: int = 7) -> Picture:
    return decode(png(drawn(width, height, seed)))


def difference(first: Any, second: Any) -> float:
    """Mean difference of the values, 0 to 255."""
    return float(np.abs(first.astype(float) - second.astype(float)).mean())


def test_there_are_26_styles_and_each_paints_another_picture() -> None:
    assert len(set(STYLES)) == 26
    picture = content()
    results = [painted(picture, style) for style in STYLES]
    for index, result in enumerate(results):
        assert result.shape == picture.color.shape
        assert difference(result, picture.color) > 8, STYLES[index]
        assert min(difference(result, other) for other in results[:index] + results[index + 1 :]) > 4


def test_what_is_in_the_picture_can_still_be_seen() -> None:
    """Two pictures in one style differ where they differed before: the style is painted on something."""
    first, second = (painted(content(seed=seed), "porcelain") for seed in (7, 8))
    assert difference(first, second) > 8
    mirrored = Picture(content().color[:, ::-1], None, False)
    flipped = painted(mirrored, "porcelain")[:, ::-1]
    assert (
        psnr(first.astype(float), flipped.astype(float)) > psnr(first.astype(float), second.astype(float)) + 3
    )


def test_the_same_picture_comes_out_every_time() -> None:
    picture, reference = content(), content(64, 64, seed=9)
    assert np.array_equal(painted(picture, "wave"), painted(picture, "wave"))
    assert np.array_equal(painted(picture, reference), painted(picture, reference))


@pytest.mark.parametrize(("width", "height"), [(64, 64), (65, 99), (130, 67)])
def test_sizes_that_the_network_has_to_be_helped_with(width: int, height: int) -> None:
    assert painted(content(width, height), "rust").shape == (height, width, 3)
    assert painted(content(width, height), content(40, 40)).shape == (height, width, 3)


def test_strength_goes_from_the_picture_to_the_style() -> None:
    picture = content()
    full = painted(picture, "crimson")
    assert difference(painted(picture, "crimson", 0.0), picture.color) < 0.01
    half = painted(picture, "crimson", 0.5).astype(float)
    assert difference(half, (full.astype(float) + picture.color) / 2) < 1.5


def test_colours_can_stay() -> None:
    picture = content()
    kept, free = painted(picture, "crimson", keep=True), painted(picture, "crimson")

    def chroma(values: Any) -> Any:
        found = values.astype(float)
        return found[:, :, :2] - found[:, :, 2:]

    assert difference(chroma(kept), chroma(picture.color)) < 0.6 * difference(
        chroma(free), chroma(picture.color)
    )
    assert difference(kept, picture.color) > 4


def test_transparency_stays() -> None:
    alpha = np.zeros((80, 96), np.uint8)
    alpha[20:60, 20:70] = 200
    found = painted(Picture(content().color, alpha, False), "wave")
    assert found.shape == (80, 96, 4)
    assert np.array_equal(found[:, :, 3], alpha)


def test_any_picture_gives_its_style() -> None:
    picture = content(seed=7)
    red = Picture(np.full((64, 64, 3), (200, 20, 20), np.uint8), None, False)
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = (20, 60, 220)
    blue = Picture(stripes, None, False)
    in_red, in_blue = painted(picture, red), painted(picture, blue)
    assert difference(in_red, in_blue) > 20
    assert (in_red[:, :, 0].mean() - in_red[:, :, 2].mean()) > (
        in_blue[:, :, 0].mean() - in_blue[:, :, 2].mean()
    )
    own = painted(picture, red, 0.0)
    assert difference(own, picture.color) < difference(in_red, picture.color)


def test_what_was_painted_small_is_drawn_larger_by_the_upscaler(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, style = content(INNER_SIDE + 100, 200), content(64, 64, seed=9)
    told: list[float] = []
    sharp = restyle(picture, style, 1.0, False, 1, told.append)
    assert sharp.shape == picture.color.shape
    assert told == sorted(told)
    assert len(told) > 5
    monkeypatch.setattr(module, "missing", lambda _: "The package ncnn is not installed.")
    soft = painted(picture, style)
    assert soft.shape == sharp.shape
    assert psnr(sharp.astype(float), soft.astype(float)) > 18
    assert sharpness(sharp.astype(float)) > 1.2 * sharpness(soft.astype(float))


def test_edges_are_painted_like_the_rest() -> None:
    """Near its edges the network draws specks: they are outside of what is kept."""
    flat = Picture(np.full((96, 96, 3), (90, 140, 180), np.uint8), None, False)
    found = painted(flat, content(64, 64)).astype(float)
    inner = found[24:-24, 24:-24]
    low, high = inner.min() - 12, inner.max() + 12
    assert ((found >= low) & (found <= high)).all()
