"""What the guard lets through, at each of its three lines."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from ferrotype.config import ConfigError, load
from ferrotype.domain.problems import Forbidden, InvalidField, OriginUnavailable, Problem
from ferrotype.net.guard import Guard, GuardedResolver, RefusedAddress, guarded_socket
from ferrotype.net.http import Http
from ferrotype.net.settings import NetSettings
from ferrotype.net.url import parse


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/x",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://0.0.0.0/",
        "https://example.com:22/",
        "https://example.com:25/",
        "https://example.com:0/",
        "https://example.com:6667/",
        "http://127.0.0.1#@example.com/",
    ],
)
def test_addresses_and_ports_that_are_forbidden(url: str) -> None:
    with pytest.raises(Forbidden) as caught:
        Guard().check(parse(url), "image")
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/images/x",
        "//example.com/x",
        "file:///etc/passwd",
        "gopher://example.com/",
        "ftp://example.com/",
        "data:image/png;base64,AAAA",
        "http:///x",
        "http://",
        "http://user:secret@example.com/",
        "http://user@example.com/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://127.0.0.01/",
        "http://1.1.1.1.1/",
        "http://256.1.1.1/",
        "http://%31%32%37.0.0.1/",
        "http://exa mple.com/",
        "http://localhost%00.example.com/",
        "http://-example.com/",
        "http://example.com:99999/",
        "http://example.com:port/",
        "http://foo\\@127.0.0.1/",
        "http://[127.0.0.1]/",
        "http://[::1",
        "http://\ud800.com/",
    ],
)
def test_what_is_no_address_for_a_fetch(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        Guard().check(parse(url, "image"), "image")
    assert caught.value.field == "image"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com/a%2Fb?sig=a%2Bb~c",
        "https://EXAMPLE.com:443/",
        "http://example.com:8080/",
        "https://bücher.example/",
        "https://sub_domain.example.com./",
        "http://8.8.8.8/",
        "http://[2606:4700:4700::1111]:8443/",
    ],
)
def test_ordinary_addresses_pass(url: str) -> None:
    Guard().check(parse(url))


@given(st.text(max_size=60))
def test_any_text_is_judged_and_never_breaks_the_guard(text: str) -> None:
    for url in (text, f"http://{text}/", f"http://{text}@127.0.0.1/", f"http://127.0.0.1{text}"):
        try:
            Guard().check(parse(url))
        except Problem:
            continue
        assert URL(url).raw_host not in (None, "127.0.0.1", "::1")


def test_path_and_query_stay_as_they_are_written() -> None:
    url = "https://example.com/a%7Eb/%2e/c;d?X-Sig=a+b%2f%2B=&e"
    assert str(parse(url)) == url


def test_the_allow_list_exempts_host_and_port_but_not_the_form() -> None:
    guard = Guard(["files.lan:25", "10.0.0.5"])
    guard.check(URL("http://files.lan:25/"))
    guard.check(URL("http://10.0.0.5:22/"))
    for url in ("http://files.lan:26/", "http://10.0.0.6/"):
        with pytest.raises(Forbidden):
            guard.check(URL(url))
    with pytest.raises(InvalidField):
        guard.check(URL("http://user:secret@10.0.0.5/"))
    with pytest.raises(InvalidField):
        guard.check(URL("ftp://10.0.0.5/"))


async def test_one_private_address_among_public_ones_refuses_the_name(names: Any) -> None:
    names.names = {"a.test": ["8.8.8.8"], "b.test": ["8.8.8.8", "10.0.0.1"], "c.test": ["8.8.8.8", "fd00::1"]}
    resolver = GuardedResolver(names)
    assert [found["host"] for found in await resolver.resolve("a.test", 80)] == ["8.8.8.8"]
    for name in ("b.test", "c.test"):
        with pytest.raises(RefusedAddress):
            await resolver.resolve(name, 80)


def test_the_socket_is_not_even_made_for_a_private_address() -> None:
    for family, target in (
        (socket.AF_INET, ("127.0.0.1", 80)),
        (socket.AF_INET6, ("::ffff:10.0.0.1", 80, 0, 0)),
        (socket.AF_INET6, ("fe80::1%2", 80, 0, 2)),
    ):
        with pytest.raises(RefusedAddress):
            guarded_socket((family, socket.SOCK_STREAM, 6, "", target))
    with guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))) as made:
        assert made.family == socket.AF_INET


async def test_a_name_that_leads_inside_is_forbidden_and_does_not_say_where(origin: Any, names: Any) -> None:
    names.names = {"inside.test": ["127.0.0.1"]}
    http = Http(NetSettings(), resolver=names)
    with pytest.raises(Forbidden) as caught:
        await http.read(origin.url("/x", host="inside.test"), field="image")
    assert caught.value.field == "image"
    assert "127.0.0.1" not in caught.value.detail
    assert origin.requests == []
    await http.close()


async def test_a_second_answer_that_leads_inside_is_refused_by_the_socket(
    origin: Any, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding as it would look if the address that was judged were not the one dialled."""
    names.names = {"rebind.test": ["127.0.0.1"]}

    async def unguarded(self: Any, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        return await names.resolve(host, port, family)

    monkeypatch.setattr(GuardedResolver, "resolve", unguarded)
    http = Http(NetSettings(), resolver=names)
    with pytest.raises(Forbidden):
        await http.read(origin.url("/x", host="rebind.test"))
    assert origin.requests == []
    await http.close()


async def test_every_connection_is_judged_anew(names: Any) -> None:
    """No cached answer stands between a name and the guard."""
    names.names = {"turn.test": ["127.0.0.1"]}
    http = Http(NetSettings(), resolver=names)
    for _ in range(2):
        with pytest.raises(Forbidden):
            await http.read("http://turn.test/")
    assert names.asked == ["turn.test", "turn.test"]
    with pytest.raises(OriginUnavailable):
        await http.read("http://unknown.test/")
    await http.close()


def test_the_allow_list_comes_from_the_environment_and_is_checked() -> None:
    settings = load(NetSettings, {"FERROTYPE_FETCH_ALLOW": "files.lan, [::1]:8188"})
    assert settings.allow_private_fetch == ["files.lan", "[::1]:8188"]
    Guard(settings.allow_private_fetch).check(URL("http://[::1]:8188/"))
    with pytest.raises(ConfigError, match="FERROTYPE_FETCH_ALLOW"):
        load(NetSettings, {"FERROTYPE_FETCH_ALLOW": "http://files.lan/"})
