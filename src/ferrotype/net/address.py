"""Which internet addresses are public: a pure table over the IANA special-purpose registries.

Python's own `is_global` changes between versions and knows nothing of embedded IPv4 addresses or
of the cloud's metadata services, so the table is spelt out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

#: Checked in this order, so that the most telling reason comes first.
V4_REFUSED: Final[tuple[tuple[IPv4Network, str], ...]] = tuple(
    (IPv4Network(text), reason)
    for text, reason in (
        ("169.254.169.254/32", "cloud metadata"),
        ("169.254.170.2/32", "cloud metadata"),  # AWS ECS task credentials
        ("100.100.100.200/32", "cloud metadata"),  # Alibaba
        ("168.63.129.16/32", "cloud metadata"),  # Azure's wire server, outside every special range
        ("192.0.0.192/32", "cloud metadata"),  # Oracle
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "reserved"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "reserved"),
        ("198.51.100.0/24", "reserved"),
        ("203.0.113.0/24", "reserved"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
V6_REFUSED: Final[tuple[tuple[IPv6Network, str], ...]] = tuple(
    (IPv6Network(text), reason)
    for text, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fd00:ec2::254/128", "cloud metadata"),
        ("64:ff9b:1::/48", "private"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
        ("2001::/32", "tunnelled"),  # Teredo: the far end is whatever the client part says
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "reserved"),
        ("3fff::/20", "reserved"),
    )
)
V6_GLOBAL: Final = IPv6Network("2000::/3")
NAT64: Final = IPv6Network("64:ff9b::/96")
SIX_TO_FOUR: Final = IPv6Network("2002::/16")
ISATAP_MARKS: Final = (0x00005EFE, 0x02005EFE)


def refusal(address: Address) -> str | None:
    """Why nothing may be fetched from `address` (one of the words of the tables), None if it is public.

    An IPv6 address that carries an IPv4 one (mapped, compatible, NAT64, 6to4, ISATAP) is judged by both.
    """
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in V4_REFUSED if address in network), None)
    for inner in embedded(address):
        reason = refusal(inner)
        if reason is not None:
            return reason
    for network, reason in V6_REFUSED:
        if address in network:
            return reason
    if address.scope_id is not None:
        return "link-local"
    if address in V6_GLOBAL or address in NAT64 or address.ipv4_mapped is not None:
        return None
    return "reserved"


def embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a translator or tunnel would take out of `address`."""
    number = int(address)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif number >> 32 == 0 and number > 1:  # IPv4-compatible, RFC 4291 2.5.5.1; ::1 is itself
        yield IPv4Address(number)
    elif address in NAT64 or (number >> 32) & 0xFFFFFFFF in ISATAP_MARKS:
        yield IPv4Address(number & 0xFFFFFFFF)
    if address in SIX_TO_FOUR:
        yield IPv4Address((number >> 80) & 0xFFFFFFFF)


def literal(host: str) -> Address | None:
    """The address that `host` spells, None if it is a name.

    Raises ValueError for what some resolver would take for an address although it is not written as
    one: decimal, octal, hexadecimal and short forms. The rule is WHATWG's "ends in a number".
    """
    if ":" in host:
        return ip_address(host)
    last = host.rstrip(".").rpartition(".")[2]
    if not (last.isdigit() or last.lower().startswith("0x")):
        return None
    return IPv4Address(host)


def parse_host_port(entry: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]` or `[v6]:port`, lower-cased and without a trailing dot.

    Raises ValueError when it is something else.
    """
    text = entry.strip().lower()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in host:
            raise ValueError(f"{entry!r} is not a host or host:port")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    host = host.rstrip(".")
    if not host or "/" in host or "@" in host or (port and not (port.isdigit() and 0 < int(port) < 65536)):
        raise ValueError(f"{entry!r} is not a host or host:port")
    if ":" in host:
        host = str(ip_address(host))
    return host, int(port) if port else None
