"""The studio in Chromium over 25,000 pictures: how soon it shows, how it scrolls, what it weighs."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.async_api import Browser, CDPSession, Page, async_playwright
from tests.studio.harness import CHROMIUM, MISSING, launch

from benchmarks import processes
from benchmarks.gallery_api import PICTURES, _fill
from benchmarks.processes import free_port, process, python
from benchmarks.report import Figure, Grid, Result, console, percentile

ROUNDS: Final = 5
VIEWPORT: Final = {"width": 1440, "height": 900}
#: Pixels a second of the two ways to scroll: reading along, and flying by.
SPEEDS: Final = {"reading": 1_500, "flying": 12_000}
SCROLL_SECONDS: Final = 12
JUMPS: Final = 30
#: What counts as weight of scripts and styles, packed as it comes over the wire, in KB of 1000 bytes.
WANTED_KB: Final = 60.0
#: From here on a browser calls a task long, in milliseconds.
LONG_MS: Final = 50.0
#: Trace events that stand for a stretch of our script, with all that it called.
SCRIPT: Final = frozenset(
    {"FunctionCall", "EvaluateScript", "FireAnimationFrame", "TimerFire", "EventDispatch", "RunMicrotasks"}
)
#: Told by the browser itself; the page's own scripts know nothing of it.
WATCH: Final = """
(() => {
  const seen = (window.__seen = { lcp: 0, shift: 0, long: [], frames: [], on: false });
  const watch = (type, tell) => {
    new PerformanceObserver((list) => list.getEntries().forEach(tell)).observe({ type, buffered: true });
  };
  watch("largest-contentful-paint", (each) => { seen.lcp = each.startTime; });
  watch("layout-shift", (each) => { if (!each.hadRecentInput) seen.shift += each.value; });
  watch("longtask", (each) => seen.long.push(each.duration));
  let last = 0;
  const frame = (at) => {
    if (seen.on && last) seen.frames.push(at - last);
    last = at;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})();
"""
TOLD: Final = """() => ({
  ...window.__seen, fcp: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
})"""


@dataclass
class Wire:
    """What came over the wire for one page: requests, bytes of bodies as sent, by type, and of headers."""

    requests: int = 0
    bytes: dict[str, int] = field(default_factory=dict)
    headers: int = 0


async def measure() -> Result | None:
    """Fill a gallery, start a server of our own, and look at it with Chromium."""
    if not Path(CHROMIUM).exists():
        console.print(f"[yellow]studio is skipped: {MISSING}[/]")
        return None
    result = Result(
        "studio",
        f"The studio over {PICTURES:,} pictures",
        f"Debian's Chromium without a GPU, {VIEWPORT['width']} x {VIEWPORT['height']} pixels, on a server of"
        f" our own; both share this machine. Pages are opened {ROUNDS} times by a browser that knows nothing"
        " yet, until the first pictures are there. Then the gallery is scrolled by the browser's own gesture,"
        f" at {SPEEDS['reading']:,} and {SPEEDS['flying']:,} pixels a second for {SCROLL_SECONDS} s each, and"
        f" thrown to {JUMPS} places from end to end. Another window went the same way before, because the"
        " sizes that it asks for are made when a picture arrives, and these never arrived. A stretch of"
        " script is what the trace of the renderer's main thread says of one uninterrupted call into scripts,"
        " with the style and layout that it asks for, in processor time: what it takes where nothing else"
        " runs. Frames and the long tasks that the browser itself counts are by the clock, with painting"
        " without a GPU and whatever else the machine does. Weights are the bodies as they are sent, packed;"
        " headers stand beside.",
    )
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        env = processes.server(port, folder)
        await _fill(Path(env["FERROTYPE_DATA_DIR"]))
        base = f"http://127.0.0.1:{port}"
        async with (
            process(python("ferrotype", "serve"), port=port, folder=folder, env=env),
            async_playwright() as playwright,
        ):
            browser = await launch(playwright)
            result.notes.append(f"Chromium {browser.version}.")
            await _paints(result, browser, base)
            await _prepare(browser, base)
            await _scrolls(result, browser, base)
            await browser.close()
    return result


@asynccontextmanager
async def _window(browser: Browser) -> AsyncIterator[tuple[Page, CDPSession, Wire]]:
    """A browser that knows nothing, and its wire."""
    context = await browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.add_init_script(WATCH)
    wire, kinds, heads = Wire(), dict[str, str](), dict[str, int]()
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")

    def begun(event: dict[str, Any]) -> None:
        wire.requests += 1
        kinds[event["requestId"]] = event.get("type", "Other")

    def answered(event: dict[str, Any]) -> None:
        heads[event["requestId"]] = int(event["response"]["encodedDataLength"])

    def ended(event: dict[str, Any]) -> None:
        kind, head = kinds.get(event["requestId"], "Other"), heads.get(event["requestId"], 0)
        wire.bytes[kind] = wire.bytes.get(kind, 0) + int(event["encodedDataLength"]) - head
        wire.headers += head

    session.on("Network.requestWillBeSent", begun)
    session.on("Network.responseReceived", answered)
    session.on("Network.loadingFinished", ended)
    try:
        yield page, session, wire
    finally:
        await context.close()


async def _paints(result: Result, browser: Browser, base: str) -> None:
    rows = []
    for name, path, ready in (
        ("create", "/studio", "form, textarea"),
        ("gallery", "/studio/gallery", ".pic img[data-loaded]"),
        ("status", "/studio/status", ".panel"),
    ):
        told, wires, walls = [], [], []
        for _ in range(ROUNDS):
            async with _window(browser) as (page, _, wire):
                began = time.perf_counter()
                await page.goto(base + path)
                await page.locator(ready).first.wait_for()
                walls.append((time.perf_counter() - began) * 1000)
                # The largest paint may follow: two frames later the browser has told of it.
                await page.evaluate(
                    "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))"
                )
                told.append(await page.evaluate(TOLD))
                wires.append(wire)
        middle = {key: percentile([each[key] for each in told], 0.5) for key in ("fcp", "lcp", "shift")}
        blocked = percentile([sum(each - LONG_MS for each in one["long"]) for one in told], 0.5)
        code = max(wire.bytes.get("Script", 0) + wire.bytes.get("Stylesheet", 0) for wire in wires) / 1000
        result.figures += [
            Figure(f"{name}, first contentful paint, p50", round(middle["fcp"], 1), "ms"),
            Figure(f"{name}, largest contentful paint, p50", round(middle["lcp"], 1), "ms", 2_500.0),
            Figure(f"{name}, scripts and styles over the wire", round(code, 1), "KB", WANTED_KB),
            Figure(f"{name}, layout shift", round(middle["shift"], 4), "", 0.1),
        ]
        last = wires[-1]
        rows.append(
            [
                name,
                f"{percentile(walls, 0.5):.0f} ms",
                f"{blocked:.0f} ms",
                str(last.requests),
                f"{sum(last.bytes.values()) / 1000:,.0f} KB",
                f"{last.headers / 1000:,.0f} KB",
                ", ".join(f"{kind} {size / 1000:,.1f}" for kind, size in sorted(last.bytes.items())),
            ]
        )
        console.print(f"{name}: {middle}, {code:.1f} KB of scripts and styles")
    header = ["page", "usable, p50", "blocked, p50", "requests", "bytes", "headers", "by type, KB"]
    result.grids.append(Grid("Opening a page", header, rows))


async def _prepare(browser: Browser, base: str) -> None:
    """Have the server make every size that is asked for later."""
    async with _window(browser) as (page, session, _):
        await page.goto(f"{base}/studio/gallery")
        await page.locator(".pic img[data-loaded]").first.wait_for()
        for speed in SPEEDS.values():
            await _scroll(session, speed)
        await _jump(page)
        await page.wait_for_load_state("networkidle")


async def _scrolls(result: Result, browser: Browser, base: str) -> None:
    rows = []
    async with _window(browser) as (page, session, wire):
        await page.goto(f"{base}/studio/gallery")
        await page.locator(".pic img[data-loaded]").first.wait_for()
        for name in (*SPEEDS, "jumping"):
            await page.evaluate("() => Object.assign(window.__seen, { long: [], frames: [], on: true })")
            before = wire.requests, sum(wire.bytes.values())
            await browser.start_tracing(page=page, categories=["devtools.timeline", "toplevel"])
            if name == "jumping":
                await _jump(page)
            else:
                await _scroll(session, SPEEDS[name])
            script = _scripts(json.loads(await browser.stop_tracing()))
            seen = await page.evaluate("() => Object.assign({}, window.__seen)")
            frames, long = seen["frames"], seen["long"]
            result.figures += [
                Figure(f"{name}, longest stretch of script", round(max(script), 1), "ms", LONG_MS),
                Figure(
                    f"{name}, stretches of script within 50 ms",
                    round(100 * sum(each <= LONG_MS for each in script) / len(script), 2),
                    "%",
                    100.0,
                    at_most=False,
                ),
            ]
            if name != "jumping":
                result.figures.append(Figure(f"{name}, frame, p95", round(percentile(frames, 0.95), 1), "ms"))
            rows.append(
                [
                    name,
                    f"{len(frames):,}",
                    *(f"{percentile(frames, share):.1f} ms" for share in (0.5, 0.95, 0.99)),
                    f"{percentile(script, 0.99):.1f} ms",
                    f"{len(long)}, longest {max(long, default=0):.0f} ms",
                    f"{wire.requests - before[0]:,}",
                    f"{(sum(wire.bytes.values()) - before[1]) / 1_000_000:.2f} MB",
                ]
            )
            console.print(
                f"{name}: longest script {max(script):.1f} ms, {len(long)} long tasks, {len(frames)} frames"
            )
        await session.send("HeapProfiler.collectGarbage")
        await session.send("Performance.enable")
        metrics = {
            each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]
        }
        nodes = await page.evaluate("() => document.querySelectorAll('*').length")
    result.figures += [
        Figure("JavaScript heap after all of it", round(metrics["JSHeapUsedSize"] / 1_000_000, 2), "MB"),
        Figure("elements in the page", nodes, ""),
    ]
    header = ["scroll", "frames", "p50", "p95", "p99", "script p99", "long tasks", "requests", "bytes"]
    result.grids.append(Grid("Scrolling the gallery", header, rows))


async def _scroll(session: CDPSession, speed: int) -> None:
    gesture = {"x": 700, "y": 500, "yDistance": -speed * SCROLL_SECONDS, "speed": speed}
    await session.send(
        "Input.synthesizeScrollGesture", {**gesture, "gestureSourceType": "mouse", "preventFling": True}
    )


async def _jump(page: Page) -> None:
    """To one place after the other; each is waited for until its pictures are known."""
    for turn in range(JUMPS):
        await page.evaluate(
            "(share) => scrollTo(0, document.documentElement.scrollHeight * share)", (turn * 37 % 100) / 100
        )
        await page.locator('.pic[data-state="ready"]').first.wait_for()


def _scripts(trace: dict[str, Any]) -> list[float]:
    """Milliseconds of processor time of every stretch of script, those within others left out."""
    events = [
        each
        for each in trace["traceEvents"]
        if each.get("ph") == "X" and each["name"] in SCRIPT and each.get("dur")
    ]
    found, until = [], dict[tuple[int, int], float]()
    for each in sorted(events, key=lambda one: (one["ts"], -one["dur"])):
        thread = each["pid"], each["tid"]
        if each["ts"] >= until.get(thread, 0):
            until[thread] = each["ts"] + each["dur"]
            found.append(each.get("tdur", each["dur"]) / 1000)
    return found or [0.0]
