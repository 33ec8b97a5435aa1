from __future__ import annotations

import re
from pathlib import Path

import pytest

from ferrotype.domain.event import EVENT_TYPES
from tests.docs.pages import DOCS, PAGES
from tests.flows.harness import Client

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_event_is_documented() -> None:
    text = (DOCS / "API.md").read_text(encoding="utf-8")
    for type in EVENT_TYPES:
        assert f"`{type}`" in text, type


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
