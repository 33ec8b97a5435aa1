"""Ending a connection whose client reads nothing.

The server's own end of a connection waits until everything before it was taken, which such a client never
does; the server offers no way to drop one. So its socket is looked for among those of this process, by the
client's address, and shut down (shutdown(2)): whatever waits on it fails at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Final

#: Where an operating system lists a process's open files: Linux, then macOS and the BSDs.
FOLDERS: Final = (Path("/proc/self/fd"), Path("/dev/fd"))

#: A client's address and port, as ASGI tells them.
Peer = tuple[str, int]


def cut(peer: Peer) -> bool:
    """Shut the connection with that client down; whether there was one. Blocking, for some 10 µs per open
    file."""
    for found in _sockets():
        with closing(found):
            if _peer(found) == peer:
                found.shutdown(socket.SHUT_RDWR)
                return True
    return False


def peer_of(client: object) -> Peer | None:
    """The `client` of an ASGI scope, None where it is no address. Its port may be a text."""
    if not isinstance(client, tuple | list) or len(client) != 2:
        return None
    try:
        return _plain(str(client[0])), int(client[1])
    except ValueError:
        return None


def _sockets() -> Iterator[socket.socket]:
    """Every TCP connection of this process, as a handle of its own."""
    folder = next((each for each in FOLDERS if each.is_dir()), None)
    for name in os.listdir(folder) if folder else ():
        try:
            copy = os.dup(int(name))
        except OSError:  # closed since
            continue
        try:
            found = socket.socket(fileno=copy)
        except OSError:  # no socket
            os.close(copy)
            continue
        if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
            yield found
        else:
            found.close()


def _peer(connection: socket.socket) -> Peer | None:
    try:
        host, port, *_ = connection.getpeername()
    except OSError:  # it listens, or is gone
        return None
    return _plain(host), port


def _plain(host: str) -> str:
    """The same text for every spelling of an address."""
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
