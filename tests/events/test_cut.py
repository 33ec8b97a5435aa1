"""A connection is ended by the address of its client, and no other."""

from __future__ import annotations

import socket

import pytest

from ferrotype.http.streams.cut import cut, peer_of


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_only_that_connection_ends(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as server:
        here = [socket.create_connection(server.getsockname()[:2]) for _ in range(2)]
        there = [server.accept()[0] for _ in here]
        peer = peer_of([host, str(here[0].getsockname()[1])])
        assert peer is not None
        assert cut(peer)
        assert here[0].recv(1) == b""
        there[1].sendall(b"!")
        assert here[1].recv(1) == b"!"
        for each in (*here, *there):
            each.close()
        assert not cut(peer)


def test_what_is_no_address() -> None:
    assert peer_of(None) is None
    assert peer_of(("unix:/run/x", 0)) is None
    assert peer_of(("127.0.0.1", "")) is None
    assert peer_of(("::ffff:127.0.0.1", 80)) == ("127.0.0.1", 80)
