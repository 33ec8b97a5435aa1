"""The studio's gallery, as a person uses it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page
from sqlalchemy import update

from ferrotype.db import schema
from tests.flows.harness import Client, running
from tests.gallery.many import fill
from tests.studio.harness import Studio, expect, window

HOSTILE = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>"&\u202e'


async def many(client: Client, count: int, days: int = 30) -> list[str]:
    """Pictures that can be loaded; their ids, newest first."""
    app = client.app
    folder = app.settings.data_dir / "assets"
    return await fill(app.database, app.account_id, count, folder=folder, days=days)


def tiles(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Pictures").get_by_role("option")


def tile(page: Page, asset_id: str) -> Locator:
    return page.locator(f'[role=option][data-id="{asset_id}"]')


async def loaded(page: Page) -> None:
    """All pictures in and near the window are known."""
    await expect(page.locator('[role=option][data-state="ready"]').first).to_be_visible()
    await expect(page.locator('[role=option]:not([data-state]), [data-state="unknown"]')).to_have_count(0)


async def choose(page: Page, *asset_ids: str) -> None:
    for asset_id in asset_ids:
        await tile(page, asset_id).hover()
        await tile(page, asset_id).locator("[data-check]").click()


async def total(page: Page, text: str) -> None:
    await expect(page.locator("[data-total]")).to_have_text(text)


async def shown(page: Page) -> list[tuple[int, str]]:
    """(place from 1, asset id) of every picture in the page."""
    found = await page.eval_on_selector_all(
        "[role=option]", "each => each.map((one) => [Number(one.ariaPosInSet), one.dataset.id])"
    )
    return [(place, asset_id) for place, asset_id in found]


async def test_any_place_shows_its_pictures_and_the_scrollbar_is_true(studio: Studio) -> None:
    ids = await many(studio.client, 2_500, days=60)
    page = await studio.open("/studio/gallery")
    await total(page, "2,500 pictures")
    await loaded(page)
    height = await page.evaluate("document.documentElement.scrollHeight")
    for share in (0.37, 0.81, 1.0, 0.1):
        await page.evaluate(f"scrollTo(0, {height} * {share})")
        await loaded(page)
        seen = await shown(page)
        assert len(seen) < 150
        assert seen == sorted(seen)
        assert seen == [(place, ids[place - 1]) for place, _ in seen]
        assert await page.evaluate("document.documentElement.scrollHeight") == height
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    await loaded(page)
    assert (len(ids), ids[-1]) in await shown(page)


@pytest.mark.slow
async def test_a_picture_arrives_at_the_top_and_moves_nothing_that_is_looked_at(studio: Studio) -> None:
    await many(studio.client, 300, days=10)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    first = (await studio.client.order(prompt="a fox under the moon")).json["output"][0]["id"]
    await expect(tile(page, first)).to_have_attribute("aria-posinset", "1")
    await expect(tile(page, first)).to_have_attribute("aria-label", re.compile("a fox under the moon"))
    await expect(tile(page, first)).to_have_attribute("data-state", "ready")
    await total(page, "301 pictures")
    await page.evaluate("scrollTo(0, 2500)")
    await loaded(page)
    # In sight, of a day before: the rows of today are others with one more picture.
    looked_at = await page.evaluate("document.elementFromPoint(600, 500).closest('[role=option]').dataset.id")
    before = await tile(page, looked_at).bounding_box()
    second = (await studio.client.order(prompt="another fox")).json["output"][0]["id"]
    await total(page, "302 pictures")
    assert await tile(page, looked_at).bounding_box() == before
    await expect(tile(page, second)).to_have_count(0)
    await page.evaluate("scrollTo(0, 0)")
    await expect(tile(page, second)).to_have_attribute("aria-posinset", "1")


async def test_search_and_filters_are_kept_in_the_address(studio: Studio) -> None:
    await many(studio.client, 400)
    page = await studio.open("/studio/gallery")
    await total(page, "400 pictures")

    async def counted(query: str) -> int:
        return int((await studio.client.get(f"/v1/gallery/timeline?{query}")).json["total"])

    foxes = await counted("q=fox")
    assert 0 < foxes < 400
    await page.get_by_role("searchbox", name="Search prompts").fill("fox")
    await total(page, f"{foxes} pictures")
    await expect(page).to_have_url(re.compile(r"\?q=fox$"))
    await page.get_by_role("button", name="Filters").click()
    sdxl = await counted("q=fox&model=stability-ai/sdxl")
    model = page.get_by_label("Model")
    await expect(model.locator("option", has_text=f"stability-ai/sdxl ({sdxl})")).to_have_count(1)
    await model.select_option("stability-ai/sdxl")
    await total(page, f"{sdxl} picture{'' if sdxl == 1 else 's'}")
    await page.reload()
    await expect(page.get_by_role("searchbox", name="Search prompts")).to_have_value("fox")
    await expect(page.get_by_role("button", name="Filters (1)")).to_be_visible()
    await page.get_by_role("button", name="Take away Model: stability-ai/sdxl").click()
    await total(page, f"{foxes} pictures")
    await page.go_back()
    await expect(page).to_have_url(re.compile("model="))
    await total(page, f"{sdxl} picture{'' if sdxl == 1 else 's'}")
    await page.get_by_role("searchbox", name="Search prompts").fill("no such words anywhere")
    await expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()
    await page.get_by_role("button", name="Take the filters away").click()
    await total(page, "400 pictures")


async def test_seed_and_dates_find_their_pictures(studio: Studio) -> None:
    ids = await many(studio.client, 120)
    asset = (await studio.client.get(f"/v1/assets/{ids[60]}")).json
    day = asset["created_at"][:10]
    page = await studio.open(f"/studio/gallery?seed={asset['seed']}&from={day}&to={day}")
    await loaded(page)
    assert ids[60] in [asset_id for _, asset_id in await shown(page)]
    for _, asset_id in await shown(page):
        found = (await studio.client.get(f"/v1/assets/{asset_id}")).json
        assert (found["seed"], found["created_at"][:10]) == (asset["seed"], day)


async def test_several_are_chosen_and_come_as_one_archive(studio: Studio) -> None:
    ids = await many(studio.client, 60, days=2)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    await choose(page, ids[0])
    await tile(page, ids[4]).click(modifiers=["Shift"])
    bar = page.get_by_role("toolbar", name="Chosen pictures")
    await expect(bar).to_contain_text("5 chosen")
    async with page.expect_download() as saved:
        await bar.get_by_role("button", name="Download").click()
    path = await (await saved.value).path()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert len(archive.namelist()) == 6
    assert [each["asset_id"] for each in manifest["pictures"]] == ids[:5]
    await tile(page, ids[2]).click(modifiers=["Control"])
    await expect(bar).to_contain_text("4 chosen")
    await page.keyboard.press("Escape")
    await expect(bar).to_be_hidden()
    await choose(page, ids[7])
    async with page.expect_download() as saved:
        await bar.get_by_role("button", name="Download").click()
    assert (await (await saved.value).path()).read_bytes()[8:12] == b"WEBP"


@pytest.mark.slow
async def test_what_was_never_looked_at_can_be_chosen_too(studio: Studio) -> None:
    ids = await many(studio.client, 900, days=20)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    await page.get_by_role("listbox", name="Pictures").focus()
    await page.keyboard.press("Control+a")
    bar = page.get_by_role("toolbar", name="Chosen pictures")
    await expect(bar).to_contain_text("900 chosen")
    await bar.get_by_role("button", name="Favourite").click()
    await expect(tile(page, ids[0])).to_have_attribute("data-favourite", "")
    marked = (await studio.client.get("/v1/gallery/timeline?favourite=true")).json["total"]
    assert marked == 900


async def test_deleted_pictures_come_back(studio: Studio) -> None:
    ids = await many(studio.client, 40, days=1)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    await choose(page, ids[1], ids[3])
    await page.get_by_role("toolbar", name="Chosen pictures").get_by_role("button", name="Delete").click()
    await total(page, "38 pictures")
    await expect(tile(page, ids[1])).to_have_count(0)
    assert (await studio.client.get(f"/images/{ids[1]}")).status == 410
    await page.get_by_role("button", name="Undo").click()
    await total(page, "40 pictures")
    await expect(tile(page, ids[1])).to_have_attribute("aria-posinset", "2")
    assert (await studio.client.get(f"/images/{ids[1]}")).status == 200
    await choose(page, ids[5])
    await page.keyboard.press("Delete")
    await total(page, "39 pictures")
    await page.get_by_role("button", name="Bin", exact=True).click()
    await total(page, "1 picture")
    await choose(page, ids[5])
    await page.get_by_role("toolbar", name="Chosen pictures").get_by_role("button", name="Restore").click()
    await expect(page.get_by_role("heading", name="The bin is empty")).to_be_visible()
    await page.get_by_role("button", name="All pictures").click()
    await total(page, "40 pictures")


@pytest.mark.slow
async def test_favourites(studio: Studio) -> None:
    ids = await many(studio.client, 30, days=1)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    await choose(page, ids[2], ids[4])
    bar = page.get_by_role("toolbar", name="Chosen pictures")
    await bar.get_by_role("button", name="Favourite").click()
    await expect(tile(page, ids[4])).to_have_attribute("data-favourite", "")
    await page.get_by_role("button", name="Favourites").click()
    await total(page, "2 pictures")
    assert [asset_id for _, asset_id in await shown(page)] == [ids[2], ids[4]]
    await choose(page, ids[2])
    await bar.get_by_role("button", name="Favourite").click()
    await total(page, "1 picture")


@pytest.mark.slow
async def test_collections(studio: Studio) -> None:
    ids = await many(studio.client, 30, days=1)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    await choose(page, ids[0], ids[2])
    bar = page.get_by_role("toolbar", name="Chosen pictures")
    await bar.get_by_role("button", name="Add to collection").click()
    await page.get_by_role("dialog").get_by_role("button", name="New collection").click()
    await page.get_by_label("Name", exact=True).fill(HOSTILE[:60])
    await page.get_by_role("button", name="Create", exact=True).click()
    shelves = page.get_by_role("navigation", name="Shelves")
    await shelves.get_by_role("button", name=HOSTILE[:60]).click()
    await total(page, "2 pictures")
    await expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE[:60])
    await page.get_by_role("button", name="Rename").click()
    await page.get_by_label("Name", exact=True).fill("Spring")
    await page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Spring")
    await choose(page, ids[0])
    await bar.get_by_role("button", name="Take out of the collection").click()
    await total(page, "1 picture")
    await page.get_by_role("button", name="Undo").click()
    await total(page, "2 pictures")
    await page.get_by_role("button", name="Delete the collection Spring").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete the collection").click()
    await total(page, "30 pictures")
    await expect(shelves.get_by_role("button", name="Spring")).to_have_count(0)
    assert (await studio.client.get("/v1/collections")).json["data"] == []


async def test_a_shared_page_opens_signed_out_until_it_ends(browser: Browser, tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_API_KEY="a key of the tests, long enough") as client:
        ids = await many(client, 12, days=1)
        async with window(browser, client) as owner, window(browser, client) as visitor:
            key = {"key": "a key of the tests, long enough"}
            entry, origin = f"{client.base}/studio/session", {"Origin": client.base}
            assert (await owner.context.request.post(entry, data=key, headers=origin)).ok
            page = await owner.open("/studio/gallery")
            await loaded(page)
            await choose(page, ids[0], ids[1])
            await page.get_by_role("button", name="Share", exact=True).click()
            await page.get_by_label("Title").fill("Two foxes")
            await page.get_by_role("button", name="Make the link").click()
            link = await page.get_by_label("Link", exact=True).input_value()
            seen = await visitor.page.goto(link)
            assert seen is not None
            assert seen.status == 200
            await expect(visitor.page.get_by_role("heading", name="Two foxes")).to_be_visible()
            for asset_id in ids[:2]:
                await expect(visitor.page.locator(f'img[src*="{asset_id}"]')).to_have_count(1)
            (share,) = (await client.get("/v1/shares")).json["data"]

            def end(tx: Any) -> None:
                past = client.app.clock.now() - timedelta(seconds=1)
                table = schema.shares
                tx.execute(update(table).where(table.c.id == share["id"]).values(expires_at=past))

            await client.app.database.write(end)
            # A browser may keep the page for a minute: asked anew.
            seen = await visitor.page.reload()
            assert seen is not None
            assert seen.status == 410
            # The browser asks for an icon by itself, at a place that needs the key.
            visitor.expected = ("410",)
            await expect(visitor.page.locator("body")).to_contain_text("that is over")
            await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
            await expect(page.get_by_text("The link works no more")).to_be_visible()
            owner.checked()
            visitor.checked()


@pytest.mark.slow
async def test_by_keyboard_alone(studio: Studio) -> None:
    ids = await many(studio.client, 200, days=4)
    page = await studio.open("/studio/gallery")
    await loaded(page)
    box = page.get_by_role("listbox", name="Pictures")

    async def active() -> str | None:
        return await box.evaluate(
            "(box) => document.getElementById(box.getAttribute('aria-activedescendant'))?.dataset.id"
        )

    await page.get_by_role("button", name="Filters").focus()
    await page.keyboard.press("Tab")
    await expect(box).to_be_focused()
    assert await active() == ids[0]
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    assert await active() == ids[2]
    await page.keyboard.press(" ")
    await page.keyboard.press("Shift+ArrowRight")
    await page.keyboard.press("Shift+ArrowRight")
    bar = page.get_by_role("toolbar", name="Chosen pictures")
    await expect(bar).to_contain_text("3 chosen")
    await page.keyboard.press("Shift+ArrowLeft")
    await expect(bar).to_contain_text("2 chosen")
    await expect(tile(page, ids[3])).to_have_attribute("aria-selected", "true")
    await expect(tile(page, ids[4])).to_have_attribute("aria-selected", "false")
    await page.keyboard.press("Escape")
    await expect(bar).to_be_hidden()
    await page.keyboard.press("End")
    await expect(tile(page, ids[-1])).to_be_in_viewport()
    await loaded(page)
    assert await active() == ids[-1]
    await page.keyboard.press("ArrowUp")
    above = await active()
    assert above is not None
    assert ids.index(above) < len(ids) - 1
    await page.keyboard.press("Home")
    await expect(tile(page, ids[0])).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Viewer")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(box).to_be_focused()
    rail = page.get_by_role("slider", name="Go to a date")
    await rail.focus()
    await page.keyboard.press("End")
    await expect(rail).to_have_attribute("aria-valuenow", await rail.get_attribute("aria-valuemax") or "")


async def test_hostile_words_are_only_words(studio: Studio) -> None:
    made = (await studio.client.order(prompt=HOSTILE, negative_prompt=HOSTILE)).json
    asset_id = made["output"][0]["id"]
    page = await studio.open("/studio/gallery")
    label = await tile(page, asset_id).get_attribute("aria-label")
    assert label is not None
    assert label.startswith(HOSTILE)
    await tile(page, asset_id).click()
    viewer = page.get_by_role("dialog", name="Viewer")
    await expect(viewer.locator(".viewer-text").first).to_have_text(HOSTILE)
    assert await page.evaluate("window.broken") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_anybodys_way(browser: Browser, client: Client, scheme: Any) -> None:
    ids = await many(client, 80, days=4)
    await client.request("POST", "/v1/collections", json={"name": "Spring"})
    async with window(browser, client, color_scheme=scheme) as studio:
        page = await studio.open("/studio/gallery?style=realistic")
        await page.get_by_role("button", name="All pictures").wait_for()
        await page.goto(f"{client.base}/studio/gallery")
        await loaded(page)
        await page.get_by_role("button", name="Filters").click()
        await choose(page, ids[0], ids[1])
        await studio.axe()
        await page.get_by_role("button", name="Share", exact=True).click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await studio.axe()
        studio.checked()


async def test_a_phone_of_360_pixels_shows_all_of_it(browser: Browser, client: Client) -> None:
    ids = await many(client, 80, days=4)
    options = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    async with window(browser, client, **options) as studio:
        page = await studio.open("/studio/gallery")
        await loaded(page)
        for asset_id in (await shown(page))[:6]:
            box = await tile(page, asset_id[1]).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
        # A finger that stays: what Chromium's own gesture does with it is beside the point here.
        await tile(page, ids[0]).dispatch_event("pointerdown", {"pointerType": "touch", "clientX": 50})
        bar = page.get_by_role("toolbar", name="Chosen pictures")
        await expect(bar).to_be_visible()
        await tile(page, ids[0]).dispatch_event("pointerup", {"pointerType": "touch"})
        await tile(page, ids[1]).tap()
        await expect(bar.locator("b")).to_have_text("2")
        studio.checked()
