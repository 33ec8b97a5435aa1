from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import pyvips

from ferrotype.domain.event import EVENT_TYPES
from ferrotype.domain.model import InputLimits
from ferrotype.imaging.prescale import plan
from ferrotype.services.inputs import stated
from tests.docs.pages import DOCS, PAGES
from tests.flows.harness import Client

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_event_is_documented() -> None:
    text = (DOCS / "EVENTS.md").read_text(encoding="utf-8")
    for type in EVENT_TYPES:
        assert f"`{type}`" in text, type


def test_every_fact_of_input_pictures_is_documented() -> None:
    section = (DOCS / "API.md").read_text(encoding="utf-8").split("## Input pictures")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert rows == list(InputLimits.model_fields)
    (example,) = json.loads(re.findall(r"```json\n(.*?)```", section, re.DOTALL)[0])
    picture = pyvips.Image.black(6000, 4000).jpegsave_buffer()
    limits = InputLimits(max_pixels=4_194_304, max_side=3000)
    assert example == stated("…", plan(picture, limits))


async def test_every_route_is_documented(client: Client) -> None:
    text = (DOCS / "API.md").read_text(encoding="utf-8")
    paths = (await client.get("/openapi.json")).json["paths"]
    for path, methods in paths.items():
        for method in methods:
            assert f"{method.upper()} {path}" in text, f"{method.upper()} {path}"


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_package_is_on_the_map() -> None:
    text = (DOCS / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for package in (ROOT / "src" / "ferrotype").iterdir():
        if package.is_dir() and (package / "__init__.py").exists():
            assert f"`{package.name}/`" in text, package.name
