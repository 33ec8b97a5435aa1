"""What holds for every kind of provider that the registry names, the next one included."""

from __future__ import annotations

import importlib
from pathlib import Path

import grimp
import pytest

from ferrotype.providers.registry import KINDS
from ferrotype.sim import SIMULATORS

ROOT = Path(__file__).parents[2]
#: What kinds share. `illustrator` is the drawing of `local`.
SHARED = ("base", "connections", "hosted", "workflows", "illustrator")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("ferrotype", cache_dir=None)


@pytest.mark.parametrize("kind", KINDS)
def test_providers_do_not_know_each_other(graph: grimp.ImportGraph, kind: str) -> None:
    ours = f"ferrotype.providers.{kind}"
    modules = {ours} | {name for name in graph.modules if name.startswith(f"{ours}.")}
    allowed = (ours, *(f"ferrotype.providers.{name}" for name in SHARED))
    imported = {name for module in modules for name in graph.find_modules_directly_imported_by(module)}
    strangers = [
        name
        for name in imported
        if name.startswith("ferrotype.providers.")
        and not any((name + ".").startswith(f"{root}.") for root in allowed)
    ]
    assert strangers == []


@pytest.mark.parametrize("name", SHARED)
def test_what_they_share_knows_none_of_them(graph: grimp.ImportGraph, name: str) -> None:
    ours = f"ferrotype.providers.{name}"
    modules = {ours} | {each for each in graph.modules if each.startswith(f"{ours}.")}
    imported = {each for module in modules for each in graph.find_modules_directly_imported_by(module)}
    assert not {
        each
        for each in imported
        if each.split(".")[2:3] and each.split(".")[2] in KINDS and each.startswith("ferrotype.providers.")
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_documented_and_held_to_the_contract(kind: str) -> None:
    docs = ROOT / "docs"
    page = docs / "COMFYUI.md" if kind == "comfyui" else docs / "providers" / f"{kind}.md"
    assert page.is_file()
    assert KINDS[kind].settings.area == kind
    assert kind in SIMULATORS or kind == "local"  # which has no service that could be simulated
    assert hasattr(importlib.import_module(f"tests.providers.contract.rigs.{kind}"), "rig")
