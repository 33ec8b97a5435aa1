"""One Chromium for all tests of a process, and so one event loop for all of them: starting a browser takes
seconds. What a test remembers lives in its own window's context."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.flows.harness import Client, running
from tests.studio.harness import CHROMIUM, MISSING, Studio, launch, window

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, or a skip that says what to install."""
    if not Path(CHROMIUM).exists():
        pytest.skip(MISSING)
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with the local provider only."""
    async with running(tmp_path / "data") as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def studio(client: Client, browser: Browser) -> AsyncIterator[Studio]:
    """A window on that server; whatever went wrong in the browser fails the test at its end."""
    async with window(browser, client) as studio:
        yield studio
        studio.checked()
