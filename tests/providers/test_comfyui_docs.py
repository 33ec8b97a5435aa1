"""docs/COMFYUI.md: its examples work, and what it names exists."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest

from ferrotype.app.settings import declared_settings, load_settings
from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.cli.doctor import CHECKS, Finding
from ferrotype.domain.model import Capabilities, InputLimits
from ferrotype.providers.comfyui import Library
from ferrotype.providers.workflows.templates import ORDER_NAMES
from ferrotype.sim import serve
from ferrotype.sim.comfyui import ComfySim
from tests.flows.harness import running

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "COMFYUI.md").read_text(encoding="utf-8")
TLS = ROOT / "tests" / "sim" / "tls"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def write_example(folder: Path) -> dict[str, str]:
    """The page's template and catalogue entry, as files; the settings that name them."""
    (template,), (entry,) = blocks("json"), blocks("toml")
    (folder / "workflows").mkdir()
    (folder / "workflows" / "poster.json").write_text(template)
    (folder / "models.toml").write_text(entry)
    return {
        "FERROTYPE_CATALOGUE": str(folder / "models.toml"),
        "COMFYUI_WORKFLOWS": str(folder / "workflows"),
        "FERROTYPE_DATA_DIR": str(folder / "data"),
    }


async def doctor(environ: dict[str, str]) -> list[Finding]:
    return await CHECKS["workflows"](load_settings({"COMFYUI_URL": "http://127.0.0.1:1", **environ}))


async def test_the_example_is_ordered_and_made(tmp_path: Path) -> None:
    environ = write_example(tmp_path)
    del environ["FERROTYPE_DATA_DIR"]
    async with (
        ComfySim() as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, **environ) as client,
    ):
        order = {"prompt": "a lighthouse", "params": {"mood": "loud"}, "negative_prompt": "fog"}
        reply = await client.order(**order)
        assert (reply.status, reply.json["status"]) == (201, "succeeded"), reply.body
        assert (reply.json["model"], reply.json["cost"]["credits"]) == ("studio/poster", 2)
        assert (reply.json["input"]["width"], reply.json["input"]["height"]) == (1024, 1360)
        (entry,) = sim.queue.history.values()
        nodes = {node["class_type"]: node["inputs"] for node in entry["prompt"][2].values()}
        texts = {node["inputs"].get("text") for node in entry["prompt"][2].values()}
        assert {"poster, loud, a lighthouse", "fog"} <= texts
        assert (nodes["KSampler"]["steps"], nodes["KSampler"]["cfg"]) == (24, 7.0)
        assert (await client.order(**order | {"params": {"mood": "sad"}})).status == 422


async def test_the_doctor_finds_the_example_sound_and_names_what_is_wrong(tmp_path: Path) -> None:
    environ = write_example(tmp_path)
    (fine,) = await doctor(environ)
    assert (fine.mark, fine.detail) == ("ok", f"{len(Library().names()) + 1} templates")
    path = tmp_path / "workflows" / "poster.json"
    text = path.read_text()
    path.write_text(text.replace("{{seed}}", "{{seed"))
    (broken,) = await doctor(environ)
    assert (broken.mark, "is not closed" in broken.detail, str(path) in broken.detail) == ("fail", True, True)
    path.rename(path.with_name("other.json")).write_text(text)
    (missing,) = await doctor(environ)
    assert (missing.mark, missing.detail) == ("fail", "studio/poster: there is no workflow 'poster'")
    (nowhere,) = await doctor(environ | {"COMFYUI_WORKFLOWS": str(tmp_path / "nowhere")})
    assert (nowhere.mark, nowhere.mend) == ("fail", "correct COMFYUI_WORKFLOWS")


SIMULATORS = re.findall(r"^ferrotype sim comfyui (--set .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", SIMULATORS)
async def test_every_simulator_example_starts(line: str) -> None:
    words = shlex.split(line)
    assert words[::2] == ["--set"] * (len(words) // 2)
    options = dict(word.split("=", 1) for word in words[1::2])
    options |= {name: str(TLS / file) for name, file in options.items() if name.startswith("tls_")}
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve("comfyui", options=options, ready=address.set_result))
    await asyncio.wait((server, address), return_when=asyncio.FIRST_COMPLETED)
    assert address.done(), server.exception()
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


def test_the_simulator_examples_are_found() -> None:
    assert len(SIMULATORS) == PAGE.count("ferrotype sim comfyui --set") >= 10


def test_every_placeholder_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| (`\{\{.*?) \|", section("A workflow of your own"), re.MULTILINE)
    named = set(re.findall(r"\{\{(\w+)\}\}", " ".join(rows)))
    assert named == {*ORDER_NAMES, "image_1", "image_2"}


def test_the_shipped_models_are_listed_as_they_are() -> None:
    rows = re.findall(r"^\| `(comfyui/.*?)` \| (.*?) \| .*? \| `(.*?)` \|", PAGE, re.MULTILINE)
    listed = {name: (re.findall(r"`(\w+)`", operations), target) for name, operations, target in rows}
    assert listed == {
        model.name: (model.operations, model.deployments[0].target)
        for model in load_catalogue(CatalogueSettings()).models.values()
        if model.deployments[0].provider == "comfyui"
    }


def test_every_setting_and_capability_that_is_named_exists() -> None:
    settings = set(re.findall(r"\b(?:COMFYUI|FERROTYPE)_[A-Z_]+\b", PAGE))
    assert settings
    assert settings <= {item.env for item in declared_settings()}
    rows = re.findall(
        r"^\| (.*?) \|", PAGE.split("| capability | meaning |")[1].split("\n\n")[0], re.MULTILINE
    )
    named = {word for row in rows[1:] for word in re.findall(r"`(\w+)", row)}
    assert {"size", "inputs", "needs_mask"} <= named
    assert named <= set(Capabilities.model_fields) | set(InputLimits.model_fields)


def test_the_template_on_the_page_is_json_and_uses_what_is_explained() -> None:
    assert set(re.findall(r"\{\{(\w+)", json.dumps(json.loads(blocks("json")[0])))) == {
        *("checkpoint", "width", "height", "mood", "prompt", "negative", "seed", "steps", "cfg"),
        "filename_prefix",
    }
