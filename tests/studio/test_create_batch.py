"""The batch dialog: rows, what their braces make, what they cost, a bar each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page

from ferrotype.sim import ComfySim, Script
from ferrotype.sim.comfyui.script import NodeError
from tests.flows.harness import running
from tests.studio.harness import Studio, expect, window

DONE = ".tile[data-state=done]"


async def batch_dialog(page: Page) -> Locator:
    await page.get_by_role("button", name="Many").click()
    dialog = page.get_by_role("dialog", name="Many at once")
    await expect(dialog).to_be_visible()
    return dialog


async def paste(area: Locator, text: str) -> None:
    await area.evaluate(
        """(area, text) => {
            const given = new DataTransfer();
            given.setData("text/plain", text);
            const event = new ClipboardEvent("paste", {clipboardData: given, bubbles: true, cancelable:
            true}); area.dispatchEvent(event);
        }""",
        text,
    )


async def test_pasted_lines_are_rows_and_all_are_made(studio: Studio) -> None:
    page = await studio.open()
    await page.locator("#prompt").wait_for()
    dialog = await batch_dialog(page)
    await paste(dialog.get_by_label("Prompt of row 1"), "a fox\n\n  two penguins \nthree apples\n")
    await expect(dialog.get_by_role("textbox")).to_have_count(3)
    await expect(dialog.get_by_label("Prompt of row 2")).to_have_value("two penguins")
    await dialog.get_by_label("Style of row 2").select_option("3d")
    await dialog.get_by_label("Shape of row 3").select_option("16:9")
    await dialog.get_by_role("button", name="Remove row 1").click()
    await dialog.get_by_role("button", name="Add a row").click()
    await dialog.get_by_label("Prompt of row 3").fill("a castle")
    await expect(dialog.locator(".estimate")).to_contain_text("3 credits")
    await studio.axe()
    await dialog.get_by_role("button", name="Generate all 3").click()
    watch = page.get_by_role("dialog", name="Being made")
    await expect(watch.locator(".watch-row[data-status=succeeded]")).to_have_count(3)
    await expect(watch.get_by_role("progressbar", name="Row 1")).to_have_attribute("aria-valuenow", "100")
    await expect(watch).to_contain_text("3 of 3 pictures")
    await studio.axe()
    await watch.get_by_role("button", name="Done").click()
    sheet = page.locator(".sheet-batch")
    await expect(sheet.locator(DONE)).to_have_count(3)
    await page.reload()
    await expect(sheet.locator(DONE)).to_have_count(3)
    await expect(page.get_by_role("article")).to_have_count(1)
    orders = (await studio.client.get("/v1/generations")).json["data"]
    told = {each["input"]["prompt"]: each["input"] for each in orders}
    assert told["two penguins"]["style"] == "3d"
    assert told["three apples"]["aspect_ratio"] == "16:9"


async def test_braces_are_expanded_before_anything_is_ordered(studio: Studio) -> None:
    page = await studio.open()
    await page.locator("#prompt").fill("a {red|blue} car, {1..3} clouds")
    await expect(page.locator(".expands")).to_contain_text("6 different prompts")
    await page.get_by_role("button", name="Order all of them").click()
    dialog = page.get_by_role("dialog", name="Many at once")
    await dialog.get_by_text("1 row with choices in braces makes 6 orders: see them").click()
    lines = dialog.locator(".expansion li")
    await expect(lines).to_have_count(6)
    await expect(lines.first).to_have_text("a red car, 1 clouds")
    await expect(lines.last).to_have_text("a blue car, 3 clouds")
    await expect(dialog.locator(".estimate")).to_contain_text("6 credits")
    await dialog.get_by_label("Expand choices in braces").uncheck()
    await expect(dialog.locator(".expansion")).to_have_count(0)
    await expect(dialog.locator(".estimate")).to_contain_text("1 credit")
    await dialog.get_by_label("Expand choices in braces").check()
    await dialog.get_by_role("button", name="Generate all 6").click()
    await expect(page.locator(".watch-row[data-status=succeeded]")).to_have_count(6, timeout=30_000)
    assert (await studio.client.rows())["generations"] == 6


@pytest.mark.slow
async def test_eleven_lines_are_one_too_many_and_the_rows_survive_a_reload(studio: Studio) -> None:
    page = await studio.open()
    await page.locator("#prompt").wait_for()
    dialog = await batch_dialog(page)
    await paste(dialog.get_by_label("Prompt of row 1"), "\n".join(f"fox {number}" for number in range(12)))
    await expect(dialog.get_by_role("textbox")).to_have_count(10)
    await expect(page.get_by_role("status").filter(has_text="2 lines were left out")).to_be_visible()
    await expect(dialog.get_by_role("button", name="Add a row")).to_be_disabled()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.reload()
    await page.locator("#prompt").wait_for()
    dialog = await batch_dialog(page)
    await expect(dialog.get_by_label("Prompt of row 10")).to_have_value("fox 9")


async def test_a_bad_row_is_named_and_nothing_is_ordered(studio: Studio) -> None:
    studio.expected = ("status of 422",)
    page = await studio.open()
    await page.locator("#prompt").wait_for()
    dialog = await batch_dialog(page)
    await paste(dialog.get_by_label("Prompt of row 1"), "a fox\n" + "x" * 10_001)
    await dialog.get_by_role("button", name=re.compile("Generate all")).click()
    row = dialog.get_by_role("listitem").nth(1)
    await expect(row.get_by_role("alert")).to_contain_text("10000")
    await expect(dialog.get_by_label("Prompt of row 2")).to_have_attribute("aria-invalid", "true")
    assert (await studio.client.rows())["generations"] == 0
    await dialog.get_by_label("Prompt of row 2").fill("two foxes")
    await dialog.get_by_role("button", name=re.compile("Generate all")).click()
    await expect(page.locator(".watch-row[data-status=succeeded]")).to_have_count(2)


@pytest.mark.parametrize("how", ["cancel", "retry"])
@pytest.mark.slow
async def test_a_batch_is_canceled_or_what_failed_is_tried_again(
    tmp_path: Path, browser: Browser, how: str
) -> None:
    script = Script(hold=1) if how == "cancel" else Script(node_errors=[NodeError(node="KSampler")])
    async with (
        ComfySim(script) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CLASSES="heavy=1") as client,
        window(browser, client) as studio,
    ):
        page = await studio.open()
        await page.locator("#prompt").wait_for()
        dialog = await batch_dialog(page)
        await paste(dialog.get_by_label("Prompt of row 1"), "a fox\ntwo foxes")
        await dialog.get_by_role("button", name=re.compile("Generate all")).click()
        watch = page.get_by_role("dialog", name="Being made")
        if how == "cancel":
            await sim.held(1)
            await watch.get_by_role("button", name="Cancel all").click()
            await expect(watch.locator(".watch-row[data-status=canceled]")).to_have_count(2)
            await expect(watch).to_contain_text("Canceled")
            assert (await client.balance())[1:] == (0, 0)
        else:
            await expect(watch.locator(".watch-row[data-status=failed]")).to_have_count(1)
            await expect(watch.locator(".watch-row[data-status=succeeded]")).to_have_count(1)
            await expect(watch.locator(".watch-row .problem").first).to_contain_text("simulated failure")
            await watch.get_by_role("button", name="Retry failed").click()
            await expect(page.locator(".watch-row")).to_have_count(1)
            await expect(page.locator(".watch-row[data-status=succeeded]")).to_have_count(1)
            for generation in (await client.get("/v1/generations?status=succeeded")).json["data"]:
                await client.until(generation["id"], "settled")
            assert (await client.balance())[1:] == (0, 2)
        studio.checked()
