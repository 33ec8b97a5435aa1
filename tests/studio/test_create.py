from __future__ import annotations

from tests.studio.harness import Studio, expect


async def test_shell(studio: Studio) -> None:
    page = await studio.open()
    await expect(page.get_by_role("link", name="Create", exact=True)).to_have_attribute("aria-current", "page")
