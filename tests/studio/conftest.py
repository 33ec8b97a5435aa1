from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.flows.harness import Client, running
from tests.studio.harness import CHROMIUM, MISSING, Studio, launch, window


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium, or a skip that says what to install."""
    if not Path(CHROMIUM).exists():
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with the local provider only."""
    async with running(tmp_path / "data") as client:
        yield client


@pytest.fixture
async def studio(client: Client, browser: Browser) -> AsyncIterator[Studio]:
    """A window on that server; whatever went wrong in the browser fails the test at its end."""
    async with window(browser, client) as studio:
        yield studio
        studio.checked()
