"""Which addresses are public."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrotype.net.address import V4_REFUSED, V6_GLOBAL, V6_REFUSED, literal, parse_host_port, refusal

V4_BLOCKS = [network for network, _ in V4_REFUSED]


@st.composite
def refused_v4(draw: st.DrawFn) -> IPv4Address:
    block = draw(st.sampled_from(V4_BLOCKS))
    return IPv4Address(int(block[0]) + draw(st.integers(0, block.num_addresses - 1)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "cloud metadata"),
        ("168.63.129.16", "cloud metadata"),
        ("100.100.100.200", "cloud metadata"),
        ("192.0.0.192", "cloud metadata"),
        ("fd00:ec2::254", "cloud metadata"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("198.19.0.1", "reserved"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("2606:4700::1%eth0", "link-local"),
        ("fc00::1", "private"),
        ("ff02::1", "multicast"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "cloud metadata"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2002:a9fe:a9fe::1", "cloud metadata"),
        ("2001:0:1234::5678", "tunnelled"),
        ("2606:4700::5efe:10.0.0.1", "private"),
        ("2001:db8::1", "reserved"),
        ("3fff::1", "reserved"),
        ("4000::1", "reserved"),
        ("100::1", "reserved"),
        ("::8.8.8.8", "reserved"),
    ],
)
def test_what_is_not_public_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert refusal(ip_address(text)) == reason


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "1.1.1.1",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "11.0.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:80b::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ],
)
def test_public_addresses_pass(text: str) -> None:
    assert refusal(ip_address(text)) is None


@given(refused_v4())
def test_a_refused_ipv4_address_is_refused_in_every_ipv6_dress(inner: IPv4Address) -> None:
    number = int(inner)
    dresses = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
        IPv6Address((0x26064700 << 96) | (0x5EFE << 32) | number),
    ]
    assert refusal(inner)
    assert [refusal(dress) for dress in dresses] == [refusal(inner)] * len(dresses)
    assert refusal(IPv6Address(number))  # IPv4-compatible; small numbers are :: and ::1 themselves


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_nothing_passes_that_python_calls_private(address: IPv4Address) -> None:
    if address.is_private or address.is_loopback or address.is_multicast or address.is_reserved:
        assert refusal(address)


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_an_ipv6_address_outside_global_unicast_is_refused(address: IPv6Address) -> None:
    if address not in V6_GLOBAL and address.ipv4_mapped is None and int(address) >> 32 != 0x64FF9B << 64:
        assert refusal(address)
    if any(address in network for network, _ in V6_REFUSED):
        assert refusal(address)


def spellings(number: int) -> list[str]:
    """Ways in which inet_aton reads the number, other than the proper one."""
    a, b, c, d = number.to_bytes(4, "big")
    return [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"{a}.{b}.{c}.0x{d:x}",
        f"0{a}.{b}.{c}.{d}",
        f"{a}.{b}.{c}.{d}.",
    ]


@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_odd_spellings_of_an_address_are_refused(number: int, which: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        literal(spellings(number)[which])


@given(st.integers(0, 2**32 - 1))
def test_the_proper_spelling_is_read(number: int) -> None:
    assert literal(str(IPv4Address(number))) == IPv4Address(number)


@pytest.mark.parametrize("host", ["example.com", "1.example.com", "1e100.net", "example.com.", "a_b.c"])
def test_names_are_no_addresses(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("files.lan", ("files.lan", None)),
        ("Files.LAN.:9000", ("files.lan", 9000)),
        ("127.0.0.1:8188", ("127.0.0.1", 8188)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", None)),
        ("0:0::1", ("::1", None)),
    ],
)
def test_entries_of_the_allow_list(entry: str, expected: tuple[str, int | None]) -> None:
    assert parse_host_port(entry) == expected


@pytest.mark.parametrize(
    "entry", ["", ":80", "a:0x1", "a:70000", "http://a", "u@a", "[::1", "[a]:1", "a/b", "[::1]x"]
)
def test_what_is_no_entry_of_the_allow_list(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_host_port(entry)
