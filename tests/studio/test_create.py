"""The form: what it shows for a model, what it orders, and what it says when something is wrong."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import pyvips
from playwright.async_api import Browser, Page, Route

from ferrotype.sim import ComfySim
from tests.flows.harness import running
from tests.studio.harness import Studio, expect, window

DONE = ".tile[data-state=done]"
#: What a finger is meant to hit and is lower than 44 px; cards hide their inputs in themselves.
TOO_SMALL = """() => [...document.querySelectorAll("button, a[href], select, input")]
    .filter((each) => each.checkVisibility())
    .filter((each) => !each.matches(".sr-only, .skip, .card-input, [type=checkbox]"))
    .filter((each) => Math.round(each.getBoundingClientRect().height) < 44)
    .map((each) => each.outerHTML)"""
PICTURE = pyvips.Image.black(96, 64).pngsave_buffer()


@pytest_asyncio.fixture(loop_scope="session")
async def comfy(tmp_path: Path, browser: Browser) -> AsyncIterator[Studio]:
    """A window on a server with a ComfyUI server: its models take inputs, masks and parameters."""
    async with (
        ComfySim() as sim,
        running(tmp_path / "data", COMFYUI_URL=sim.url) as client,
        window(browser, client) as studio,
    ):
        yield studio
        studio.checked()


async def generate(page: Page) -> None:
    await page.get_by_role("button", name=re.compile("^Generate")).click()


async def newest(studio: Studio) -> dict[str, object]:
    return dict((await studio.client.get("/v1/generations?limit=1")).json["data"][0]["input"])


async def test_an_order_becomes_a_picture(studio: Studio) -> None:
    page = await studio.open()
    await expect(page.get_by_role("heading", name="Nothing on the plate yet")).to_be_visible()
    await page.locator("#prompt").fill("a fox under the moon")
    await page.get_by_role("radio", name="Artistic").check()
    await page.get_by_role("radio", name=re.compile("^16:9")).check()
    await page.get_by_role("button", name="More pictures").click()
    await expect(page.locator(".composer .estimate")).to_contain_text("2 credits")
    await page.get_by_label("Seed", exact=True).fill("7")
    await generate(page)
    sheet = page.get_by_role("article", name="a fox under the moon")
    await expect(sheet.locator(DONE)).to_have_count(2)
    picture = sheet.get_by_role("img", name="a fox under the moon").first
    assert await picture.evaluate("image => image.naturalWidth") > 400
    box = await sheet.locator(".tile").first.bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(1792 / 1024, rel=0.02)
    asked = await newest(studio)
    assert (asked["style"], asked["aspect_ratio"], asked["num_images"], asked["seed"]) == (
        *("artistic", "16:9", 2),
        7,
    )
    await expect(page.locator("[data-announce]")).to_contain_text("2 pictures finished")
    await expect(page.locator(".allowance")).to_contain_text("999,998")
    await studio.axe()


async def test_the_keyboard_is_enough(studio: Studio) -> None:
    page = await studio.open()
    await page.locator("#prompt").wait_for()
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    await expect(dialog).to_contain_text("Many at once")
    await studio.axe()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("p")
    await expect(page.locator("#prompt")).to_be_focused()
    await page.keyboard.type("two penguins")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(DONE)).to_have_count(1)
    # The prompts that were ordered come back by the arrow keys.
    await page.locator("#prompt").fill("something else")
    await page.keyboard.press("Control+Home")
    await page.keyboard.press("ArrowUp")
    await expect(page.locator("#prompt")).to_have_value("two penguins")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("#prompt")).to_have_value("something else")
    # From the start of the page, Tab leads through everything in order, beginning with the way past the bar.
    await page.reload()
    await page.locator("#prompt").wait_for()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("What to do")).to_be_focused()


async def test_the_draft_survives_a_reload(studio: Studio) -> None:
    page = await studio.open()
    await page.locator("#prompt").fill("a draft")
    await page.get_by_label("Leave out").fill("rain")
    await page.get_by_role("radio", name="3D").check()
    await page.get_by_role("button", name="Roll a seed").click()
    seed = await page.get_by_label("Seed", exact=True).input_value()
    assert seed.isdigit()
    await page.reload()
    await expect(page.locator("#prompt")).to_have_value("a draft")
    await expect(page.get_by_label("Leave out")).to_have_value("rain")
    await expect(page.get_by_role("radio", name="3D")).to_be_checked()
    await expect(page.get_by_label("Seed", exact=True)).to_have_value(seed)
    await page.get_by_role("button", name="Empty the form").click()
    await expect(page.locator("#prompt")).to_have_value("")
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator("#prompt")).to_have_value("a draft")


async def test_problems_are_shown_at_their_field(studio: Studio) -> None:
    studio.expected = ("status of 422",)
    page = await studio.open()
    await page.locator("#prompt").wait_for()
    await generate(page)
    prompt = page.locator("[data-field=prompt]")
    await expect(prompt.get_by_role("alert")).to_have_text("Say what to make.")
    await expect(page.locator("#prompt")).to_be_focused()
    await expect(page.locator("#prompt")).to_have_attribute("aria-invalid", "true")
    await page.locator("#prompt").fill("a fox")
    await expect(prompt.locator(".problem")).to_be_empty()
    # What only the server can tell, and in a part of the form that is closed.
    await page.get_by_text("Advanced", exact=True).click()
    await page.get_by_label("Width").fill("100")
    await page.get_by_label("Height").fill("100")
    await page.get_by_text("Advanced", exact=True).click()
    await generate(page)
    await expect(page.locator("[data-field=size]").get_by_role("alert")).to_contain_text("256")
    await expect(page.get_by_label("Width")).to_be_focused()
    await expect(page.locator(".sheet")).to_have_count(0)
    assert (await studio.client.rows())["generations"] == 0


async def test_words_are_never_markup(studio: Studio) -> None:
    nasty = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>"\'&amp;'
    page = await studio.open()
    await page.locator("#prompt").fill(nasty)
    await generate(page)
    await expect(page.locator(DONE)).to_have_count(1)
    await expect(page.locator(".sheet-prompt")).to_have_text(nasty)
    await page.reload()
    await expect(page.locator(".sheet-prompt")).to_have_text(nasty)
    await page.get_by_role("button", name="Earlier prompts").click()
    await expect(page.locator(".history")).to_contain_text(nasty)
    await page.keyboard.press("Escape")
    await page.evaluate("history.replaceState(null, '', '/studio?x=<script>window.hurt=1</script>')")
    assert await page.evaluate("window.hurt") is None
    # The policy holds even where the page itself wanted to: no HTML from text, no inline script, no eval.
    refused = await page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; } catch (error) { return error.name; } }"
    )
    assert refused == "TypeError"
    studio.errors = [each for each in studio.errors if "TrustedHTML" not in each]


async def test_what_a_provider_says_is_never_markup(comfy: Studio) -> None:
    page = await comfy.open()
    await page.locator("#prompt").fill("a fox")
    await comfy.page.route(
        "**/v1/generations", lambda route: _refuse(route, "<b>no</b> <img src=x onerror=window.hurt=1>")
    )
    comfy.expected = ("status of 502",)
    await generate(page)
    await expect(page.get_by_role("alert").filter(has_text="<b>no</b>")).to_be_visible()
    assert await page.evaluate("window.hurt") is None


async def _refuse(route: Route, detail: str) -> None:
    if route.request.method != "POST":
        await route.continue_()
        return
    body = {"status": 502, "code": "provider_failed", "title": "The provider failed", "detail": detail}
    await route.fulfill(status=502, content_type="application/problem+json", body=json.dumps(body))


async def test_the_form_follows_the_model(comfy: Studio) -> None:
    page = await comfy.open()
    button = page.locator(".model-button")
    await expect(button).to_contain_text("ComfyUI text to image")
    await button.click()
    dialog = page.get_by_role("dialog", name="Choose a model")
    away = dialog.locator(".model", has_text="FLUX.1 schnell")
    await expect(away.get_by_role("radio")).to_be_disabled()
    await expect(away).to_contain_text("it needs the provider fal or replicate")
    await comfy.axe()
    await dialog.get_by_role("radio", name=re.compile("Illustrator")).check()
    await dialog.get_by_role("button", name="Done").click()
    await expect(button).to_be_focused()
    await expect(button).to_contain_text("Illustrator")
    await expect(page.get_by_label("Leave out")).to_be_visible()
    await expect(page.locator("[data-field=images]")).to_be_hidden()
    await page.get_by_label("What to do").select_option("upscale")
    await expect(page.locator("[data-field=images]")).to_be_visible()
    await expect(page.locator("[data-field=style]")).to_be_hidden()
    await page.get_by_label("What to do").select_option("inpaint")
    await expect(page.locator("[data-field=mask]")).to_be_visible()
    await page.locator("#prompt").fill("a red hat")
    await generate(page)
    await expect(page.locator("[data-field=images]").get_by_role("alert")).to_have_text(
        "1 input picture needed."
    )
    await comfy.axe()


async def test_pictures_are_picked_pasted_and_dropped(comfy: Studio) -> None:
    page = await comfy.open()
    await page.get_by_label("What to do").select_option("upscale")
    inputs = page.locator(".input-picture")
    await page.locator("[data-field=images] input[type=file]").set_input_files(
        {"name": "hat.png", "mimeType": "image/png", "buffer": PICTURE}
    )
    await expect(inputs.get_by_role("img", name="hat.png")).to_be_visible()
    await page.reload()
    await expect(inputs).to_have_count(1)
    await page.get_by_role("button", name="Remove hat.png").click()
    await expect(inputs).to_have_count(0)
    for how in ("paste", "drop"):
        await page.evaluate(
            """([how, data]) => {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                const given = new DataTransfer();
                given.items.add(new File([bytes], `${how}.png`, {type: "image/png"}));
                const event = how === "paste"
                    ? new ClipboardEvent("paste", {clipboardData: given, bubbles: true, cancelable: true})
                    : new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true});
                document.body.dispatchEvent(event);
            }""",
            [how, base64.b64encode(PICTURE).decode()],
        )
        await expect(inputs.get_by_role("img", name=f"{how}.png")).to_be_visible()
        if how == "paste":
            await page.get_by_role("button", name="Remove paste.png").click()
    await generate(page)
    await expect(page.locator(DONE)).to_have_count(1)
    # What is no picture says so at the field.
    comfy.expected = ("status of 415", "status of 422")
    await page.get_by_role("button", name="Remove drop.png").click()
    await page.locator("[data-field=images] input[type=file]").set_input_files(
        {"name": "fake.png", "mimeType": "image/png", "buffer": b"no picture at all"}
    )
    await expect(page.locator("[data-field=images]").get_by_role("alert")).to_contain_text("fake.png:")


async def test_remix_and_input_by_their_links(comfy: Studio) -> None:
    reply = await comfy.client.order(
        prompt="a castle", model="local/illustrator", style="3d", aspect_ratio="4:3", seed=21, num_images=2
    )
    generation = reply.json
    page = await comfy.open(f"/studio?remix={generation['id']}")
    await expect(page.locator("#prompt")).to_have_value("a castle")
    await expect(page).to_have_url(f"{comfy.base}/studio")
    await expect(page.locator(".model-button")).to_contain_text("Illustrator")
    await expect(page.get_by_role("radio", name=re.compile("^4:3"))).to_be_checked()
    await expect(page.get_by_role("radio", name="3D")).to_be_checked()
    await expect(page.get_by_label("Seed", exact=True)).to_have_value("21")
    await expect(page.get_by_label("Pictures", exact=True)).to_have_value("2")
    await expect(page.locator(DONE)).to_have_count(2)
    await page.locator(".tile").first.hover()
    await page.get_by_role("button", name="Use as input").first.click()
    await expect(page.locator(".input-picture")).to_have_count(1)
    await expect(page.get_by_label("What to do")).not_to_have_value("generate")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
@pytest.mark.slow
async def test_every_width_and_theme(studio: Studio, scheme: str, width: int) -> None:
    await studio.page.set_viewport_size({"width": width, "height": 900})
    await studio.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await studio.client.order(prompt="a fox", aspect_ratio="16:9", num_images=3)
    page = await studio.open()
    await expect(page.locator(DONE)).to_have_count(3)
    await page.locator("#prompt").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    small = await page.evaluate(TOO_SMALL)
    assert small == []
    await studio.axe()


async def test_the_theme_is_kept_and_sent_by_the_server(studio: Studio) -> None:
    page = await studio.open()
    button = page.get_by_role("button", name=re.compile("^Theme"))
    await button.click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    await button.click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    reply = await studio.client.get("/studio", headers={"Cookie": "ferrotype_theme=dark"})
    assert b'<html lang="en" data-theme="dark">' in reply.body
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    for cookie in ("ferrotype_theme=<script>", "ferrotype_theme=", "ferrotype_theme"):
        reply = await studio.client.get("/studio", headers={"Cookie": cookie})
        assert b'<html lang="en">' in reply.body


@pytest.mark.parametrize("path", ["/studio", "/studio/gallery", "/studio/status"])
async def test_files_are_kept_for_ever_and_the_page_is_asked_for_again(studio: Studio, path: str) -> None:
    reply = await studio.client.get(path, headers={"Accept-Encoding": "gzip"})
    assert reply.headers["Cache-Control"] == "no-cache"
    policy = reply.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")
    again = await studio.client.get(path, headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    text = re.sub(r"<script type=.importmap.>.*?</script>", "", reply.body.decode())
    names = sorted(set(re.findall(r"/studio/assets/[0-9a-f]{16}/[\w./-]+", text)))
    assert any(name.endswith("/studio.css") for name in names)
    sent = 0
    for name in names:
        file = await studio.client.get(name, headers={"Accept-Encoding": "gzip"})
        assert file.status == 200
        assert "immutable" in file.headers["Cache-Control"]
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        if name.endswith((".js", ".css")):
            assert file.headers["Content-Encoding"] == "gzip"
            sent += int(file.headers["Content-Length"])
    assert sent < 60_000, "what the page loads of scripts and styles, packed"


async def test_only_the_studios_own_files_are_served(studio: Studio) -> None:
    assert (await studio.client.request("POST", "/studio")).status == 405
    assert (await studio.client.get("/studio/nothing")).status == 404
    assert (await studio.client.get("/studio/assets/0000000000000000/js/main.js")).status == 404
    assert (await studio.client.get("/studio/../pyproject.toml")).status == 404
