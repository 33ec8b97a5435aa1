"""An order against what a model can do: sizes and parameters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.catalogue import load_catalogue
from ferrotype.catalogue.catalogue import CatalogueSettings
from ferrotype.domain.model import Capabilities, Deployment, Model, Parameter
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField, RequestProblem, UnsupportedByModel
from ferrotype.services.check import resolve

CATALOGUE = load_catalogue(CatalogueSettings())
RATIOS = list(CATALOGUE.aspect_ratios)


def model(**can: Any) -> Model:
    capabilities = Capabilities(**can)
    deployments = [Deployment(provider="x", target="y")]
    return Model(name="a/b", operations=["generate"], capabilities=capabilities, deployments=deployments)


@st.composite
def capabilities(draw: st.DrawFn) -> dict[str, Any]:
    """What a sensible entry declares: some size fits."""
    multiple = draw(st.sampled_from([1, 8, 16, 32, 64]))
    low = draw(st.integers(1, 8)) * 64
    high = draw(st.integers(low // 64 * 2 + 2, 40)) * 64
    pixels = draw(st.integers((low + 64) * (2 * low + 128), high * high * 2))
    return {"min_side": low, "max_side": high, "max_pixels": pixels, "multiple": multiple}


@given(can=capabilities(), ratio=st.sampled_from([None, *RATIOS]))
def test_a_ratio_always_becomes_a_size_that_the_model_makes(can: dict[str, Any], ratio: str | None) -> None:
    resolved = resolve(Order(prompt="x", aspect_ratio=ratio), model(**can), CATALOGUE)
    sides = resolved["width"], resolved["height"]
    for side in sides:
        assert can["min_side"] <= side <= can["max_side"]
        assert side % can["multiple"] == 0
    assert sides[0] * sides[1] <= can["max_pixels"]
    shape = CATALOGUE.aspect_ratios[ratio or "1:1"]
    wanted = shape.width / shape.height
    assert abs(sides[0] - sides[1] * wanted) <= 2 * can["multiple"] * (1 + wanted)
    # What was resolved may be asked for by its sides.
    again = resolve(Order(prompt="x", width=sides[0], height=sides[1]), model(**can), CATALOGUE)
    assert (again["width"], again["height"]) == sides


def test_a_ratio_that_no_size_of_the_model_has_is_refused() -> None:
    narrow = model(min_side=512, max_side=576, multiple=8)
    with pytest.raises(UnsupportedByModel) as caught:
        resolve(Order(prompt="x", aspect_ratio="16:9"), narrow, CATALOGUE)
    assert caught.value.field == "aspect_ratio"
    large = resolve(Order(prompt="x", aspect_ratio="16:9"), model(min_side=1200, max_side=4096), CATALOGUE)
    assert (large["width"], large["height"]) == (2096, 1200)


@given(can=capabilities(), width=st.integers(16, 3000), height=st.integers(16, 3000))
def test_sides_are_kept_or_refused_never_changed(can: dict[str, Any], width: int, height: int) -> None:
    fits = (
        all(can["min_side"] <= side <= can["max_side"] for side in (width, height))
        and width % can["multiple"] == height % can["multiple"] == 0
        and width * height <= can["max_pixels"]
    )
    order = Order(prompt="x", width=width, height=height)
    if fits:
        resolved = resolve(order, model(**can), CATALOGUE)
        assert (resolved["width"], resolved["height"]) == (width, height)
    else:
        with pytest.raises(UnsupportedByModel) as caught:
            resolve(order, model(**can), CATALOGUE)
        assert caught.value.field in ("width", "height")
        assert caught.value.limit is not None


@given(ratio=st.sampled_from(RATIOS))
def test_fixed_sizes_give_the_nearest_shape(ratio: str) -> None:
    sizes = [(1024, 1024), (1536, 1024), (1024, 1536)]
    resolved = resolve(Order(prompt="x", aspect_ratio=ratio), model(sizes=sizes), CATALOGUE)
    wanted = CATALOGUE.aspect_ratios[ratio]
    found = (resolved["width"], resolved["height"])
    assert found in sizes
    assert (found[0] > found[1]) == (wanted.width > wanted.height)
    assert (found[0] < found[1]) == (wanted.width < wanted.height)
    with pytest.raises(UnsupportedByModel):
        resolve(Order(prompt="x", width=1000, height=1000), model(sizes=sizes), CATALOGUE)


PARAMS = {
    "steps": Parameter(type="integer", minimum=1, maximum=50),
    "cfg": Parameter(type="number", minimum=0, maximum=30),
    "sampler": Parameter(type="string", max_length=8),
    "mode": Parameter(type="string", choices=["fast", "good"]),
    "tile": Parameter(type="boolean"),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 1),
        ("steps", 50),
        ("steps", 7.0),
        ("cfg", 0),
        ("cfg", 7.5),
        ("sampler", "12345678"),
        ("mode", "fast"),
        ("tile", False),
    ],
)
def test_a_parameter_that_fits_is_kept(name: str, value: Any) -> None:
    order = Order(prompt="x", params={name: value})
    assert resolve(order, model(params=PARAMS), CATALOGUE)["params"] == {name: value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("steps", 51),
        ("steps", 7.5),
        ("steps", "7"),
        ("steps", True),
        ("steps", None),
        ("steps", float("nan")),
        ("steps", float("inf")),
        ("cfg", -0.1),
        ("cfg", float("nan")),
        ("cfg", [1]),
        ("sampler", "123456789"),
        ("sampler", 1),
        ("mode", "bad"),
        ("tile", 1),
        ("tile", "true"),
        ("other", 1),
    ],
)
def test_a_parameter_that_does_not_is_refused_by_name(name: str, value: Any) -> None:
    order = Order(prompt="x", params={name: value})
    with pytest.raises(RequestProblem) as caught:
        resolve(order, model(params=PARAMS), CATALOGUE)
    assert caught.value.field == f"params.{name}"
    assert caught.value.limit is not None


def test_defaults_stand_under_the_orders_own_values() -> None:
    deployments = [Deployment(provider="x", target="y")]
    entry = Model(
        name="a/b",
        operations=["generate"],
        capabilities=Capabilities(params=PARAMS),
        defaults={"steps": 20, "cfg": 7.0},
        deployments=deployments,
    )
    resolved = resolve(Order(prompt="x", params={"steps": 4}), entry, CATALOGUE)
    assert resolved["params"] == {"steps": 4, "cfg": 7.0}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"negative_prompt": "rain"}, "negative_prompt"),
        ({"seed": 1}, "seed"),
        ({"style": "realistic"}, "style"),
        ({"image": "x"}, "image"),
        ({"images": ["x"]}, "images"),
        ({"mask": "x"}, "mask"),
        ({"format": "webp"}, "format"),
        ({"width": 512}, "height"),
        ({"height": 512}, "width"),
        ({"aspect_ratio": "7:3"}, "aspect_ratio"),
        ({"aspect_ratio": "1:1", "width": 512, "height": 512}, "aspect_ratio"),
    ],
)
def test_what_a_bare_model_cannot_do_is_refused(wish: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestProblem) as caught:
        resolve(Order(**{"prompt": "x", **wish}), model(seed=False, styles=False), CATALOGUE)
    assert caught.value.field == field


def test_an_unknown_style_lists_the_known_ones() -> None:
    with pytest.raises(InvalidField) as caught:
        resolve(Order(prompt="x", style="none"), model(), CATALOGUE)
    assert caught.value.limit == sorted(CATALOGUE.styles)
