"""The catalogue's models that change one picture: what each declares is what its schema takes and gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.domain.ids import new_id
from ferrotype.domain.model import Model
from ferrotype.domain.order import Order
from ferrotype.domain.problems import ProviderRejected, RequestProblem
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.replicate import ReplicateProvider
from ferrotype.services.check import fits_inputs, resolve, size_like
from ferrotype.services.operations import check_operation
from ferrotype.services.requests import attempt_request
from ferrotype.sim.hosted import Work
from ferrotype.sim.replicate import ReplicateSim
from ferrotype.sim.replicate.models import MODELS
from tests.providers.contract.rig import Told, call, picture, png

CATALOGUE = load_catalogue(CatalogueSettings())
WIDTH, HEIGHT = 320, 256
#: By model: the operations, and the size of a result by those of the input or the order.
ENHANCERS = {
    "nightmareai/real-esrgan": (["upscale"], 2),
    "philz1337x/clarity-upscaler": (["clarify", "upscale"], 2),
    "tencentarc/gfpgan": (["restore_face"], 2),
    "sczhou/codeformer": (["restore_face"], 1),
    "zsxkib/ic-light": (["relight"], 1),
    "851-labs/background-remover": (["remove_background"], 1),
    "bria/remove-background": (["remove_background"], 1),
    "bria/generate-background": (["replace_background"], 1),
    "bria/generate-background-like": (["replace_background"], 1),
    "851-labs/background-color": (["replace_background"], 1),
}


def request_of(model: Model, operation: str, count: int = 1, **wishes: Any) -> AttemptRequest:
    """What the server would ask for. Raises what its checks raise."""
    can = model.capabilities
    order = Order(operation=operation, images=["an asset"] * can.min_images, **wishes)
    check_operation(order, CATALOGUE.operations)
    resolved = resolve(order, model, CATALOGUE)
    if resolved["width"] is None:
        size = size_like(WIDTH, HEIGHT, can)
        resolved |= {"width": size[0], "height": size[1]}
    return attempt_request(
        CATALOGUE,
        model,
        next(each for each in model.deployments if each.provider == "replicate"),
        resolved,
        attempt_id=new_id(),
        operation=operation,
        count=count,
        images=[picture(png(WIDTH + index, HEIGHT)) for index in range(can.min_images)],
    )


def least(model: Model, operation: str) -> dict[str, Any]:
    """The least that its operation needs beside pictures."""
    if "prompt" not in CATALOGUE.operations[operation].needs_one_of:
        return {}
    if model.capabilities.prompt != "none":
        return {"prompt": "in a forest"}
    return {"params": {"color": "blue"}} if "color" in model.capabilities.params else {}


async def asked(
    sim: ReplicateSim, provider: ReplicateProvider, request: AttemptRequest
) -> tuple[Told, Work, dict[str, Any]]:
    told = await call(provider, request)
    work = list(sim.works.items.values())[-1]
    return told, work, work.request["input"]


@pytest.mark.parametrize("name", ENHANCERS)
async def test_each_of_its_operations(sim: ReplicateSim, provider: ReplicateProvider, name: str) -> None:
    model, (operations, factor) = CATALOGUE.models[name], ENHANCERS[name]
    assert model.operations == operations
    schema = MODELS[model.deployments[0].target.partition(":")[0]]
    for operation in operations:
        told, work, sent = await asked(sim, provider, request_of(model, operation, **least(model, operation)))
        assert len(told.outputs) == 1
        assert told.finished.problem is None
        assert work.request["model"] is schema  # by name, or by the version that is pinned
        assert set(sent) <= set(schema.properties)
        assert work.source == png(WIDTH, HEIGHT)
        assert (work.width, work.height) == (WIDTH * factor, HEIGHT * factor)


def test_every_operation_is_served_by_a_hosted_provider() -> None:
    hosted = {"replicate", "gemini", "openai"}
    served = {
        operation
        for model in CATALOGUE.models.values()
        for operation in model.operations
        if hosted & {each.provider for each in model.deployments}
    }
    assert served == set(CATALOGUE.operations)


async def test_upscaling_four_times(sim: ReplicateSim, provider: ReplicateProvider) -> None:
    sim.script.picture_side = 64
    model = CATALOGUE.models["nightmareai/real-esrgan"]
    params = {"scale": 4, "face_enhance": True}
    _, work, sent = await asked(sim, provider, request_of(model, "upscale", params=params))
    assert (work.width, work.height) == (4 * WIDTH, 4 * HEIGHT)
    assert (sent["scale"], sent["face_enhance"]) == (4, True)


async def test_clarity_keeps_its_own_words(sim: ReplicateSim, provider: ReplicateProvider) -> None:
    """Left out they would be the model's default, and an order's words alone would lose them."""
    model = CATALOGUE.models["philz1337x/clarity-upscaler"]
    _, _, plain = await asked(sim, provider, request_of(model, "clarify"))
    wishes = {"prompt": "an oak", "negative_prompt": "people"}
    _, _, worded = await asked(sim, provider, request_of(model, "clarify", **wishes))
    assert plain["prompt"].strip() == worded["prompt"].removeprefix("an oak ")
    assert plain["negative_prompt"].strip() == worded["negative_prompt"].removeprefix("people ")


@pytest.mark.parametrize("direction", ["left", "right", "top", "bottom", None])
async def test_light_from_each_side(
    sim: ReplicateSim, provider: ReplicateProvider, direction: str | None
) -> None:
    """By direction alone, by prompt alone; several pictures of one call."""
    model = CATALOGUE.models["zsxkib/ic-light"]
    wishes: dict[str, Any] = {"params": {"direction": direction}} if direction else {"prompt": "neon"}
    told, _, sent = await asked(sim, provider, request_of(model, "relight", count=4, **wishes))
    assert [output.index for output in told.outputs] == [0, 1, 2, 3]
    assert sent.get("light_source") == (direction and f"{direction.title()} Light")
    assert sent["number_of_images"] == 4


@pytest.mark.parametrize(("highres_scale", "size"), [(1.0, (512, 768)), (1.5, (768, 1152))])
async def test_relit_pictures_have_the_size_that_was_ordered(
    sim: ReplicateSim, provider: ReplicateProvider, highres_scale: float, size: tuple[int, int]
) -> None:
    model = CATALOGUE.models["zsxkib/ic-light"]
    wishes = {"prompt": "dusk", "width": 512, "height": 768, "params": {"highres_scale": highres_scale}}
    _, work, _ = await asked(sim, provider, request_of(model, "relight", **wishes))
    assert (work.width, work.height) == size


async def test_light_needs_a_word_or_a_side() -> None:
    with pytest.raises(RequestProblem):
        request_of(CATALOGUE.models["zsxkib/ic-light"], "relight")


async def test_a_size_that_its_schema_does_not_know_is_refused_before_it_costs(
    sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    model = CATALOGUE.models["zsxkib/ic-light"]
    with pytest.raises(RequestProblem):
        request_of(model, "relight", prompt="dusk", width=500, height=500)
    request = request_of(model, "relight", prompt="dusk", params={"highres_scale": 1.5})
    broken = {**request.options, "input": {**request.options["input"], "width": 500}}
    with pytest.raises(ProviderRejected, match="width must be one of"):
        await provider.submit(replace(request, options=broken))
    assert not sim.works.items


async def test_backgrounds_by_prompt_by_colour_and_by_picture(
    sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    bria = CATALOGUE.models["bria/generate-background"]
    like = CATALOGUE.models["bria/generate-background-like"]
    plain = CATALOGUE.models["851-labs/background-color"]
    _, _, sent = await asked(sim, provider, request_of(bria, "replace_background", prompt="a beach"))
    assert sent["bg_prompt"].strip() == "a beach"
    _, _, sent = await asked(
        sim, provider, request_of(bria, "replace_background", params={"color": "#FF5733"})
    )
    assert sent["bg_prompt"].strip() == "#FF5733"
    _, work, sent = await asked(sim, provider, request_of(like, "replace_background"))
    assert work.source == png(WIDTH, HEIGHT)
    assert sent["ref_image_file"] not in (None, sent["image"])
    assert "bg_prompt" not in sent
    _, _, sent = await asked(
        sim, provider, request_of(plain, "replace_background", params={"color": "orange"})
    )
    assert sent["background_type"] == "[249,115,22]"


@pytest.mark.parametrize(
    ("wishes", "name"),
    [
        ({"prompt": "a beach", "images": ["a"]}, "bria/generate-background"),
        ({"params": {"color": "#FF5733"}, "images": ["a"]}, "bria/generate-background"),
        ({"images": ["a", "b"]}, "bria/generate-background-like"),
    ],
)
def test_an_order_without_a_model_gets_one_that_takes_it(wishes: dict[str, Any], name: str) -> None:
    order = Order(operation="replace_background", **wishes)
    chosen = CATALOGUE.choose(
        None, "replace_background", ["replicate"], fits=lambda can: fits_inputs(order, can)
    )
    assert chosen.name == name
