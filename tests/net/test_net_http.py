"""Fetching: what comes through, and the problem for each way in which it does not."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from ferrotype.domain.problems import Forbidden, InvalidField, OriginTimeout, OriginUnavailable, TooLarge
from ferrotype.net.http import Http, OriginGone
from ferrotype.net.settings import NetSettings

BODY = bytes(range(256)) * 2000


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(NetSettings(read_timeout=5, max_fetch_bytes=1_000_000))
    yield client
    await client.close()


def answers(**kwargs: Any) -> Any:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(**kwargs)

    return handler


def raw(head: str, body: bytes) -> Any:
    """A handler that writes exactly these bytes and cuts the connection."""

    async def handler(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.write(head.replace("\n", "\r\n").encode() + body)
        transport.close()
        return web.Response()

    return handler


def redirects(to: str, status: int = 302) -> Any:
    return answers(status=status, headers={"Location": to})


async def test_a_body_comes_in_pieces_with_its_length_and_type(origin: Any, http: Http) -> None:
    url = origin.on("/a.png", answers(body=BODY, content_type="Image/PNG", charset="x"))
    async with http.get(url, trusted=True) as incoming:
        assert (incoming.content_type, incoming.length) == ("image/png", len(BODY))
        assert incoming.framed
        pieces = [piece async for piece in incoming.chunks]
    assert b"".join(pieces) == BODY
    assert max(map(len, pieces)) <= 64 * 1024
    assert all(pieces)


async def test_the_connection_is_used_again_after_a_body_that_was_read_whole(origin: Any, http: Http) -> None:
    peers = []

    async def handler(request: web.Request) -> web.Response:
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(body=b"x")

    url = origin.on("/a", handler)
    for _ in range(3):
        assert await http.read(url, trusted=True) == b"x"
    assert len(set(peers)) == 1


async def test_an_untrusted_loopback_address_is_forbidden_unless_allowed(origin: Any, http: Http) -> None:
    url = origin.on("/a", answers(body=b"x"))
    with pytest.raises(Forbidden):
        await http.read(url)
    assert origin.requests == []
    allowing = Http(NetSettings(allow_private_fetch=[f"127.0.0.1:{origin.port}"]))
    assert await allowing.read(url) == b"x"
    await allowing.close()


async def test_a_streamed_body_without_a_length(origin: Any, http: Http) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(BODY)
        await response.write_eof()
        return response

    async with http.get(origin.on("/a", handler), trusted=True) as incoming:
        assert (incoming.content_type, incoming.length) == ("application/octet-stream", None)
        assert incoming.framed  # chunked
        assert b"".join([piece async for piece in incoming.chunks]) == BODY


async def test_a_body_that_ends_with_its_connection_may_have_been_cut(origin: Any, http: Http) -> None:
    url = origin.on("/a", raw("HTTP/1.0 200 OK\n\n", BODY))
    async with http.get(url, trusted=True) as incoming:
        assert not incoming.framed
        assert b"".join([piece async for piece in incoming.chunks]) == BODY


@pytest.mark.parametrize("sent", [0, 1, 50, 99])
async def test_a_body_that_breaks_off_never_ends_cleanly(origin: Any, http: Http, sent: int) -> None:
    url = origin.on("/a", raw("HTTP/1.1 200 OK\nContent-Length: 100\n\n", b"x" * sent))
    with pytest.raises(OriginUnavailable) as caught:
        await http.read(url, trusted=True)
    assert caught.value.retryable


async def test_a_chunked_body_without_its_end_never_ends_cleanly(origin: Any, http: Http) -> None:
    url = origin.on("/a", raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", b"3\r\nabc\r\n"))
    with pytest.raises(OriginUnavailable):
        await http.read(url, trusted=True)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, True),
        (403, True),
        (404, False),
        (410, False),
        (429, True),
        (500, True),
        (503, True),
        (206, True),
    ],
)
async def test_statuses_that_are_no_picture(origin: Any, http: Http, status: int, retryable: bool) -> None:
    url = origin.on("/a", answers(status=status, body=b"sorry", headers={"Retry-After": "7"}))
    with pytest.raises(OriginUnavailable) as caught:
        await http.read(url, trusted=True)
    assert caught.value.retryable is retryable
    assert caught.value.to_json()["retryable"] is retryable
    assert caught.value.code == "origin_unavailable"
    assert isinstance(caught.value, OriginGone) is not retryable
    if retryable:
        assert caught.value.retry_after == 7.0
        assert str(status) in caught.value.detail


async def test_a_body_that_is_declared_too_large_is_not_read(origin: Any, http: Http) -> None:
    url = origin.on("/a", answers(body=BODY))
    with pytest.raises(TooLarge) as caught:
        await http.read(url, trusted=True, max_bytes=1000, field="image")
    assert (caught.value.limit, caught.value.field) == (1000, "image")
    assert await http.read(url, trusted=True, max_bytes=len(BODY)) == BODY


async def test_a_body_that_turns_out_too_large_is_cut(origin: Any, http: Http) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    with pytest.raises(TooLarge) as caught:
        await http.read(origin.on("/a", endless), trusted=True)
    assert caught.value.limit == 1_000_000


async def test_an_encoded_body_is_not_mistaken_for_the_file(origin: Any, http: Http) -> None:
    url = origin.on("/a", answers(body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(OriginUnavailable, match="gzip"):
        await http.read(url, trusted=True)
    assert origin.requests[0].headers["Accept-Encoding"] == "identity"


async def test_nobody_listening(http: Http, origin: Any) -> None:
    with pytest.raises(OriginUnavailable):
        await http.read("http://127.0.0.1:1/", trusted=True)


async def test_something_that_speaks_no_http(origin: Any, http: Http) -> None:
    with pytest.raises(OriginUnavailable):
        await http.read(origin.on("/a", raw("NONSENSE\n\n", b"\0\1")), trusted=True)


async def test_silence_is_a_timeout(origin: Any) -> None:
    stuck = asyncio.Event()

    async def mute(_: web.Request) -> web.Response:
        await stuck.wait()
        return web.Response()

    async def stalls(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await stuck.wait()
        return response

    paths = [origin.on("/mute", mute), origin.on("/stalls", stalls)]
    for settings in (NetSettings(read_timeout=0.05), NetSettings(total_timeout=0.05)):
        client = Http(settings)
        for url in paths:
            with pytest.raises(OriginTimeout):
                await client.read(url, trusted=True)
        await client.close()
    stuck.set()


async def test_redirects_are_followed_and_counted(origin: Any, http: Http) -> None:
    origin.on("/end", answers(body=b"end"))
    url = origin.on("/start", redirects("/middle", 307))
    origin.on("/middle", redirects(origin.url("/end"), 301))
    assert await http.read(url, trusted=True) == b"end"
    loop = origin.on("/loop", redirects("/loop"))
    origin.requests.clear()
    with pytest.raises(OriginUnavailable, match="redirects more than 5"):
        await http.read(loop, trusted=True)
    assert len(origin.requests) == 6


@pytest.mark.parametrize("location", ["http://[::1", "", None])
async def test_redirects_to_nowhere(origin: Any, http: Http, location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    with pytest.raises(OriginUnavailable):
        await http.read(origin.on("/a", answers(status=302, headers=headers)), trusted=True)


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("http://169.254.169.254/latest", Forbidden),
        ("http://localhost:22/", Forbidden),
        ("//10.0.0.1/", Forbidden),
        ("http://2130706433/", InvalidField),
        ("file:///etc/passwd", InvalidField),
        ("http://u:p@example.com/", InvalidField),
    ],
)
async def test_a_redirect_is_judged_anew_and_trust_stays_behind(
    origin: Any, http: Http, location: str, problem: type[Exception]
) -> None:
    with pytest.raises(problem):
        await http.read(origin.on("/a", redirects(location)), trusted=True)


async def test_trust_ends_where_another_host_begins(origin: Any, names: Any) -> None:
    names.names = {"other.test": ["127.0.0.1"]}
    http = Http(NetSettings(), resolver=names)
    with pytest.raises(Forbidden):
        await http.read(origin.on("/a", redirects(origin.url("/b", host="other.test"))), trusted=True)
    assert [request.path for request in origin.requests] == ["/a"]
    await http.close()


async def test_secrets_are_left_behind_when_the_host_changes(origin: Any, names: Any) -> None:
    names.names = {"other.test": ["127.0.0.1"]}
    http = Http(NetSettings(allow_private_fetch=["other.test"]), resolver=names)
    origin.on("/end", answers(body=b"end"))
    origin.on("/same", redirects("/end"))
    headers = {"Authorization": "Bearer x", "X-Api-Key": "y", "Accept": "image/*"}

    assert await http.read(origin.url("/same"), headers=headers, trusted=True) == b"end"
    assert {request.headers.get("Authorization") for request in origin.requests} == {"Bearer x"}

    origin.requests.clear()
    origin.on("/other", redirects(origin.url("/end", host="other.test")))
    assert await http.read(origin.url("/other"), headers=headers, trusted=True) == b"end"
    last = origin.requests[-1].headers
    assert (last.get("Authorization"), last.get("X-Api-Key"), last["Accept"]) == (None, None, "image/*")
    assert last["Host"].startswith("other.test")
    await http.close()


async def test_cookies_of_an_origin_are_not_kept(origin: Any, http: Http) -> None:
    url = origin.on("/a", answers(body=b"x", headers={"Set-Cookie": "a=b; Path=/"}))
    await http.read(url, trusted=True)
    await http.read(url, trusted=True)
    assert "Cookie" not in origin.requests[1].headers


async def test_a_reader_that_leaves_early_ends_the_fetch(origin: Any, http: Http) -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        finally:
            gone.set()

    async with http.get(origin.on("/a", endless), trusted=True, max_bytes=10**9) as incoming:
        async for _ in incoming.chunks:
            break
    await asyncio.wait_for(gone.wait(), 10)


async def test_errors_of_the_reader_are_its_own(origin: Any, http: Http) -> None:
    url = origin.on("/a", answers(body=BODY))
    for error in (TimeoutError("mine"), OSError("mine"), KeyError("mine")):
        with pytest.raises(type(error), match="mine"):
            async with http.get(url, trusted=True):
                raise error


async def test_after_close_nothing_is_fetched(origin: Any) -> None:
    http = Http(NetSettings())
    assert await http.read(origin.on("/a", answers(body=b"")), trusted=True) == b""
    await http.close()
    await http.close()
    with pytest.raises(RuntimeError):
        await http.read(origin.url("/a"), trusted=True)


async def test_a_slow_reader_slows_the_sender(origin: Any, http: Http) -> None:
    sent = 0

    async def pours(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2000):
            await response.write(bytes(64 * 1024))
            sent += 64 * 1024
        return response

    async with http.get(origin.on("/a", pours), trusted=True, max_bytes=10**9) as incoming:
        await anext(incoming.chunks)
        for _ in range(10_000):  # turns of the loop in which all of it could have been sent
            await asyncio.sleep(0)
        assert sent < 32 * 1024 * 1024  # what fits into the kernel's buffers and ours, of 125 MiB
