"""Writes the screenshots of docs/studio: `python -m tests.studio.screenshots`.

A server of its own with pictures of the local provider, seen by Debian's Chromium in both themes and at phone
width.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

import pyvips
from playwright.async_api import Page, async_playwright

from tests.flows.harness import Client, running
from tests.studio.harness import expect, launch, window

OUT: Final = Path(__file__).parents[2] / "docs" / "studio"
ORDERS: Final[tuple[dict[str, Any], ...]] = (
    {"prompt": "a fox under the moon", "aspect_ratio": "16:9", "seed": 7},
    {"prompt": "three red apples on a table", "style": "realistic", "seed": 3, "num_images": 3},
    {"prompt": "a castle in the forest, rainbow", "seed": 21, "aspect_ratio": "16:9"},
    {"prompt": "a rocket over a city at night", "style": "illustration", "aspect_ratio": "9:16", "seed": 5},
    {"prompt": "two penguins in the snow", "style": "3d", "aspect_ratio": "3:4", "seed": 2},
    {"prompt": "a sailing boat on the sea at sunset", "style": "artistic", "aspect_ratio": "4:3", "seed": 11},
)
VIEWS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": {"width": 1360, "height": 850}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1360, "height": 850}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "dark",
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
}


async def keep(page: Page, name: str) -> None:
    """The window as it is, once nothing moves any more, as WebP."""
    await page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished.catch(() => {})))")
    picture = pyvips.Image.new_from_buffer(await page.screenshot(animations="disabled"), "")
    picture.webpsave(str(OUT / f"{name}.webp"), Q=82, effort=5, strip=True)


async def create(page: Page, base: str, view: str) -> None:
    await page.goto(f"{base}/studio")
    await expect(page.locator(".tile")).to_have_count(8)
    await page.wait_for_load_state("networkidle")
    await expect(page.locator("#prompt")).to_be_visible()
    await page.locator("#prompt").fill("a lighthouse at dusk, waves breaking")
    await expect(page.locator(".composer .estimate")).to_contain_text("about")
    await keep(page, f"create-{view}")
    await page.get_by_role("button", name="Many").click()
    dialog = page.get_by_role("dialog", name="Many at once")
    await dialog.get_by_label("Prompt of row 1").fill("a {red|blue|green} car on a road")
    await expect(dialog.locator(".makes summary")).to_be_visible()
    await keep(page, f"batch-{view}")
    await page.keyboard.press("Escape")


async def gallery(page: Page, base: str, view: str) -> None:
    await page.goto(f"{base}/studio/gallery")
    await page.wait_for_load_state("networkidle")
    await keep(page, f"gallery-{view}")
    await page.get_by_role("listbox", name="Pictures").focus()
    for key in ("Space", "ArrowRight", "ArrowRight", "Space", "ArrowRight", "Space"):
        await page.keyboard.press(key)
    await keep(page, f"chosen-{view}")
    await page.keyboard.press("Escape")
    await page.get_by_role("option").first.click()
    await expect(page.locator(".viewer-holder .viewer-box[data-loaded] img")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    await keep(page, f"viewer-{view}")
    await page.keyboard.press("Escape")


async def status(page: Page, base: str, view: str) -> None:
    await page.goto(f"{base}/studio/status")
    await expect(page.get_by_role("heading", name="Seats")).to_be_visible()
    await keep(page, f"status-{view}")


async def write(client: Client) -> None:
    """Every page in every view."""
    for order in ORDERS:
        reply = await client.order(**order)
        assert reply.status == 201, reply.body
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        for view, options in VIEWS.items():
            async with window(browser, client, **options) as studio:
                for page in (create, gallery, status):
                    await page(studio.page, client.base, view)
                studio.checked()
        await browser.close()


async def main() -> None:
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder) / "data", FERROTYPE_LOG_LEVEL="error") as client:
            await write(client)


if __name__ == "__main__":
    asyncio.run(main())
