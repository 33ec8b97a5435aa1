"""RunPod: what is shipped and documented works there."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.domain.model import Deployment, Model
from ferrotype.providers.runpod import RunPodSettings
from ferrotype.providers.runpod.options import Options
from tests.providers.contract.rig import call, picture, png
from tests.providers.runpod_support import (
    PICTURE,
    RUN,
    Fixed,
    bench,
    order,
)


async def test_what_the_catalogue_has_at_runpod() -> None:
    catalogue = load_catalogue(CatalogueSettings())
    entries = [
        (model, deployment)
        for model in catalogue.models.values()
        for deployment in model.deployments
        if deployment.provider == "runpod"
    ]
    assert entries
    async with bench() as (sim, provider):
        for model, deployment in entries:
            for width, height in model.capabilities.sizes or [(1024, 1024)]:
                for form in (None, *model.capabilities.formats):
                    given = {"width": width, "height": height, "format": form, "params": model.defaults}
                    told = await call(provider, order(deployment.target, options=deployment.options, **given))
                    work = list(sim.works.items.values())[-1]
                    assert (work.width, work.height, work.seed) == (width, height, 7)
                    assert form is None or work.form == form.upper()
                    assert told.finished.usd is not None


async def test_every_shipped_workflow_runs_there_as_it_does_on_a_comfyui_of_one_s_own() -> None:
    catalogue = load_catalogue(CatalogueSettings())
    seen = set()
    async with bench() as (_, provider):
        for model in catalogue.models.values():
            for deployment in model.deployments:
                if deployment.provider != "comfyui":
                    continue
                can = model.capabilities
                request = order(
                    options={**deployment.options, "workflow": deployment.target},
                    params=model.defaults,
                    images=tuple(picture(png(64 + n, 64)) for n in range(can.max_images)),
                    mask=picture(png(64, 65)) if can.mask else None,
                )
                assert (await call(provider, request)).outputs, model.name
                seen.add(deployment.target)
        assert seen >= {"txt2img", "img2img", "inpaint", "upscale"}


async def test_the_examples_of_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "runpod.md").read_text()
    comfy, handler = (tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL))
    model = Model.model_validate(comfy["models"][0])
    other = Deployment.model_validate(handler["models"]["deployments"][0])
    async with bench(endpoint="comfyui") as (sim, provider):
        (deployment,) = model.deployments
        request = order(deployment.target, options=deployment.options, params={"steps": 4}, num_images=4)
        assert len((await call(provider, request)).outputs) == 4
        images = {"result": {"images": [PICTURE]}}
        sim.endpoints[other.target] = Fixed(images)
        request = order(other.target, options=other.options, images=(picture(),))
        assert (await call(provider, request)).outputs
        assert sim.journal.of(RUN)[-1].body["policy"]["lowPriority"] is True


def test_the_docs_name_every_setting_and_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "runpod.md").read_text()
    assert {item.env for item in RunPodSettings.declared()} <= set(re.findall(r"`([A-Z_]+)`", page))
    options = {item.name for item in fields(Options)}
    assert all(f"`{name}`" in page for name in options)
