"""The status page: what happened is seen, without loading it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from ferrotype.sim.hosted import Fault
from tests.flows.test_routing import deployments, model, shop
from tests.studio.harness import Studio, expect, window
from tests.studio.test_gallery import HOSTILE


@pytest.mark.slow
async def test_a_failure_that_happened_is_shown(browser: Browser, tmp_path: Path) -> None:
    async with (
        shop(tmp_path, model("me/painter", deployments("a")), "a") as it,
        window(browser, it.client) as studio,
    ):
        page = await studio.open("/studio/status")
        wrong = page.get_by_role("figure", name="What went wrong of late")
        await expect(wrong).to_contain_text("Nothing failed.")
        assert (await it.order())["status"] == "succeeded"
        minutes = page.get_by_role("figure", name="Pictures a minute")
        await expect(minutes).to_contain_text("In the last hour 1 picture made, none failed.")
        it.sims["a"].script.faults.append(Fault("refusal", HOSTILE))
        failed = await it.order()
        assert failed["status"] == "failed"
        await expect(minutes).to_contain_text("1 picture made, 1 failed.")
        await expect(wrong).to_contain_text("provider_refused")
        await expect(wrong).to_contain_text(failed["error"]["detail"][:60])
        await expect(wrong.get_by_role("link")).to_have_attribute("href", f"/v1/generations/{failed['id']}")
        row = page.get_by_role("row", name="a Well")
        await expect(row.get_by_role("cell").nth(1)).to_have_text("2")
        await expect(row.get_by_role("cell").nth(2)).to_have_text("1")
        await minutes.get_by_text("As a table").click()
        await expect(minutes.get_by_role("table")).to_be_visible()
        assert await page.evaluate("window.broken") is None
        studio.checked()


@pytest.mark.slow
async def test_seats_are_counted_live(browser: Browser, tmp_path: Path) -> None:
    catalogue = model("me/painter", deployments("a"))
    async with (
        shop(tmp_path, catalogue, "a", FERROTYPE_CLASSES="light=1") as it,
        window(browser, it.client) as studio,
    ):
        it.sims["a"].script.hold = "run"
        page = await studio.open("/studio/status")
        seats = page.get_by_role("figure", name="Seats")
        await expect(seats).to_contain_text("0 of 1 seat")
        first = await it.client.order_async(prompt="a fox", model="me/painter")
        second = await it.client.order_async(prompt="a hare", model="me/painter")
        await expect(seats).to_contain_text("1 of 1 seat")
        await expect(seats).to_contain_text("1 waiting")
        for each in (second, first):
            await it.client.request("POST", f"/v1/generations/{each['id']}/cancel")
        studio.checked()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_anybodys_way(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    async with (
        shop(tmp_path, model("me/painter", deployments("a")), "a") as it,
        window(browser, it.client, color_scheme=scheme) as studio,
    ):
        it.sims["a"].script.faults.append(Fault("refusal", "NSFW content detected"))
        await it.order()
        await it.order()
        page = await studio.open("/studio/status")
        await expect(page.get_by_role("figure", name="What went wrong of late")).to_contain_text(
            "provider_refused"
        )
        await studio.axe()
        await page.set_viewport_size({"width": 360, "height": 740})
        wide = await page.evaluate("document.querySelector('.status').scrollWidth")
        assert wide <= 360
        studio.checked()


@pytest.mark.slow
async def test_a_server_that_is_away_is_told(studio: Studio) -> None:
    page = await studio.open("/studio/status")
    await expect(page.get_by_role("figure", name="Seats")).to_be_visible()
    studio.expected = ("ERR_FAILED", "Failed to load resource")
    await page.route("**/v1/status", lambda route: route.abort())
    await expect(page.locator(".status .problem")).to_have_text("The server cannot be reached.")
    await page.unroute("**/v1/status")
    await expect(page.locator(".status .problem")).to_have_text("")
