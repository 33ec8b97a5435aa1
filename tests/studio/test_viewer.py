"""One picture: zoom, turning, comparison, what is known of it, and what can be done with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page

from tests.flows.harness import Client
from tests.flows.test_routing import deployments, model, shop
from tests.studio.harness import Studio, expect, window
from tests.studio.test_gallery import HOSTILE, loaded, many, tile, total


def viewer(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Viewer")


async def shows(page: Page, asset_id: str) -> None:
    """That picture is there, loaded."""
    picture = viewer(page).locator(".viewer-holder .viewer-box[data-loaded] img")
    await expect(picture).to_have_attribute("src", re.compile(asset_id))
    await expect(page).to_have_url(re.compile(f"asset={asset_id}"))


async def scale(page: Page) -> float:
    return float(
        await viewer(page).locator(".viewer-stage").evaluate("s => s.style.getPropertyValue('--zoom')")
    )


async def test_keys_turn_and_escape_gives_the_focus_back(studio: Studio) -> None:
    ids = await many(studio.client, 30, days=1)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    await tile(page, ids[3]).click()
    await shows(page, ids[3])
    await expect(viewer(page)).to_contain_text("4 of 30")
    await page.keyboard.press("ArrowRight")
    await shows(page, ids[4])
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await shows(page, ids[2])
    await viewer(page).get_by_role("button", name="The next one").click()
    await shows(page, ids[3])
    await page.keyboard.press("Escape")
    await expect(viewer(page)).to_have_count(0)
    await expect(page.get_by_role("listbox", name="Pictures")).to_be_focused()
    await expect(page).to_have_url(re.compile("/studio/gallery$"))


@pytest.mark.slow
async def test_the_address_of_a_picture_opens_it_and_back_leaves_it(studio: Studio) -> None:
    ids = await many(studio.client, 500, days=3)
    page = await studio.open(f"/studio/gallery?asset={ids[400]}")
    await shows(page, ids[400])
    await expect(viewer(page)).to_contain_text("401 of 500")
    await page.keyboard.press("ArrowRight")
    await shows(page, ids[401])
    await page.keyboard.press("Escape")
    await expect(tile(page, ids[401])).to_be_in_viewport()
    await tile(page, ids[401]).click()
    await shows(page, ids[401])
    await page.go_back()
    await expect(viewer(page)).to_have_count(0)
    await total(page, "500 pictures")


async def test_zoom_goes_to_where_one_points(studio: Studio) -> None:
    ids = await many(studio.client, 6, days=1)
    page = await studio.open(f"/studio/gallery?asset={ids[0]}")
    await shows(page, ids[0])
    stage = viewer(page).locator(".viewer-stage")
    box = await stage.bounding_box()
    assert box is not None
    at = (box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.3)

    async def under() -> tuple[float, float]:
        """Which point of the picture lies under the pointer, as shares of its sides."""
        now = await page.evaluate(
            "([x, y]) => { const b = document.querySelector('.viewer-holder .viewer-box');"
            " const box = b.getBoundingClientRect();"
            " return [(x - box.left) / box.width, (y - box.top) / box.height]; }",
            list(at),
        )
        return round(now[0], 2), round(now[1], 2)

    await page.emulate_media(reduced_motion="reduce")
    before = await under()
    await page.mouse.move(*at)
    await page.mouse.wheel(0, -400)
    await expect(stage).to_have_attribute("data-zoomed", "")
    assert await scale(page) > 1.5
    await expect(stage).not_to_have_css("--zoom", "1")
    # The transition has ended once the box stands still.
    await page.locator(".viewer-holder .viewer-box").evaluate(
        "box => Promise.all(box.getAnimations().map((each) => each.finished))"
    )
    after = await under()
    assert abs(after[0] - before[0]) < 0.02
    assert abs(after[1] - before[1]) < 0.02
    await page.keyboard.press("0")
    await expect(stage).not_to_have_attribute("data-zoomed", "")
    await page.mouse.dblclick(*at)
    assert await scale(page) == 2.5
    x = await stage.evaluate("s => s.style.getPropertyValue('--x')")
    await page.mouse.down()
    await page.mouse.move(at[0] - 40, at[1] + 10)
    await page.mouse.up()
    moved = float((await stage.evaluate("s => s.style.getPropertyValue('--x')"))[:-2]) - float(x[:-2])
    assert abs(moved + 40) < 1
    await page.keyboard.press("-")
    assert await scale(page) < 2.5


async def test_a_swipe_turns(browser: Browser, client: Client) -> None:
    ids = await many(client, 6, days=1)
    options = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
    async with window(browser, client, **options) as studio:
        page = await studio.open(f"/studio/gallery?asset={ids[2]}")
        await shows(page, ids[2])
        wire = await studio.context.new_cdp_session(page)

        async def swipe(points: list[tuple[int, int]]) -> None:
            for name, at in [("touchStart", points[0]), *(("touchMove", each) for each in points[1:])]:
                touch = {"type": name, "touchPoints": [{"x": at[0], "y": at[1]}]}
                await wire.send("Input.dispatchTouchEvent", touch)
            await wire.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

        await swipe([(300, 300), (220, 302), (120, 304)])
        await shows(page, ids[3])
        await swipe([(100, 300), (200, 302), (300, 304)])
        await shows(page, ids[2])
        await swipe([(200, 200), (202, 300), (204, 420)])
        await expect(viewer(page)).to_have_count(0)
        studio.checked()


async def test_two_are_compared(studio: Studio) -> None:
    ids = await many(studio.client, 6, days=1)
    page = await studio.open(f"/studio/gallery?asset={ids[1]}")
    await shows(page, ids[1])
    await page.keyboard.press("c")
    sides = viewer(page).locator(".compare-side img")
    await expect(sides.nth(0)).to_have_attribute("src", re.compile(ids[1]))
    await expect(sides.nth(1)).to_have_attribute("src", re.compile(ids[2]))
    divider = viewer(page).get_by_role("slider", name="Divider between the two pictures")
    await expect(divider).to_be_focused()
    for _ in range(20):
        await page.keyboard.press("ArrowRight")
    split = await viewer(page).locator(".viewer-stage").evaluate("s => s.style.getPropertyValue('--split')")
    assert split == "60%"
    await viewer(page).get_by_role("button", name="Compare with the next").click()
    await expect(sides.nth(1)).to_have_attribute("src", re.compile(ids[3]))
    await viewer(page).get_by_role("button", name="Side by side").click()
    left, right = await sides.nth(0).bounding_box(), await sides.nth(1).bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    await viewer(page).get_by_role("button", name="End", exact=True).click()
    await shows(page, ids[1])


async def test_all_that_is_known_is_told(browser: Browser, tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a", "b")), "a", "b") as it:
        await it.sims["a"].close_door()
        made = await it.order(seed=77)
        asset_id = made["output"][0]["id"]
        async with window(browser, it.client) as studio:
            page = await studio.open(f"/studio/gallery?asset={asset_id}")
            await shows(page, asset_id)
            panel = viewer(page).get_by_role("complementary", name="About this picture")
            for words in ("a fox", "me/painter", "77", "3 credits, $0.04"):
                await expect(panel).to_contain_text(words)
            await expect(panel).to_contain_text("1 call did not work; b made it.")
            attempts = panel.locator(".attempts li")
            await expect(attempts.nth(0)).to_have_attribute("data-status", "failed")
            await expect(attempts.nth(0)).to_contain_text("a")
            detail = (await it.attempts(made))[0]["error"]["detail"]
            await expect(attempts.nth(0)).to_contain_text(detail)
            await expect(attempts.nth(1)).to_have_attribute("data-status", "succeeded")
            await studio.context.grant_permissions(["clipboard-read", "clipboard-write"])
            await panel.get_by_role("button", name="Copy the prompt").click()
            await expect(page.get_by_text("Prompt copied")).to_be_visible()
            assert await page.evaluate("navigator.clipboard.readText()") == "a fox"
            await viewer(page).get_by_role("button", name="Copy link").click()
            await expect(page.get_by_text("Link copied")).to_be_visible()
            link = await page.evaluate("navigator.clipboard.readText()")
            assert link == f"{it.client.base}/studio/gallery?asset={asset_id}"
            studio.checked()


@pytest.mark.slow
async def test_what_can_be_done(studio: Studio) -> None:
    ids = await many(studio.client, 8, days=1)
    page = await studio.open(f"/studio/gallery?asset={ids[2]}")
    await shows(page, ids[2])
    await page.keyboard.press("f")
    await expect(viewer(page).get_by_role("button", name="Favourite")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert (await studio.client.get(f"/v1/assets/{ids[2]}")).json["favourite"] is True
    async with page.expect_download() as saved:
        await viewer(page).get_by_role("button", name="Download").click()
    assert (await (await saved.value).path()).read_bytes()[8:12] == b"WEBP"
    await page.keyboard.press("Delete")
    await shows(page, ids[3])
    assert (await studio.client.get(f"/images/{ids[2]}")).status == 410
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_text("1 picture restored")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(tile(page, ids[2])).to_have_attribute("aria-posinset", "3")
    await tile(page, ids[2]).click()
    await viewer(page).get_by_role("button", name="Use as input").click()
    await expect(page).to_have_url(re.compile(f"/studio\\?input={ids[2]}"))
    await expect(viewer(page)).to_have_count(0)


@pytest.mark.slow
async def test_remix_leads_to_the_form(studio: Studio) -> None:
    made = (await studio.client.order(prompt="a fox under the moon")).json
    page = await studio.open(f"/studio/gallery?asset={made['output'][0]['id']}")
    await viewer(page).get_by_role("button", name="Remix").click()
    await expect(page).to_have_url(re.compile(r"/studio(\?remix=.*)?$"))
    await expect(viewer(page)).to_have_count(0)


@pytest.mark.slow
async def test_a_picture_that_does_not_exist_is_told(studio: Studio) -> None:
    await many(studio.client, 3, days=1)
    studio.expected = ("404",)
    page = await studio.open("/studio/gallery?asset=01a20117-bb26-7e39-9cf3-4f780d790992")
    await expect(page.get_by_role("alert")).to_contain_text("There is no asset")
    await expect(viewer(page)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_anybodys_way(browser: Browser, client: Client, scheme: Any) -> None:
    ids = await many(client, 6, days=1)
    made = (await client.order(prompt=HOSTILE)).json
    async with window(browser, client, color_scheme=scheme) as studio:
        page = await studio.open(f"/studio/gallery?asset={made['output'][0]['id']}")
        await expect(viewer(page).get_by_text("From order to end")).to_be_visible()
        await studio.axe(within="dialog")
        await page.keyboard.press("c")
        await expect(viewer(page).locator(".compare-side img").nth(1)).to_have_attribute(
            "src", re.compile(ids[0])
        )
        await studio.axe(within="dialog")
        studio.checked()
