"""Chromium on a real server: what a person sees, found by role and by what happens, never by waiting for a
time."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, expect

from tests.flows.harness import Client

#: Playwright's own download is not to be had everywhere; Debian's package is.
CHROMIUM = os.environ.get("FERROTYPE_TEST_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
MISSING = (
    f"{CHROMIUM} is not there: install Debian's package `chromium`, or name one in FERROTYPE_TEST_CHROMIUM"
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Milliseconds; only how long a test waits before it says what is missing.
PATIENCE = 10_000

expect.set_options(timeout=PATIENCE)


async def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    return await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@dataclass
class Studio:
    """One browser window on one server. `errors` collects what must not happen: errors on the console,
    exceptions, violations of the content security policy, requests that leave the server."""

    client: Client
    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)
    #: What is written to the console that a test expects (a 422 is logged by the browser itself).
    expected: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        return self.client.base

    async def open(self, path: str = "/studio") -> Page:
        await self.page.goto(self.base + path)
        return self.page

    async def tab(self) -> Page:
        """A second tab of the same browser."""
        page = await self.context.new_page()
        self.watch(page)
        return page

    def watch(self, page: Page) -> None:
        page.set_default_timeout(PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        page.on("request", self._request)

    def checked(self) -> None:
        """Fail on anything that went wrong in the browser."""
        found = [each for each in self.errors if not any(words in each for words in self.expected)]
        assert not found, found

    async def axe(self, page: Page | None = None, *, within: str | None = None) -> None:
        """Fail on a serious fault of accessibility."""
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        results = await Axe().run(page or self.page, context=within, options=options)
        serious = [
            (each["id"], each["impact"], node["target"], node.get("failureSummary", "")[:300])
            for each in results.response["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
        assert not serious, serious

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text} {message.location.get('url', '')}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.errors.append(f"request: {request.url}")


@asynccontextmanager
async def window(browser: Browser, client: Client, **options: Any) -> AsyncIterator[Studio]:
    """A browser window with nothing remembered."""
    options.setdefault("viewport", {"width": 1280, "height": 860})
    context = await browser.new_context(**options)
    try:
        studio = Studio(client, context, await context.new_page())
        studio.watch(studio.page)
        yield studio
    finally:
        await context.close()
