"""The catalogue's models at fal: what each declares is what its app takes and does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.model import Deployment, Model, Parameter
from ferrotype.domain.order import Order
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.fal import FalProvider, FalSettings
from ferrotype.services.check import resolve
from ferrotype.services.costs import usd_of
from ferrotype.services.requests import attempt_request
from ferrotype.sim.fal import APPS, FalScript, FalSim
from tests.providers.contract.rig import KEY, Told, call, picture, png
from tests.providers.contract.rigs.fal import PACE

CATALOGUE: Final = load_catalogue(CatalogueSettings())
OFFERS: Final = [
    (model, operation, deployment)
    for model in CATALOGUE.models.values()
    for operation in model.operations
    for deployment in model.deployments
    if deployment.provider == "fal"
]
EACH = pytest.mark.parametrize(
    ("model", "operation", "deployment"), OFFERS, ids=[f"{model.name}-{op}" for model, op, _ in OFFERS]
)
SOURCE: Final = (640, 480)


@pytest.fixture
async def sim() -> AsyncIterator[FalSim]:
    async with FalSim(FalScript(key=KEY)) as made:
        made.script.picture_side = 64  # what is asked for is read from the work, so small ones do
        yield made


@pytest.fixture
async def fal(sim: FalSim) -> AsyncIterator[FalProvider]:
    settings = FalSettings(api_key=KEY, base_url=sim.url, rest_url=sim.rest_url)
    provider = FalProvider(settings, SystemClock(), PACE)
    yield provider
    await provider.close()


def request_of(model: Model, operation: str, deployment: Deployment, **wishes: Any) -> AttemptRequest:
    """What the server asks of fal for that order. Raises what its checks raise."""
    can = model.capabilities
    wishes = {"prompt": "a fox", "seed": 5} | wishes
    wishes |= {"images": ["an asset"] * can.min_images, "mask": "an asset" if can.needs_mask else None}
    resolved = resolve(Order(operation=operation, **wishes), model, CATALOGUE)
    if resolved["width"] is None:
        resolved |= {"width": SOURCE[0], "height": SOURCE[1]}
    return attempt_request(
        CATALOGUE,
        model,
        deployment,
        resolved,
        attempt_id=new_id(),
        operation=operation,
        count=can.max_per_call,
        images=[picture(png(*SOURCE))] * can.min_images,
        mask=picture(png(*SOURCE)) if can.needs_mask else None,
    )


def bounds(declared: Parameter) -> Iterator[Any]:
    """Every choice of a parameter, or its least and its greatest value."""
    if declared.choices is not None:
        yield from declared.choices
    elif declared.type == "boolean":
        yield from (False, True)
    else:
        for value in (declared.minimum, declared.maximum):
            assert value is not None
            yield int(value) if declared.type == "integer" else value


@EACH
async def test_sizes_counts_and_formats(
    sim: FalSim, fal: FalProvider, model: Model, operation: str, deployment: Deployment
) -> None:
    can = model.capabilities
    side = can.min_side - can.min_side % -can.multiple
    free = [(side, side), (1024, 1024), (side, can.max_side)]
    sizes = [None] if can.size == "derived" else [None, *(can.sizes or free)]
    forms = [form for form in can.formats if f"format.{form}" not in deployment.cannot]
    for size in sizes:
        for form in (None, *forms):
            wishes = {} if size is None else {"width": size[0], "height": size[1]}
            request = request_of(model, operation, deployment, format=form, **wishes)
            told = await call(fal, request)
            assert len(told.outputs) == can.max_per_call
            work = list(sim.works.items.values())[-1]
            assert (work.width, work.height) == (size or (request.width, request.height))
            assert work.form == {"png": "PNG", "jpeg": "JPEG"}[form or deployment.options["default_format"]]
            assert (work.seed, work.source is not None) == (5, bool(can.min_images))
            assert "a fox" in work.prompt
            assert ("mask_url" in work.request) == can.needs_mask
            assert set(work.request) - {"path"} <= set(APPS[deployment.target].fields)
            check_price(model, deployment, told)


def check_price(model: Model, deployment: Deployment, told: Told) -> None:
    """No size that can be ordered costs more than the catalogue says of a picture."""
    count = len(told.outputs)
    each = usd_of(model, deployment, told.finished, count) / count
    assert each == pytest.approx(model.price.usd)
    assert 100 * each <= model.price.credits


@EACH
async def test_parameters_may_be_what_they_are_declared_to_be(
    sim: FalSim, fal: FalProvider, model: Model, operation: str, deployment: Deployment
) -> None:
    for name, declared in model.capabilities.params.items():
        if f"params.{name}" in deployment.cannot:
            continue
        bodies = []
        for value in bounds(declared):
            request = request_of(model, operation, deployment, params={name: value})
            assert (await call(fal, request)).outputs, f"{name} = {value}"
            bodies.append(list(sim.calls.values())[-1].arguments)
        assert bodies[0] != bodies[-1], name


async def test_a_variation_needs_no_prompt(fal: FalProvider) -> None:
    model = CATALOGUE.models["fal-ai/flux-dev-img2img"]
    request = request_of(model, "variation", model.deployments[0], prompt="")
    assert (await call(fal, request)).outputs


def test_fal_stands_by_where_another_serves_the_model_first() -> None:
    shared = [(model, deployment) for model, _, deployment in OFFERS if len(model.deployments) > 1]
    assert {model.name for model, _ in shared} == {
        "black-forest-labs/flux-schnell",
        "black-forest-labs/flux-dev",
        "black-forest-labs/flux-1.1-pro",
        "black-forest-labs/flux-kontext-pro",
        "black-forest-labs/flux-fill-pro",
    }
    for model, deployment in shared:
        others = [each.priority for each in model.deployments if each is not deployment]
        assert max(others) < deployment.priority
