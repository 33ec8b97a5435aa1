"""Signing in: what the cookie may do, what it may not, and that nobody loses what they were doing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from ferrotype.domain.problems import TooManyAttempts
from ferrotype.http.session import ATTEMPTS, COOKIE, Guesses, Sessions, token_of
from tests.flows.harness import Client, Reply, running
from tests.studio.harness import Studio, expect, window

KEY = "correct-horse-battery"
SMALL = {"prompt": "a fox", "width": 256, "height": 256, "seed": 7}
NOBODY = {"Authorization": ""}
OURS = {**NOBODY, "Sec-Fetch-Site": "same-origin"}


class Watch:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest_asyncio.fixture(loop_scope="session")
async def keyed(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with a key."""
    async with running(tmp_path / "data", FERROTYPE_API_KEY=KEY) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def closed(keyed: Client, browser: Browser) -> AsyncIterator[Studio]:
    """A window on it. That 401 comes first, the browser itself writes to the console."""
    async with window(browser, keyed) as studio:
        studio.expected = ("status of 401", "status of 403")
        yield studio
        studio.checked()


async def sign_in(client: Client, key: str = KEY, **headers: str) -> Reply:
    return await client.request("POST", "/studio/session", json={"key": key}, headers={**OURS, **headers})


def token(reply: Reply) -> str:
    return SimpleCookie(reply.headers["Set-Cookie"])[COOKIE].value


async def test_the_cookie_stands_for_the_key_and_is_not_it(keyed: Client) -> None:
    reply = await sign_in(keyed)
    assert reply.status == 204
    cookie = SimpleCookie(reply.headers["Set-Cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (
        True,
        "strict",
        "/",
        "",
    )
    assert int(cookie["max-age"]) == 14 * 24 * 3600
    assert KEY not in reply.headers["Set-Cookie"]
    signed_in = {**NOBODY, "Cookie": f"theme=dark; {COOKIE}={cookie.value}"}
    assert (await keyed.get("/v1/models", headers=signed_in)).status == 200
    assert (await keyed.get("/studio/session", headers=signed_in)).json["signed_in"] is True
    assert (await keyed.get("/studio/session", headers=NOBODY)).json == {
        "object": "session",
        "signed_in": False,
        "needs_key": True,
    }
    secure = await sign_in(keyed, Origin="https://pictures.example")
    assert "Secure" in secure.headers["Set-Cookie"]


@pytest.mark.parametrize("key", ["", "wrong", KEY[:-1], KEY + "x", "schlüssel" * 2])
async def test_a_wrong_key_opens_nothing(keyed: Client, key: str) -> None:
    reply = await sign_in(keyed, key)
    assert (reply.status, reply.json["field"]) == (401, "key")
    assert "Set-Cookie" not in reply.headers


async def test_guesses_are_limited_by_where_they_come_from(keyed: Client) -> None:
    for _ in range(ATTEMPTS):
        assert (await sign_in(keyed, "wrong")).status == 401
    reply = await sign_in(keyed)
    assert (reply.status, reply.json["code"]) == (429, "too_many_attempts")
    assert 0 < reply.json["retry_after"] <= 60
    assert reply.headers["Retry-After"] == str(int(reply.json["retry_after"]))
    # The API itself knows the key as before.
    assert (await keyed.get("/v1/models")).status == 200


def test_guesses_are_forgotten_after_a_minute_and_addresses_do_not_pile_up() -> None:
    watch = Watch()
    guesses = Guesses(watch)
    for _ in range(ATTEMPTS):
        guesses.check("10.0.0.1")
        guesses.wrong("10.0.0.1")
    with pytest.raises(TooManyAttempts):
        guesses.check("10.0.0.1")
    guesses.check("10.0.0.2")
    watch.at += timedelta(seconds=61)
    guesses.check("10.0.0.1")
    for number in range(10_000):
        guesses.wrong(f"10.1.{number // 256}.{number % 256}")
    assert len(guesses._by_address) <= 4096
    with pytest.raises(TooManyAttempts):  # a crowd of addresses is one guesser
        guesses.check("10.0.0.9")


def test_a_session_ends_by_itself_with_the_key_and_with_the_secret() -> None:
    watch = Watch()
    sessions = Sessions(b"s" * 32, KEY, watch, 3600)
    held = sessions.issue()
    assert sessions.holds(held)
    assert Sessions(b"s" * 32, KEY, watch, 3600).holds(held), "a restart ends no session"
    assert not Sessions(b"s" * 32, KEY + "2", watch, 3600).holds(held)
    assert not Sessions(b"t" * 32, KEY, watch, 3600).holds(held)
    assert not Sessions(b"s" * 32, None, watch, 3600).holds(held)
    ends, chance, signature = held.split(".")
    for forged in (
        f"{int(ends) + 1}.{chance}.{signature}",
        f"{ends}.{chance}x.{signature}",
        f"{ends}.{chance}.{signature[:-1]}",
        f"{ends}.{chance}",
        "..",
        "",
        "é" * 20,
        "9" * 500,
        None,
    ):
        assert not sessions.holds(forged)
    watch.at += timedelta(seconds=3600)
    assert not sessions.holds(held)


def test_the_cookie_is_found_among_others() -> None:
    assert token_of(f"a=b; {COOKIE}=x.y.z; c=d") == "x.y.z"
    assert token_of(f"not_{COOKIE}=x") is None
    assert token_of("") is None


async def test_other_sites_cannot_use_the_session(keyed: Client) -> None:
    signed_in = {**NOBODY, "Cookie": f"{COOKIE}={token(await sign_in(keyed))}"}
    host = keyed.base.removeprefix("http://")
    refused: tuple[dict[str, str], ...] = (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": keyed.base},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": f"http://{host}.evil.example"},
        {"Origin": "http://127.0.0.1:1"},
    )
    for headers in refused:
        reply = await keyed.order(headers={**signed_in, **headers}, **SMALL)
        assert (reply.status, reply.json["field"]) == (403, "Origin"), headers
        assert (await sign_in(keyed, Cookie="", **{"Sec-Fetch-Site": "cross-site"})).status == 403
        assert (await keyed.request("DELETE", "/studio/session", headers={**NOBODY, **headers})).status == 403
    assert (await keyed.rows())["generations"] == 0
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": keyed.base}):
        assert (await keyed.order(headers={**signed_in, **headers}, **SMALL)).status == 201
    # Who sends the key itself is no browser that was talked into it.
    assert (await keyed.order(headers={"Origin": "https://evil.example"}, **SMALL)).status == 201


async def test_private_pictures_load_by_the_session(keyed: Client) -> None:
    asset = (await keyed.order(**SMALL, visibility="private")).json["output"][0]["id"]
    signed_in = {**NOBODY, "Cookie": f"{COOKIE}={token(await sign_in(keyed))}"}
    for path in (f"/images/{asset}", f"/images/{asset}?w=160&format=auto"):
        assert (await keyed.get(path, headers=NOBODY)).status == 401
        assert (await keyed.get(path, headers=signed_in)).status == 200


async def test_an_open_server_asks_nobody(studio: Studio) -> None:
    reply = await studio.client.get("/studio/session")
    assert reply.json == {"object": "session", "signed_in": True, "needs_key": False}
    reply = await sign_in(studio.client, "anything")
    assert (reply.status, "Set-Cookie" in reply.headers) == (204, False)
    page = await studio.open("/")
    await expect(page).to_have_url(f"{studio.base}/studio")
    await expect(page.locator("#prompt")).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("button", name="Sign out")).to_be_hidden()


async def test_sign_in_and_out_in_the_browser(closed: Studio) -> None:
    page = await closed.open()
    dialog = page.get_by_role("dialog", name="Sign in")
    await expect(dialog).to_be_visible()
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_visible()
    await page.get_by_label("API key").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text("That is not this server's API key.")
    await closed.axe()
    await page.get_by_label("API key").fill(KEY)
    await page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(page.locator("#prompt")).to_be_visible()
    assert await page.evaluate("document.cookie") == "", "no script reads the session"
    await page.reload()
    await expect(page.locator("#prompt")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
    assert not [each for each in await closed.context.cookies() if each["name"] == COOKIE]


async def test_a_session_that_ends_under_way_loses_nothing(closed: Studio) -> None:
    page = await closed.open()
    await page.get_by_label("API key").fill(KEY)
    await page.keyboard.press("Enter")
    await page.locator("#prompt").fill("a lighthouse at dusk")
    await closed.context.clear_cookies()
    # Whatever asks first finds out; the order asks too, and waits behind the same dialog.
    await page.get_by_role("button", name="Generate", exact=True).evaluate("button => button.click()")
    dialog = page.get_by_role("dialog", name="Sign in again")
    await expect(dialog).to_be_visible()
    await page.get_by_label("API key").fill(KEY)
    await page.keyboard.press("Enter")
    await expect(page.locator(".tile[data-state=done]")).to_have_count(1)
    await expect(page.locator("#prompt")).to_have_value("a lighthouse at dusk")
    assert (await closed.client.rows())["generations"] == 1
