"""What is under way: seen from its first moment, in every tab, through reloads and lost networks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route

from ferrotype.sim import ComfySim, Script
from ferrotype.sim.comfyui.script import NodeError
from tests.flows.commands import serving
from tests.flows.harness import running
from tests.studio.harness import Studio, expect, window

DONE = ".tile[data-state=done]"


@dataclass
class Bench:
    studio: Studio
    sim: ComfySim


@pytest_asyncio.fixture(loop_scope="session")
async def bench(tmp_path: Path, browser: Browser) -> AsyncIterator[Bench]:
    """A window on a server whose only model waits, after two steps, until the test lets it go on."""
    async with (
        ComfySim(Script(hold=2, preview="JPEG")) as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url, FERROTYPE_CLASSES="heavy=1") as client,
        window(browser, client) as studio,
    ):
        yield Bench(studio, sim)
        studio.checked()


async def order(page: Page, prompt: str = "a fox under the moon") -> None:
    await page.locator("#prompt").fill(prompt)
    await page.get_by_role("button", name=re.compile("^Generate")).click()


async def test_previews_progress_and_the_picture_in_two_tabs_and_after_a_reload(bench: Bench) -> None:
    page = await bench.studio.open()
    other = await bench.studio.tab()
    await other.goto(f"{bench.studio.base}/studio")
    await order(page)
    for tab in (page, other):
        sheet = tab.get_by_role("article", name="a fox under the moon")
        await expect(sheet.locator(".tile[data-state=running]")).to_have_count(1)
        await expect(sheet.locator(".tile-preview[data-shown]").first).to_be_attached()
        await expect(sheet.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("[1-9]"))
    place = await page.locator(".tile").bounding_box()
    await page.reload()
    await expect(page.locator(".tile[data-state=running]")).to_have_count(1)
    await expect(page.get_by_role("article")).to_have_count(1)
    bench.sim.script.hold = None
    bench.sim.release()
    for tab in (page, other):
        await expect(tab.locator(DONE)).to_have_count(1)
        await expect(tab.get_by_role("progressbar")).to_be_hidden()
        await expect(tab.locator(".sheet-state")).to_contain_text("Made in")
    assert await page.locator(".tile").bounding_box() == place, "nothing moved when the picture came"
    await page.reload()
    await expect(page.locator(DONE)).to_have_count(1)


async def test_waiting_is_told_and_can_be_ended(bench: Bench) -> None:
    page = await bench.studio.open()
    await order(page, "the first")
    await expect(page.get_by_role("article", name="the first")).to_have_attribute("data-status", "running")
    await order(page, "the second")
    second = page.get_by_role("article", name="the second")
    await expect(second.locator(".sheet-state")).to_have_text(re.compile("ahead|Next"))
    await bench.studio.axe()
    await second.get_by_role("button", name="Cancel").click()
    await expect(second).to_have_attribute("data-status", "canceled")
    await expect(second.locator(".tile")).to_contain_text("Canceled")
    first = page.get_by_role("article", name="the first")
    await first.get_by_role("button", name="Cancel").click()
    await expect(first).to_have_attribute("data-status", "canceled")
    assert (await bench.studio.client.balance())[1:] == (0, 0)


@pytest.mark.slow
async def test_a_failure_says_why_and_is_tried_again(bench: Bench) -> None:
    bench.sim.script.hold = None
    bench.sim.script.node_errors = [NodeError(node="KSampler", message="out of memory")]
    page = await bench.studio.open()
    await order(page)
    sheet = page.locator(".sheet[data-status=failed]")
    await expect(sheet.locator(".sheet-error")).to_contain_text("out of memory")
    await bench.studio.axe()
    await sheet.get_by_role("button", name="Try again").click()
    await expect(page.locator(DONE)).to_have_count(1)


async def test_an_order_whose_answer_was_lost_is_found_and_not_paid_twice(bench: Bench) -> None:
    bench.sim.script.hold = None
    bench.studio.expected = ("ERR_",)
    page = await bench.studio.open()
    keys: list[str | None] = []

    async def lose(route: Route) -> None:
        """The server gets the order, the browser never gets the answer."""
        if route.request.method == "POST":
            keys.append(route.request.headers.get("idempotency-key"))
            if len(keys) == 1:
                await route.fetch()
                await route.abort("connectionreset")
                return
        await route.continue_()

    await page.route("**/v1/generations", lose)
    await order(page)
    await expect(page.locator(DONE)).to_have_count(1)
    await expect(page.get_by_role("article")).to_have_count(1)
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert bench.sim.journal.count("POST /prompt") == 1
    assert (await bench.studio.client.rows())["generations"] == 1


@pytest.mark.slow
async def test_an_order_made_offline_goes_out_once_the_network_is_back_or_after_a_reload(
    bench: Bench,
) -> None:
    bench.sim.script.hold = None
    bench.studio.expected = ("ERR_",)
    page = await bench.studio.open()
    await page.locator("#prompt").wait_for()
    await bench.studio.context.set_offline(True)
    await expect(page.locator("[data-notice]")).to_contain_text("You are offline")
    await order(page)
    sheet = page.get_by_role("article", name="a fox under the moon")
    await expect(sheet.locator(".sheet-state")).to_have_text("Waiting for the connection")
    await bench.studio.axe()
    assert (await bench.studio.client.rows())["generations"] == 0
    await bench.studio.context.set_offline(False)
    await expect(page.locator("[data-notice]")).to_be_hidden()
    await expect(page.locator(DONE)).to_have_count(1)
    assert (await bench.studio.client.rows())["generations"] == 1

    async def away(route: Route) -> None:
        await (route.abort("connectionrefused") if route.request.method == "POST" else route.continue_())

    await page.route("**/v1/generations", away)
    await order(page, "a second one")
    await expect(page.locator(".sheet[data-status=unsent]")).to_have_count(1)
    await page.unroute_all()
    await page.reload()
    await expect(page.locator(DONE)).to_have_count(2)
    assert (await bench.studio.client.rows())["generations"] == 2


async def test_the_server_is_killed_under_way_and_the_page_recovers_by_itself(
    tmp_path: Path, browser: Browser
) -> None:
    async with (
        ComfySim(Script(hold=2, preview="JPEG")) as sim,
        serving(tmp_path, COMFYUI_URL=sim.url) as (server, http),
    ):
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{server.base}/studio")
        await order(page)
        await expect(page.locator(".tile[data-state=running]")).to_have_count(1)
        await sim.held(1)
        server.process.kill()
        await server.process.wait()
        await expect(page.locator("[data-notice]")).to_contain_text("cannot be reached")
        sim.script.hold = None
        sim.release()
        await server.up(http)
        await expect(page.locator(DONE)).to_have_count(1, timeout=30_000)
        await expect(page.locator("[data-notice]")).to_be_hidden()
        assert sim.journal.count("POST /prompt") == 1
        await context.close()
