"""The FLUX models of the catalogue: what each declares is what it sends."""

from __future__ import annotations

from typing import Any

import pytest

from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.domain.ids import new_id
from ferrotype.domain.order import Order
from ferrotype.providers.replicate import ReplicateProvider
from ferrotype.services.check import resolve
from ferrotype.services.requests import attempt_request
from ferrotype.sim.replicate import ReplicateSim
from ferrotype.sim.replicate.models import MODELS
from tests.providers.contract.rig import HostedRig, call, picture, png

# The catalogue


CATALOGUE = load_catalogue(CatalogueSettings())
FLUX = [
    (model, operation)
    for model in CATALOGUE.models.values()
    for operation in model.operations
    if model.name.startswith("black-forest-labs/")
    and any(deployment.provider == "replicate" for deployment in model.deployments)
]


@pytest.mark.parametrize(("model", "operation"), FLUX, ids=lambda item: getattr(item, "name", item))
async def test_flux_models_of_the_catalogue(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider, model: Any, operation: str
) -> None:
    """What each model declares is taken by its schema, and does what it says: count, size, format, seed."""
    sim.script.picture_side = 64  # what is asked for is read from the work, so small ones do
    can = model.capabilities
    deployment = next(each for each in model.deployments if each.provider == "replicate")
    images = [picture(png(640, 480))] * can.min_images
    sizes = can.sizes or ([None] if can.size == "derived" else [(can.min_side, can.max_side), (1024, 1024)])
    for size in sizes:
        for form in (None, *can.formats):
            asked: dict[str, Any] = {} if size is None else {"width": size[0], "height": size[1]}
            asked |= {"images": ["an asset"] * can.min_images, "mask": "an asset" if can.needs_mask else None}
            order = Order(prompt="a fox", operation=operation, format=form, seed=5, **asked)
            resolved = resolve(order, model, CATALOGUE)
            if size is None:
                resolved |= {"width": 640, "height": 480}
            request = attempt_request(
                CATALOGUE,
                model,
                deployment,
                resolved,
                attempt_id=new_id(),
                operation=operation,
                count=can.max_per_call,
                images=images,
                mask=picture(png(640, 480)) if can.needs_mask else None,
            )
            told = await call(provider, request)
            assert len(told.outputs) == can.max_per_call
            work = list(sim.works.items.values())[-1]
            assert (work.width, work.height) == (size or (640, 480))
            assert work.form == {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}[form or can.formats[0]]
            assert work.seed == 5
            assert "a fox" in work.prompt
            assert (work.source is not None) == bool(can.min_images)
            sent = work.request["input"]
            assert ("mask" in sent) == can.needs_mask
            schema = MODELS[deployment.target].properties
            assert set(sent) <= set(schema)
            for name in model.defaults:
                assert "{params." + name + "}" in deployment.options["input"].values(), name


def test_flux_schnell_is_tuned() -> None:
    schnell = CATALOGUE.models["black-forest-labs/flux-schnell"]
    assert schnell.defaults == {
        "num_inference_steps": 4,
        "go_fast": True,
        "megapixels": "1",
        "output_quality": 90,
    }
    assert schnell.deployments[0].options["default_format"] == "webp"
    assert schnell.class_ == "light"


async def test_a_variation_needs_no_prompt(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    """FLUX dev has its prompt required; an order of the operation `variation` need not have one."""
    model = CATALOGUE.models["black-forest-labs/flux-dev-img2img"]
    deployment = model.deployments[0]
    request = rig.order(
        target=deployment.target,
        prompt="",
        images=(picture(),),
        params=model.defaults,
        options=deployment.options,
    )
    assert (await call(provider, request)).outputs
