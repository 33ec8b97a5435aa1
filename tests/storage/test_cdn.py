"""How CDNs are told to forget: what goes over the wire, in how many calls, and what failures become."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from ferrotype.config import ConfigError, load
from ferrotype.domain.clock import ManualClock
from ferrotype.domain.problems import CdnMisconfigured, CdnUnavailable, Overloaded, Problem
from ferrotype.storage.cdn import NOBODYS, Purger, open_purger
from ferrotype.storage.cdn_services import Cloudflare, Fastly
from ferrotype.storage.cdn_settings import CdnSettings
from tests.ports import free_port
from tests.sdk.venvs import drive
from tests.storage.cdn_server import SERVICE, TOKEN, ZONE, Edge

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECRET = f"whsec_{base64.b64encode(b'thirty-two bytes of a secret key').decode()}"
KINDS = ("cloudflare", "fastly", "webhook")


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with Edge() as server:
        yield server


def settings(kind: str, edge: Edge, **more: Any) -> CdnSettings:
    given: dict[str, Any] = {"service": kind, "api_url": edge.url}
    match kind:
        case "cloudflare":
            given |= {"cloudflare_zone_id": ZONE, "cloudflare_api_token": TOKEN}
        case "fastly":
            given |= {"fastly_service_id": SERVICE, "fastly_api_token": TOKEN}
        case _:
            given |= {"webhook_url": f"{edge.url}/hook", "webhook_secret": SECRET}
    return CdnSettings(**(given | more))


def purger(kind: str, edge: Edge, clock: ManualClock | None = None, **more: Any) -> Purger:
    made = open_purger(settings(kind, edge, **more), "https://pictures.example/", clock or ManualClock(NOW))
    assert made is not None
    return made


async def test_cloudflare(edge: Edge) -> None:
    cdn = purger("cloudflare", edge)
    await cdn.purge("a", ["https://cdn.example/b.png"])
    await cdn.close()
    tags, files = edge.calls
    assert (tags.path, files.path) == (f"/zones/{ZONE}/purge_cache",) * 2
    assert tags.json == {"tags": ["a"]}
    assert files.json == {"files": ["https://cdn.example/b.png"]}


async def test_fastly(edge: Edge) -> None:
    cdn = purger("fastly", edge)
    await cdn.purge("a", ["https://cdn.example/b.png"])
    await cdn.close()
    keys, url = edge.calls
    assert keys.json == {"surrogate_keys": ["a"]}
    assert (url.path, url.body) == ("/purge/cdn.example/b.png", b"")


async def test_a_webhook(edge: Edge) -> None:
    """Verified by the official library, which refuses it when a word is changed."""
    cdn = purger("webhook", edge, ManualClock(datetime.now(UTC)))
    await cdn.purge("a", ["https://cdn.example/b.png"])
    await cdn.close()
    (call,) = edge.calls
    headers = {name: value for name, value in call.headers.items() if name.startswith("webhook-")}
    body = call.body.decode()
    told = await asyncio.to_thread(
        drive, "standardwebhooks", "standard_webhook.py", SECRET, json.dumps(headers), body
    )
    assert told["told"]["tags"] == ["a"]
    assert told["told"]["urls"] == ["https://pictures.example/images/a", "https://cdn.example/b.png"]


async def test_a_webhook_without_a_secret_is_not_signed(edge: Edge) -> None:
    cdn = purger("webhook", edge, webhook_secret=None)
    await cdn.purge("a")
    await cdn.close()
    assert "webhook-signature" not in edge.calls[0].headers


class Slow:
    """A service whose calls end when they are let."""

    name = "slow"

    def __init__(self, tags: int = 3, urls: int = 2) -> None:
        self.tags_at_once, self.urls_at_once = tags, urls
        self.calls: list[tuple[list[str], list[str]]] = []
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.problem: Exception | None = None

    async def purge(self, tags: Sequence[str], urls: Sequence[str]) -> None:
        self.calls.append((list(tags), list(urls)))
        self.called.set()
        await self.gate.wait()
        if self.problem is not None:
            raise self.problem

    async def close(self) -> None:
        pass


async def waiting(cdn: Purger, slow: Slow, *wishes: tuple[str, list[str]]) -> list[asyncio.Task[None]]:
    """The first of them is under way, the others came behind it."""
    tasks = [asyncio.create_task(cdn.purge(tag, urls)) for tag, urls in wishes]
    await slow.called.wait()
    return tasks


async def test_what_comes_during_a_call_goes_together() -> None:
    slow = Slow()
    cdn = Purger(slow, ManualClock(NOW))
    first = await waiting(cdn, slow, ("a", []))
    rest = [asyncio.create_task(cdn.purge(tag)) for tag in "bcdef"]
    await asyncio.sleep(0)
    slow.gate.set()
    await asyncio.gather(*first, *rest)
    assert slow.calls == [(["a"], []), (["b", "c", "d"], []), (["e", "f"], [])]


async def test_urls_are_bounded_too() -> None:
    slow = Slow()
    slow.gate.set()
    cdn = Purger(slow, ManualClock(NOW))
    await asyncio.gather(cdn.purge("a", ["1"]), cdn.purge("b", ["2"]), cdn.purge("c", ["3", "4", "5"]))
    assert slow.calls == [(["a", "b"], ["1", "2"]), (["c"], ["3", "4", "5"])]


@pytest.mark.parametrize(("service", "most"), [(Cloudflare, 100), (Fastly, 256)])
async def test_many_at_once(edge: Edge, service: Any, most: int) -> None:
    """Our server refuses a call with more than the service takes."""
    assert service.tags_at_once == most
    kind = service.__name__.lower()
    cdn = purger(kind, edge)
    await asyncio.gather(*(cdn.purge(f"t{n}", [f"https://cdn.example/{n}"]) for n in range(300)))
    await cdn.close()
    key = {"cloudflare": "tags", "fastly": "surrogate_keys"}[kind]
    told = [tag for call in edge.calls if call.body and key in call.json for tag in call.json[key]]
    assert sorted(told) == sorted(f"t{n}" for n in range(300))


async def test_one_that_gave_up_waiting_is_no_trouble() -> None:
    slow = Slow()
    cdn = Purger(slow, ManualClock(NOW))
    (first,) = await waiting(cdn, slow, ("a", []))
    second = asyncio.create_task(cdn.purge("b"))
    await asyncio.sleep(0)
    first.cancel()
    slow.gate.set()
    await second
    assert first.cancelled()
    assert [tags for tags, _ in slow.calls] == [["a"], ["b"]]


async def test_whoever_waits_hears_what_is_wrong() -> None:
    """Also of a fault of ours; the next purge is tried as if nothing had been."""
    slow = Slow()
    cdn = Purger(slow, ManualClock(NOW))
    (first,) = await waiting(cdn, slow, ("a", []))
    second = asyncio.create_task(cdn.purge("b"))
    await asyncio.sleep(0)
    slow.problem = ZeroDivisionError()
    slow.gate.set()
    for task in (first, second):
        with pytest.raises(ZeroDivisionError):
            await task
    slow.problem = None
    await cdn.purge("c")


async def test_closing_ends_what_waits() -> None:
    slow = Slow()
    cdn = Purger(slow, ManualClock(NOW))
    tasks = await waiting(cdn, slow, ("a", []), ("b", []))
    await cdn.close()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_asks_for_patience_gets_it(edge: Edge, kind: str) -> None:
    clock = ManualClock(NOW)
    cdn = purger(kind, edge, clock)
    edge.refuse(429, retry_after="30")
    with pytest.raises(CdnUnavailable, match=f"CDN {kind} answers 429") as caught:
        await cdn.purge("a")
    assert caught.value.retry_after == 30
    clock.advance(20)
    with pytest.raises(CdnUnavailable, match="asks for patience") as caught:
        await cdn.purge("b")
    assert caught.value.retry_after == pytest.approx(10)
    assert len(edge.calls) == 1
    clock.advance(10)
    await cdn.purge("b")
    await cdn.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
async def test_a_service_that_refuses(edge: Edge, kind: str, status: int) -> None:
    cdn = purger(kind, edge)
    edge.refuse(status)
    with pytest.raises(CdnMisconfigured, match=rf"CDN {kind} refuses us \({status}\): see that") as caught:
        await cdn.purge("a")
    assert caught.value.retryable
    assert TOKEN not in caught.value.detail
    await cdn.purge("a")
    await cdn.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_is_away(edge: Edge, kind: str) -> None:
    clock = ManualClock(NOW)
    nowhere = f"http://127.0.0.1:{free_port()}"
    away = purger(kind, edge, clock, **{"webhook_url" if kind == "webhook" else "api_url": nowhere})
    with pytest.raises(CdnUnavailable, match=f"CDN {kind} cannot be reached"):
        await away.purge("a")
    await away.close()
    cdn = purger(kind, edge, clock)
    edge.refuse(503)
    with pytest.raises(Overloaded, match=f"CDN {kind} answers 503"):
        await cdn.purge("a")
    await cdn.close()


async def test_no_success_is_a_refusal(edge: Edge) -> None:
    cdn = purger("cloudflare", edge)
    edge.refuse(200)
    with pytest.raises(CdnMisconfigured):
        await cdn.purge("a")
    await cdn.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_health(edge: Edge, kind: str) -> None:
    cdn = purger(kind, edge)
    health = await cdn.health()
    assert (health.ok, health.mend) == (True, "")
    assert NOBODYS in edge.calls[0].body.decode()
    edge.refuse(403)
    health = await cdn.health()
    assert not health.ok
    assert "refuses us" in health.detail
    assert health.mend
    await cdn.close()


def test_none_is_configured() -> None:
    off = load(CdnSettings, {"CLOUDFLARE_API_TOKEN": "of-another-tool"})
    assert open_purger(off, None, ManualClock(NOW)) is None
    assert off.header is None


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        (
            {"FERROTYPE_CDN": "cloudflare", "CLOUDFLARE_ZONE_ID": ZONE, "CLOUDFLARE_API_TOKEN": "t"},
            b"cache-tag",
        ),
        ({"FERROTYPE_CDN": "fastly", "FASTLY_SERVICE_ID": "s", "FASTLY_API_TOKEN": "t"}, b"surrogate-key"),
        ({"FERROTYPE_CDN": "webhook", "FERROTYPE_CDN_WEBHOOK_URL": "http://hook"}, b"cache-tag"),
        (
            {
                "FERROTYPE_CDN": "webhook",
                "FERROTYPE_CDN_WEBHOOK_URL": "http://hook",
                "FERROTYPE_CDN_TAG_HEADER": "xkey",
            },
            b"xkey",
        ),
    ],
)
def test_the_header(environ: dict[str, str], header: bytes) -> None:
    assert load(CdnSettings, environ).header == header


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"FERROTYPE_CDN": "akamai"}, "FERROTYPE_CDN"),
        ({"FERROTYPE_CDN": "cloudflare", "CLOUDFLARE_ZONE_ID": ZONE}, "cloudflare_api_token is missing"),
        ({"FERROTYPE_CDN": "fastly", "FASTLY_API_TOKEN": "the-secret"}, "fastly_service_id is missing"),
        ({"FERROTYPE_CDN": "webhook"}, "webhook_url is missing"),
        ({"CLOUDFLARE_ZONE_ID": "pictures.example"}, "CLOUDFLARE_ZONE_ID"),
        ({"FERROTYPE_CDN_WEBHOOK_URL": "hook:the-secret"}, "FERROTYPE_CDN_WEBHOOK_URL: begins with http"),
        ({"FERROTYPE_CDN_WEBHOOK_SECRET": "the-secret"}, "FERROTYPE_CDN_WEBHOOK_SECRET"),
        ({"FERROTYPE_CDN_WEBHOOK_SECRET": "whsec_YWJj"}, "24 to 64 bytes"),
        ({"FERROTYPE_CDN_TAG_HEADER": "Cache Tag"}, "FERROTYPE_CDN_TAG_HEADER"),
    ],
)
def test_a_mistake_is_named(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(CdnSettings, environ)
    assert "the-secret" not in str(caught.value)


def test_problems_are_tried_again() -> None:
    kinds: list[type[Problem]] = [CdnUnavailable, CdnMisconfigured]
    assert all(kind.retryable for kind in kinds)
